#pragma once

#include <vector>

#include "model/model.h"

namespace espalier::test {

/// What became of a batch whose tokens are masked.
struct MaskedRun {
  std::vector<double> logits;      // [sequences, labels], of a span head [tokens, 2]
  std::vector<int32_t> depths;     // [tokens], as in TokenRecord
  std::vector<double> importance;  // [layers, tokens], as in TokenRecord
};

/// The model's forward once more, in plain loops in double on the host, where no row is ever dropped: a token that does
/// not go on keeps its state and is no longer attended to.
MaskedRun runMasked(const Model& model, const PackedBatch& batch, const TokenPruning& pruning);

}  // namespace espalier::test
