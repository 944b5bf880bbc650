#pragma once

#include "model/head.h"

namespace espalier {

/// The head of sequence classification and regression: classifier(activation(pooler(first token))).
class SequenceHead final : public Head {
 public:
  SequenceHead(const Model& model, Workspace& workspace, const Dropout& dropout)
      : model_(model), workspace_(workspace), dropout_(dropout) {}

  void forward(const Matrix& first, const Matrix& logits) override;
  Matrix backward(const Matrix& dLogits, Weights* gradients) override;

 private:
  const Model& model_;
  Workspace& workspace_;
  const Dropout dropout_;
  Matrix first_, preActivation_, pooled_;
};

}  // namespace espalier
