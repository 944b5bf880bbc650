// Training: its gradients against finite differences, every engine against the oracle, and what must be equal to the
// bit.

#include "model/training.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "model/token_record.h"
#include "support/engines.h"
#include "support/errors.h"
#include "support/little_memory.h"
#include "support/random.h"
#include "support/tiny_model.h"

namespace espalier::test {
namespace {

/// What becomes of the tokens in a pass.
enum class Tokens { stay, masked, droppedByThreshold, droppedByRate };

struct Setting {
  std::string name;
  ModelSpec spec;
  Tokens tokens = Tokens::stay;
  double dropout = 0;
  bool taught = false;
};

void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

/// A model, what it learns from and how.
struct Lesson {
  Lesson(const std::shared_ptr<Backend>& backend, const Setting& setting, PackedBatch from)
      : model(attentiveModel(backend, setting.spec)), batch(std::move(from)), tokens(setting.tokens) {
    const ModelSpec& spec = setting.spec;
    labels = labelsFor(batch, spec.head);
    if (spec.labels == 1) {
      labels.loss = LossKind::meanSquared;
      labels.classes.clear();
      for (int32_t s = 0; s < batch.sequences(); ++s) labels.values.push_back(0.5f - static_cast<float>(s));
    }
    pruning = thresholdsFor(*attentiveModel(openOracle(), spec), batch);
    if (tokens == Tokens::droppedByRate) {
      pruning.rule = TokenPruning::Rule::keepRate;
      pruning.values.assign(spec.layers.size(), 0.7);
    }
    for (size_t l = 0; l < spec.layers.size(); ++l) soft.values.push_back(0.1 + 0.02 * static_cast<double>(l));
    soft.temperature = 0.05;
    soft.sparsity.assign(spec.layers.size(), 0.35);
    soft.sparsity.front() = 0.5;
    plain.dropout = setting.dropout;
    plain.seed = 7;
    if (!setting.taught) return;
    ModelSpec teaching = spec;
    for (LayerShape& shape : teaching.layers) shape = {shape.neurons % 3 + 1, shape.heads + 8};
    teacher = tinyModel(backend, teaching);
    plain.distillation = {teacher.get(), 0.6, 1.5, 2, 5};
  }

  PassOptions options() const {
    PassOptions all = plain;
    if (tokens == Tokens::masked) {
      all.soft = &soft;
    } else if (tokens != Tokens::stay) {
      all.pruning = &pruning;
    }
    return all;
  }
  /// The same of sequences [first, last).
  Lesson part(int32_t first, int32_t last) const {
    Lesson some = *this;
    some.batch = someSequences(batch, first, last);
    const int32_t each = labels.loss == LossKind::span ? 2 : 1;
    some.labels.classes.assign(labels.classes.begin() + each * first, labels.classes.begin() + each * last);
    return some;
  }
  PassResult pass(Training& training) const { return training.accumulate(batch, labels, options(), CancelToken()); }

  std::shared_ptr<Model> model, teacher;
  PackedBatch batch;
  Labels labels;
  Tokens tokens;
  TokenPruning pruning;
  SoftThresholds soft;
  PassOptions plain;
};

PackedBatch smallBatch() {
  PackedBatch batch = batchOf({1, 5, 9});
  batch.ids[3] = 1;  // a padding id, which some models give a position of its own
  return batch;
}

using Gradients = std::map<std::string, std::vector<float>>;

/// Of what was accumulated, which a first step leaves in the first moments.
Gradients takeGradients(Training& training) {
  training.step({});
  Gradients gradients;
  for (const std::string& role : rolesOf(training.spec())) {
    std::vector<float>& gradient = gradients[role] = training.state(role).firstMoment.values;
    for (float& value : gradient) value *= 10;
  }
  return gradients;
}

Gradients gradientsOf(const Lesson& lesson) {
  Training training(*lesson.model);
  lesson.pass(training);
  return takeGradients(training);
}

/// The largest error of any role's gradient over its largest value, or over the model's where that is next to nothing.
double worstError(const Gradients& found, const Gradients& expected) {
  double overall = 0;
  for (const auto& [role, gradient] : expected) overall = std::max(overall, largestMagnitude(gradient));
  double worst = 0;
  for (const auto& [role, gradient] : expected) {
    const double magnitude = std::max(largestMagnitude(gradient), 0.05 * overall);
    worst = std::max(worst, largestDifference(found.at(role), gradient) / magnitude);
  }
  return worst;
}

using Values = std::vector<double>;

double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// The derivative by five points: losses come in float, so that the points cannot lie near each other.
double slope(const std::function<double(double)>& at, double step) {
  return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
}

/// Of the length 1: half of what it points to is the gradient's own way, the rest is every way.
Values directionOf(const Values& gradient) {
  const double norm = std::sqrt(dot(gradient, gradient));
  Values direction;
  for (size_t i = 0; i < gradient.size(); ++i) {
    direction.push_back(bell(scramble(3, i, 0)) / std::sqrt(static_cast<double>(gradient.size())));
    if (norm > 1e-9) direction.back() += gradient[i] / norm;
  }
  const double length = std::sqrt(dot(direction, direction));
  for (double& value : direction) value /= length;
  return direction;
}

class TrainingGradientTest : public testing::TestWithParam<Setting> {
 protected:
  PassResult pass() const {
    Training training(*lesson_.model);
    return lesson_.pass(training);
  }
  double objective() const {
    const PassResult result = pass();
    // No difference can be taken across a token's being dropped.
    if (lesson_.options().pruning != nullptr) {
      EXPECT_EQ(result.tokens, tokens_);
    }
    double sum = 0;
    for (float loss : result.losses) sum += loss;
    if (lesson_.tokens != Tokens::masked) return sum;
    for (size_t l = 0; l < result.meanMasks.size(); ++l) sum += lesson_.soft.sparsity[l] * result.meanMasks[l];
    return sum;
  }

  Lesson lesson_{openOracle(), GetParam(), smallBatch()};
  std::vector<int64_t> tokens_ = pass().tokens;
};

TEST_P(TrainingGradientTest, isThatOfEveryRole) {
  const Gradients gradients = gradientsOf(lesson_);
  const double rounding = 2e-5 * std::max(1.0, std::abs(objective()));  // of losses in float, over a step
  for (const auto& [role, found] : gradients) {
    const std::vector<float> weight = lesson_.model->weight(role).values;
    if (weight.empty()) continue;
    const Values gradient(found.begin(), found.end());
    const Values direction = directionOf(gradient);
    const auto at = [&, &name = role](double distance) {
      std::vector<float> moved = weight;
      for (size_t i = 0; i < moved.size(); ++i) moved[i] += static_cast<float>(distance * direction[i]);
      lesson_.model->replace({{name, moved}});
      return objective();
    };
    const double expected = slope(at, 1.0 / 256), actual = dot(gradient, direction);
    EXPECT_NEAR(actual, expected, 5e-4 * std::abs(expected) + rounding) << role;
    lesson_.model->replace({{role, weight}});
  }
}

TEST_P(TrainingGradientTest, isThatOfEveryThreshold) {
  const Values gradient = pass().thresholdGradients;
  ASSERT_EQ(gradient.size(), GetParam().spec.layers.size());
  for (size_t l = 0; l < gradient.size(); ++l) {
    double& threshold = lesson_.soft.values[l];
    const double before = threshold;
    const auto at = [&](double distance) {
      threshold = before + distance;
      return objective();
    };
    const double expected = slope(at, lesson_.soft.temperature / 10);
    EXPECT_NEAR(gradient[l], expected, 1e-3 * std::abs(expected) + 1e-4);
    EXPECT_EQ(gradient[l] != 0, lesson_.tokens == Tokens::masked && GetParam().spec.judgesTokens(l));
    threshold = before;
  }
}

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (HeadKind head : {HeadKind::sequence, HeadKind::span}) {
    const std::string kind = head == HeadKind::span ? "span" : "sequence";
    const ModelSpec spec = tinySpec(head);
    const auto add = [&](const std::string& name, const ModelSpec& of, Tokens tokens, double dropout, bool taught) {
      all.push_back({kind + name, of, tokens, dropout, taught});
    };
    add("", spec, Tokens::stay, 0, false);
    add("DroppedOut", spec, Tokens::stay, 0.2, false);
    add("Taught", spec, Tokens::stay, 0, true);
    add("Masked", spec, Tokens::masked, 0, false);
    add("MaskedDroppedOutTaught", spec, Tokens::masked, 0.2, true);
    add("Dropped", spec, Tokens::droppedByThreshold, 0, false);
    add("DroppedByRate", spec, Tokens::droppedByRate, 0, false);
    add("DroppedDroppedOutTaught", spec, Tokens::droppedByThreshold, 0.2, true);
    ModelSpec emptied = spec;
    emptied.layers = {{0, 20}, {3, 0}, {2, 7}, {0, 0}};
    add("EmptiedMasked", emptied, Tokens::masked, 0.2, false);
    add("EmptiedDropped", emptied, Tokens::droppedByThreshold, 0, true);
    ModelSpec other = spec;  // what tells tokens apart is as in the other head's
    other.positionPadding = head == HeadKind::span ? -1 : 1;
    other.tokenTypes = head == HeadKind::span ? 2 : 0;
    other.activation = Activation::geluTanh;
    other.headActivation = Activation::gelu;
    add("OtherEmbeddings", other, Tokens::masked, 0, false);
  }
  Setting number{"number", tinySpec(HeadKind::sequence)};
  number.spec.labels = 1;
  number.taught = true;
  all.push_back(number);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Oracle, TrainingGradientTest, testing::ValuesIn(settings()),
                         [](const auto& info) { return info.param.name; });

class TrainingTest : public testing::TestWithParam<std::tuple<const char*, HeadKind>> {
 protected:
  void SetUp() override {
    const Candidate candidate = openCandidate(backend(), 2);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
    backend_ = candidate.backend;
  }
  const char* backend() const { return std::get<0>(GetParam()); }
  HeadKind head() const { return std::get<1>(GetParam()); }
  Setting setting(Tokens tokens, double dropout = 0, bool taught = false) const {
    return {"", tinySpec(head()), tokens, dropout, taught};
  }
  Lesson lesson(const Setting& setting) const { return {backend_, setting, batch_}; }
  Lesson lesson() const { return lesson(setting(Tokens::stay)); }
  /// More tokens than one pass takes at once.
  static PackedBatch longBatch() {
    std::vector<int32_t> lengths;
    for (int32_t s = 0; s < 34; ++s) lengths.push_back(1 + (s * 29) % 64);
    return batchOf(lengths);
  }

  std::shared_ptr<Backend> backend_;
  const PackedBatch batch_ = batchOf({1, 5, 9, 33, 17, 4});
  const CancelToken cancel_;
};

using States = std::map<std::string, Training::State>;

States statesOf(const Training& training) {
  States states;
  for (const std::string& role : rolesOf(training.spec())) states[role] = training.state(role);
  return states;
}

void expectEqualParameters(const States& found, const States& expected) {
  for (const auto& [role, state] : expected) {
    EXPECT_EQ(found.at(role).parameter.values, state.parameter.values) << role;
  }
}

void expectEqualStates(const States& found, const States& expected) {
  expectEqualParameters(found, expected);
  for (const auto& [role, state] : expected) {
    EXPECT_EQ(found.at(role).firstMoment.values, state.firstMoment.values) << role;
    EXPECT_EQ(found.at(role).secondMoment.values, state.secondMoment.values) << role;
  }
}

/// Passes and steps on, each dropping out something else.
void learn(Training& training, Lesson& lesson, int32_t steps) {
  for (int32_t step = 0; step < steps; ++step) {
    lesson.pass(training);
    training.step({1e-3, 0.1, 1.0 / lesson.batch.sequences(), 0.5});
    ++lesson.plain.seed;
  }
}

TEST_P(TrainingTest, agreesWithTheOracle) {
  for (Tokens tokens : {Tokens::stay, Tokens::masked, Tokens::droppedByThreshold, Tokens::droppedByRate}) {
    const Setting taught = setting(tokens, 0.1, true);
    const Lesson own = lesson(taught), oracle(openOracle(), taught, batch_), plain(openYardstick(), taught, batch_);
    const Gradients expected = gradientsOf(oracle);
    EXPECT_LT(worstError(gradientsOf(own), expected), 2 * worstError(gradientsOf(plain), expected) + 1e-5);
    Training training(*own.model), oracleTraining(*oracle.model);
    const PassResult found = own.pass(training), wanted = oracle.pass(oracleTraining);
    EXPECT_LT(relativeError(found.losses, wanted.losses), 1e-5);
    EXPECT_EQ(found.tokens, wanted.tokens);
    for (size_t l = 0; l < wanted.tokens.size(); ++l) {
      EXPECT_NEAR(found.meanMasks[l], wanted.meanMasks[l], 1e-5 * batch_.sequences());
      EXPECT_NEAR(found.thresholdGradients[l], wanted.thresholdGradients[l],
                  1e-4 * (1 + std::abs(wanted.thresholdGradients[l])));
    }
  }
}

TEST_P(TrainingTest, dropsTheTokensThatAForwardDrops) {
  for (Tokens tokens : {Tokens::droppedByThreshold, Tokens::droppedByRate}) {
    const Lesson dropping = lesson(setting(tokens));
    Training training(*dropping.model);
    TokenRecord record;
    dropping.model->forward(batch_, {nullptr, &dropping.pruning, &record}, cancel_);
    std::vector<int64_t> expected(training.spec().layers.size(), 0);
    for (int32_t depth : record.depths) {
      for (size_t l = 0; l < static_cast<size_t>(depth); ++l) ++expected[l];
    }
    EXPECT_EQ(dropping.pass(training).tokens, expected);
  }
}

TEST_P(TrainingTest, givesTheSameBitsAtAnyThreadCount) {
  for (Tokens tokens : {Tokens::masked, Tokens::droppedByThreshold}) {
    const auto states = [&](int32_t threads) {
      Lesson own(openCandidate(backend(), threads).backend, setting(tokens, 0.1, true), batch_);
      Training training(*own.model);
      learn(training, own, 2);
      return statesOf(training);
    };
    const States expected = states(1);
    expectEqualStates(states(2), expected);
    if (backend_->onHost()) expectEqualStates(states(3), expected);
  }
}

TEST_P(TrainingTest, addsUpBatches) {
  if (!backend_->onHost()) GTEST_SKIP() << "takes long, and the host decides";
  for (Tokens tokens : {Tokens::masked, Tokens::droppedByThreshold}) {
    const Lesson whole(backend_, setting(tokens, 0, true), longBatch());
    Training atOnce(*whole.model), inTwo(*whole.model);
    PassResult expected = whole.pass(atOnce), found = whole.part(0, 20).pass(inTwo);
    const PassResult rest = whole.part(20, whole.batch.sequences()).pass(inTwo);
    found.losses.insert(found.losses.end(), rest.losses.begin(), rest.losses.end());
    EXPECT_EQ(found.losses, expected.losses);
    for (size_t l = 0; l < expected.tokens.size(); ++l) {
      EXPECT_EQ(found.tokens[l] + rest.tokens[l], expected.tokens[l]);
      EXPECT_NEAR(found.meanMasks[l] + rest.meanMasks[l], expected.meanMasks[l], 1e-9);
      EXPECT_NEAR(found.thresholdGradients[l] + rest.thresholdGradients[l], expected.thresholdGradients[l],
                  1e-5 * std::abs(expected.thresholdGradients[l]));
    }
    EXPECT_LT(worstError(takeGradients(inTwo), takeGradients(atOnce)), 1e-5);
  }
}

TEST_P(TrainingTest, dropsOutBySeed) {
  const auto gradients = [&](double rate, uint64_t seed) {
    Lesson own = lesson(setting(Tokens::stay, rate));
    own.plain.seed = seed;
    return gradientsOf(own);
  };
  const Gradients dropped = gradients(0.3, 5), plain = gradients(0, 5);
  EXPECT_EQ(gradients(0.3, 5), dropped);
  EXPECT_NE(gradients(0.3, 6), dropped);
  EXPECT_NE(plain, dropped);
  EXPECT_EQ(gradients(0, 6), plain);
}

TEST_P(TrainingTest, dropsOutAnewInEveryPartOfABatchAndEveryPass) {
  if (!backend_->onHost()) GTEST_SKIP() << "takes long, and the host decides";
  Lesson whole(backend_, setting(Tokens::stay, 0.3), longBatch());
  const std::vector<MicroBatch> parts = splitBatch(whole.batch, 1024);
  ASSERT_EQ(parts.size(), 2u);
  Training training(*whole.model);
  const std::vector<float> together = whole.pass(training).losses;
  const auto alone = [&](const MicroBatch& part, uint64_t seed) {
    whole.plain.seed = seed;
    return whole.part(part.firstSequence, part.firstSequence + part.sequences).pass(training).losses;
  };
  const uint64_t seed = whole.plain.seed;
  const auto middle = together.begin() + parts[1].firstSequence;
  EXPECT_EQ(alone(parts[0], seed), std::vector<float>(together.begin(), middle));
  const std::vector<float> second(middle, together.end());
  EXPECT_NE(alone(parts[1], seed), second) << "as the first part";
  EXPECT_NE(alone(parts[1], seed + 1), second) << "as the next pass";
}

TEST_P(TrainingTest, stepsAlongShortenedGradients) {
  const Lesson own = lesson();
  const Gradients gradients = gradientsOf(own);
  double squares = 0;
  for (const auto& [role, gradient] : gradients) {
    for (float value : gradient) squares += static_cast<double>(value) * value;
  }
  const double norm = std::sqrt(squares), scale = 0.25, learningRate = 1e-2;
  for (const double allowed : {0.0, 0.1 * norm, norm}) {
    // The same gradient twice, so that the moments make up for their beginning at zero.
    Training training(*own.model);
    for (double rate : {0.0, learningRate}) {
      own.pass(training);
      EXPECT_NEAR(training.step({rate, 0, scale, allowed}), scale * norm, 1e-6 * norm);
    }
    // As PyTorch's clip_grad_norm_ has it.
    const double factor = allowed > 0 ? scale * std::min(1.0, allowed / (scale * norm + 1e-6)) : scale;
    for (const auto& [role, gradient] : gradients) {
      const Training::State state = training.state(role);
      const std::vector<float> before = own.model->weight(role).values;
      for (size_t i = 0; i < gradient.size(); ++i) {
        const double shortened = factor * gradient[i], size = std::abs(shortened);
        EXPECT_NEAR(state.firstMoment.values[i], 0.19 * shortened, 1e-6 * size) << role;
        EXPECT_NEAR(state.secondMoment.values[i], 0.001999 * size * size, 1e-7 * size * size) << role;
        EXPECT_NEAR(state.parameter.values[i], before[i] - learningRate * shortened / (size + 1e-8), 2e-6) << role;
      }
    }
  }
}

TEST_P(TrainingTest, takesImportanceAsAMeanOverAPaddedLength) {
  constexpr int32_t kLength = 9, kPadded = 18;
  Lesson own{backend_, setting(Tokens::masked), batchOf({kLength, kLength, kLength})};
  Training training(*own.model);
  const PassResult expected = own.pass(training);
  // Half the importance is compared with half the threshold; masks' means become half of what they were.
  SoftThresholds& soft = own.soft;
  soft.paddedLength = kPadded;
  soft.temperature /= 2;
  for (double& value : soft.values) value /= 2;
  for (double& weight : soft.sparsity) weight *= 2;
  const PassResult found = own.pass(training);
  for (size_t s = 0; s < expected.losses.size(); ++s) EXPECT_NEAR(found.losses[s], expected.losses[s], 1e-5);
  for (size_t l = 0; l < expected.thresholdGradients.size(); ++l) {
    const double gradient = expected.thresholdGradients[l];
    EXPECT_NEAR(found.thresholdGradients[l], 2 * gradient, 1e-3 * std::abs(gradient) + 1e-5) << l;
    EXPECT_NEAR(found.meanMasks[l], expected.meanMasks[l], 1e-5) << l;
  }
  soft.paddedLength = 4 * kPadded;
  EXPECT_NE(own.pass(training).meanMasks, found.meanMasks);
}

TEST_P(TrainingTest, decaysMatricesAlone) {
  const Lesson own = lesson();
  Training training(*own.model);
  own.pass(training);
  training.step({0.1, 0.5, 0, 0});
  Weights shapes;
  for (const WeightSlot& slot : weightSlots(shapes, training.spec())) {
    const std::vector<float> before = own.model->weight(slot.role).values;
    const std::vector<float> after = training.state(slot.role).parameter.values;
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_NEAR(after[i], (slot.vector ? 1 : 0.95) * before[i], 1e-6 * std::abs(before[i])) << slot.role;
    }
  }
}

TEST_P(TrainingTest, forgetsWhatWasAddedAfterAStepOrAnError) {
  const Lesson own = lesson(setting(Tokens::masked));
  Training training(*own.model);
  own.pass(training);
  EXPECT_GT(training.step({}), 0);
  EXPECT_EQ(training.step({}), 0);
  own.pass(training);
  CancelToken cancelled;
  cancelled.cancel();
  EXPECT_THROW(training.accumulate(own.batch, own.labels, own.options(), cancelled), Error);
  EXPECT_EQ(training.step({}), 0);
}

template <typename Run>
ErrorCode errorOf(const Run& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::ok;
}

TEST_P(TrainingTest, refusesWhatIsNoNumberAndKeepsTheParameters) {
  Lesson own = lesson(setting(Tokens::masked));
  Training training(*own.model);
  learn(training, own, 1);
  const States before = statesOf(training);
  own.soft.sparsity.front() = 1e300;  // in the gradients alone
  own.pass(training);
  EXPECT_EQ(errorOf([&] { training.step({1e-3, 0.1}); }), ErrorCode::nonFinite);
  expectEqualStates(statesOf(training), before);
  own.soft.sparsity.front() = 0.1;
  EXPECT_EQ(training.step({}), 0);
  States broken = before;
  broken["classifier.bias"].parameter.values[0] = NAN;
  EXPECT_EQ(errorOf([&] { training.restore(broken, 1); }), ErrorCode::invalidArgument);
  expectEqualParameters(statesOf(training), before);
  broken = before;
  for (float& value : broken["layers.0.ffn.norm.weight"].parameter.values) value = 3e38f;
  training.restore(broken, 1);
  EXPECT_EQ(errorOf([&] { own.pass(training); }), ErrorCode::nonFinite);
  training.restore(before, 1);
  EXPECT_EQ(training.step({}), 0);
  expectEqualParameters(statesOf(training), before);
}

TEST_P(TrainingTest, goesOnFromAStateToTheBit) {
  Lesson own = lesson(setting(Tokens::masked, 0.1, true));
  Training straight(*own.model), interrupted(*own.model);
  learn(straight, own, 2);
  const States saved = statesOf(straight);
  Lesson later = own;
  learn(straight, own, 2);
  interrupted.restore(saved, 2);
  expectEqualStates(statesOf(interrupted), saved);
  learn(interrupted, later, 2);
  expectEqualStates(statesOf(interrupted), statesOf(straight));
}

TEST_P(TrainingTest, refusesStatesThatDoNotFit) {
  const Lesson own = lesson();
  Training training(*own.model);
  const States fitting = statesOf(training);
  const auto refuses = [&](const States& states, int64_t steps) {
    return errorOf([&] { training.restore(states, steps); }) == ErrorCode::invalidArgument;
  };
  States wrong = fitting;
  wrong.erase("classifier.bias");
  EXPECT_TRUE(refuses(wrong, 0)) << "one is missing";
  wrong["classifier.bia"] = fitting.at("classifier.bias");
  EXPECT_TRUE(refuses(wrong, 0)) << "one is unknown";
  wrong = fitting;
  wrong["classifier.bias"].secondMoment.values.pop_back();
  EXPECT_TRUE(refuses(wrong, 0)) << "one is too short";
  EXPECT_TRUE(refuses(fitting, -1));
  EXPECT_FALSE(refuses(fitting, 0));
  EXPECT_THROW(training.state("layers.9.ffn.in.bias"), Error);
}

TEST_P(TrainingTest, keepsApartItsSourceAndItsSnapshots) {
  Lesson own = lesson(setting(Tokens::masked));
  const std::vector<float> untrained = own.model->forward(batch_, {}, cancel_);
  Training training(*own.model);
  learn(training, own, 1);
  const States state = statesOf(training);
  const std::unique_ptr<Model> snapshot = training.snapshot(Mode::gradients);
  const std::vector<float> trained = snapshot->forward(batch_, {}, cancel_);
  EXPECT_NE(trained, untrained);
  learn(training, own, 1);
  EXPECT_EQ(snapshot->forward(batch_, {}, cancel_), trained) << "later steps";
  EXPECT_NE(training.snapshot(Mode::inference)->forward(batch_, {}, cancel_), trained);
  EXPECT_EQ(own.model->forward(batch_, {}, cancel_), untrained) << "training";
  const States later = statesOf(training);
  std::map<std::string, std::vector<float>> put;
  for (const auto& [role, values] : state) put[role] = values.parameter.values;
  own.model->replace(put);
  EXPECT_EQ(own.model->forward(batch_, {}, cancel_), trained) << "of the same weights";
  put["layers.1.attention.key.weight"].assign(put["layers.1.attention.key.weight"].size(), 0);
  snapshot->replace(put);
  expectEqualStates(statesOf(training), later);
  EXPECT_NE(snapshot->forward(batch_, {}, cancel_), trained);
}

TEST_P(TrainingTest, learnsAFewSequencesByHeart) {
  if (!backend_->onHost()) GTEST_SKIP() << "takes long, and its steps are tested";
  const Lesson own(backend_, setting(Tokens::stay), batchOf({3, 4, 5, 6, 7, 8, 9, 10}));
  Training training(*own.model);
  double loss = 0;
  for (int32_t step = 0; step < 60; ++step) {
    loss = 0;
    for (float ofSequence : own.pass(training).losses) loss += ofSequence / 8;
    training.step({4e-3, 0, 1.0 / 8, 1});
  }
  EXPECT_LT(loss, 0.1);
}

TEST_P(TrainingTest, refusesPassesThatContradictThemselves) {
  const Lesson own = lesson(setting(Tokens::masked, 0, true));
  Training training(*own.model);
  const auto refuses = [&](const std::function<void(PassOptions&)>& change) {
    PassOptions options = own.options();
    change(options);
    return errorOf([&] { training.accumulate(own.batch, own.labels, options, cancel_); }) == ErrorCode::invalidArgument;
  };
  EXPECT_FALSE(refuses([](PassOptions&) {}));
  EXPECT_TRUE(refuses([&](PassOptions& options) { options.pruning = &own.pruning; })) << "dropped and masked";
  for (double rate : {-0.1, 1.0, static_cast<double>(NAN)}) {
    EXPECT_TRUE(refuses([&](PassOptions& options) { options.dropout = rate; })) << rate;
  }
  TokenPruning negative = own.pruning;
  negative.values[0] = -1;
  EXPECT_TRUE(refuses([&](PassOptions& options) {
    options.soft = nullptr;
    options.pruning = &negative;
  }));
  const auto refusesSoft = [&](const std::function<void(SoftThresholds&)>& change) {
    SoftThresholds soft = own.soft;
    change(soft);
    return refuses([&](PassOptions& options) { options.soft = &soft; });
  };
  EXPECT_TRUE(refusesSoft([](SoftThresholds& soft) { soft.values.pop_back(); }));
  EXPECT_TRUE(refusesSoft([](SoftThresholds& soft) { soft.values[0] = NAN; }));
  EXPECT_TRUE(refusesSoft([](SoftThresholds& soft) { soft.temperature = 0; }));
  EXPECT_TRUE(refuses([](PassOptions& options) { options.distillation.temperature = 0; }));
  const auto refusesTeacher = [&](const std::shared_ptr<Backend>& backend,
                                  const std::function<void(ModelSpec&)>& change) {
    ModelSpec spec = tinySpec(head());
    change(spec);
    const std::shared_ptr<Model> teacher = tinyModel(backend, spec);
    return refuses([&](PassOptions& options) { options.distillation.teacher = teacher.get(); });
  };
  EXPECT_FALSE(refusesTeacher(backend_, [](ModelSpec&) {}));
  EXPECT_TRUE(refusesTeacher(openOracle(), [](ModelSpec&) {})) << "another engine";
  EXPECT_TRUE(refusesTeacher(backend_, [](ModelSpec& spec) { spec.layers.pop_back(); }));
  EXPECT_TRUE(refusesTeacher(backend_, [](ModelSpec& spec) { spec.hiddenSize = 16; }));
  EXPECT_TRUE(refusesTeacher(backend_, [](ModelSpec& spec) { spec.labels = 5; }));
  EXPECT_TRUE(refusesTeacher(backend_, [](ModelSpec& spec) { spec.vocabularySize = 20; }));
  EXPECT_TRUE(refusesTeacher(backend_, [](ModelSpec& spec) { spec.maxPositions = 20; }));
  EXPECT_TRUE(refusesTeacher(backend_, [](ModelSpec& spec) { spec.positionPadding = 3; }));
  Labels given;
  given.logitGradients = own.model->forward(own.batch, {}, cancel_);
  EXPECT_THROW(training.accumulate(own.batch, given, own.options(), cancel_), Error) << "no labels";
}

TEST(LittleMemoryTest, letsATrainingGoOnOnceThereIsMemoryAgain) {
  const Setting setting{"", tinySpec(HeadKind::sequence)};
  Lesson lesson(openWithLittleMemory(), setting, smallBatch()), undisturbed = lesson;
  Training training(*lesson.model), expected(*lesson.model);
  memoryUsedUp = true;
  EXPECT_THROW(learn(training, lesson, 2), Error) << "in the second pass, after a step";
  memoryUsedUp = false;
  learn(training, lesson, 1);
  learn(expected, undisturbed, 2);
  expectEqualStates(statesOf(training), statesOf(expected));
}

INSTANTIATE_TEST_SUITE_P(Engines, TrainingTest,
                         testing::Combine(testing::Values("reference", "cpu", "cuda", "emulation"),
                                          testing::Values(HeadKind::sequence, HeadKind::span)),
                         nameOfEngineAndHead);

}  // namespace
}  // namespace espalier::test
