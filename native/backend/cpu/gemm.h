#pragma once

// Matrix products of the cpu backend, f32, by the kernels of activeIsa(). Arguments are as in ops.h and are taken as
// checked. All throw Error outOfMemory.
//
// On one instruction set every element of a result is summed over k in an order that depends on nothing but the number
// of k, so it has the same bits at any thread count, in any batch and at any place in it.

#include "backend/ops.h"

namespace espalier::cpu {

/// The weight in panels of as many columns as a kernel's tile has, zero-padded, 64-byte aligned.
PackedWeight* packWeight(const PackArgs& args);
void releaseWeight(PackedWeight* packed) noexcept;
size_t packedBytes(const PackedWeight* packed) noexcept;

void linear(const LinearArgs& args, int threads);
void transposedProduct(const TransposedProductArgs& args, int threads);
/// Computes the tiles of the upper triangle and adds each to both.
void gram(const GramArgs& args, int threads);

}  // namespace espalier::cpu
