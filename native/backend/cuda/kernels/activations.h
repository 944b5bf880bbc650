#pragma once

#include "backend/cuda/kernel.h"
#include "backend/ops.h"

namespace espalier::cuda {

constexpr float kSqrtHalf = 0.70710678118654752f;
constexpr float kInverseSqrtTwoPi = 0.39894228040143268f;
constexpr float kSqrtTwoOverPi = 0.79788456080286536f;
constexpr float kCubic = 0.044715f;

/// The standard normal distribution. erfc keeps its relative accuracy in the left tail, 1 + erf does not.
__device__ inline float normalCdf(float x) { return 0.5f * erfcf(-x * kSqrtHalf); }

__device__ inline float tanhOfCubic(float x) { return tanhf(kSqrtTwoOverPi * (x + kCubic * x * x * x)); }

__device__ inline float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::gelu:
      return x * normalCdf(x);
    case Activation::geluTanh:
      return 0.5f * x * (1.0f + tanhOfCubic(x));
    case Activation::relu:
      return x < 0.0f ? 0.0f : x;  // NaN stays NaN
    case Activation::tanh:
      return tanhf(x);
    case Activation::none:
      break;
  }
  return x;
}

/// An activation's value and its derivative, which have most of their work in common.
struct Activated {
  float value, slope;
};

__device__ inline Activated activateWithSlope(Activation activation, float x) {
  switch (activation) {
    case Activation::gelu: {
      const float cdf = normalCdf(x);
      return {x * cdf, cdf + x * kInverseSqrtTwoPi * expf(-0.5f * x * x)};
    }
    case Activation::geluTanh: {
      const float t = tanhOfCubic(x);
      const float inner = kSqrtTwoOverPi * (1.0f + 3.0f * kCubic * x * x);
      return {0.5f * x * (1.0f + t), 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner};
    }
    case Activation::relu:
      return {x < 0.0f ? 0.0f : x, x > 0.0f ? 1.0f : 0.0f};
    case Activation::tanh: {
      const float t = tanhf(x);
      return {t, 1.0f - t * t};
    }
    case Activation::none:
      break;
  }
  return {x, 1.0f};
}

}  // namespace espalier::cuda
