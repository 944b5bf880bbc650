#include <cmath>

#include "backend/cpu/operations.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

/// Numbers beside each other in a row, or below each other in a column.
template <typename T>
struct Line {
  T* data;
  int64_t step;
  T& operator[](int64_t index) const { return data[index * step]; }
};

/// -log softmax(logits)[label] in double, `weight` times; gradient: softmax less one at the label, as often.
double crossEntropy(int64_t count, Line<const float> logits, int32_t label, double weight, Line<float> gradient) {
  double largest = logits[0];
  for (int64_t c = 1; c < count; ++c) largest = std::max<double>(largest, logits[c]);
  double total = 0;
  for (int64_t c = 0; c < count; ++c) total += std::exp(logits[c] - largest);
  const double logTotal = largest + std::log(total);
  for (int64_t c = 0; c < count; ++c) {
    gradient[c] = static_cast<float>(weight * (std::exp(logits[c] - logTotal) - (c == label ? 1.0 : 0.0)));
  }
  return weight * (logTotal - logits[label]);
}

float classLoss(const LossArgs& args, int64_t s) {
  const int32_t label = static_cast<const int32_t*>(args.labels)[s];
  return static_cast<float>(
      crossEntropy(args.logits.cols, {args.logits.row<float>(s), 1}, label, 1, {args.dLogits.row<float>(s), 1}));
}

float valueLoss(const LossArgs& args, int64_t s) {
  const float difference = *args.logits.row<float>(s) - floats(args.labels)[s];
  *args.dLogits.row<float>(s) = 2 * difference;
  return difference * difference;
}

float spanLoss(const LossArgs& args, int64_t s) {
  const int32_t* labels = static_cast<const int32_t*>(args.labels) + 2 * s;
  const int64_t first = args.offsets[s], tokens = args.offsets[s + 1] - first;
  double loss = 0;
  for (int64_t end : {0, 1}) {
    loss += crossEntropy(tokens, {args.logits.row<float>(first) + end, args.logits.stride}, labels[end], 0.5,
                         {args.dLogits.row<float>(first) + end, args.dLogits.stride});
  }
  return static_cast<float>(loss);
}

float (*lossOf(LossKind kind))(const LossArgs&, int64_t sequence) {
  switch (kind) {
    case LossKind::crossEntropy:
      return classLoss;
    case LossKind::meanSquared:
      return valueLoss;
    case LossKind::span:
      return spanLoss;
  }
  return nullptr;
}

}  // namespace

void loss(const LossArgs& args, int threads) {
  const auto lossOfSequence = lossOf(args.kind);
  const int64_t sequences = args.losses.rows;
  const int64_t logits = args.logits.rows * args.logits.cols / std::max<int64_t>(1, sequences);
  forEachChunk(threads, sequences, rowsPerChunk(logits), [&](int64_t first, int64_t count) {
    for (int64_t s = first; s < first + count; ++s) *args.losses.row<float>(s) = lossOfSequence(args, s);
  });
}

}  // namespace espalier::cpu
