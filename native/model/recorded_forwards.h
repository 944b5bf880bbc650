#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "core/cancel.h"
#include "model/batch.h"
#include "model/workspace.h"

namespace espalier {

class Model;

/// A model's forwards of small batches, on a backend where starting their operations takes longer than running them: a
/// batch is filled up to the size of its bucket, and from a bucket's second batch on its operations are recorded ones.
/// The first batch is filled up too, as results may depend, to the last bit, on the numbers of rows.
class RecordedForwards {
 public:
  explicit RecordedForwards(Backend& backend) : backend_(backend), workspace_(backend) {}

  /// Whether the batch is small enough, and the backend such a one.
  bool takes(const PackedBatch& batch) const;
  /// As Model::forward() of the model that this belongs to, but for the check of what it returns. Threads take turns.
  std::vector<float> forward(const Model& model, const PackedBatch& batch, const CancelToken& cancel);
  /// Must come before a change of the model's weights.
  void forget();

 private:
  /// Sizes of batches that have been met, all of one shape once they are filled up.
  struct Bucket {
    MicroBatch sizes;
    std::unique_ptr<Recording> recording;  // from the second batch on
  };
  using Buckets = std::list<Bucket>;

  Buckets::iterator find(const MicroBatch& sizes);
  void add(const MicroBatch& sizes);

  Backend& backend_;
  std::mutex mutex_;
  // All recordings work in the same memory, one at a time.
  Workspace workspace_;
  Buckets buckets_;  // those last used first
};

}  // namespace espalier
