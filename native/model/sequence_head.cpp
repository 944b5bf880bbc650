#include "model/sequence_head.h"

namespace espalier {

Matrix SequenceHead::forward(const Matrix& first) {
  Backend& backend = model_.backend();
  const Matrix pooled = workspace_.matrix(first.rows, first.cols);
  preActivation_ = workspace_.matrix(first.rows, first.cols);
  const Matrix logits = workspace_.matrix(first.rows, model_.spec().labels);
  Epilogue pooler;
  pooler.bias = model_.pooler_.bias.view.data;
  pooler.preActivation = preActivation_;
  pooler.activation = Activation::tanh;
  backend.linear(first, *model_.pooler_.forward, pooler, pooled);
  Epilogue classifier;
  classifier.bias = model_.classifier_.bias.view.data;
  backend.linear(pooled, *model_.classifier_.forward, classifier, logits);
  return logits;
}

Matrix SequenceHead::backward(const Matrix& logits, LossKind loss, const void* labels, const Matrix& losses) {
  Backend& backend = model_.backend();
  LossArgs args;
  args.kind = loss;
  args.logits = logits;
  args.labels = labels;
  args.losses = losses;
  args.dLogits = workspace_.matrix(logits.rows, logits.cols);
  backend.loss(args);
  const Matrix pooled = workspace_.matrix(logits.rows, preActivation_.cols);
  backend.linear(args.dLogits, *model_.classifier_.backward, {}, pooled);
  ActivationBackwardArgs tanh;
  tanh.dy = tanh.dx = pooled;
  tanh.preActivation = preActivation_;
  tanh.activation = Activation::tanh;
  backend.activationBackward(tanh);
  const Matrix first = workspace_.matrix(logits.rows, preActivation_.cols);
  backend.linear(pooled, *model_.pooler_.backward, {}, first);
  return first;
}

}  // namespace espalier
