#include <algorithm>
#include <cmath>

#include "backend/reference/operations.h"

namespace espalier::reference {

namespace {

/// loss = log(sum(exp(logits))) - logits[label]; its gradient is softmax - onehot(label). The logits stand below each
/// other where `logits` and `dLogits` are columns.
template <typename T>
T crossEntropy(int64_t count, const T* logits, int64_t stride, int32_t label, T* dLogits, int64_t dStride) {
  T largest = logits[0];
  for (int64_t c = 1; c < count; ++c) largest = std::max(largest, logits[c * stride]);
  T sum = 0;
  for (int64_t c = 0; c < count; ++c) sum += std::exp(logits[c * stride] - largest);
  for (int64_t c = 0; c < count; ++c) {
    dLogits[c * dStride] = std::exp(logits[c * stride] - largest) / sum - (c == label ? T(1) : T(0));
  }
  return std::log(sum) + largest - logits[label * stride];
}

template <typename T>
void classLoss(const LossArgs& args, int64_t s) {
  const int32_t label = static_cast<const int32_t*>(args.labels)[s];
  *args.losses.row<T>(s) = crossEntropy(args.logits.cols, args.logits.row<T>(s), 1, label, args.dLogits.row<T>(s), 1);
}

template <typename T>
void valueLoss(const LossArgs& args, int64_t s) {
  const T difference = *args.logits.row<T>(s) - vectorOf<T>(args.labels)[s];
  *args.losses.row<T>(s) = difference * difference;
  *args.dLogits.row<T>(s) = 2 * difference;
}

template <typename T>
void spanLoss(const LossArgs& args, int64_t s) {
  const int32_t* labels = static_cast<const int32_t*>(args.labels) + 2 * s;
  const int64_t first = args.offsets[s], tokens = args.offsets[s + 1] - first;
  T sum = 0;
  for (int64_t end : {0, 1}) {
    sum += crossEntropy(tokens, args.logits.row<T>(first) + end, args.logits.stride, labels[end],
                        args.dLogits.row<T>(first) + end, args.dLogits.stride);
    for (int64_t t = first; t < first + tokens; ++t) args.dLogits.row<T>(t)[end] /= 2;
  }
  *args.losses.row<T>(s) = sum / 2;
}

}  // namespace

template <typename T>
void loss(const LossArgs& args) {
  for (int64_t s = 0; s < args.losses.rows; ++s) {
    if (args.kind == LossKind::crossEntropy) classLoss<T>(args, s);
    if (args.kind == LossKind::meanSquared) valueLoss<T>(args, s);
    if (args.kind == LossKind::span) spanLoss<T>(args, s);
  }
}

template void loss<float>(const LossArgs&);
template void loss<double>(const LossArgs&);

}  // namespace espalier::reference
