#pragma once

#include "model/head.h"

namespace espalier {

/// The head of extractive question answering: the start and the end logit of every token, classifier(token).
class SpanHead final : public Head {
 public:
  SpanHead(const Model& model, Workspace& workspace) : model_(model), workspace_(workspace) {}

  void forward(const Matrix& tokens, const Matrix& logits) override;
  Matrix backward(const Matrix& dLogits, Weights* gradients) override;

 private:
  const Model& model_;
  Workspace& workspace_;
  Matrix tokens_;
};

}  // namespace espalier
