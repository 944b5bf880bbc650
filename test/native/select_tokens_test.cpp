// Which tokens go on, where the cases' random scores do not decide it: at the threshold itself, and without a score.
// Soft masks say the same as their temperature falls.

#include <gtest/gtest.h>

#include <limits>

#include "support/engines.h"

namespace espalier::test {

namespace {

class SelectTokensTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const Candidate candidate = openCandidate(GetParam(), 1);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
    backend_ = candidate.backend;
  }

  struct Selection {
    std::vector<int32_t> rows, offsets;
  };

  Selection select(const std::vector<float>& scores, const std::vector<int32_t>& offsets,
                   const std::vector<int32_t>& lengths, double threshold) {
    const auto tokens = static_cast<int64_t>(scores.size());
    const auto sequences = static_cast<int64_t>(lengths.size());
    const Tensor scoreTensor = backend_->tensorFrom(tokens, 1, scores.data());
    const auto offsetsBuffer = backend_->indices(offsets), lengthsBuffer = backend_->indices(lengths);
    const Tensor rows = backend_->tensor(1, tokens, DType::i32);
    const Tensor newOffsets = backend_->tensor(1, sequences + 1, DType::i32);
    SelectTokensArgs args;
    args.scores = scoreTensor.view;
    args.offsets = static_cast<const int32_t*>(offsetsBuffer->data());
    args.lengths = static_cast<const int32_t*>(lengthsBuffer->data());
    args.sequences = static_cast<int32_t>(sequences);
    args.threshold = threshold;
    args.rows = static_cast<int32_t*>(rows.view.data);
    args.newOffsets = static_cast<int32_t*>(newOffsets.view.data);
    backend_->selectTokens(args);
    Selection selection;
    selection.offsets = backend_->readIndices(args.newOffsets, sequences + 1);
    selection.rows = backend_->readIndices(args.rows, selection.offsets.back());
    return selection;
  }

  std::vector<float> softMasks(const std::vector<float>& scores, const std::vector<int32_t>& offsets,
                               const std::vector<int32_t>& lengths, double threshold, double temperature) {
    const auto tokens = static_cast<int64_t>(scores.size());
    const Tensor scoreTensor = backend_->tensorFrom(tokens, 1, scores.data());
    const auto offsetsBuffer = backend_->indices(offsets), lengthsBuffer = backend_->indices(lengths);
    const Tensor x = backend_->tensor(tokens, 1), y = backend_->tensor(tokens, 1), masks = backend_->tensor(tokens, 1);
    backend_->softTokenMask({x.view, scoreTensor.view, static_cast<const int32_t*>(offsetsBuffer->data()),
                             static_cast<const int32_t*>(lengthsBuffer->data()), static_cast<int32_t>(lengths.size()),
                             threshold, temperature, y.view, masks.view});
    std::vector<float> values(scores.size());
    backend_->read(masks.view, values.data());
    return values;
  }

  std::shared_ptr<Backend> backend_;
};

TEST_P(SelectTokensTest, keepsATokenAtTheThreshold) {
  const Selection selection = select({9, 1, 0.999f, 1.001f, 9, 2, 1.999f}, {0, 4, 7}, {4, 8}, 0.25);
  EXPECT_EQ(selection.rows, (std::vector<int32_t>{0, 1, 3, 4, 5}));
  EXPECT_EQ(selection.offsets, (std::vector<int32_t>{0, 3, 5}));
}

TEST_P(SelectTokensTest, keepsTheFirstTokenWhateverItsScore) {
  const Selection selection = select({0, 9, 0, 9}, {0, 2, 2, 3, 4}, {2, 0, 1, 1}, 1);
  EXPECT_EQ(selection.rows, (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(selection.offsets, (std::vector<int32_t>{0, 2, 2, 3, 4}));
}

TEST_P(SelectTokensTest, dropsTokensWhoseScoreIsNoNumber) {
  const float none = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(select({none, none, 1}, {0, 3}, {1}, 0).rows, (std::vector<int32_t>{0, 2}));
}

TEST_P(SelectTokensTest, isWhatSoftMasksComeTo) {
  const std::vector<float> scores{0, 1.001f, 0.999f, 0, 9, 0, 1.999f, 2.001f};
  const std::vector<int32_t> offsets{0, 4, 8}, lengths{4, 8};
  std::vector<float> expected(scores.size(), 0.0f);
  for (int32_t row : select(scores, offsets, lengths, 0.25).rows) expected[static_cast<size_t>(row)] = 1;
  EXPECT_EQ(softMasks(scores, offsets, lengths, 0.25, 1e-8), expected);
}

TEST_P(SelectTokensTest, meetsSoftMasksOfOneHalfAtTheThreshold) {
  EXPECT_EQ(softMasks({0, 1, 0, 2}, {0, 2, 4}, {4, 8}, 0.25, 0.01), (std::vector<float>{1, 0.5f, 1, 0.5f}));
}

INSTANTIATE_TEST_SUITE_P(Backends, SelectTokensTest, testing::Values("cpu", "cuda", "emulation", "reference"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace

}  // namespace espalier::test
