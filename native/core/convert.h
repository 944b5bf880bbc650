#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace espalier {

/// Floats from little-endian f32, f16 or bf16, and back, rounding to nearest even. Overflow to f16 gives infinity.
void toFloat(DType dtype, const void* from, int64_t count, float* to);
void fromFloat(const float* from, int64_t count, DType dtype, void* to);

}  // namespace espalier
