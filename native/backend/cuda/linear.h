#pragma once

#include "backend/cuda/products.h"

namespace espalier::cuda {

/// What a PackedWeight of this backend really is: [outputs, inputs] on padded rows, as a product wants it.
struct Weight {
  Runtime& runtime;
  Matrix values;
  size_t bytes;

  Weight(Runtime& runtime, DType dtype, int64_t outputs, int64_t inputs);
  ~Weight();
  Weight(const Weight&) = delete;
  Weight& operator=(const Weight&) = delete;
};

/// Distance between rows of `cols` columns: a multiple of the 16 bytes that fast accesses need in every element type.
int64_t rowStride(int64_t cols);

template <typename T>
void pack(const PackArgs& args, const Weight& weight);

/// linear() of ops.h, x and y in elements of T.
template <typename T>
void linear(const LinearArgs& args, Runtime& runtime, Multiplier& multiplier);

/// transposedProduct() of ops.h for an f32 backend.
void transposedProduct(const TransposedProductArgs& args, Runtime& runtime, Multiplier& multiplier);

}  // namespace espalier::cuda
