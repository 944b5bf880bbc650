#pragma once

#include <memory>
#include <vector>

#include "model/batch.h"

namespace espalier {

/// What the sequences of a batch should be answered with.
struct Labels {
  LossKind loss = LossKind::crossEntropy;
  /// A class a sequence for crossEntropy; start and end token of every sequence, counted inside it, for span.
  std::vector<int32_t> classes;
  std::vector<float> values;  // a number a sequence for meanSquared
  /// In place of labels, the gradient of whatever is to be differentiated with respect to each row's logits:
  /// [sequences, labels], of a span head [tokens, 2]. Losses are then 0.
  std::vector<float> logitGradients;

  bool given() const { return !logitGradients.empty(); }
};

/// Throws invalidArgument unless the labels are some that a model of `spec` can be judged by on `batch`.
void checkLabels(const Labels& labels, const PackedBatch& batch, const ModelSpec& spec);

/// The labels of one micro-batch in device memory.
class DeviceLabels {
 public:
  DeviceLabels(Backend& backend, const ModelSpec& spec, const Labels& labels, const MicroBatch& part);

  /// As a loss takes them.
  const void* data() const { return classes_ ? classes_->data() : values_.view.data; }
  /// Where they are logit gradients: [rows, logits].
  const Matrix& gradients() const { return values_.view; }

 private:
  std::shared_ptr<Buffer> classes_;
  Tensor values_;
};

}  // namespace espalier
