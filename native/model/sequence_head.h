#pragma once

#include "model/model.h"

namespace espalier {

/// The head of sequence classification and regression: classifier(tanh(pooler(first token))).
class SequenceHead {
 public:
  SequenceHead(const Model& model, Workspace& workspace) : model_(model), workspace_(workspace) {}

  /// first: [sequences, hidden] -> logits [sequences, labels].
  Matrix forward(const Matrix& first);

  /// Losses [sequences, 1] of the logits and, returned, the gradient with respect to `first`.
  Matrix backward(const Matrix& logits, LossKind loss, const void* labels, const Matrix& losses);

 private:
  const Model& model_;
  Workspace& workspace_;
  Matrix preActivation_;
};

}  // namespace espalier
