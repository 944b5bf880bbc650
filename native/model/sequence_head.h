#pragma once

#include "model/head.h"

namespace espalier {

/// The head of sequence classification and regression: classifier(activation(pooler(first token))).
class SequenceHead final : public Head {
 public:
  SequenceHead(const Model& model, Workspace& workspace) : model_(model), workspace_(workspace) {}

  void forward(const Matrix& first, const Matrix& logits) override;
  Matrix backward(const Matrix& dLogits) override;

 private:
  const Model& model_;
  Workspace& workspace_;
  Matrix preActivation_;
};

}  // namespace espalier
