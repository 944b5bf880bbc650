#include "model/recorded_forwards.h"

#include <algorithm>

#include "model/head.h"
#include "model/layer.h"

namespace espalier {
namespace {

/// Beyond, a GPU is busy for longer than its operations take to start.
constexpr int32_t kMostTokens = 4096;
constexpr size_t kMostBuckets = 64;

/// The next multiple of a power of two, which is at least `least` and otherwise at most `value` / `parts`.
int32_t roundUp(int32_t value, int32_t parts, int32_t least) {
  int32_t step = least;
  while (2 * step * parts <= value) step *= 2;
  return (value + step - 1) / step * step;
}

/// The sizes that a batch is filled up to. Rows cost the most, though 16 of them no more than one; a sequence without
/// tokens costs next to nothing. So many sequences, each as long as the longest, can always hold the rows.
MicroBatch bucketOf(const PackedBatch& batch) {
  const MicroBatch whole = splitBatch(batch, batch.tokens()).front();
  return {0, roundUp(whole.sequences, 1, 1), 0, roundUp(whole.tokens, 16, 16), roundUp(whole.longest, 4, 16)};
}

/// The batch with rows that belong to no sequence after its own, and before its sequences others without tokens: these
/// begin at a row that is there.
PackedBatch filledUp(const PackedBatch& batch, const MicroBatch& sizes) {
  PackedBatch filled = batch;
  filled.ids.resize(static_cast<size_t>(sizes.tokens), 0);
  filled.tokenTypes.resize(static_cast<size_t>(sizes.tokens), 0);
  filled.offsets.insert(filled.offsets.begin(), static_cast<size_t>(sizes.sequences - batch.sequences()), 0);
  return filled;
}

void run(const Model& model, const DeviceBatch& batch, Workspace& workspace, const Matrix& logits,
         const CancelToken& cancel) {
  // Sequences that fill a batch up have no tokens, yet a row each after the last layer.
  const Matrix room = workspace.matrix(std::max(batch.tokens(), batch.rows().sequences), model.spec().hiddenSize);
  Matrix hidden = room.rowRange(0, batch.tokens());
  model.embed(batch, hidden);
  for (size_t l = 0; l < model.spec().layers.size(); ++l) {
    cancel.check();
    hidden = Layer(model, l, batch.rows(), workspace).forward(hidden, room).hidden;
  }
  makeHead(model, workspace)->forward(hidden, logits);
}

}  // namespace

bool RecordedForwards::takes(const PackedBatch& batch) const {
  return backend_.records() && batch.tokens() <= kMostTokens;
}

std::vector<float> RecordedForwards::forward(const Model& model, const PackedBatch& batch, const CancelToken& cancel) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const ModelSpec& spec = model.spec();
  const MicroBatch sizes = bucketOf(batch);
  workspace_.rewind({});
  const DeviceBatch tokens(backend_, spec, filledUp(batch, sizes), sizes, 0,
                           workspace_.indices(DeviceBatch::indexCount(sizes)));
  const bool ofTokens = spec.head == HeadKind::span;
  const Matrix logits = workspace_.matrix(ofTokens ? sizes.tokens : sizes.sequences, spec.labels);
  const auto runOnce = [&] { run(model, tokens, workspace_, logits, cancel); };
  const auto met = find(sizes);
  if (met == buckets_.end()) {
    runOnce();
  } else {
    if (!met->recording) met->recording = backend_.record(runOnce);
    cancel.check();
    met->recording->replay();
    buckets_.splice(buckets_.begin(), buckets_, met);
  }
  const Matrix own = ofTokens ? logits.rowRange(0, batch.tokens())
                              : logits.rowRange(sizes.sequences - batch.sequences(), batch.sequences());
  std::vector<float> result(static_cast<size_t>(own.rows * own.cols));
  backend_.read(own, result.data());
  if (met == buckets_.end()) add(sizes);
  return result;
}

void RecordedForwards::forget() {
  const std::lock_guard<std::mutex> lock(mutex_);
  buckets_.clear();
}

RecordedForwards::Buckets::iterator RecordedForwards::find(const MicroBatch& sizes) {
  return std::find_if(buckets_.begin(), buckets_.end(), [&](const Bucket& bucket) {
    return bucket.sizes.tokens == sizes.tokens && bucket.sizes.sequences == sizes.sequences &&
           bucket.sizes.longest == sizes.longest;
  });
}

void RecordedForwards::add(const MicroBatch& sizes) {
  // Nothing can be allocated while a bucket is recorded: its memory must be there, and stay where it is.
  if (workspace_.grew()) {
    buckets_.clear();
    workspace_.reset();
  }
  buckets_.push_front({sizes, nullptr});
  if (buckets_.size() > kMostBuckets) buckets_.pop_back();
}

}  // namespace espalier
