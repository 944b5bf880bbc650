#pragma once

// Vec: as many floats as one register of the including file's instruction set holds. Everything is in an anonymous
// namespace and depends on no shared template, so that code compiled for one instruction set can never be the copy the
// linker keeps for the others.
//
// fma(a, b, c) = a * b + c and fnma(a, b, c) = c - a * b, in one rounding where the instruction set has it.
// min and max return their second argument when one is NaN. sum adds the lanes in one fixed order.

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace espalier {
namespace {

#if defined(__AVX512F__)

struct Vec {
  static constexpr int kWidth = 16;
  static constexpr int kRegisters = 32;
  __m512 lanes;

  static Vec zero() { return {_mm512_setzero_ps()}; }
  static Vec broadcast(float value) { return {_mm512_set1_ps(value)}; }
  static Vec load(const float* from) { return {_mm512_loadu_ps(from)}; }
  /// The first `count` lanes, 0 <= count <= kWidth; the others are zero and their memory is not touched.
  static Vec loadPartial(const float* from, int count) { return {_mm512_maskz_loadu_ps(firstMask(count), from)}; }
  void store(float* to) const { _mm512_storeu_ps(to, lanes); }
  void storePartial(float* to, int count) const { _mm512_mask_storeu_ps(to, firstMask(count), lanes); }

  static __mmask16 firstMask(int count) { return static_cast<__mmask16>((1u << count) - 1u); }
};

inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.lanes, b.lanes)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.lanes, b.lanes)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.lanes, b.lanes)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.lanes, b.lanes)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.lanes, b.lanes, c.lanes)}; }
inline Vec fnma(Vec a, Vec b, Vec c) { return {_mm512_fnmadd_ps(a.lanes, b.lanes, c.lanes)}; }
inline Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.lanes, b.lanes)}; }
inline Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.lanes, b.lanes)}; }
inline Vec sqrt(Vec a) { return {_mm512_sqrt_ps(a.lanes)}; }
inline Vec abs(Vec a) { return {_mm512_abs_ps(a.lanes)}; }
inline Vec firstLanes(Vec a, int count) { return {_mm512_maskz_mov_ps(Vec::firstMask(count), a.lanes)}; }
inline Vec selectLess(Vec a, Vec b, Vec ifLess, Vec otherwise) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.lanes, b.lanes, _CMP_LT_OQ), otherwise.lanes, ifLess.lanes)};
}
inline Vec shiftBitsLeft23(Vec a) { return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.lanes), 23))}; }
inline float sum(Vec a) {
  const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.lanes), 1));
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.lanes), upper);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#elif defined(__AVX2__) && defined(__FMA__)

struct Vec {
  static constexpr int kWidth = 8;
  static constexpr int kRegisters = 16;
  __m256 lanes;

  static Vec zero() { return {_mm256_setzero_ps()}; }
  static Vec broadcast(float value) { return {_mm256_set1_ps(value)}; }
  static Vec load(const float* from) { return {_mm256_loadu_ps(from)}; }
  /// The first `count` lanes, 0 <= count <= kWidth; the others are zero and their memory is not touched.
  static Vec loadPartial(const float* from, int count) { return {_mm256_maskload_ps(from, firstMask(count))}; }
  void store(float* to) const { _mm256_storeu_ps(to, lanes); }
  void storePartial(float* to, int count) const { _mm256_maskstore_ps(to, firstMask(count), lanes); }

  static __m256i firstMask(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

inline Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.lanes, b.lanes)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.lanes, b.lanes)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.lanes, b.lanes)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.lanes, b.lanes)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.lanes, b.lanes, c.lanes)}; }
inline Vec fnma(Vec a, Vec b, Vec c) { return {_mm256_fnmadd_ps(a.lanes, b.lanes, c.lanes)}; }
inline Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.lanes, b.lanes)}; }
inline Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.lanes, b.lanes)}; }
inline Vec sqrt(Vec a) { return {_mm256_sqrt_ps(a.lanes)}; }
inline Vec abs(Vec a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.lanes)}; }
inline Vec firstLanes(Vec a, int count) { return {_mm256_and_ps(a.lanes, _mm256_castsi256_ps(Vec::firstMask(count)))}; }
inline Vec selectLess(Vec a, Vec b, Vec ifLess, Vec otherwise) {
  return {_mm256_blendv_ps(otherwise.lanes, ifLess.lanes, _mm256_cmp_ps(a.lanes, b.lanes, _CMP_LT_OQ))};
}
inline Vec shiftBitsLeft23(Vec a) { return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.lanes), 23))}; }
inline float sum(Vec a) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.lanes), _mm256_extractf128_ps(a.lanes, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#else

// The compilers' own 128-bit vectors: SSE2 on x86-64, NEON on arm64, plain code elsewhere.
struct Vec {
  static constexpr int kWidth = 4;
#if defined(__aarch64__)
  static constexpr int kRegisters = 32;
#else
  static constexpr int kRegisters = 16;
#endif
  typedef float Lanes __attribute__((vector_size(16)));
  typedef unsigned Bits __attribute__((vector_size(16)));
  Lanes lanes;

  static Vec zero() { return broadcast(0.0f); }
  static Vec broadcast(float value) { return {Lanes{value, value, value, value}}; }
  static Vec load(const float* from) {
    Vec result;
    __builtin_memcpy(&result.lanes, from, sizeof(Lanes));
    return result;
  }
  /// The first `count` lanes, 0 <= count <= kWidth; the others are zero and their memory is not touched.
  static Vec loadPartial(const float* from, int count) {
    Vec result = zero();
    for (int lane = 0; lane < count; ++lane) result.lanes[lane] = from[lane];
    return result;
  }
  void store(float* to) const { __builtin_memcpy(to, &lanes, sizeof(Lanes)); }
  void storePartial(float* to, int count) const {
    for (int lane = 0; lane < count; ++lane) to[lane] = lanes[lane];
  }
};

inline Vec operator+(Vec a, Vec b) { return {a.lanes + b.lanes}; }
inline Vec operator-(Vec a, Vec b) { return {a.lanes - b.lanes}; }
inline Vec operator*(Vec a, Vec b) { return {a.lanes * b.lanes}; }
inline Vec operator/(Vec a, Vec b) { return {a.lanes / b.lanes}; }
#if defined(__aarch64__)
inline Vec fma(Vec a, Vec b, Vec c) { return {vfmaq_f32(c.lanes, a.lanes, b.lanes)}; }
inline Vec fnma(Vec a, Vec b, Vec c) { return {vfmsq_f32(c.lanes, a.lanes, b.lanes)}; }
#else
inline Vec fma(Vec a, Vec b, Vec c) { return {a.lanes * b.lanes + c.lanes}; }
inline Vec fnma(Vec a, Vec b, Vec c) { return {c.lanes - a.lanes * b.lanes}; }
#endif
inline Vec min(Vec a, Vec b) { return {a.lanes < b.lanes ? a.lanes : b.lanes}; }
inline Vec max(Vec a, Vec b) { return {a.lanes > b.lanes ? a.lanes : b.lanes}; }
inline Vec sqrt(Vec a) {
  Vec result;
  for (int lane = 0; lane < Vec::kWidth; ++lane) result.lanes[lane] = __builtin_sqrtf(a.lanes[lane]);
  return result;
}
inline Vec abs(Vec a) { return {reinterpret_cast<Vec::Lanes>(reinterpret_cast<Vec::Bits>(a.lanes) & 0x7fffffffu)}; }
inline Vec firstLanes(Vec a, int count) {
  for (int lane = count; lane < Vec::kWidth; ++lane) a.lanes[lane] = 0.0f;
  return a;
}
inline Vec selectLess(Vec a, Vec b, Vec ifLess, Vec otherwise) {
  return {a.lanes < b.lanes ? ifLess.lanes : otherwise.lanes};
}
inline Vec shiftBitsLeft23(Vec a) { return {reinterpret_cast<Vec::Lanes>(reinterpret_cast<Vec::Bits>(a.lanes) << 23)}; }
inline float sum(Vec a) { return (a.lanes[0] + a.lanes[2]) + (a.lanes[1] + a.lanes[3]); }

#endif

}  // namespace
}  // namespace espalier
