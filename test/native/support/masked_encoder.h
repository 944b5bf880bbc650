#pragma once

#include <vector>

#include "model/model.h"

namespace espalier::test {

/// What a sub-layer's output projection gets and what it gives, a row for every token; rows of tokens that are gone are
/// empty.
struct MaskedSublayer {
  std::vector<std::vector<double>> inputs;     // [tokens, heads * headSize or neurons]
  std::vector<std::vector<double>> residuals;  // [tokens, hidden], what is added to the projection
  std::vector<std::vector<double>> sums;       // [tokens, hidden], before the LayerNorm
};

/// What became of a batch whose tokens are masked.
struct MaskedRun {
  std::vector<double> logits;             // [sequences, labels], of a span head [tokens, 2]
  std::vector<int32_t> depths;            // [tokens], as in TokenRecord
  std::vector<double> importance;         // [layers, tokens], as in TokenRecord
  std::vector<MaskedSublayer> sublayers;  // attention and FFN of every layer in turn, of all tokens of the last one
};

/// The model's forward once more, in plain loops in double on the host, where no row is ever dropped: a token that does
/// not go on keeps its state and is no longer attended to.
MaskedRun runMasked(const Model& model, const PackedBatch& batch, const TokenPruning& pruning);

}  // namespace espalier::test
