#pragma once

#include "backend/cuda/runtime.h"
#include "core/matrix.h"

namespace espalier::cuda {

/// `count` elements of host memory on the device.
template <typename T>
struct DeviceCopy : DeviceArray<T> {
  DeviceCopy(Runtime& runtime, const T* host, int64_t count) : DeviceArray<T>(runtime, static_cast<size_t>(count)) {
    runtime.copyIn(this->data(), host, this->size() * sizeof(T));
  }
};

/// A matrix of doubles on the device, not cleared.
struct DeviceMatrix {
  DeviceMatrix(Runtime& runtime, int64_t rows, int64_t cols)
      : values(runtime, static_cast<size_t>(rows * cols)), view{values.data(), DType::f64, rows, cols, cols} {}

  DeviceArray<double> values;
  Matrix view;
};

}  // namespace espalier::cuda
