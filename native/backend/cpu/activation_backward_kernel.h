#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd_math.h"
#include "backend/cpu/simd_rows.h"

namespace espalier {
namespace {

inline ValueAndSlope identityWithSlope(Vec x) { return {x, Vec::broadcast(1.0f)}; }

/// One pass: the mask's sums and dx share the activation's evaluation. The sums stay in the first-level cache.
template <ValueAndSlope (*kActivation)(Vec)>
void activationBackwardRows(const ActivationBackwardKernelArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* dy = args.dy.data + row * args.dy.stride;
    const float* x = args.preActivation.data + row * args.preActivation.stride;
    float* dx = args.dx.data == nullptr ? nullptr : args.dx.data + row * args.dx.stride;
    forEachVector(args.cols, [&](int64_t col, int lanes) {
      // The block's next row is a whole matrix row away, where no hardware looks ahead.
      __builtin_prefetch(x + args.preActivation.stride + col);
      __builtin_prefetch(dy + args.dy.stride + col);
      const ValueAndSlope activation = kActivation(loadLanes(x + col, lanes));
      const Vec gradient = loadLanes(dy + col, lanes);
      if (args.maskSums != nullptr) {
        const Vec before = row == 0 ? Vec::zero() : loadLanes(args.maskSums + col, lanes);
        storeLanes(fma(gradient, activation.value, before), args.maskSums + col, lanes);
      }
      if (dx != nullptr) {
        const Vec masked = args.columnMask == nullptr ? gradient : gradient * loadLanes(args.columnMask + col, lanes);
        storeLanes(masked * activation.slope, dx + col, lanes);
      }
    });
  }
}

void activationBackwardKernel(const ActivationBackwardKernelArgs& args) {
  switch (args.activation) {
    case Activation::none:
      return activationBackwardRows<identityWithSlope>(args);
    case Activation::gelu:
      return activationBackwardRows<geluWithSlope>(args);
    case Activation::geluTanh:
      return activationBackwardRows<geluTanhWithSlope>(args);
    case Activation::relu:
      return activationBackwardRows<reluWithSlope>(args);
    case Activation::tanh:
      return activationBackwardRows<tanhWithSlope>(args);
  }
}

}  // namespace
}  // namespace espalier
