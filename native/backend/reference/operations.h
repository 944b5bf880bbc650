#pragma once

// The reference backend: every operation as plain loops on one thread, in float or double, written to be read. It is
// the oracle of the other backends. What each operation computes is said in ops.h.

#include <algorithm>
#include <vector>

#include "backend/ops.h"

namespace espalier::reference {

/// Rows of one chunk of a sum over rows.
constexpr int64_t kChunkRows = 256;

/// What a PackedWeight of this backend really is: a [outputs, inputs] copy, row-major without gaps.
struct Weight {
  int64_t outputs = 0;
  int64_t inputs = 0;
  std::vector<char> values;
};

/// sum of term(r) over `rows` rows: in T within a chunk, the chunks in Total.
template <typename T, typename Total, typename Term>
Total sumOverRows(int64_t rows, const Term& term) {
  Total total = 0;
  for (int64_t first = 0; first < rows; first += kChunkRows) {
    T chunk = 0;
    for (int64_t r = first; r < std::min(rows, first + kChunkRows); ++r) chunk += term(r);
    total += static_cast<Total>(chunk);
  }
  return total;
}

template <typename T>
const T* vectorOf(const void* data) {
  return static_cast<const T*>(data);
}

template <typename T>
T activate(Activation activation, T x);
template <typename T>
T activationSlope(Activation activation, T x);

template <typename T>
void pack(const PackArgs& args, Weight& weight);
template <typename T>
void linear(const LinearArgs& args);
template <typename T>
void embed(const EmbedArgs& args);
template <typename T>
void embedBackward(const EmbedBackwardArgs& args);
template <typename T>
void layerNorm(const LayerNormArgs& args);
template <typename T>
void layerNormBackward(const LayerNormBackwardArgs& args);
template <typename T>
void attention(const AttentionArgs& args);
template <typename T>
void attentionBackward(const AttentionBackwardArgs& args);
template <typename T>
void activationBackward(const ActivationBackwardArgs& args);
template <typename T>
void gatherRows(const GatherRowsArgs& args);
template <typename T>
void scatterRows(const ScatterRowsArgs& args);
template <typename T>
void selectTokens(const SelectTokensArgs& args);
template <typename T>
void softTokenMask(const SoftTokenMaskArgs& args);
template <typename T>
void softTokenMaskBackward(const SoftTokenMaskBackwardArgs& args);
template <typename T>
void transposedProduct(const TransposedProductArgs& args);
template <typename T>
void gram(const GramArgs& args);
template <typename T>
void columnSums(const ColumnSumsArgs& args);
template <typename T>
void subtract(const SubtractArgs& args);
template <typename T>
void addScaled(const AddScaledArgs& args);
template <typename T>
void dropout(const DropoutArgs& args);
template <typename T>
void adamW(const AdamWArgs& args);
template <typename T>
void loss(const LossArgs& args);

}  // namespace espalier::reference
