#include <cmath>

#include "backend/reference/operations.h"

namespace espalier::reference {

namespace {

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kInverseSqrtTwoPi = 0.39894228040143267794;
constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
constexpr double kCubic = 0.044715;

/// The standard normal distribution. erfc keeps its relative accuracy in the left tail, 1 + erf does not.
template <typename T>
T normalCdf(T x) {
  return T(0.5) * std::erfc(-x * T(kSqrtHalf));
}

}  // namespace

template <typename T>
T activate(Activation activation, T x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::gelu:
      return x * normalCdf(x);
    case Activation::geluTanh:
      return T(0.5) * x * (1 + std::tanh(T(kSqrtTwoOverPi) * (x + T(kCubic) * x * x * x)));
    case Activation::relu:
      return x < 0 ? T(0) : x;
    case Activation::tanh:
      return std::tanh(x);
  }
  return x;
}

template <typename T>
T activationSlope(Activation activation, T x) {
  switch (activation) {
    case Activation::none:
      return 1;
    case Activation::gelu:
      return normalCdf(x) + x * T(kInverseSqrtTwoPi) * std::exp(T(-0.5) * x * x);
    case Activation::geluTanh: {
      const T t = std::tanh(T(kSqrtTwoOverPi) * (x + T(kCubic) * x * x * x));
      const T inner = T(kSqrtTwoOverPi) * (1 + 3 * T(kCubic) * x * x);
      return T(0.5) * (1 + t) + T(0.5) * x * (1 - t * t) * inner;
    }
    case Activation::relu:
      return x > 0 ? T(1) : T(0);
    case Activation::tanh: {
      const T t = std::tanh(x);
      return 1 - t * t;
    }
  }
  return 1;
}

template <typename T>
void activationBackward(const ActivationBackwardArgs& args) {
  const T* mask = vectorOf<T>(args.columnMask);
  // The mask's gradient first: dx may alias dy.
  if (args.maskGradient) {
    for (int32_t s = 0; s < args.sequences; ++s) {
      T* gradient = args.maskGradient.row<T>(args.groups[s]);
      for (int64_t c = 0; c < args.dy.cols; ++c) {
        T sum = 0;
        for (int64_t r = args.offsets[s]; r < args.offsets[s + 1]; ++r) {
          sum += args.dy.row<T>(r)[c] * activate(args.activation, args.preActivation.row<T>(r)[c]);
        }
        gradient[c] += sum;
      }
    }
  }
  if (args.dx) {
    for (int64_t r = 0; r < args.dy.rows; ++r) {
      for (int64_t c = 0; c < args.dy.cols; ++c) {
        const T slope = activationSlope(args.activation, args.preActivation.row<T>(r)[c]);
        args.dx.row<T>(r)[c] = args.dy.row<T>(r)[c] * (mask ? mask[c] : T(1)) * slope;
      }
    }
  }
}

template float activate(Activation, float);
template double activate(Activation, double);
template float activationSlope(Activation, float);
template double activationSlope(Activation, double);
template void activationBackward<float>(const ActivationBackwardArgs&);
template void activationBackward<double>(const ActivationBackwardArgs&);

}  // namespace espalier::reference
