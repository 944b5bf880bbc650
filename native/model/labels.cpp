#include "model/labels.h"

#include <cmath>
#include <string>

namespace espalier {
namespace {

void checkSpans(const std::vector<int32_t>& labels, const PackedBatch& batch) {
  require(labels.size() == 2 * static_cast<size_t>(batch.sequences()), "two labels per sequence are needed");
  for (size_t i = 0; i < labels.size(); ++i) {
    const size_t s = i / 2;
    const int32_t tokens = batch.offsets[s + 1] - batch.offsets[s];
    if (labels[i] < 0 || labels[i] >= tokens) {
      throw Error(ErrorCode::invalidArgument, "label " + std::to_string(labels[i]) + " of sequence " +
                                                  std::to_string(s) + " is none of its " + std::to_string(tokens) +
                                                  " tokens");
    }
  }
}

}  // namespace

void checkLabels(const Labels& labels, const PackedBatch& batch, const ModelSpec& spec) {
  if (labels.given()) {
    const int64_t rows = spec.head == HeadKind::span ? batch.tokens() : batch.sequences();
    require(static_cast<int64_t>(labels.logitGradients.size()) == rows * spec.labels,
            "one gradient per logit is needed");
    for (float value : labels.logitGradients) require(std::isfinite(value), "a gradient is not a finite number");
    return;
  }
  require((labels.loss == LossKind::span) == (spec.head == HeadKind::span),
          "the loss span and a span head belong together");
  if (labels.loss == LossKind::span) return checkSpans(labels.classes, batch);
  const bool indices = labels.loss == LossKind::crossEntropy;
  const size_t count = indices ? labels.classes.size() : labels.values.size();
  require(count == static_cast<size_t>(batch.sequences()), "one label per sequence is needed");
  require(indices || spec.labels == 1, "meanSquared needs a model with one logit");
  for (int32_t label : labels.classes) {
    require(label >= 0 && label < spec.labels, "a label is outside the model's classes");
  }
  for (float value : labels.values) require(std::isfinite(value), "a label is not a finite number");
}

DeviceLabels::DeviceLabels(Backend& backend, const ModelSpec& spec, const Labels& labels, const MicroBatch& part) {
  if (labels.given()) {
    const bool span = spec.head == HeadKind::span;
    const int64_t first = span ? part.firstToken : part.firstSequence;
    values_ = backend.tensorFrom(span ? part.tokens : part.sequences, spec.labels,
                                 labels.logitGradients.data() + first * spec.labels);
    return;
  }
  if (labels.loss == LossKind::meanSquared) {
    values_ = backend.tensorFrom(1, part.sequences, labels.values.data() + part.firstSequence);
    return;
  }
  const int32_t each = labels.loss == LossKind::span ? 2 : 1;
  const auto begin = labels.classes.begin() + each * part.firstSequence;
  classes_ = backend.indices({begin, begin + each * part.sequences});
}

}  // namespace espalier
