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

/// Splits at sequence borders into parts of about equal size; a part has at most `tokens` tokens, or one longer
/// sequence.
std::vector<MicroBatch> splitBatch(const PackedBatch& batch, int32_t tokens = kMicroBatchTokens);

/// The index arrays of one micro-batch in device memory.
class DeviceBatch {
 public:
  DeviceBatch(Backend& backend, const ModelSpec& spec, const PackedBatch& batch, const MicroBatch& part);

  int32_t sequences() const { return part_.sequences; }
  int32_t tokens() const { return part_.tokens; }
  int32_t longest() const { return part_.longest; }
  const int32_t* ids() const { return array(ids_); }
  const int32_t* tokenTypes() const { return array(tokenTypes_); }
  const int32_t* positions() const { return array(positions_); }
  /// Rows of each sequence when every token has one.
  const int32_t* offsets() const { return array(offsets_); }
  /// Rows of each sequence when only its first token is left: 0, 1, 2 ...
  const int32_t* singleOffsets() const { return array(singleOffsets_); }
  /// The row of each sequence's first token.
  const int32_t* firstTokens() const { return offsets(); }

 private:
  using Array = std::shared_ptr<Buffer>;
  static const int32_t* array(const Array& buffer) { return static_cast<const int32_t*>(buffer->data()); }

  MicroBatch part_;
  Array ids_, tokenTypes_, positions_, offsets_, singleOffsets_;
};

}  // namespace espalier
