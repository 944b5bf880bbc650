#pragma once

// Elementary functions and activations on Vec. The polynomials are minimax fits of this project; the errors stated are
// against double precision, after rounding. NaN comes out as NaN.

#include "backend/cpu/simd.h"

namespace espalier {
namespace {

/// Horner's scheme, lowest coefficient first.
template <int N>
inline Vec polynomial(Vec x, const float (&coefficients)[N]) {
  Vec result = Vec::broadcast(coefficients[N - 1]);
  for (int i = N - 2; i >= 0; --i) result = fma(result, x, Vec::broadcast(coefficients[i]));
  return result;
}

/// e^x with a relative error below 2e-7, x clamped to [-86.6, 88] so that no result is denormal or infinite.
inline Vec exp(Vec x) {
  // x = n ln 2 + r: adding 1.5 * 2^23 rounds to an integer, which is left in the low bits of the sum with the bias of
  // the exponent added, so that shifting them into the exponent gives 2^n.
  const Vec rounder = Vec::broadcast(12582912.0f + 127.0f);
  x = min(Vec::broadcast(88.0f), max(Vec::broadcast(-86.6f), x));
  const Vec biased = fma(x, Vec::broadcast(1.442695041f), rounder);
  const Vec n = biased - rounder;
  const Vec r = fnma(n, Vec::broadcast(-2.12194440e-4f), fnma(n, Vec::broadcast(0.693359375f), x));
  constexpr float kTail[] = {4.999999337e-01f, 1.666651953e-01f, 4.166840095e-02f, 8.368850924e-03f, 1.381432771e-03f};
  const Vec one = Vec::broadcast(1.0f);
  return fma(r * r, polynomial(r, kTail), r + one) * shiftBitsLeft23(biased);
}

/// tanh x with an absolute error below 2e-7, relative near 0.
inline Vec tanh(Vec x) {
  const Vec one = Vec::broadcast(1.0f), two = Vec::broadcast(2.0f);
  const Vec size = abs(x);
  const Vec far = one - two / (exp(size * two) + one);
  const Vec signedFar = selectLess(x, Vec::zero(), Vec::zero() - far, far);
  constexpr float kTail[] = {-3.333328118e-01f, 1.333142020e-01f, -5.373777920e-02f, 2.063247488e-02f,
                             -5.697294950e-03f};
  const Vec square = x * x;
  const Vec near = fma(x * square, polynomial(square, kTail), x);
  return selectLess(size, Vec::broadcast(0.625f), near, signedFar);
}

/// An activation at some points and its derivative there.
struct ValueAndSlope {
  Vec value, slope;
};

/// x Phi(x) (the erf form) and Phi(x) + x phi(x), both with an error below 2e-7 max(1, |x|).
/// Phi(-t) = exp(-t^2/2) R(t) for t >= 0, where R(t) = erfcx(t / sqrt 2) / 2 is smooth: a polynomial up to t = 5.5,
/// beyond which the exponential leaves nothing to see. The exponential serves phi as well.
inline ValueAndSlope geluWithSlope(Vec x) {
  constexpr float kRatio[] = {5.000000000e-01f, -3.989387155e-01f, 2.499473244e-01f, -1.326773167e-01f,
                              6.159635261e-02f, -2.499557100e-02f, 8.581600152e-03f, -2.354665427e-03f,
                              4.810114915e-04f, -6.710278831e-05f, 5.613610483e-06f, -2.101750454e-07f};
  const Vec zero = Vec::zero();
  const Vec size = abs(x);
  const Vec density = exp(size * size * Vec::broadcast(-0.5f));
  const Vec tail = density * polynomial(min(Vec::broadcast(5.5f), size), kRatio);
  const Vec cumulative = selectLess(x, zero, tail, Vec::broadcast(1.0f) - tail);
  return {fnma(size, tail, max(zero, x)), fma(x * density, Vec::broadcast(0.3989422804f), cumulative)};
}
inline Vec gelu(Vec x) { return geluWithSlope(x).value; }

/// "gelu_new": x / 2 (1 + tanh z) = x s(2z) with z = sqrt(2 / pi) (x + 0.044715 x^3) and s the logistic function, which
/// has saturated before |x| = 9.
inline ValueAndSlope geluTanhWithSlope(Vec x) {
  const Vec one = Vec::broadcast(1.0f);
  const Vec bounded = min(Vec::broadcast(9.0f), max(Vec::broadcast(-9.0f), x));
  const Vec square = bounded * bounded;
  const Vec cubic = Vec::broadcast(2 * 0.7978845608f * 0.044715f), linear = Vec::broadcast(2 * 0.7978845608f);
  const Vec twiceZ = bounded * fma(square, cubic, linear);
  const Vec twiceZSlope = fma(square, Vec::broadcast(3 * 2 * 0.7978845608f * 0.044715f), linear);
  const Vec exponential = exp(Vec::zero() - twiceZ);
  const Vec logistic = one / (exponential + one), complement = exponential * logistic;
  return {x * logistic, fma(bounded * logistic * twiceZSlope, complement, logistic)};
}
inline Vec geluTanh(Vec x) { return geluTanhWithSlope(x).value; }

inline Vec relu(Vec x) { return max(Vec::zero(), x); }
inline ValueAndSlope reluWithSlope(Vec x) {
  return {relu(x), selectLess(Vec::zero(), x, Vec::broadcast(1.0f), Vec::zero())};
}

inline ValueAndSlope tanhWithSlope(Vec x) {
  const Vec value = tanh(x);
  return {value, fnma(value, value, Vec::broadcast(1.0f))};
}

}  // namespace
}  // namespace espalier
