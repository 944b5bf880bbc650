#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace espalier {

/// A row-major view of device memory; `stride` is the distance between rows, in elements.
/// Plain data: it crosses the plugin boundary. A view with `data == nullptr` means "not given".
struct Matrix {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  explicit operator bool() const { return data != nullptr; }

  /// The view of `count` columns from column `first` on.
  Matrix columns(int64_t first, int64_t count) const {
    return {static_cast<char*>(data) + first * static_cast<int64_t>(dtypeBytes(dtype)), dtype, rows, count, stride};
  }
  /// The view of `count` rows from row `first` on.
  Matrix rowRange(int64_t first, int64_t count) const {
    return {static_cast<char*>(data) + first * stride * static_cast<int64_t>(dtypeBytes(dtype)), dtype, count, cols,
            stride};
  }
  template <typename T>
  T* row(int64_t index) const {
    return static_cast<T*>(data) + index * stride;
  }
};

}  // namespace espalier
