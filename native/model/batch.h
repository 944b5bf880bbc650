#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"
#include "model/spec.h"

namespace espalier {

/// Throws invalidArgument unless every id, type and length of `batch` is one the model knows.
void checkBatch(const PackedBatch& batch, const ModelSpec& spec);

/// Consecutive sequences of a PackedBatch, few enough that their activations stay in cache.
struct MicroBatch {
  int32_t firstSequence = 0;
  int32_t sequences = 0;
  int32_t firstToken = 0;
  int32_t tokens = 0;
  int32_t longest = 0;
};

/// Tokens worked on at once: enough to make reading the weights worth it, few enough for their activations to stay in
/// cache or near it.
constexpr int32_t kMicroBatchTokens = 2048;

/// Splits at sequence borders into parts of about equal size, as many for each of `takers` if sequences allow; a part
/// has at most `tokens` tokens, or one longer sequence.
std::vector<MicroBatch> splitBatch(const PackedBatch& batch, int32_t tokens = kMicroBatchTokens, int32_t takers = 1);

/// The position of every token of a part, counted in each sequence from `padding` + 1 (ModelSpec::positionPadding).
std::vector<int32_t> positionsOf(const PackedBatch& batch, const MicroBatch& part, int32_t padding);

/// The tokens of a micro-batch that are there, a row each: all of them, or those that no layer has dropped.
struct TokenRows {
  int32_t sequences = 0;
  int32_t tokens = 0;
  int32_t longest = 0;  // no sequence has more tokens
  // In device memory:
  const int32_t* offsets = nullptr;        // rows of each sequence
  const int32_t* singleOffsets = nullptr;  // rows of each when only its first token is left: 0, 1, 2 ...
  const int32_t* lengths = nullptr;        // what the importance of its tokens is a mean over

  /// The row of each sequence's first token.
  const int32_t* firstTokens() const { return offsets; }
};

/// The index arrays of one micro-batch in device memory.
class DeviceBatch {
 public:
  /// paddedLength: as in TokenPruning. place: for indexCount() of the part; null: memory of its own.
  DeviceBatch(Backend& backend, const ModelSpec& spec, const PackedBatch& batch, const MicroBatch& part,
              int32_t paddedLength = 0, int32_t* place = nullptr);

  /// How many numbers the arrays of a part have.
  static int64_t indexCount(const MicroBatch& part) { return 3 * (int64_t{part.tokens} + part.sequences) + 2; }

  int32_t tokens() const { return part_.tokens; }
  const int32_t* ids() const { return at(0); }
  const int32_t* tokenTypes() const { return at(tokenCount()); }
  const int32_t* positions() const { return at(2 * tokenCount()); }
  /// Every token.
  TokenRows rows() const;

 private:
  size_t tokenCount() const { return static_cast<size_t>(part_.tokens); }
  const int32_t* at(size_t index) const { return arrays_ + index; }

  MicroBatch part_;
  std::shared_ptr<Buffer> owner_;
  const int32_t* arrays_;  // all of them, one after another: one copy to the device
};

}  // namespace espalier
