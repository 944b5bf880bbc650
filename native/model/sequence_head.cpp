#include "model/sequence_head.h"

namespace espalier {

void SequenceHead::forward(const Matrix& first, const Matrix& logits) {
  const auto& [pooler, classifier] = model_.head();
  const Matrix pooled = workspace_.matrix(first.rows, first.cols);
  preActivation_ = workspace_.matrix(first.rows, first.cols);
  Epilogue pooling;
  pooling.bias = pooler.bias.view.data;
  pooling.preActivation = preActivation_;
  pooling.activation = model_.spec().headActivation;
  model_.backend().linear(first, *pooler.forward, pooling, pooled);
  Epilogue classifying;
  classifying.bias = classifier.bias.view.data;
  model_.backend().linear(pooled, *classifier.forward, classifying, logits);
}

Matrix SequenceHead::backward(const Matrix& dLogits) {
  const auto& [pooler, classifier] = model_.head();
  const Matrix pooled = workspace_.matrix(dLogits.rows, preActivation_.cols);
  model_.backend().linear(dLogits, *classifier.backward, {}, pooled);
  ActivationBackwardArgs activation;
  activation.dy = activation.dx = pooled;
  activation.preActivation = preActivation_;
  activation.activation = model_.spec().headActivation;
  model_.backend().activationBackward(activation);
  const Matrix first = workspace_.matrix(dLogits.rows, preActivation_.cols);
  model_.backend().linear(pooled, *pooler.backward, {}, first);
  return first;
}

}  // namespace espalier
