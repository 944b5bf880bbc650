#pragma once

#include <cmath>

#include "backend/ops.h"

namespace espalier {

/// What AdamW's formula multiplies with, the same for every element of a step.
template <typename T>
struct AdamWFactors {
  T gradientScale;
  T decay;                         // of the parameter
  T beta1, share1, beta2, share2;  // of a moment and of what it takes in
  T stepSize;                      // of the first moment over the root
  T rootFactor, epsilon;           // the root is sqrt(v) rootFactor + epsilon

  explicit AdamWFactors(const AdamWArgs& args)
      : gradientScale(static_cast<T>(args.gradientScale)),
        decay(static_cast<T>(1 - args.learningRate * args.weightDecay)),
        beta1(static_cast<T>(args.beta1)),
        share1(static_cast<T>(1 - args.beta1)),
        beta2(static_cast<T>(args.beta2)),
        share2(static_cast<T>(1 - args.beta2)),
        stepSize(static_cast<T>(args.learningRate / corrected(args.beta1, args.step))),
        rootFactor(static_cast<T>(1 / std::sqrt(corrected(args.beta2, args.step)))),
        epsilon(static_cast<T>(args.epsilon)) {}

 private:
  static double corrected(double beta, int64_t step) { return 1 - std::pow(beta, static_cast<double>(step)); }
};

}  // namespace espalier
