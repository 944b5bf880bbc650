#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace espalier::test {

/// Tokens and queries of each sequence.
struct Batch {
  std::vector<int32_t> lengths;
  std::vector<int32_t> queries = lengths;
};

/// Sequences [first, last) of a Batch.
struct Slice {
  int32_t first = 0;
  int32_t last = 0;
};

/// Rows of a matrix: `count` of them, number `first` on in the whole batch. The rows of a batch belong to its
/// sequences; others (weights, sums over rows) do not.
struct Rows {
  int64_t first = 0;
  int64_t count = 0;
  bool ofBatch = false;
};

struct Output {
  Rows rows;
  int64_t cols = 0;
  std::vector<double> values;
};

/// What every sequence adds its part of a mask's gradient to.
struct GroupedGradient {
  Matrix sums;
  const int32_t* groups = nullptr;
};

/// One run of one operation on one backend. An operation's case asks it for arguments: inputs are filled with fixed
/// pseudo-random values (the same for a row of the batch whatever slice runs), surrounded by NaN that must not leak
/// into results; outputs are surrounded by sentinels that must survive. Strides and alignments vary.
class Run {
 public:
  /// Inputs hold values that `precision` has.
  Run(std::shared_ptr<Backend> backend, const Batch& batch, Slice slice, DType precision = DType::f32);

  Backend& backend() { return *backend_; }

  Rows tokens() const { return tokens_; }
  Rows queries() const { return queries_; }
  Rows sequences() const { return {slice_.first, slice_.last - slice_.first, true}; }
  static Rows fixed(int64_t count) { return {0, count, false}; }

  const int32_t* offsets() { return offsetsOf(batch_.lengths); }
  const int32_t* queryOffsets() { return offsetsOf(batch_.queries); }
  int32_t longest() const;

  Matrix input(Rows rows, int64_t cols, float scale = 1);
  Matrix input(Rows rows, int64_t cols, DType dtype);
  const void* vector(int64_t count) { return input(fixed(1), count).data; }
  /// A contiguous value a row.
  const void* vector(Rows rows);
  std::shared_ptr<Weight> weight(int64_t rows, int64_t cols, bool transposed);
  /// To be overwritten: holds NaN before.
  Matrix output(Rows rows, int64_t cols) { return output(rows, cols, backend_->dtype()); }
  Matrix output(Rows rows, int64_t cols, DType dtype);
  /// To be added to or replaced: holds values before.
  Matrix updated(Rows rows, int64_t cols) { return updated(rows, cols, backend_->dtype()); }
  Matrix updated(Rows rows, int64_t cols, DType dtype);
  /// One whole number in [0, limit) a row.
  const int32_t* indices(Rows rows, int32_t limit);
  const int32_t* indices(const std::vector<int32_t>& values);
  /// Whole numbers to be overwritten: -1 before, which may stay.
  int32_t* indexOutput(Rows rows);
  /// A row for each sequence, or one for all of them.
  GroupedGradient groupedGradient(int64_t cols, bool oneGroup);

  /// What the outputs hold now, in the order they were asked for, those of whole numbers last. Expects the sentinels
  /// around them unharmed.
  std::vector<Output> results();

 private:
  struct Placed {
    Tensor storage;  // one row: a margin, the view, a margin
    Matrix view;
  };
  struct IndexOutput {
    Rows rows;
    std::shared_ptr<Buffer> storage;  // a margin, the numbers, a margin
  };
  struct PlacedOutput {
    Rows rows;
    Placed placed;
  };

  /// A view of `rows` x `cols` cells of `value(row, column)` inside a storage of `surrounding`.
  Placed place(int64_t rows, int64_t cols, DType dtype, double surrounding,
               const std::function<double(int64_t, int64_t)>& value);
  Placed placeValues(Rows rows, int64_t cols, DType dtype, double surrounding, float scale);
  Output read(const IndexOutput& output) const;
  Matrix keepInput(const Placed& placed);
  Matrix keepOutput(Rows rows, Placed placed);
  const int32_t* offsetsOf(const std::vector<int32_t>& lengths);
  Rows rowsOf(const std::vector<int32_t>& lengths) const;

  std::shared_ptr<Backend> backend_;
  Batch batch_;
  Slice slice_;
  DType precision_;
  Rows tokens_, queries_;
  uint64_t asked_ = 0;  // arguments so far: the key of the next one's values
  std::vector<Tensor> inputs_;
  std::vector<std::shared_ptr<Buffer>> indices_;
  std::vector<std::shared_ptr<Weight>> weights_;
  std::vector<PlacedOutput> outputs_;
  std::vector<IndexOutput> indexOutputs_;
};

/// One operation with one set of shapes, written once for every backend.
struct OperationCase {
  std::string name;
  Batch batch;
  std::function<void(Run&)> run;
  /// The largest numbers that are rounded on the way to results of about 1: their last place is what can be had.
  double magnitude = 1;
  /// Whether a device takes another way for a sequence where longer ones are beside it.
  bool dependsOnLongest = false;
  /// Whether results depend on the place in the batch: what dropout drops does.
  bool dependsOnPlace = false;

  friend void PrintTo(const OperationCase& operation, std::ostream* out) { *out << operation.name; }
};

}  // namespace espalier::test
