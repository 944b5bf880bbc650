#pragma once

#include <memory>

#include "model/layer.h"
#include "model/model.h"

namespace espalier {

/// What stands on the encoder: from the rows that its last layer keeps to their logits, and back.
class Head {
 public:
  virtual ~Head() = default;

  /// hidden: [rows, hidden] -> logits: [rows, labels].
  virtual void forward(const Matrix& hidden, const Matrix& logits) = 0;

  /// The gradient with respect to the `hidden` of the last forward. gradients: of the weights, when wanted.
  virtual Matrix backward(const Matrix& dLogits, Weights* gradients) = 0;
};

/// The head that the model's spec asks for, for one run. dropout: of a sequence head's pooled rows.
std::unique_ptr<Head> makeHead(const Model& model, Workspace& workspace, const Dropout& dropout = {});

}  // namespace espalier
