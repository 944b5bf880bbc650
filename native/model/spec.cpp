#include "model/spec.h"

#include "core/error.h"

namespace espalier {

void checkSpec(const ModelSpec& spec) {
  require(!spec.layers.empty(), "a model needs a layer");
  require(spec.head != HeadKind::span || spec.labels == 2, "a span head has 2 labels, start and end");
  const int32_t padding = spec.positionPadding;
  require(padding >= -1 && padding < spec.maxPositions && spec.longestSequence() >= 1,
          "positionPadding must be -1 or leave positions after it");
}

}  // namespace espalier
