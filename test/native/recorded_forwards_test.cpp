// Small batches, which a backend that records runs from recordings.

#include "model/recorded_forwards.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "backend/plugin.h"
#include "model/model.h"
#include "model/token_record.h"
#include "support/engines.h"
#include "support/errors.h"
#include "support/tiny_model.h"

namespace espalier::test {
namespace {

/// A backend's table that counts, and that can be told to fail.
struct WatchedTable {
  const BackendTable* original = nullptr;
  BackendTable table{};
  std::atomic<int> products{0}, replays{0};
  int productsToFailure = -1;  // never

  void watch(const BackendTable& watched) {
    original = &watched;
    table = watched;
    products = replays = 0;
    productsToFailure = -1;
  }
};
WatchedTable watched;

Status watchedLinear(BackendState* state, const LinearArgs* args) {
  if (watched.productsToFailure >= 0 && watched.productsToFailure-- == 0) return {ErrorCode::internal, "as told"};
  ++watched.products;
  return watched.original->linear(state, args);
}

Status watchedReplay(BackendState* state, const RecordedWork* work) {
  ++watched.replays;
  return watched.original->replay(state, work);
}

using Lengths = std::vector<int32_t>;

// All of one bucket: up to 4 sequences, 16 tokens the longest, 32 tokens.
const std::vector<Lengths> kOneBucket{{5, 9, 3}, {16, 1, 10}, {1, 16, 15}, {8, 8, 8, 8}, {1, 1, 1, 15}};

class RecordedForwardsTest : public testing::TestWithParam<std::tuple<const char*, HeadKind>> {
 protected:
  void SetUp() override {
    const std::string name = std::get<0>(GetParam());
    const Candidate candidate = openCandidate(name, 1);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
    watched.watch(name == "emulation" ? *cuda::backendTable() : loadPlugin(name));
    watched.table.linear = watchedLinear;
    watched.table.replay = watchedReplay;
    backend_ = Backend::open(watched.table, {DType::f32, 1, 0});
    open(tinySpec(head()));
  }
  HeadKind head() const { return std::get<1>(GetParam()); }
  void open(const ModelSpec& spec) {
    model_ = tinyModel(backend_, spec);
    oracle_ = tinyModel(openOracle(), spec);
  }
  std::vector<float> forward(const Lengths& lengths) const { return model_->forward(batchOf(lengths), {}, cancel_); }
  void expectToAgree(const Lengths& lengths) const {
    EXPECT_LT(relativeError(forward(lengths), oracle_->forward(batchOf(lengths), {}, cancel_)), 1e-5);
  }

  std::shared_ptr<Backend> backend_;
  std::shared_ptr<Model> model_, oracle_;
  const CancelToken cancel_;
};

TEST_P(RecordedForwardsTest, giveTheSameBitsFromTheFirstRunOn) {
  const std::vector<float> first = forward({5, 9, 3});
  EXPECT_EQ(watched.replays, 0);
  const int products = watched.products;
  for (int run = 2; run <= 10; ++run) EXPECT_EQ(forward({5, 9, 3}), first) << "run " << run;
  EXPECT_EQ(watched.replays, 9);
  EXPECT_EQ(watched.products, 2 * products) << "asked for when first run and when recorded";
}

TEST_P(RecordedForwardsTest, serveOtherBatchesOfTheirBucket) {
  for (int round = 0; round < 2; ++round) {
    for (const Lengths& lengths : kOneBucket) expectToAgree(lengths);
  }
  EXPECT_EQ(watched.replays, 2 * static_cast<int>(kOneBucket.size()) - 1);
}

TEST_P(RecordedForwardsTest, agreeWithTheOracleAtAnySize) {
  ModelSpec spec = tinySpec(head());
  spec.maxPositions += 512 - spec.longestSequence();
  open(spec);
  for (const Lengths& lengths : {Lengths{1}, {16}, {17}, {64}, {257}, {512}, {511, 3}, Lengths(33, 1), {2, 100, 30}}) {
    for (int run = 0; run < 3; ++run) expectToAgree(lengths);
  }
  EXPECT_EQ(watched.replays, 9 * 3 - 8) << "all but the first of each bucket; 1 and 16 tokens have the same";
}

TEST_P(RecordedForwardsTest, useTheWeightsThatTheModelHas) {
  const Lengths lengths{5, 9, 3};
  const std::vector<float> before = forward(lengths);
  const auto expectOthers = [&](const std::function<void(Model&)>& change) {
    forward(lengths);
    change(*model_);
    const std::shared_ptr<Model> other = tinyModel(backend_, tinySpec(head()));
    change(*other);
    const std::vector<float> expected = other->forward(batchOf(lengths), {}, cancel_);
    EXPECT_NE(expected, before);
    for (int run = 0; run < 3; ++run) EXPECT_EQ(forward(lengths), expected) << "run " << run;
    open(tinySpec(head()));
    EXPECT_EQ(forward(lengths), before);
  };
  expectOthers([](Model& model) { model.replace({{"layers.1.ffn.out.bias", std::vector<float>(24, 0.5f)}}); });
  expectOthers([](Model& model) {
    std::vector<float> words = model.weight("embeddings.word").values;
    for (float& value : words) value *= -1;
    model.replace({{"embeddings.word", words}});
  });
  expectOthers([](Model& model) { model.scaleUnits(0, Sublayer::attention, {2, 0, 1}); });
  expectOthers([](Model& model) {
    const std::vector<float> zeros(24 * 24);
    model.backend().write(model.weights().layers[0].attentionOutput.weight.view, zeros.data());
    model.packAnew();
  });
}

TEST_P(RecordedForwardsTest, letNothingOfSurplusRowsReachOthers) {
  const Lengths lengths{5, 9, 3};
  const std::vector<float> before = forward(lengths);
  const std::string role = "layers.0.ffn.out.bias";
  const std::vector<float> bias = model_->weight(role).values;
  model_->replace({{role, std::vector<float>(24, 3e38f)}});
  // Leaves in the memory of every row of the bucket what is no number.
  EXPECT_THROW(forward(kOneBucket[3]), Error);
  model_->replace({{role, bias}});
  for (int run = 0; run < 3; ++run) EXPECT_EQ(forward(lengths), before) << "run " << run;
}

TEST_P(RecordedForwardsTest, areSafeOnSeveralThreadsAtOnce) {
  std::vector<std::vector<float>> expected;
  for (const Lengths& lengths : kOneBucket) expected.push_back(forward(lengths));
  const std::vector<float> expectedOfOne = forward({33});
  open(tinySpec(head()));
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t i = thread; i < thread + 6; ++i) {
        const size_t batch = i % kOneBucket.size();
        EXPECT_EQ(forward(kOneBucket[batch]), expected[batch]);
        EXPECT_EQ(forward({33}), expectedOfOne);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(RecordedForwardsTest, stayUsableAfterAFailureInAnyRun) {
  const std::vector<float> expected = forward({5, 9, 3});
  for (int goodRuns = 0; goodRuns < 2; ++goodRuns) {
    open(tinySpec(head()));
    if (goodRuns > 0) forward({5, 9, 3});
    watched.productsToFailure = 4;
    EXPECT_THROW(forward({5, 9, 3}), Error);
    for (int run = 0; run < 3; ++run) EXPECT_EQ(forward({5, 9, 3}), expected);
  }
}

TEST_P(RecordedForwardsTest, stopWhenCancelledInAnyRun) {
  CancelToken cancelled;
  cancelled.cancel();
  const PackedBatch batch = batchOf({5, 9, 3});
  for (int run = 0; run < 4; ++run) {
    EXPECT_THROW(model_->forward(batch, {}, cancelled), Error) << "run " << run;
    expectToAgree({5, 9, 3});
  }
}

TEST_P(RecordedForwardsTest, surviveThatALargerBatchNeedsMoreMemory) {
  ModelSpec spec = tinySpec(head());
  spec.layers[1].neurons = 4096;
  open(spec);
  const std::vector<float> small = forward({5, 9, 3});
  const Lengths large(5, 64);
  for (int run = 0; run < 3; ++run) {
    EXPECT_EQ(forward({5, 9, 3}), small);
    expectToAgree(large);
  }
  EXPECT_EQ(watched.replays, 4) << "the larger one's first run dropped the smaller one's recording";
}

TEST_P(RecordedForwardsTest, areKeptOfTheBucketsLastUsed) {
  ModelSpec spec = tinySpec(head());
  spec.maxPositions = 512;
  spec.layers.resize(1);
  open(spec);
  for (int run = 0; run < 2; ++run) forward({1});
  EXPECT_EQ(watched.replays, 1);
  for (size_t others : {0, 1, 3, 7, 15}) {
    for (int32_t length = 32; length <= 16 * 14; length += 16) {
      Lengths lengths(others, 1);
      lengths.push_back(length - static_cast<int32_t>(others));
      forward(lengths);
    }
  }
  EXPECT_EQ(watched.replays, 1) << "65 other buckets, each met once";
  forward({1});
  EXPECT_EQ(watched.replays, 1) << "forgotten";
  forward({1});
  EXPECT_EQ(watched.replays, 2);
}

TEST_P(RecordedForwardsTest, areNotForMasksAndWhatDropsOrRecordsTokens) {
  const PackedBatch batch = batchOf({5, 9, 3});
  Mask mask{std::vector<float>(8, 1), std::vector<float>(62, 1)};
  const TokenPruning pruning = thresholdsFor(*model_, batch);
  TokenRecord record;
  for (int run = 0; run < 3; ++run) {
    model_->forward(batch, {&mask}, cancel_);
    model_->forward(batch, {nullptr, &pruning}, cancel_);
    model_->forward(batch, {nullptr, nullptr, &record}, cancel_);
  }
  EXPECT_EQ(watched.replays, 0);
}

TEST_P(RecordedForwardsTest, areOfSmallBatchesOnly) {
  EXPECT_TRUE(RecordedForwards(*backend_).takes(batchOf(Lengths(64, 64))));
  EXPECT_FALSE(RecordedForwards(*backend_).takes(batchOf(Lengths(65, 64))));
  const std::shared_ptr<Backend> onHost = openOracle();
  EXPECT_FALSE(RecordedForwards(*onHost).takes(batchOf({1})));
}

INSTANTIATE_TEST_SUITE_P(Models, RecordedForwardsTest,
                         testing::Combine(testing::Values("cuda", "emulation"),
                                          testing::Values(HeadKind::sequence, HeadKind::span)),
                         nameOfEngineAndHead);

}  // namespace
}  // namespace espalier::test
