// Which elements dropout drops, on every backend.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "support/engines.h"

namespace espalier::test {

namespace {

constexpr int64_t kRows = 250;
constexpr int64_t kCols = 401;
constexpr auto kElements = static_cast<double>(kRows * kCols);
constexpr double kDeviations = 4;  // of a count that chance explains

using Values = std::vector<float>;

/// x = 1 after dropout: zero or 1 / (1 - rate).
Values factors(Backend& backend, double rate, uint64_t key, int64_t rows = kRows, int64_t cols = kCols) {
  const Values ones(static_cast<size_t>(rows * cols), 1.0f);
  const Tensor x = backend.tensorFrom(rows, cols, ones.data());
  backend.dropout({x.view, rate, key, {}, x.view});
  Values values(ones.size());
  backend.read(x.view, values.data());
  return values;
}

double dropped(const Values& values) { return static_cast<double>(std::count(values.begin(), values.end(), 0.0f)); }

/// Expects `count` of `trials` to be what a probability gives.
void expectChance(double count, double trials, double probability, const char* what) {
  const double deviation = std::sqrt(trials * probability * (1 - probability));
  EXPECT_NEAR(count, trials * probability, kDeviations * deviation) << what;
}

/// How many elements `first` and `second` both drop, where `second` begins `shift` elements later.
double droppedTogether(const Values& first, const Values& second, size_t shift) {
  double count = 0;
  for (size_t i = 0; i + shift < first.size(); ++i) count += first[i + shift] == 0 && second[i] == 0;
  return count;
}

class DropoutTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const Candidate candidate = openCandidate(GetParam(), 2);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
    backend_ = candidate.backend;
  }

  std::shared_ptr<Backend> backend_;
};

TEST_P(DropoutTest, hasTheBitsOfTheReference) {
  if (std::string(GetParam()) == "reference") GTEST_SKIP() << "it is the reference";
  for (const double rate : {0.1, 0.5, 0.999}) {
    EXPECT_EQ(factors(*backend_, rate, 0xfedcba9876543210), factors(*openYardstick(), rate, 0xfedcba9876543210));
  }
}

TEST_P(DropoutTest, dropsEachElementWithTheGivenProbability) {
  for (const double rate : {0.01, 0.1, 0.5, 0.9}) {
    for (const uint64_t key : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32, ~uint64_t{0}}) {
      const Values values = factors(*backend_, rate, key);
      expectChance(dropped(values), kElements, rate, "elements");
      for (const float value : values) ASSERT_TRUE(value == 0 || value == static_cast<float>(1 / (1 - rate)));
    }
  }
}

TEST_P(DropoutTest, leavesEverythingAtARateOfZero) {
  EXPECT_EQ(factors(*backend_, 0, 7), Values(static_cast<size_t>(kRows * kCols), 1.0f));
}

TEST_P(DropoutTest, dropsElementsAndKeysIndependently) {
  const double rate = 0.3, both = rate * rate;
  const Values values = factors(*backend_, rate, 1);
  for (const size_t shift : {1, 2, 3, 4, 64, 401, 1024}) {
    expectChance(droppedTogether(values, values, shift), kElements - static_cast<double>(shift), both, "shifted");
  }
  for (const uint64_t other : {uint64_t{0}, uint64_t{2}, uint64_t{3}, uint64_t{1} << 32, (uint64_t{1} << 32) + 1}) {
    const Values others = factors(*backend_, rate, other);
    for (const size_t shift : {0, 1, 2, 3, 401}) {
      expectChance(droppedTogether(values, others, shift), kElements - static_cast<double>(shift), both, "keys");
    }
  }
}

TEST_P(DropoutTest, dropsByPositionWhateverTheValues) {
  const Values pattern = factors(*backend_, 0.25, 3, 7, 5);
  Values x(pattern.size());
  std::iota(x.begin(), x.end(), 1.0f);
  const Tensor wide = backend_->tensor(7, 23), input = backend_->tensorFrom(7, 5, x.data());
  backend_->dropout({input.view, 0.25, 3, wide.view.columns(0, 5), wide.view.columns(9, 5)});
  Values actual(x.size()), expected(x.size());
  backend_->read(wide.view.columns(9, 5), actual.data());
  for (size_t i = 0; i < x.size(); ++i) expected[i] = pattern[i] * x[i];
  EXPECT_EQ(actual, expected);
}

TEST_P(DropoutTest, dropsAttentionsProbabilitiesAsElementsOfRowsOfHeads) {
  const int32_t tokens = 6, heads = 3, longest = 7;
  const double rate = 0.4;
  const uint64_t key = 11;
  // Keys of zeros share the attention evenly, and values that are an identity show what each is given.
  const Tensor zeros = backend_->tensor(tokens, tokens * heads), context = backend_->tensor(tokens, tokens * heads);
  Values identities;
  for (int32_t i = 0; i < tokens * tokens * heads; ++i)
    identities.push_back(i / (tokens * heads) == i % tokens ? 1 : 0);
  const Tensor values = backend_->tensorFrom(tokens, tokens * heads, identities.data());
  const auto offsets = backend_->indices({0, tokens});
  AttentionArgs args;
  args.q = args.k = zeros.view;
  args.v = values.view;
  args.offsets = args.queryOffsets = static_cast<const int32_t*>(offsets->data());
  args.sequences = 1;
  args.longest = longest;
  args.heads = heads;
  args.headSize = tokens;
  args.context = context.view;
  args.dropoutRate = rate;
  args.dropoutKey = key;
  backend_->attention(args);
  Values actual(identities.size());
  backend_->read(context.view, actual.data());
  const Values kept = factors(*backend_, rate, key, tokens * heads, longest);
  for (int32_t row = 0; row < tokens * heads; ++row) {
    for (int32_t token = 0; token < tokens; ++token) {
      EXPECT_NEAR(actual[row * tokens + token], kept[row * longest + token] / tokens, 1e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, DropoutTest, testing::Values("cpu", "cuda", "emulation", "reference"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace

}  // namespace espalier::test
