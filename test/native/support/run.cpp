#include "support/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/convert.h"
#include "support/random.h"

namespace espalier::test {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kSentinel = -12288;  // which every type has
constexpr int64_t kMargin = 32;
constexpr int64_t kGaps[] = {0, 1, 5, 16};
constexpr int64_t kShifts[] = {0, 16, 3};

double rounded(double value, DType precision) {
  if (precision == DType::f32) return value;
  uint16_t bits;
  float result = static_cast<float>(value);
  fromFloat(&result, 1, precision, &bits);
  toFloat(precision, &bits, 1, &result);
  return static_cast<double>(result);
}

}  // namespace

Run::Run(std::shared_ptr<Backend> backend, const Batch& batch, Slice slice, DType precision)
    : backend_(std::move(backend)),
      batch_(batch),
      slice_(slice),
      precision_(precision),
      tokens_(rowsOf(batch.lengths)),
      queries_(rowsOf(batch.queries)) {}

Rows Run::rowsOf(const std::vector<int32_t>& lengths) const {
  const auto begin = lengths.begin();
  return {std::accumulate(begin, begin + slice_.first, int64_t{0}),
          std::accumulate(begin + slice_.first, begin + slice_.last, int64_t{0}), true};
}

const int32_t* Run::offsetsOf(const std::vector<int32_t>& lengths) {
  std::vector<int32_t> offsets{0};
  for (int32_t s = slice_.first; s < slice_.last; ++s) offsets.push_back(offsets.back() + lengths[s]);
  return indices(offsets);
}

int32_t Run::longest() const {
  int32_t longest = 0;
  for (int32_t s = slice_.first; s < slice_.last; ++s) longest = std::max(longest, batch_.lengths[s]);
  return longest;
}

Run::Placed Run::place(int64_t rows, int64_t cols, DType dtype, double surrounding,
                       const std::function<double(int64_t, int64_t)>& value) {
  const uint64_t layout = scramble(asked_, slice_.first, slice_.last);
  const int64_t stride = cols + kGaps[layout % 4];
  const int64_t start = kMargin + kShifts[layout / 4 % 3];
  const int64_t length = start + rows * stride + kMargin;
  std::vector<double> cells(length, surrounding);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) cells[start + r * stride + c] = rounded(value(r, c), precision_);
  }
  const Tensor storage = backend_->tensorFrom(1, length, cells.data(), dtype);
  const Matrix view{storage.view.columns(start, cols).data, dtype, rows, cols, stride};
  return {storage, view};
}

Run::Placed Run::placeValues(Rows rows, int64_t cols, DType dtype, double surrounding, float scale) {
  const uint64_t key = asked_++;
  return place(rows.count, cols, dtype, surrounding, [&](int64_t r, int64_t c) {
    return static_cast<double>(scale *
                               bell(scramble(key, static_cast<uint64_t>(rows.first + r), static_cast<uint64_t>(c))));
  });
}

Matrix Run::keepOutput(Rows rows, Placed placed) {
  outputs_.push_back({rows, placed});
  return placed.view;
}

Matrix Run::keepInput(const Placed& placed) {
  inputs_.push_back(placed.storage);
  return placed.view;
}

Matrix Run::input(Rows rows, int64_t cols, float scale) {
  return keepInput(placeValues(rows, cols, backend_->dtype(), kNaN, scale));
}

Matrix Run::input(Rows rows, int64_t cols, DType dtype) { return keepInput(placeValues(rows, cols, dtype, kNaN, 1)); }

const void* Run::vector(Rows rows) {
  const uint64_t key = asked_++;
  const Placed placed = place(1, rows.count, backend_->dtype(), kNaN, [&](int64_t, int64_t c) {
    return static_cast<double>(bell(scramble(key, static_cast<uint64_t>(rows.first + c), 0)));
  });
  inputs_.push_back(placed.storage);
  return placed.view.data;
}

std::shared_ptr<Weight> Run::weight(int64_t rows, int64_t cols, bool transposed) {
  weights_.push_back(backend_->pack(input(fixed(rows), cols), transposed));
  return weights_.back();
}

Matrix Run::output(Rows rows, int64_t cols, DType dtype) {
  ++asked_;
  return keepOutput(rows, place(rows.count, cols, dtype, kSentinel, [](int64_t, int64_t) { return kNaN; }));
}

Matrix Run::updated(Rows rows, int64_t cols, DType dtype) {
  return keepOutput(rows, placeValues(rows, cols, dtype, kSentinel, 1));
}

const int32_t* Run::indices(Rows rows, int32_t limit) {
  const uint64_t key = asked_++;
  std::vector<int32_t> values;
  for (int64_t r = rows.first; r < rows.first + rows.count; ++r) {
    values.push_back(static_cast<int32_t>(scramble(key, static_cast<uint64_t>(r), 0) % static_cast<uint64_t>(limit)));
  }
  return indices(values);
}

const int32_t* Run::indices(const std::vector<int32_t>& values) {
  indices_.push_back(backend_->indices(values));
  return static_cast<const int32_t*>(indices_.back()->data());
}

int32_t* Run::indexOutput(Rows rows) {
  std::vector<int32_t> values(static_cast<size_t>(rows.count + 2 * kMargin), static_cast<int32_t>(kSentinel));
  std::fill_n(values.begin() + kMargin, rows.count, -1);
  indexOutputs_.push_back({rows, backend_->indices(values)});
  return static_cast<int32_t*>(indexOutputs_.back().storage->data()) + kMargin;
}

Output Run::read(const IndexOutput& output) const {
  const auto* stored = static_cast<const int32_t*>(output.storage->data());
  const std::vector<int32_t> cells = backend_->readIndices(stored, output.rows.count + 2 * kMargin);
  EXPECT_EQ(std::count(cells.begin(), cells.end(), static_cast<int32_t>(kSentinel)), 2 * kMargin)
      << "cells around whole numbers were written";
  return {output.rows, 1, {cells.begin() + kMargin, cells.end() - kMargin}};
}

GroupedGradient Run::groupedGradient(int64_t cols, bool oneGroup) {
  std::vector<int32_t> groups(static_cast<size_t>(sequences().count), 0);
  if (!oneGroup) std::iota(groups.begin(), groups.end(), 0);
  return {updated(oneGroup ? fixed(1) : sequences(), cols), indices(groups)};
}

std::vector<Output> Run::results() {
  std::vector<Output> results;
  for (const auto& [rows, placed] : outputs_) {
    const auto& [storage, view] = placed;
    Output output{rows, view.cols, {}};
    output.values.resize(static_cast<size_t>(view.rows * view.cols));
    backend_->read(view, output.values.data());
    std::vector<double> cells(static_cast<size_t>(storage.view.cols));
    backend_->read(storage.view, cells.data());
    const auto untouched = std::count(cells.begin(), cells.end(), kSentinel);
    EXPECT_EQ(untouched, static_cast<int64_t>(cells.size() - output.values.size()))
        << "output " << results.size() << ": cells around it were written";
    results.push_back(std::move(output));
  }
  for (const IndexOutput& output : indexOutputs_) results.push_back(read(output));
  return results;
}

}  // namespace espalier::test
