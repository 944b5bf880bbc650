#pragma once

#include <cstddef>
#include <cstdint>

namespace espalier {

/// Element types of Buffers and Matrix views.
enum class DType : int32_t { f32 = 0, f64 = 1, f16 = 2, bf16 = 3, i32 = 4 };

constexpr size_t dtypeBytes(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 8;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::f32:
    case DType::i32:
      return 4;
  }
  return 4;
}

}  // namespace espalier
