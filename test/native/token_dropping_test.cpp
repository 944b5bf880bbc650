// Tokens that are dropped inside a model: against a plain encoder that masks them, and what must be equal to the bit.

#include "model/token_dropping.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/token_record.h"
#include "support/engines.h"
#include "support/masked_encoder.h"
#include "support/tiny_model.h"

namespace espalier::test {
namespace {

using Rule = TokenPruning::Rule;

/// Two layers judge nothing or have nothing but attention; a sequence head's last one judges nothing either.
ModelSpec droppingSpec(HeadKind head) {
  ModelSpec spec = tinySpec(head);
  spec.maxPositions += 512 - spec.longestSequence();
  spec.layers = {{3, 37}, {0, 20}, {2, 0}, {3, 20}, {2, 5}};
  return spec;
}

class TokenDroppingTest : public testing::TestWithParam<std::tuple<const char*, HeadKind>> {
 protected:
  void SetUp() override {
    const Candidate candidate = openCandidate(backend(), 2);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
    model_ = attentiveModel(candidate.backend, droppingSpec(head()));
    oracle_ = attentiveModel(openOracle(), droppingSpec(head()));
  }
  const char* backend() const { return std::get<0>(GetParam()); }
  HeadKind head() const { return std::get<1>(GetParam()); }
  size_t layers() const { return model_->spec().layers.size(); }
  size_t lastJudge() const { return layers() - (head() == HeadKind::span ? 1 : 2); }

  TokenPruning everywhere(Rule rule, double value) const {
    TokenPruning pruning;
    pruning.rule = rule;
    pruning.values.assign(layers(), value);
    return pruning;
  }
  std::vector<float> forward(const PackedBatch& batch, const TokenPruning& pruning,
                             TokenRecord* record = nullptr) const {
    return model_->forward(batch, {nullptr, &pruning, record}, cancel_);
  }
  /// Tokens that the layers' outputs hold.
  std::vector<size_t> holdings(const TokenRecord& record) const {
    std::vector<size_t> held(layers(), 0);
    for (int32_t depth : record.depths) {
      for (size_t l = 0; l < static_cast<size_t>(depth); ++l) ++held[l];
    }
    return held;
  }

  /// Returns what became of the tokens.
  TokenRecord expectMasking(const std::vector<int32_t>& lengths, const TokenPruning& pruning) const {
    const PackedBatch batch = batchOf(lengths);
    const MaskedRun expected = runMasked(*model_, batch, pruning);
    TokenRecord record;
    EXPECT_LT(largestError(forward(batch, pruning, &record), expected.logits), 2e-5);
    EXPECT_EQ(record.depths, expected.depths);
    for (size_t i = 0; i < expected.importance.size(); ++i) {
      EXPECT_NEAR(record.importance[i], expected.importance[i], 2e-5 * expected.importance[i]);
    }
    return record;
  }
  void expectMaskingThatDrops(const std::vector<int32_t>& lengths, const TokenPruning& pruning) const {
    const TokenRecord record = expectMasking(lengths, pruning);
    size_t before = record.depths.size();
    for (size_t l = 0; l < layers(); ++l) {
      const size_t after = holdings(record)[l];
      if (model_->spec().judgesTokens(l)) {
        EXPECT_LT(after, before) << "layer " << l;
      } else {
        EXPECT_EQ(after, before) << "layer " << l;
      }
      EXPECT_GT(after, lengths.size());
      before = after;
    }
  }

  std::shared_ptr<Model> model_, oracle_;
  const CancelToken cancel_;
};

TEST_P(TokenDroppingTest, computesWhatMaskedTokensGive) {
  for (const std::vector<int32_t>& lengths : {std::vector<int32_t>{1, 2, 17, 33}, {33, 512, 2}}) {
    const PackedBatch batch = batchOf(lengths);
    expectMaskingThatDrops(lengths, thresholdsFor(*oracle_, batch));
    TokenPruning rates = everywhere(Rule::keepRate, 0);
    rates.values = {0.9, 0.8, 0.7, 0.6, 0.4};
    expectMaskingThatDrops(lengths, rates);
  }
  for (int32_t length : {1, 2}) expectMasking({length}, everywhere(Rule::threshold, 0.4));
}

TEST_P(TokenDroppingTest, takesMeansOverAPaddedLengthWhereAsked) {
  const std::vector<int32_t> lengths{1, 2, 17, 33};
  const TokenPruning padded = thresholdsFor(*oracle_, batchOf(lengths), 128);
  expectMaskingThatDrops(lengths, padded);
  TokenPruning own = padded;
  own.paddedLength = 0;
  TokenRecord record;
  forward(batchOf(lengths), own, &record);
  EXPECT_EQ(record.depths[1], 5) << "of two tokens, each receives about a half";
  // A keep rate compares importance with nothing but importance.
  TokenPruning rates = everywhere(Rule::keepRate, 0.7);
  const std::vector<float> expected = forward(batchOf(lengths), rates);
  rates.paddedLength = 128;
  EXPECT_EQ(forward(batchOf(lengths), rates), expected);
}

TEST_P(TokenDroppingTest, keepsTheEarlierOfEquallyImportantTokens) {
  // Without queries every token is attended to alike.
  for (size_t l = 0; l < layers(); ++l) {
    const std::string query = "layers." + std::to_string(l) + ".attention.query";
    for (const std::string& role : {query + ".weight", query + ".bias"}) {
      model_->replace({{role, std::vector<float>(model_->weight(role).values.size(), 0.0f)}});
    }
  }
  TokenPruning rates = everywhere(Rule::keepRate, 1);
  rates.values[0] = 0.7;
  rates.values[lastJudge()] = 0.3;
  const std::vector<int32_t> lengths{1, 2, 10, 33};
  const auto early = static_cast<int32_t>(lastJudge());
  std::vector<int32_t> depths{5, 5, 5};  // of a sequence of two, the first goes on as one of 0.6
  depths[2] = early;
  for (const auto& [length, first, second] : {std::tuple{10, 7, 3}, std::tuple{33, 24, 10}}) {
    for (int32_t i = 0; i < length; ++i) depths.push_back(i < second ? 5 : i < first ? early : 0);
  }
  EXPECT_EQ(expectMasking(lengths, rates).depths, depths);
}

TEST_P(TokenDroppingTest, changesNothingWhereEveryTokenGoesOn) {
  const PackedBatch batch = batchOf({1, 2, 17, 33});
  const std::vector<float> expected = model_->forward(batch, {}, cancel_);
  for (const TokenPruning& all : {TokenPruning(), everywhere(Rule::threshold, 0), everywhere(Rule::keepRate, 1),
                                  everywhere(Rule::keepRate, 1.5), everywhere(Rule::threshold, 1e-9)}) {
    TokenRecord record;
    EXPECT_EQ(forward(batch, all, &record), expected);
    EXPECT_EQ(record.depths, std::vector<int32_t>(batch.ids.size(), 5));
  }
}

TEST_P(TokenDroppingTest, canLeaveFirstTokensAlone) {
  for (const TokenPruning& none : {everywhere(Rule::threshold, 1e3), everywhere(Rule::keepRate, 0)}) {
    EXPECT_EQ(holdings(expectMasking({1, 2, 17, 33}, none)), std::vector<size_t>(5, 4));
  }
}

TEST_P(TokenDroppingTest, followsTheSpecUnlessToldOtherwise) {
  const PackedBatch batch = batchOf({2, 17, 33});
  const std::vector<float> all = model_->forward(batch, {}, cancel_);
  ModelSpec spec = droppingSpec(head());
  spec.tokenPruning = thresholdsFor(*oracle_, batch);
  const std::shared_ptr<Model> dropping = attentiveModel(openCandidate(backend(), 2).backend, spec);
  const std::vector<float> expected = forward(batch, spec.tokenPruning);
  EXPECT_NE(expected, all);
  EXPECT_EQ(dropping->forward(batch, {}, cancel_), expected);
  const TokenPruning none;
  EXPECT_EQ(dropping->forward(batch, {nullptr, &none}, cancel_), all);
}

TEST_P(TokenDroppingTest, givesTheSameBitsAtAnyThreadCountAndInAnyBatch) {
  // On the host enough tokens for each thread to take its own through the whole model.
  const int32_t sequences = model_->backend().onHost() ? 28 : 5;
  std::vector<int32_t> lengths;
  for (int32_t s = 0; s < sequences; ++s) lengths.push_back(1 + (s * 29) % 127);
  const PackedBatch batch = batchOf(lengths);
  if (model_->backend().onHost()) {
    ASSERT_GE(batch.tokens(), 2 * 3 * model_->backend().microBatchTokens());
  }
  for (const TokenPruning& pruning : {thresholdsFor(*oracle_, batch), everywhere(Rule::keepRate, 0.6)}) {
    TokenRecord expected;
    const std::vector<float> logits = forward(batch, pruning, &expected);
    for (int32_t threads : {1, 3}) {
      const std::shared_ptr<Model> other =
          attentiveModel(openCandidate(backend(), threads).backend, droppingSpec(head()));
      TokenRecord record;
      EXPECT_EQ(other->forward(batch, {nullptr, &pruning, &record}, cancel_), logits) << threads;
      EXPECT_EQ(record.depths, expected.depths) << threads;
      EXPECT_EQ(record.importance, expected.importance) << threads;
    }
    std::vector<float> alone;
    for (int32_t s = 0; s < batch.sequences(); ++s) {
      const std::vector<float> own = forward(someSequences(batch, s, s + 1), pruning);
      alone.insert(alone.end(), own.begin(), own.end());
    }
    EXPECT_EQ(alone, logits);
  }
}

TEST_P(TokenDroppingTest, recordsDepthsAndShares) {
  const std::vector<int32_t> lengths{1, 2, 17, 33};
  const PackedBatch batch = batchOf(lengths);
  for (const TokenPruning& pruning : {TokenPruning(), thresholdsFor(*oracle_, batch),
                                      thresholdsFor(*oracle_, batch, 64), everywhere(Rule::keepRate, 0.5)}) {
    TokenRecord record;
    record.depths = {7};  // of an earlier batch
    forward(batch, pruning, &record);
    ASSERT_EQ(record.depths.size(), batch.ids.size());
    ASSERT_EQ(record.importance.size(), layers() * batch.ids.size());
    for (size_t l = 0; l < layers(); ++l) {
      for (size_t s = 0; s < lengths.size(); ++s) {
        int32_t asking = 0;
        double sum = 0;
        for (int32_t token = batch.offsets[s]; token < batch.offsets[s + 1]; ++token) {
          const float importance = record.importance[l * batch.ids.size() + static_cast<size_t>(token)];
          const bool there = record.depths[static_cast<size_t>(token)] >= static_cast<int32_t>(l);
          EXPECT_EQ(importance > 0, there && model_->spec().judgesTokens(l));
          asking += there ? 1 : 0;
          sum += importance;
        }
        const double divisor = pruning.meanOver() > 0 ? pruning.meanOver() : lengths[s];
        EXPECT_NEAR(sum, model_->spec().judgesTokens(l) ? asking / divisor : 0, 1e-5);
        EXPECT_EQ(record.depths[static_cast<size_t>(batch.offsets[s])], 5) << "a first token";
      }
    }
  }
}

TEST_P(TokenDroppingTest, refusesWrongValues) {
  const PackedBatch batch = batchOf({3});
  for (Rule rule : {Rule::threshold, Rule::keepRate}) {
    for (double value : {-0.1, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
      TokenPruning wrong = everywhere(rule, 0.5);
      wrong.values.back() = value;
      EXPECT_THROW(forward(batch, wrong), Error) << value;
      ModelSpec spec = droppingSpec(head());
      spec.tokenPruning = wrong;
      EXPECT_THROW(checkSpec(spec), Error) << value;
    }
    TokenPruning wrong = everywhere(rule, 0.5);
    wrong.values.pop_back();
    EXPECT_THROW(forward(batch, wrong), Error) << "a value is missing";
    wrong = everywhere(rule, 0.5);
    wrong.paddedLength = -1;
    EXPECT_THROW(forward(batch, wrong), Error) << "a negative length";
  }
}

TEST_P(TokenDroppingTest, stopsWhenCancelledAndWorksAfterwards) {
  const PackedBatch batch = batchOf({2, 17, 33});
  const TokenPruning pruning = thresholdsFor(*oracle_, batch);
  const std::vector<float> expected = forward(batch, pruning);
  CancelToken cancelled;
  cancelled.cancel();
  EXPECT_THROW(model_->forward(batch, {nullptr, &pruning}, cancelled), Error);
  EXPECT_EQ(forward(batch, pruning), expected);
}

INSTANTIATE_TEST_SUITE_P(Engines, TokenDroppingTest,
                         testing::Combine(testing::Values("reference", "cpu", "cuda", "emulation"),
                                          testing::Values(HeadKind::sequence, HeadKind::span)),
                         [](const auto& info) {
                           const bool span = std::get<1>(info.param) == HeadKind::span;
                           return std::string(std::get<0>(info.param)) + (span ? "_span" : "_sequence");
                         });

}  // namespace
}  // namespace espalier::test
