// The model layer on its own: on every fast backend against the oracle, and what must be equal to the bit.

#include "model/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <thread>

#include "model/gradient_moments.h"
#include "model/hidden_states.h"
#include "support/engines.h"
#include "support/errors.h"
#include "support/little_memory.h"
#include "support/tiny_model.h"

namespace espalier::test {
namespace {

// More tokens than one micro-batch holds.
PackedBatch longBatch() {
  std::vector<int32_t> lengths;
  for (int32_t s = 0; s < 60; ++s) lengths.push_back(1 + (s * 29) % 64);
  return batchOf(lengths);
}

std::vector<int32_t> pairsOf(const PackedBatch& batch) {
  std::vector<int32_t> groups;
  for (int32_t s = 0; s < batch.sequences(); ++s) groups.push_back(s / 2);
  return groups;
}

KeptUnits allUnits(const ModelSpec& spec) {
  KeptUnits kept;
  for (const LayerShape& shape : spec.layers) {
    kept.heads.emplace_back(static_cast<size_t>(shape.heads));
    kept.neurons.emplace_back(static_cast<size_t>(shape.neurons));
    std::iota(kept.heads.back().begin(), kept.heads.back().end(), 0);
    std::iota(kept.neurons.back().begin(), kept.neurons.back().end(), 0);
  }
  return kept;
}

HiddenStatesOptions everyToken() {
  HiddenStatesOptions options;
  options.everyToken = true;
  return options;
}

class ModelTest : public testing::TestWithParam<std::tuple<const char*, HeadKind>> {
 protected:
  void SetUp() override {
    const Candidate candidate = openCandidate(backend(), 2);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
    model_ = tinyModel(candidate.backend, tinySpec(head()));
  }
  const char* backend() const { return std::get<0>(GetParam()); }
  HeadKind head() const { return std::get<1>(GetParam()); }
  MaskGradients gradients(const Model& model) const {
    return model.maskGradients(batch_, labelsFor(batch_, head()), pairsOf(batch_), nullptr, nullptr, cancel_);
  }
  std::shared_ptr<Model> model_;
  const PackedBatch batch_ = longBatch();
  const CancelToken cancel_;
};

TEST_P(ModelTest, agreesWithTheOracleForwardAndBackward) {
  const std::shared_ptr<Model> oracle = tinyModel(openOracle(), tinySpec(head()));
  EXPECT_LT(relativeError(model_->forward(batch_, {}, cancel_), oracle->forward(batch_, {}, cancel_)), 1e-5);
  const MaskGradients found = gradients(*model_);
  const MaskGradients expected = gradients(*oracle);
  // What the tokens of a sequence have in common cancels out of a span's gradients: the plain float computation says
  // how much precision that costs.
  const MaskGradients plain = gradients(*tinyModel(openYardstick(), tinySpec(head())));
  const auto allowed = [&](std::vector<float> MaskGradients::*values) {
    return 2 * relativeError(plain.*values, expected.*values) + 5e-6;
  };
  EXPECT_LT(relativeError(found.losses, expected.losses), allowed(&MaskGradients::losses));
  EXPECT_LT(relativeError(found.heads, expected.heads), allowed(&MaskGradients::heads));
  EXPECT_LT(relativeError(found.neurons, expected.neurons), allowed(&MaskGradients::neurons));
}

TEST_P(ModelTest, givesTheSameBitsAtAnyThreadCount) {
  const std::shared_ptr<Model> alone = tinyModel(openCandidate(backend(), 1).backend, tinySpec(head()));
  EXPECT_EQ(model_->forward(batch_, {}, cancel_), alone->forward(batch_, {}, cancel_));
  const MaskGradients two = gradients(*model_);
  const MaskGradients one = gradients(*alone);
  EXPECT_EQ(two.heads, one.heads);
  EXPECT_EQ(two.neurons, one.neurons);
}

TEST_P(ModelTest, givesTheSameBitsToThreadsWithBatchesOfOtherLengths) {
  ModelSpec spec = tinySpec(head());
  spec.hiddenSize = spec.headSize = 64;  // on a GPU, more shared memory the longer the sequences are
  spec.maxPositions += 64;
  spec.layers = {{2, 5}};
  const std::shared_ptr<Model> model = tinyModel(openCandidate(backend(), 2).backend, spec);
  const Mask everything{std::vector<float>(2, 1), std::vector<float>(5, 1)};
  const auto forward = [&](int32_t length) { return model->forward(batchOf({length}), {&everything}, cancel_); };
  std::vector<std::thread> threads;
  for (int32_t length : {96, 128}) {
    threads.emplace_back([&, length, expected = forward(length)] {
      for (int run = 0; run < 20; ++run) EXPECT_EQ(forward(length), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(ModelTest, computesTheSameMaskedAndCompacted) {
  KeptUnits kept = allUnits(model_->spec());
  kept.heads[0] = {0, 2};
  kept.heads[1] = {};
  kept.neurons[0] = {1, 2, 30};
  kept.neurons[2] = {};
  Mask mask;
  for (size_t l = 0; l < 3; ++l) {
    const LayerShape& shape = model_->spec().layers[l];
    const auto append = [](std::vector<float>& values, int32_t units, const std::vector<int32_t>& ones) {
      const size_t first = values.size();
      values.resize(first + static_cast<size_t>(units));
      for (int32_t unit : ones) values[first + static_cast<size_t>(unit)] = 1;
    };
    append(mask.heads, shape.heads, kept.heads[l]);
    append(mask.neurons, shape.neurons, kept.neurons[l]);
  }
  const std::unique_ptr<Model> smaller = model_->select(kept, Mode::gradients);
  EXPECT_LT(relativeError(smaller->forward(batch_, {}, cancel_), model_->forward(batch_, {&mask}, cancel_)), 1e-5);
  const MaskGradients found = gradients(*smaller);
  EXPECT_EQ(found.heads.size(), 4u * 30u);
  EXPECT_EQ(found.neurons.size(), 23u * 30u);
}

TEST_P(ModelTest, collectsTargetsThatTheSameProjectionsGive) {
  // Teacher and student are the same model, so the targets are what the projections already give.
  HiddenStates student(model_, batch_, {}, cancel_);
  HiddenStates teacher(model_, batch_, {}, cancel_);
  for (size_t l = 0; l < 3; ++l) {
    for (Sublayer sublayer : {Sublayer::attention, Sublayer::ffn}) {
      const SublayerStatistics found = student.collect(teacher, l, sublayer, cancel_);
      student.advance(l, sublayer, cancel_);
      const Linear& output = sublayer == Sublayer::attention ? model_->weights().layers[l].attentionOutput
                                                             : model_->weights().layers[l].ffnOut;
      const HostTensor weight = readTensor(model_->backend(), output.weight);
      for (int64_t h = 0; h < weight.rows; ++h) {
        double expected = 0;
        for (int64_t i = 0; i < weight.cols; ++i) {
          expected += weight.values[static_cast<size_t>(h * weight.cols + i)] * found.inputSums[static_cast<size_t>(i)];
        }
        EXPECT_NEAR(found.targetSums[static_cast<size_t>(h)], expected, 1e-3 * (1 + std::abs(expected)));
      }
    }
  }
}

TEST_P(ModelTest, collectsTheSameInputsWithAndWithoutATeacher) {
  HiddenStates alone(model_, batch_, {}, cancel_);
  HiddenStates student(model_, batch_, {}, cancel_);
  HiddenStates teacher(model_, batch_, {}, cancel_);
  for (size_t l = 0; l < 3; ++l) {
    for (Sublayer sublayer : {Sublayer::attention, Sublayer::ffn}) {
      const SublayerStatistics found = alone.collectInputs(l, sublayer, cancel_);
      const SublayerStatistics expected = student.collect(teacher, l, sublayer, cancel_);
      student.advance(l, sublayer, cancel_);
      EXPECT_TRUE(found.cross.empty() && found.targetSums.empty());
      // Of the last attention of a sequence head, the states alone collect what the first tokens ask for.
      if (model_->spec().firstTokensOnly(l) && sublayer == Sublayer::attention) {
        EXPECT_EQ(found.rows, batch_.sequences());
        continue;
      }
      EXPECT_EQ(found.rows, expected.rows);
      EXPECT_EQ(found.gram, expected.gram);
      EXPECT_EQ(found.inputSums, expected.inputSums);
    }
  }
}

TEST_P(ModelTest, keepsEveryTokenOfTheLastLayerWhereAsked) {
  HiddenStates all(model_, batch_, everyToken(), cancel_);
  HiddenStates some(model_, batch_, {}, cancel_);
  SublayerStatistics found;
  for (size_t l = 0; l < 3; ++l) {
    for (Sublayer sublayer : {Sublayer::attention, Sublayer::ffn}) {
      found = all.collectInputs(l, sublayer, cancel_);
      some.advance(l, sublayer, cancel_);
      EXPECT_EQ(found.rows, batch_.tokens());
    }
  }
  HiddenStates fresh(model_, batch_, everyToken(), cancel_);
  EXPECT_THROW(fresh.collectDrift(all, cancel_), Error) << "at another sub-layer";
  EXPECT_THROW(fresh.collectDrift(HiddenStates(model_, batch_, {}, cancel_), cancel_), Error) << "other tokens";
}

TEST_P(ModelTest, findsNoDriftBetweenEqualsAndSomeAfterAChange) {
  HiddenStates teacher(model_, batch_, everyToken(), cancel_);
  const std::shared_ptr<Model> other = model_->select(allUnits(model_->spec()), Mode::inference);
  other->replace({{"layers.0.attention.output.bias", std::vector<float>(24, 0.25f)}});
  HiddenStates student(other, batch_, everyToken(), cancel_);
  const SublayerStatistics before = student.collectDrift(teacher, cancel_);
  EXPECT_EQ(before.rows, batch_.tokens());
  for (size_t i = 0; i < before.gram.size(); ++i) EXPECT_NEAR(before.gram[i], before.cross[i], 1e-6 * before.gram[0]);
  EXPECT_EQ(before.inputSums, before.targetSums);
  teacher.advance(0, Sublayer::attention, cancel_);
  student.advance(0, Sublayer::attention, cancel_);
  const SublayerStatistics after = student.collectDrift(teacher, cancel_);
  EXPECT_NE(after.inputSums, after.targetSums);
}

TEST_P(ModelTest, hasNoUseForStatesThatFailedToAdvance) {
  CancelToken cancelled;
  cancelled.cancel();
  HiddenStates student(model_, batch_, {}, cancel_);
  HiddenStates teacher(model_, batch_, {}, cancel_);
  EXPECT_THROW(student.collect(teacher, 0, Sublayer::attention, cancelled), Error);
  EXPECT_THROW(student.collect(teacher, 0, Sublayer::attention, cancel_), Error);
  EXPECT_THROW(student.advance(0, Sublayer::attention, cancelled), Error);
  EXPECT_THROW(student.advance(0, Sublayer::attention, cancel_), Error);
  EXPECT_THROW(student.collectInputs(0, Sublayer::attention, cancel_), Error);
  EXPECT_THROW(student.collectDrift(teacher, cancel_), Error) << "though both stand nowhere";
}

TEST_P(ModelTest, refusesATeacherOfOtherSequencesOrFewerLayers) {
  const PackedBatch batch = batchOf({2, 3});
  HiddenStates student(model_, batch, everyToken(), cancel_);
  HiddenStates others(model_, batchOf({3, 2}), everyToken(), cancel_);
  EXPECT_THROW(student.collectDrift(others, cancel_), Error);
  EXPECT_THROW(student.collect(others, 0, Sublayer::attention, cancel_), Error);
  ModelSpec shallow = model_->spec();
  shallow.layers.resize(1);
  HiddenStates teacher(tinyModel(model_->backend().shared_from_this(), shallow), batch, everyToken(), cancel_);
  for (Sublayer sublayer : {Sublayer::attention, Sublayer::ffn}) {
    EXPECT_NO_THROW(student.collect(teacher, 0, sublayer, cancel_));
    student.advance(0, sublayer, cancel_);
  }
  EXPECT_THROW(student.collect(teacher, 1, Sublayer::attention, cancel_), Error);
}

TEST_P(ModelTest, refusesMomentsOfAnotherEngine) {
  const std::shared_ptr<Model> other = tinyModel(openCandidate(backend(), 2).backend, model_->spec());
  GradientMoments moments(other);
  EXPECT_THROW(model_->maskGradients(batch_, labelsFor(batch_, head()), pairsOf(batch_), nullptr, &moments, cancel_),
               Error);
}

TEST_P(ModelTest, stopsWhenCancelledAndWorksAfterwards) {
  CancelToken cancelled;
  cancelled.cancel();
  EXPECT_THROW(model_->forward(batch_, {}, cancelled), Error);
  const auto rows = static_cast<size_t>(head() == HeadKind::span ? batch_.tokens() : batch_.sequences());
  EXPECT_EQ(model_->forward(batch_, {}, cancel_).size(), rows * static_cast<size_t>(model_->spec().labels));
}

TEST_P(ModelTest, takesLogitGradientsInPlaceOfLabels) {
  const Labels labels = labelsFor(batch_, head());
  const bool span = head() == HeadKind::span;
  Labels given;
  given.logitGradients = model_->forward(batch_, {}, cancel_);
  const auto softmax = [&](size_t first, size_t count, size_t step, int32_t label, float weight) {
    float sum = 0;
    for (size_t i = 0; i < count; ++i)
      sum += given.logitGradients[first + i * step] = std::exp(given.logitGradients[first + i * step]);
    for (size_t i = 0; i < count; ++i) {
      float& value = given.logitGradients[first + i * step];
      value = weight * (value / sum - (static_cast<int32_t>(i) == label ? 1 : 0));
    }
  };
  for (size_t s = 0; s + 1 < batch_.offsets.size(); ++s) {
    const auto first = static_cast<size_t>(batch_.offsets[s]);
    const auto tokens = static_cast<size_t>(batch_.offsets[s + 1]) - first;
    if (span) {
      for (size_t end : {0, 1}) softmax(2 * first + end, tokens, 2, labels.classes[2 * s + end], 0.5f);
    } else {
      softmax(3 * s, 3, 1, labels.classes[s], 1);
    }
  }
  const MaskGradients expected = gradients(*model_);
  const MaskGradients found = model_->maskGradients(batch_, given, pairsOf(batch_), nullptr, nullptr, cancel_);
  EXPECT_LT(relativeError(found.heads, expected.heads), 1e-4);
  EXPECT_LT(relativeError(found.neurons, expected.neurons), 1e-4);
  given.logitGradients.pop_back();
  EXPECT_THROW(model_->maskGradients(batch_, given, pairsOf(batch_), nullptr, nullptr, cancel_), Error);
}

TEST_P(ModelTest, gathersMomentsOfTheGradientsThatBiasesHave) {
  // With a single token the gradient of an output is the gradient of the projection's bias: its finite differences.
  const PackedBatch token = batchOf({1});
  Labels objective;
  objective.logitGradients = {0.5f, -2.0f};
  if (head() == HeadKind::sequence) objective.logitGradients.push_back(1.5f);
  const std::shared_ptr<Model> oracle = tinyModel(openOracle(), tinySpec(head()));
  GradientMoments moments(oracle);
  for (int run = 0; run < 2; ++run) oracle->maskGradients(token, objective, {0}, nullptr, &moments, cancel_);
  for (size_t l = 0; l < 3; ++l) {
    for (Sublayer sublayer : {Sublayer::attention, Sublayer::ffn}) {
      const std::string role = "layers." + std::to_string(l) +
                               (sublayer == Sublayer::attention ? ".attention.output" : ".ffn.out") + ".bias";
      const std::vector<float> bias = oracle->weight(role).values;
      std::vector<double> gradient;
      for (size_t c = 0; c < bias.size(); ++c) {
        double difference = 0;
        const float step = 1.0f / 64;
        for (const float sign : {1.0f, -1.0f}) {
          std::vector<float> moved = bias;
          moved[c] += sign * step;
          oracle->replace({{role, moved}});
          const std::vector<float> logits = oracle->forward(token, {}, cancel_);
          for (size_t i = 0; i < logits.size(); ++i) difference += sign * logits[i] * objective.logitGradients[i];
        }
        gradient.push_back(difference / (2 * step));
      }
      oracle->replace({{role, bias}});
      const std::vector<double> found = moments.read(l, sublayer);
      double largest = 0;
      for (double g : gradient) largest = std::max(largest, std::abs(g));
      ASSERT_GT(largest, 0);
      for (size_t a = 0; a < gradient.size(); ++a) {
        for (size_t b = 0; b < gradient.size(); ++b) {
          EXPECT_NEAR(found[a * gradient.size() + b], 2 * gradient[a] * gradient[b], 5e-3 * largest * largest) << role;
        }
      }
    }
  }
}

TEST_P(ModelTest, replacesWeightsAllOrNone) {
  const std::vector<float> before = model_->forward(batch_, {}, cancel_);
  const std::vector<float> weight = model_->weight("layers.1.ffn.out.weight").values;
  std::vector<float> zeros(weight.size(), 0.0f);
  const std::vector<float> bias(24, 0.5f);
  EXPECT_THROW(model_->replace({{"layers.1.ffn.out.weight", zeros}, {"layers.9.ffn.out.bias", bias}}), Error);
  EXPECT_THROW(model_->replace({{"layers.1.ffn.out.weight", zeros}, {"layers.1.ffn.out.bias", {1, 2}}}), Error);
  EXPECT_THROW(model_->replace({{"layers.1.ffn.out.bias", std::vector<float>(24, NAN)}}), Error);
  EXPECT_EQ(model_->forward(batch_, {}, cancel_), before);
  // A projection without weights is what a sub-layer without neurons has.
  model_->replace({{"layers.1.ffn.out.weight", zeros}});
  KeptUnits kept = allUnits(model_->spec());
  kept.neurons[1] = {};
  const std::unique_ptr<Model> smaller = model_->select(kept, Mode::gradients);
  EXPECT_LT(relativeError(smaller->forward(batch_, {}, cancel_), model_->forward(batch_, {}, cancel_)), 1e-5);
  model_->replace({{"layers.1.ffn.out.weight", weight}});
  EXPECT_EQ(model_->forward(batch_, {}, cancel_), before);
}

INSTANTIATE_TEST_SUITE_P(Models, ModelTest,
                         testing::Combine(testing::Values("cpu", "cuda", "emulation"),
                                          testing::Values(HeadKind::sequence, HeadKind::span)),
                         nameOfEngineAndHead);

TEST(LittleMemoryTest, leavesAModelAsItWasWhereScalesCannotBeFoldedIn) {
  const std::shared_ptr<Model> model = tinyModel(openWithLittleMemory(), tinySpec(HeadKind::sequence));
  const CancelToken cancel;
  const PackedBatch batch = batchOf({2, 3});
  const std::vector<float> logits = model->forward(batch, {}, cancel);
  const std::vector<float> weight = model->weight("layers.1.ffn.out.weight").values;
  memoryUsedUp = true;
  EXPECT_THROW(model->scaleUnits(1, Sublayer::ffn, std::vector<double>(20, 2)), Error);
  memoryUsedUp = false;
  EXPECT_EQ(model->weight("layers.1.ffn.out.weight").values, weight);
  EXPECT_EQ(model->forward(batch, {}, cancel), logits);
}

TEST(PositionsTest, countFromThePaddingsIdAndSkipIt) {
  const std::shared_ptr<Backend> backend = openOracle();
  const PackedBatch batch{{5, 1, 7, 1, 8, 9}, {0, 1, 0, 1, 0, 1}, {0, 4, 6}};
  const auto positions = [&](int32_t padding) {
    ModelSpec spec = tinySpec(HeadKind::span);
    spec.positionPadding = padding;
    const DeviceBatch rows(*backend, spec, batch, splitBatch(batch).front());
    return std::vector<int32_t>(rows.positions(), rows.positions() + rows.tokens());
  };
  EXPECT_EQ(positions(1), (std::vector<int32_t>{2, 1, 3, 1, 2, 3}));
  EXPECT_EQ(positions(-1), (std::vector<int32_t>{0, 1, 2, 3, 0, 1}));
}

TEST(TokenTypesTest, areNotLookedAtWhereThereIsOnlyOne) {
  const std::shared_ptr<Backend> backend = openOracle();
  const PackedBatch batch{{5, 6}, {1, 7}, {0, 2}};
  const ModelSpec spec = tinySpec(HeadKind::span);
  EXPECT_NO_THROW(checkBatch(batch, spec));
  const DeviceBatch rows(*backend, spec, batch, splitBatch(batch).front());
  EXPECT_EQ(std::vector<int32_t>(rows.tokenTypes(), rows.tokenTypes() + 2), (std::vector<int32_t>{0, 0}));
}

TEST(SpecTest, refusesWhatContradictsItself) {
  ModelSpec spec = tinySpec(HeadKind::span);
  EXPECT_NO_THROW(checkSpec(spec));
  spec.positionPadding = spec.maxPositions - 1;
  EXPECT_THROW(checkSpec(spec), Error) << "no position left";
  spec.positionPadding = -2;
  EXPECT_THROW(checkSpec(spec), Error) << "negative positions";
  spec = tinySpec(HeadKind::span);
  spec.labels = 3;
  EXPECT_THROW(checkSpec(spec), Error) << "three logits a token";
}

}  // namespace
}  // namespace espalier::test
