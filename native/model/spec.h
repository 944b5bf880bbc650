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

/// What stands on the encoder. sequence: one row of logits a sequence, out of its first token; span: the start and the
/// end logit of every token.
enum class HeadKind { sequence, span };

/// Which tokens a layer lets go on once they have been attended to (Kim et al., "Learned Token Pruning", 2021). A
/// token's importance is the attention probability that it receives, as a mean over the layer's heads and over the
/// sequence's tokens as it came in. A sequence's first token always goes on.
struct TokenPruning {
  enum class Rule {
    threshold,  // tokens whose importance is at least the layer's value
    keepRate,   // the most important tokens, in number the layer's value times those that came in, rounded up
  };
  Rule rule = Rule::threshold;
  std::vector<double> values;  // one a layer; empty: every token goes on
  int32_t paddedLength = 0;    // what importance is a mean over instead; 0: the sequence's own tokens

  /// paddedLength, where importance is compared with a number.
  int32_t meanOver() const { return rule == Rule::threshold ? paddedLength : 0; }
  bool dropsIn(size_t layer) const {
    return !values.empty() && (rule == Rule::threshold ? values[layer] > 0 : values[layer] < 1);
  }
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
  HeadKind head = HeadKind::sequence;
  Activation headActivation = Activation::tanh;  // between the two layers of a sequence head
  int32_t labels = 0;                            // logits of a row; 2 for a span head
  /// Positions count from this id + 1 and skip it: a token that is the id has the id as its position (RoBERTa's
  /// padding). -1: positions count from 0.
  int32_t positionPadding = -1;
  TokenPruning tokenPruning;

  /// Tokens that have a position.
  int32_t longestSequence() const { return maxPositions - (positionPadding + 1); }
  /// Whether a layer's rows are first tokens, the only ones that a sequence head reads.
  bool firstTokensOnly(size_t layer) const { return head == HeadKind::sequence && layer + 1 == layers.size(); }
  /// Whether the layer has a say in which tokens go on.
  bool judgesTokens(size_t layer) const { return layers[layer].heads > 0 && !firstTokensOnly(layer); }
};

/// Throws invalidArgument where settings contradict each other.
void checkSpec(const ModelSpec& spec);

/// Throws invalidArgument unless `pruning` has a finite value for each of `layers` layers, or none.
void checkTokenPruning(const TokenPruning& pruning, size_t layers);

/// Per layer one float a head and one a neuron, layers one after another. Used while searching; a pruned Model has
/// none.
struct Mask {
  std::vector<float> heads;
  std::vector<float> neurons;
};

/// Token ids of several sequences without padding. offsets: sequences + 1 entries.
struct PackedBatch {
  std::vector<int32_t> ids;
  std::vector<int32_t> tokenTypes;  // as many as ids; not looked at by models of fewer than two types
  std::vector<int32_t> offsets;

  int32_t sequences() const { return static_cast<int32_t>(offsets.size()) - 1; }
  int32_t tokens() const { return offsets.back(); }
};

}  // namespace espalier
