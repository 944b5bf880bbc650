#include "model/sequence_head.h"

#include "model/weight_gradients.h"

namespace espalier {

void SequenceHead::forward(const Matrix& first, const Matrix& logits) {
  Backend& backend = model_.backend();
  const auto& [pooler, classifier] = model_.head();
  first_ = first;
  pooled_ = workspace_.matrix(first.rows, first.cols);
  preActivation_ = workspace_.matrix(first.rows, first.cols);
  Epilogue pooling;
  pooling.bias = pooler.bias.view.data;
  pooling.preActivation = preActivation_;
  pooling.activation = model_.spec().headActivation;
  backend.linear(first, *pooler.forward, pooling, pooled_);
  if (dropout_.rate > 0) backend.dropout({pooled_, dropout_.rate, dropout_.key, {}, pooled_});
  Epilogue classifying;
  classifying.bias = classifier.bias.view.data;
  backend.linear(pooled_, *classifier.forward, classifying, logits);
}

Matrix SequenceHead::backward(const Matrix& dLogits, Weights* gradients) {
  Backend& backend = model_.backend();
  const auto& [pooler, classifier] = model_.head();
  const Matrix pooled = workspace_.matrix(dLogits.rows, preActivation_.cols);
  backend.linear(dLogits, *classifier.backward, {}, pooled);
  if (dropout_.rate > 0) backend.dropout({pooled, dropout_.rate, dropout_.key, {}, pooled});
  ActivationBackwardArgs activation;
  activation.dy = activation.dx = pooled;
  activation.preActivation = preActivation_;
  activation.activation = model_.spec().headActivation;
  backend.activationBackward(activation);
  if (gradients != nullptr) {
    addLinearGradient(backend, gradients->classifier, dLogits, pooled_);
    addLinearGradient(backend, gradients->pooler, pooled, first_);
  }
  const Matrix first = workspace_.matrix(dLogits.rows, preActivation_.cols);
  backend.linear(pooled, *pooler.backward, {}, first);
  return first;
}

}  // namespace espalier
