#pragma once

#include <cstdint>
#include <vector>

#include "backend/ops.h"

namespace espalier {

/// Units a layer has. A pruned layer has fewer than the original, possibly none.
struct LayerShape {
  int32_t heads = 0;
  int32_t neurons = 0;
};

/// What an encoder looks like, whatever family it came from; src/checkpoint derives it from config.json.
struct ModelSpec {
  int32_t hiddenSize = 0;
  int32_t headSize = 0;
  int32_t vocabularySize = 0;
  int32_t maxPositions = 0;
  int32_t tokenTypes = 0;  // 0: the family has none
  double layerNormEpsilon = 1e-12;
  Activation activation = Activation::gelu;
  std::vector<LayerShape> layers;
  int32_t labels = 0;  // logits of the sequence classification or regression head
};

/// Per layer one float a head and one a neuron, layers one after another. Used while searching; a pruned Model has
/// none.
struct Mask {
  std::vector<float> heads;
  std::vector<float> neurons;
};

/// Token ids of several sequences without padding. offsets: sequences + 1 entries.
struct PackedBatch {
  std::vector<int32_t> ids;
  std::vector<int32_t> tokenTypes;  // as many as ids
  std::vector<int32_t> offsets;

  int32_t sequences() const { return static_cast<int32_t>(offsets.size()) - 1; }
  int32_t tokens() const { return offsets.back(); }
};

}  // namespace espalier
