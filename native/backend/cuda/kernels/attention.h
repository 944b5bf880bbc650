#pragma once

#include "backend/cuda/kernel.h"
#include "backend/ops.h"
#include "backend/table.h"

namespace espalier::cuda {

/// Bytes of device memory that attention() works in.
size_t attentionScratch(const AttentionArgs& args);

/// Attention over packed sequences, scores never leaving the chip: one pass over the keys with a running maximum and
/// sum (Dao, "FlashAttention-2", 2023). T: float, Half or Bfloat16. Products of floats are exact with Products::full
/// and of factors rounded to TF32 otherwise; of 16-bit types they are exact in any case. Heads of up to 128.
template <typename T>
void attention(const AttentionArgs& args, Products products, void* scratch, Stream stream);

/// headSums: [heads, tokens], the column sums of each head, with the scores computed a second time. logSumExp:
/// [queries, heads], as attention() found them.
template <typename T>
void attentionHeadSums(const AttentionArgs& args, Products products, const float* logSumExp, float* headSums,
                       Stream stream);

/// Writes args.columnSums, the head sums of each token added in order.
void addHeads(const AttentionArgs& args, const float* headSums, Stream stream);

/// Bytes of device memory that attentionBackward() works in.
size_t attentionBackwardScratch(const AttentionBackwardArgs& args);

/// The gradients of attention(), probabilities computed again from logSumExp. T: float.
template <typename T>
void attentionBackward(const AttentionBackwardArgs& args, Products products, void* scratch, Stream stream);

}  // namespace espalier::cuda
