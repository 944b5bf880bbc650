#include "model/spec.h"

#include <cmath>

#include "core/error.h"

namespace espalier {

void checkSpec(const ModelSpec& spec) {
  require(!spec.layers.empty(), "a model needs a layer");
  require(spec.head != HeadKind::span || spec.labels == 2, "a span head has 2 labels, start and end");
  const int32_t padding = spec.positionPadding;
  require(padding >= -1 && padding < spec.maxPositions && spec.longestSequence() >= 1,
          "positionPadding must be -1 or leave positions after it");
  checkTokenPruning(spec.tokenPruning, spec.layers.size());
}

void checkTokenPruning(const TokenPruning& pruning, size_t layers) {
  require(pruning.values.empty() || pruning.values.size() == layers, "token pruning needs one value a layer");
  for (double value : pruning.values) {
    require(std::isfinite(value) && value >= 0, "a value of token pruning must be a finite number, at least 0");
  }
  require(pruning.paddedLength >= 0, "a padded length must be positive");
}

}  // namespace espalier
