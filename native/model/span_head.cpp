#include "model/span_head.h"

#include "model/weight_gradients.h"

namespace espalier {

void SpanHead::forward(const Matrix& tokens, const Matrix& logits) {
  tokens_ = tokens;
  const PackedLinear& classifier = model_.head().classifier;
  Epilogue epilogue;
  epilogue.bias = classifier.bias.view.data;
  model_.backend().linear(tokens, *classifier.forward, epilogue, logits);
}

Matrix SpanHead::backward(const Matrix& dLogits, Weights* gradients) {
  if (gradients != nullptr) addLinearGradient(model_.backend(), gradients->classifier, dLogits, tokens_);
  const Matrix tokens = workspace_.matrix(dLogits.rows, model_.spec().hiddenSize);
  model_.backend().linear(dLogits, *model_.head().classifier.backward, {}, tokens);
  return tokens;
}

}  // namespace espalier
