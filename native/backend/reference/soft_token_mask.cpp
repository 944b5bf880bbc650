#include <cmath>

#include "backend/reference/operations.h"

namespace espalier::reference {

template <typename T>
void softTokenMask(const SoftTokenMaskArgs& args) {
  const T threshold = static_cast<T>(args.threshold), temperature = static_cast<T>(args.temperature);
  for (int32_t s = 0; s < args.sequences; ++s) {
    for (int32_t token = args.offsets[s]; token < args.offsets[s + 1]; ++token) {
      const T importance = *args.scores.row<T>(token) / static_cast<T>(args.lengths[s]);
      const T mask = token == args.offsets[s] ? 1 : 1 / (1 + std::exp((threshold - importance) / temperature));
      *args.masks.row<T>(token) = mask;
      for (int64_t c = 0; c < args.x.cols; ++c) args.y.row<T>(token)[c] = mask * args.x.row<T>(token)[c];
    }
  }
}

template <typename T>
void softTokenMaskBackward(const SoftTokenMaskBackwardArgs& args) {
  const T temperature = static_cast<T>(args.temperature), sparsity = static_cast<T>(args.sparsity);
  double total = 0;
  for (int32_t s = 0; s < args.sequences; ++s) {
    const T length = static_cast<T>(args.lengths[s]);
    for (int32_t token = args.offsets[s]; token < args.offsets[s + 1]; ++token) {
      const T mask = *args.masks.row<T>(token);
      T dMask = sparsity / length;
      for (int64_t c = 0; c < args.x.cols; ++c) {
        dMask += args.dy.row<T>(token)[c] * args.x.row<T>(token)[c];
        args.dx.row<T>(token)[c] = mask * args.dy.row<T>(token)[c];
      }
      const T d = dMask * mask * (1 - mask) / temperature;
      *args.dScores.row<T>(token) = d / length;
      total += static_cast<double>(d);
    }
  }
  *args.dThreshold.row<double>(0) -= total;
}

template void softTokenMask<float>(const SoftTokenMaskArgs&);
template void softTokenMask<double>(const SoftTokenMaskArgs&);
template void softTokenMaskBackward<float>(const SoftTokenMaskBackwardArgs&);
template void softTokenMaskBackward<double>(const SoftTokenMaskBackwardArgs&);

}  // namespace espalier::reference
