#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "backend/ops.h"

namespace espalier::cuda {

/// y = activation(x w' + bias) * columnMask + residual, for f16 and bf16 with sums in f32.
/// x: [rows, inputs], w: [outputs, inputs], bias and columnMask: [outputs], residual and y: [rows, outputs], all of
/// `dtype` and row-major with row strides in elements. Null pointers mean absent. y may be the residual.
struct HopperLinear {
  const void* x = nullptr;
  int64_t ldx = 0;
  const void* w = nullptr;
  int64_t ldw = 0;
  const void* bias = nullptr;
  Activation activation = Activation::none;  // not tanh
  const void* columnMask = nullptr;
  const void* residual = nullptr;
  int64_t ldResidual = 0;
  void* y = nullptr;
  int64_t ldy = 0;
  int64_t rows = 0;
  int64_t inputs = 0;
  int64_t outputs = 0;
  DType dtype = DType::bf16;
};

/// The one architecture that hopperLinear() runs on: compute capability 9.0.
constexpr int32_t kHopper = 90;

/// Whether hopperLinear() computes this product: outputs and row strides multiples of 8, pointers multiples of 16
/// bytes, at least one input.
bool hopperLinearSupports(const HopperLinear& product);

/// Starts the product on `stream` of a device of kHopper.
void hopperLinear(const HopperLinear& product, cudaStream_t stream);

}  // namespace espalier::cuda
