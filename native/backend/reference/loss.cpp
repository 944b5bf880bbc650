#include <algorithm>
#include <cmath>

#include "backend/reference/operations.h"

namespace espalier::reference {

namespace {

/// loss = log(sum(exp(logits))) - logits[label]; its gradient is softmax - onehot(label).
template <typename T>
T crossEntropy(const T* logits, int64_t classes, int32_t label, T* dLogits) {
  const T largest = *std::max_element(logits, logits + classes);
  T sum = 0;
  for (int64_t c = 0; c < classes; ++c) sum += std::exp(logits[c] - largest);
  for (int64_t c = 0; c < classes; ++c) {
    dLogits[c] = std::exp(logits[c] - largest) / sum - (c == label ? T(1) : T(0));
  }
  return std::log(sum) + largest - logits[label];
}

}  // namespace

template <typename T>
void loss(const LossArgs& args) {
  for (int64_t r = 0; r < args.logits.rows; ++r) {
    const T* logits = args.logits.row<T>(r);
    T* dLogits = args.dLogits.row<T>(r);
    T* value = args.losses.row<T>(r);
    if (args.kind == LossKind::crossEntropy) {
      *value = crossEntropy(logits, args.logits.cols, static_cast<const int32_t*>(args.labels)[r], dLogits);
    } else {
      const T difference = logits[0] - vectorOf<T>(args.labels)[r];
      *value = difference * difference;
      dLogits[0] = 2 * difference;
    }
  }
}

template void loss<float>(const LossArgs&);
template void loss<double>(const LossArgs&);

}  // namespace espalier::reference
