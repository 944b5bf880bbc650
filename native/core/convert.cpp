#include "core/convert.h"

#include <cstring>

#include "core/error.h"

namespace espalier {
namespace {

uint32_t bits(float value) {
  uint32_t result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}

float number(uint32_t value) {
  float result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}

float halfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return number(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  // As a float these bits are 2^112 times too small, which one exact product mends, subnormals included.
  return number(sign | bits(number(magnitude << 13) * 0x1p112f));
}

uint16_t floatToHalf(float value) {
  const uint32_t sign = bits(value) >> 16 & 0x8000;
  const uint32_t magnitude = bits(value) & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
  if (magnitude >= 0x47800000) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    // Subnormal halves are multiples of 2^-24: adding 0.5 lets the float unit round to that step.
    return static_cast<uint16_t>(sign | (bits(number(magnitude) + 0.5f) - bits(0.5f)));
  }
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | (rounded - 0x38000000) >> 13);
}

uint16_t floatToBfloat(float value) {
  const uint32_t magnitude = bits(value) & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(bits(value) >> 16 | 0x40);
  return static_cast<uint16_t>((bits(value) + 0x7fff + (bits(value) >> 16 & 1)) >> 16);
}

}  // namespace

void toFloat(DType dtype, const void* from, int64_t count, float* to) {
  const auto* words = static_cast<const uint8_t*>(from);
  const auto word = [&](int64_t i) { return static_cast<uint16_t>(words[2 * i] | words[2 * i + 1] << 8); };
  switch (dtype) {
    case DType::f32:
      if (count > 0) std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
      return;
    case DType::f16:
      for (int64_t i = 0; i < count; ++i) to[i] = halfToFloat(word(i));
      return;
    case DType::bf16:
      for (int64_t i = 0; i < count; ++i) to[i] = number(static_cast<uint32_t>(word(i)) << 16);
      return;
    default:
      throw Error(ErrorCode::unsupported, "weights are f32, f16 or bf16");
  }
}

void fromFloat(const float* from, int64_t count, DType dtype, void* to) {
  auto* words = static_cast<uint16_t*>(to);
  switch (dtype) {
    case DType::f32:
      if (count > 0) std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
      return;
    case DType::f16:
      for (int64_t i = 0; i < count; ++i) words[i] = floatToHalf(from[i]);
      return;
    case DType::bf16:
      for (int64_t i = 0; i < count; ++i) words[i] = floatToBfloat(from[i]);
      return;
    default:
      throw Error(ErrorCode::unsupported, "weights are f32, f16 or bf16");
  }
}

}  // namespace espalier
