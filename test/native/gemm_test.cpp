// The matrix products beyond what operations_test.cpp compares with `reference`: shapes that need several blocks of
// every kind, and bits that must not depend on how the work was cut.

#include "backend/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/error.h"
#include "support/engines.h"
#include "support/random.h"

namespace espalier::test {
namespace {

constexpr float kSentinel = -12345;

class cpuGemm : public testing::Test {
 protected:
  void SetUp() override {
    const Candidate candidate = openCandidate("cpu", 1);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
  }
};

/// A view of random values with sentinels, or NaN for an input, around it.
template <typename T>
class Cells {
 public:
  Cells(int64_t rows, int64_t cols, int64_t gap, uint64_t seed, T around)
      : rows_(rows), cols_(cols), stride_(cols + gap), around_(around), cells_((rows + 2) * stride_ + 32, around) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c)
        at(r, c) = bell(scramble(seed, static_cast<uint64_t>(r), static_cast<uint64_t>(c)));
    }
  }

  T& at(int64_t row, int64_t col) { return cells_[static_cast<size_t>((row + 1) * stride_ + 16 + col)]; }
  double value(int64_t row, int64_t col) { return static_cast<double>(at(row, col)); }
  Matrix view() {
    return {&cells_[static_cast<size_t>(stride_ + 16)], sizeof(T) == 8 ? DType::f64 : DType::f32, rows_, cols_,
            stride_};
  }
  bool surroundingsHold() const {
    int64_t kept = 0;
    for (const T cell : cells_) kept += cell == around_;
    return kept == static_cast<int64_t>(cells_.size()) - rows_ * cols_;
  }
  std::vector<T> values() {
    std::vector<T> values;
    for (int64_t r = 0; r < rows_; ++r) values.insert(values.end(), &at(r, 0), &at(r, 0) + cols_);
    return values;
  }

 private:
  int64_t rows_, cols_, stride_;
  T around_;
  std::vector<T> cells_;
};

Cells<float> input(int64_t rows, int64_t cols, int64_t gap, uint64_t seed) {
  return {rows, cols, gap, seed, std::numeric_limits<float>::quiet_NaN()};
}

class Packed {
 public:
  Packed(Cells<float>& weight, bool transposed) : packed_(cpu::packWeight({weight.view(), transposed})) {}
  ~Packed() { cpu::releaseWeight(packed_); }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;
  const PackedWeight* get() const { return packed_; }

 private:
  PackedWeight* packed_;
};

/// A sum of products in double, and how far from it a sum in float may be: a forgotten product is far beyond it.
struct Sum {
  double value = 0;
  double magnitude = 1;

  void add(double product) {
    value += product;
    magnitude += std::abs(product);
  }
  /// The error of `actual`, 1 being what is allowed; infinity where it is no number, which no maximum would notice.
  double error(double actual) const {
    return std::isfinite(actual) ? std::abs(actual - value) / (magnitude * 1e-6) : INFINITY;
  }
};

struct Shape {
  int64_t rows, cols, depth;
};

/// Edges of tiles and of blocks of k; no k at all; more rows, and more columns, than a block takes.
const Shape kShapes[] = {{1, 1, 1},      {1, 2, 0},    {5, 33, 3},   {14, 32, 1040},  {15, 31, 1041},  {13, 64, 1039},
                         {50, 702, 100}, {6, 16, 400}, {7, 15, 401}, {29, 100, 1700}, {1030, 20, 300}, {20, 1600, 30}};

void expectLinear(const Shape& shape, bool transposed, bool full, int threads) {
  Cells<float> x = input(shape.rows, shape.depth, 3, 1);
  Cells<float> weight = transposed ? input(shape.depth, shape.cols, 2, 2) : input(shape.cols, shape.depth, 2, 2);
  Cells<float> bias = input(1, shape.cols, 0, 3), mask = input(1, shape.cols, 0, 4);
  Cells<float> y(shape.rows, shape.cols, 5, 5, kSentinel), saved(shape.rows, shape.cols, 1, 6, kSentinel);
  Cells<float> residual = y;
  LinearArgs args;
  const Packed packed(weight, transposed);
  args.x = x.view();
  args.weight = packed.get();
  args.y = y.view();
  if (full) args.epilogue = {&bias.at(0, 0), saved.view(), Activation::tanh, &mask.at(0, 0), y.view()};
  cpu::linear(args, threads);

  double worst = 0;
  for (int64_t r = 0; r < shape.rows; ++r) {
    for (int64_t c = 0; c < shape.cols; ++c) {
      Sum sum;
      for (int64_t k = 0; k < shape.depth; ++k)
        sum.add(x.value(r, k) * (transposed ? weight.value(k, c) : weight.value(c, k)));
      if (full) {
        sum.add(bias.value(0, c));
        worst = std::max(worst, sum.error(saved.value(r, c)));
        sum.value = std::tanh(sum.value) * mask.value(0, c) + residual.value(r, c);
      }
      worst = std::max(worst, sum.error(y.value(r, c)));
    }
  }
  EXPECT_LT(worst, 1) << shape.rows << "x" << shape.cols << "x" << shape.depth;
  EXPECT_TRUE(y.surroundingsHold() && saved.surroundingsHold())
      << shape.rows << "x" << shape.cols << "x" << shape.depth;
}

TEST_F(cpuGemm, linearEqualsTheSumInDoubleAtEveryKindOfEdge) {
  for (const Shape& shape : kShapes) {
    for (int variant = 0; variant < 4; ++variant) expectLinear(shape, variant & 1, variant & 2, 1 + variant % 3);
  }
}

TEST_F(cpuGemm, linearEqualsTheSumInDoubleOnRandomShapes) {
  Random random(7);
  for (int round = 0; round < 60; ++round) {
    const Shape shape{random.between(1, 90), random.between(1, 150), random.between(0, 1700)};
    expectLinear(shape, random.chance(), random.chance(), random.between(1, 4));
  }
}

TEST_F(cpuGemm, aRowOfLinearHasTheSameBitsAtAnyPlaceAndThreadCount) {
  constexpr int64_t kRows = 301, kCols = 150, kDepth = 600;
  Cells<float> x = input(kRows, kDepth, 0, 1), weight = input(kCols, kDepth, 0, 2);
  const Packed packed(weight, false);
  const auto run = [&](int64_t first, int64_t rows, int threads) {
    Cells<float> y(rows, kCols, 0, 3, kSentinel);
    LinearArgs args;
    args.x = x.view().rowRange(first, rows);
    args.weight = packed.get();
    args.y = y.view();
    cpu::linear(args, threads);
    return y.values();
  };
  const std::vector<float> whole = run(0, kRows, 1);
  for (const int threads : {2, 3, 8}) EXPECT_EQ(run(0, kRows, threads), whole) << threads << " threads";
  for (int64_t first = 0; first + 40 < kRows; first += 23) {
    const int64_t rows = 1 + first % 40;
    const std::vector<float> part(whole.begin() + first * kCols, whole.begin() + (first + rows) * kCols);
    EXPECT_EQ(run(first, rows, 1 + static_cast<int>(first % 2)), part) << rows << " rows from " << first;
  }
}

template <typename T>
void expectTransposedProduct(const Shape& shape, bool accumulate, bool gram, int threads) {
  const int64_t cols = gram ? shape.rows : shape.cols;
  Cells<float> a = input(shape.depth, shape.rows, 3, 1), b = gram ? a : input(shape.depth, cols, 1, 2);
  Cells<T> c(shape.rows, cols, 2, 3, static_cast<T>(kSentinel));
  Cells<T> before = c;
  if (gram) {
    cpu::gram({a.view(), c.view(), accumulate}, threads);
  } else {
    cpu::transposedProduct({a.view(), b.view(), c.view(), accumulate}, threads);
  }
  double worst = 0;
  for (int64_t i = 0; i < shape.rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      Sum sum;
      if (accumulate) sum.add(before.value(i, j));
      for (int64_t k = 0; k < shape.depth; ++k) sum.add(a.value(k, i) * b.value(k, j));
      worst = std::max(worst, sum.error(c.value(i, j)));
    }
  }
  EXPECT_LT(worst, 1) << shape.rows << "x" << cols << "x" << shape.depth;
  EXPECT_TRUE(c.surroundingsHold()) << shape.rows << "x" << cols << "x" << shape.depth;
}

TEST_F(cpuGemm, linearHasTheSameBitsWhateverTheStrideOfX) {
  for (const int64_t depth : {96, 100, 500}) {
    Cells<float> weight = input(70, depth, 0, 1);
    const Packed packed(weight, false);
    const auto run = [&](int64_t gap) {
      Cells<float> x = input(45, depth, gap, 2), y(45, 70, 0, 3, kSentinel);
      LinearArgs args;
      args.x = x.view();
      args.weight = packed.get();
      args.y = y.view();
      cpu::linear(args, 1);
      return y.values();
    };
    const int64_t lines = (depth + 15) / 16, padding = 16 * lines - depth;
    const std::vector<float> unaligned = run(padding + 3);
    EXPECT_EQ(run(padding), unaligned) << lines << " cache lines";
    EXPECT_EQ(run(padding + 16), unaligned) << lines + 1 << " cache lines";
  }
}

TEST_F(cpuGemm, transposedProductEqualsTheSumInDoubleAtEveryKindOfEdge) {
  for (const Shape& shape : kShapes) {
    for (const bool accumulate : {false, true}) {
      expectTransposedProduct<float>(shape, accumulate, false, 1);
      expectTransposedProduct<double>(shape, accumulate, false, 3);
    }
  }
}

TEST_F(cpuGemm, gramEqualsTheSumInDoubleAtEveryKindOfEdge) {
  for (const int64_t cols : {1, 6, 15, 33, 100, 300, 530}) {
    for (const int64_t rows : {0, 1, 256, 385}) {
      expectTransposedProduct<float>({cols, cols, rows}, cols % 2 == 0, true, 3);
      expectTransposedProduct<double>({cols, cols, rows}, cols % 2 == 1, true, 1);
    }
  }
}

TEST_F(cpuGemm, transposedProductAndGramHaveTheSameBitsAtAnyThreadCount) {
  constexpr int64_t kRows = 700, kCols = 201;
  Cells<float> a = input(kRows, kCols, 0, 1), b = input(kRows, 333, 0, 2);
  const auto run = [&](bool gram, int threads) {
    Cells<double> c(kCols, gram ? kCols : 333, 0, 3, static_cast<double>(kSentinel));
    if (gram) {
      cpu::gram({a.view(), c.view(), true}, threads);
    } else {
      cpu::transposedProduct({a.view(), b.view(), c.view(), true}, threads);
    }
    return c.values();
  };
  for (const bool gram : {false, true}) {
    const std::vector<double> alone = run(gram, 1);
    for (const int threads : {2, 3, 8}) EXPECT_EQ(run(gram, threads), alone) << threads << " threads, gram " << gram;
  }
}

TEST_F(cpuGemm, aGramIsSymmetricToTheBit) {
  Cells<float> x = input(300, 100, 0, 1);
  Cells<float> c(100, 100, 0, 2, kSentinel);
  cpu::gram({x.view(), c.view(), false}, 2);
  for (int64_t i = 0; i < 100; ++i) {
    for (int64_t j = 0; j < i; ++j) ASSERT_EQ(c.at(i, j), c.at(j, i)) << i << ", " << j;
  }
}

TEST_F(cpuGemm, packedBytesCountsWholePanels) {
  Cells<float> weight = input(33, 10, 0, 1);
  const Packed packed(weight, false);
  EXPECT_GE(cpu::packedBytes(packed.get()), 33 * 10 * sizeof(float));
  EXPECT_LE(cpu::packedBytes(packed.get()), 64 * 10 * sizeof(float));
}

TEST_F(cpuGemm, aWeightThatCannotFitInMemoryIsRefused) {
  float cell = 0;
  const Matrix impossible{&cell, DType::f32, int64_t{1} << 40, int64_t{1} << 40, int64_t{1} << 40};
  try {
    cpu::packWeight({impossible, false});
    FAIL() << "it was packed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::outOfMemory);
  }
}

}  // namespace
}  // namespace espalier::test
