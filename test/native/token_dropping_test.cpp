// Tokens that are dropped inside a model: against a plain encoder that masks them, and what must be equal to the bit.

#include "model/token_dropping.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/hidden_states.h"
#include "model/token_record.h"
#include "support/engines.h"
#include "support/errors.h"
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
    engine_ = candidate.backend;
    model_ = attentiveModel(engine_, droppingSpec(head()));
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
    EXPECT_LT(relativeError(forward(batch, pruning, &record), expected.logits), 2e-5);
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

  HiddenStates states(const std::shared_ptr<Model>& model, const PackedBatch& batch, const TokenPruning& pruning,
                      int32_t firstTokenWeight = 1) const {
    return HiddenStates(model, batch, {nullptr, true, pruning, firstTokenWeight}, cancel_);
  }
  /// What collect() finds of every sub-layer of a student that drops tokens beside a teacher that does not.
  std::vector<SublayerStatistics> statistics(const std::shared_ptr<Model>& model, const std::shared_ptr<Model>& guide,
                                             const PackedBatch& batch, const TokenPruning& pruning,
                                             int32_t firstTokenWeight = 1) const {
    HiddenStates student = states(model, batch, pruning, firstTokenWeight);
    HiddenStates teacher = states(guide, batch, {});
    std::vector<SublayerStatistics> found;
    for (size_t l = 0; l < layers(); ++l) {
      for (Sublayer sublayer : {Sublayer::attention, Sublayer::ffn}) {
        found.push_back(student.collect(teacher, l, sublayer, cancel_));
        student.advance(l, sublayer, cancel_);
      }
    }
    return found;
  }

  std::shared_ptr<Backend> engine_;
  std::shared_ptr<Model> model_, oracle_;
  const CancelToken cancel_;
};

/// Statistics in plain loops: inputs [rows, inputs], targets [rows, hidden].
SublayerStatistics plainStatistics(const std::vector<std::vector<double>>& inputs,
                                   const std::vector<std::vector<double>>& targets) {
  const size_t width = inputs.front().size(), hidden = targets.front().size();
  SublayerStatistics sums;
  sums.rows = static_cast<int64_t>(inputs.size());
  sums.gram.resize(width * width);
  sums.cross.resize(width * hidden);
  sums.inputSums.resize(width);
  sums.targetSums.resize(hidden);
  for (size_t r = 0; r < inputs.size(); ++r) {
    for (size_t i = 0; i < width; ++i) {
      sums.inputSums[i] += inputs[r][i];
      for (size_t j = 0; j < width; ++j) sums.gram[i * width + j] += inputs[r][i] * inputs[r][j];
      for (size_t h = 0; h < hidden; ++h) sums.cross[i * hidden + h] += inputs[r][i] * targets[r][h];
    }
    for (size_t h = 0; h < hidden; ++h) {
      sums.targetSums[h] += targets[r][h];
      sums.targetSquares += targets[r][h] * targets[r][h];
    }
  }
  return sums;
}

void expectNear(const std::vector<double>& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  double scale = 0;
  for (double value : expected) scale = std::max(scale, std::abs(value));
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 5e-5 * scale);
}

void expectNear(const SublayerStatistics& found, const SublayerStatistics& expected) {
  EXPECT_EQ(found.rows, expected.rows);
  expectNear(found.gram, expected.gram);
  expectNear(found.cross, expected.cross);
  expectNear(found.inputSums, expected.inputSums);
  expectNear(found.targetSums, expected.targetSums);
  EXPECT_NEAR(found.targetSquares, expected.targetSquares, 1e-4 * expected.targetSquares);
}

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

TEST_P(TokenDroppingTest, keepsNoFurtherTokenForARateTimesALengthThatIsRounded) {
  ASSERT_GT(0.14 * 50, 7);
  TokenPruning rates = everywhere(Rule::keepRate, 1);
  rates.values[0] = 0.14;
  EXPECT_EQ(holdings(expectMasking({50}, rates)), std::vector<size_t>(5, 7));
}

TEST_P(TokenDroppingTest, changesNothingWhereEveryTokenGoesOn) {
  const PackedBatch batch = batchOf({1, 2, 17, 33});
  TokenRecord none;
  const std::vector<float> expected = forward(batch, TokenPruning(), &none);
  EXPECT_LT(relativeError(model_->forward(batch, {}, cancel_), expected), 1e-5);
  for (const TokenPruning& all : {everywhere(Rule::threshold, 0), everywhere(Rule::keepRate, 1),
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
    if (model_->backend().onHost()) {
      EXPECT_EQ(alone, logits);
    } else {  // whose library multiplies in ways that depend on the number of rows
      for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(alone[i], logits[i], 1e-5);
    }
  }
}

TEST_P(TokenDroppingTest, takesSoManyTokensThatADeviceHasTwoMicroBatchesAtOnce) {
  if (model_->backend().onHost()) GTEST_SKIP() << "no device";
  std::vector<int32_t> lengths;
  for (int32_t s = 0; s < 130; ++s) lengths.push_back(1 + (s * 29) % 127);
  const PackedBatch batch = batchOf(lengths);
  ASSERT_GE(batch.tokens(), 8192);
  const TokenPruning pruning = thresholdsFor(*oracle_, batch);
  TokenRecord expected, record;
  const std::vector<float> logits = oracle_->forward(batch, {nullptr, &pruning, &expected}, cancel_);
  EXPECT_LT(relativeError(forward(batch, pruning, &record), logits), 2e-5);
  EXPECT_EQ(record.depths, expected.depths);
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

TEST_P(TokenDroppingTest, collectsStatisticsOfSurvivorsAndThriceOfFirstTokens) {
  const PackedBatch batch = batchOf({1, 2, 17, 33});
  TokenPruning rates = everywhere(Rule::keepRate, 0);
  rates.values = {0.9, 0.8, 0.7, 0.6, 0.4};
  const std::shared_ptr<Model> guide = attentiveModel(engine_, droppingSpec(head()));
  guide->replace({{"layers.0.ffn.out.bias", std::vector<float>(24, 0.25f)}});
  const MaskedRun guided = runMasked(*guide, batch, {});
  for (const TokenPruning& pruning :
       {thresholdsFor(*oracle_, batch), thresholdsFor(*oracle_, batch, 128), rates, TokenPruning()}) {
    const MaskedRun masked = runMasked(*model_, batch, pruning);
    const std::vector<SublayerStatistics> found = statistics(model_, guide, batch, pruning, 3);
    for (size_t s = 0; s < found.size(); ++s) {
      const std::string role =
          "layers." + std::to_string(s / 2) + (s % 2 == 0 ? ".attention.output.bias" : ".ffn.out.bias");
      const std::vector<float> bias = model_->weight(role).values;
      std::vector<std::vector<double>> inputs, targets;
      for (size_t token = 0; token < batch.ids.size(); ++token) {
        if (masked.sublayers[s].sums[token].empty()) continue;
        std::vector<double> target = guided.sublayers[s].sums[token];
        for (size_t h = 0; h < bias.size(); ++h) {
          target[h] -= masked.sublayers[s].residuals[token][h] + static_cast<double>(bias[h]);
        }
        const bool first = std::count(batch.offsets.begin(), batch.offsets.end(), static_cast<int32_t>(token)) > 0;
        inputs.insert(inputs.end(), first ? 3 : 1, masked.sublayers[s].inputs[token]);
        targets.insert(targets.end(), first ? 3 : 1, target);
      }
      SCOPED_TRACE(s);
      expectNear(found[s], plainStatistics(inputs, targets));
    }
  }
}

TEST_P(TokenDroppingTest, comparesSurvivorsWithTheSameTokensOfATeacher) {
  const PackedBatch batch = batchOf({1, 2, 17, 33});
  const TokenPruning pruning = thresholdsFor(*oracle_, batch);
  const MaskedRun masked = runMasked(*model_, batch, pruning), guided = runMasked(*model_, batch, {});
  HiddenStates student = states(model_, batch, pruning), teacher = states(model_, batch, {});
  for (size_t l = 0; l < layers(); ++l) {
    for (HiddenStates* states : {&student, &teacher}) states->advance(l, Sublayer::attention, cancel_);
    std::vector<std::vector<double>> own, others;
    for (size_t token = 0; token < batch.ids.size(); ++token) {
      const MaskedSublayer& ffn = masked.sublayers[2 * l + 1];
      if (ffn.sums[token].empty()) continue;
      own.push_back(ffn.residuals[token]);
      others.push_back(guided.sublayers[2 * l + 1].residuals[token]);
    }
    expectNear(student.collectDrift(teacher, cancel_), plainStatistics(own, others));
    for (HiddenStates* states : {&student, &teacher}) states->advance(l, Sublayer::ffn, cancel_);
  }
}

TEST_P(TokenDroppingTest, collectsTheSameBitsAtAnyThreadCount) {
  std::vector<int32_t> lengths;
  for (int32_t s = 0; s < 60; ++s) lengths.push_back(1 + (s * 29) % 64);
  const PackedBatch batch = batchOf(lengths);
  const TokenPruning pruning = thresholdsFor(*oracle_, batch);
  const std::vector<SublayerStatistics> expected = statistics(model_, model_, batch, pruning);
  for (int32_t threads : {1, 3}) {
    const std::shared_ptr<Model> other =
        attentiveModel(openCandidate(backend(), threads).backend, droppingSpec(head()));
    const std::vector<SublayerStatistics> found = statistics(other, other, batch, pruning);
    for (size_t s = 0; s < expected.size(); ++s) {
      EXPECT_EQ(found[s].rows, expected[s].rows);
      EXPECT_EQ(found[s].gram, expected[s].gram);
      EXPECT_EQ(found[s].cross, expected[s].cross);
      EXPECT_EQ(found[s].targetSums, expected[s].targetSums);
    }
  }
}

TEST_P(TokenDroppingTest, refusesStatesThatCannotBeCompared) {
  const PackedBatch batch = batchOf({3, 5});
  const TokenPruning pruning = everywhere(Rule::keepRate, 0.5);
  EXPECT_THROW(HiddenStates(model_, batch, {nullptr, false, pruning}, cancel_), Error) << "first tokens only";
  TokenPruning wrong = pruning;
  wrong.values.pop_back();
  EXPECT_THROW(states(model_, batch, wrong), Error) << "a value is missing";
  EXPECT_THROW(states(model_, batch, pruning, 0), Error) << "first tokens that do not count";
  HiddenStates student = states(model_, batch, pruning), teacher = states(model_, batch, pruning);
  EXPECT_THROW(student.collect(teacher, 0, Sublayer::attention, cancel_), Error) << "a teacher that drops tokens";
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
                         nameOfEngineAndHead);

}  // namespace
}  // namespace espalier::test
