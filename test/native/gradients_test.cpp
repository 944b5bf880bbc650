// The backward operations against finite differences of the forward ones, in double on the reference backend.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "support/engines.h"
#include "support/random.h"

namespace espalier::test {

namespace {

using Values = std::vector<double>;

constexpr double kStep = 1e-5;
constexpr double kTolerance = 1e-8;  // of a central difference at kStep, over the largest gradient

Values draw(uint64_t key, int64_t count, double scale = 1) {
  Values values;
  for (int64_t i = 0; i < count; ++i) values.push_back(scale * bell(scramble(key, static_cast<uint64_t>(i), 0)));
  return values;
}

double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Expects `gradient` to be the derivative of objective(values) with respect to each value.
void expectGradient(const char* name, Values values, const std::function<double(const Values&)>& objective,
                    const Values& gradient) {
  ASSERT_EQ(gradient.size(), values.size()) << name;
  double largest = 0;
  for (double g : gradient) largest = std::max(largest, std::abs(g));
  ASSERT_GT(largest, 0) << name << ": a gradient of zero proves nothing";
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    values[i] = value + kStep;
    const double above = objective(values);
    values[i] = value - kStep;
    const double below = objective(values);
    values[i] = value;
    EXPECT_NEAR(gradient[i], (above - below) / (2 * kStep), kTolerance * std::max(1.0, largest))
        << name << "[" << i << "]";
  }
}

class GradientTest : public testing::Test {
 protected:
  Tensor tensor(int64_t rows, int64_t cols, const Values& values) {
    return backend_->tensorFrom(rows, cols, values.data(), DType::f64);
  }
  Tensor vector(const Values& values) { return tensor(1, static_cast<int64_t>(values.size()), values); }
  Values read(const Tensor& tensor) {
    Values values(static_cast<size_t>(tensor.view.rows * tensor.view.cols));
    backend_->read(tensor.view, values.data());
    return values;
  }
  const int32_t* indices(const std::vector<int32_t>& values) {
    indices_.push_back(backend_->indices(values));
    return static_cast<const int32_t*>(indices_.back()->data());
  }

  std::shared_ptr<Backend> backend_ = openOracle();

 private:
  std::vector<std::shared_ptr<Buffer>> indices_;
};

TEST_F(GradientTest, linearWithTheTransposedPackingIsItsInputsGradient) {
  const int64_t rows = 3, inputs = 5, outputs = 4;
  const Values x = draw(1, rows * inputs);
  const Tensor weight = tensor(outputs, inputs, draw(2, outputs * inputs));
  const Values dy = draw(3, rows * outputs);
  const auto objective = [&](const Values& at) {
    const Tensor y = backend_->tensor(rows, outputs);
    backend_->linear(tensor(rows, inputs, at).view, *backend_->pack(weight.view, false), {}, y.view);
    return dot(read(y), dy);
  };
  const Tensor dx = backend_->tensor(rows, inputs);
  backend_->linear(tensor(rows, outputs, dy).view, *backend_->pack(weight.view, true), {}, dx.view);
  expectGradient("x", x, objective, read(dx));
}

TEST_F(GradientTest, layerNormBackwardIsTheGradientOfItsInputAndParameters) {
  const int64_t rows = 3, cols = 7;
  const Values x = draw(1, rows * cols, 2), dy = draw(2, rows * cols), gamma = draw(3, cols), beta = draw(4, cols);
  const Tensor statistics = backend_->tensor(rows, 2);
  const auto forward = [&](const Values& input, const Values& factors, const Values& shifts) {
    const Tensor y = backend_->tensor(rows, cols);
    const Tensor inputTensor = tensor(rows, cols, input), factorTensor = vector(factors), shiftTensor = vector(shifts);
    backend_->layerNorm(
        {inputTensor.view, factorTensor.view.data, shiftTensor.view.data, 1e-5, y.view, statistics.view});
    return dot(read(y), dy);
  };
  forward(x, gamma, beta);
  const Tensor dyTensor = tensor(rows, cols, dy), input = tensor(rows, cols, x), factors = vector(gamma);
  const Tensor dx = backend_->tensor(rows, cols), dGamma = backend_->tensor(1, cols), dBeta = backend_->tensor(1, cols);
  backend_->layerNormBackward(
      {dyTensor.view, input.view, statistics.view, factors.view.data, dx.view, dGamma.view, dBeta.view});
  const Values inputGradient = read(dx), gammaGradient = read(dGamma), betaGradient = read(dBeta);
  expectGradient(
      "x", x, [&](const Values& at) { return forward(at, gamma, beta); }, inputGradient);
  expectGradient(
      "gamma", gamma, [&](const Values& at) { return forward(x, at, beta); }, gammaGradient);
  expectGradient(
      "beta", beta, [&](const Values& at) { return forward(x, gamma, at); }, betaGradient);
}

/// The inputs of one attention, as plain values to take differences of.
struct AttentionValues {
  Values q, k, v, headMask;
};

class AttentionGradientTest : public GradientTest {
 protected:
  static constexpr int32_t kHeads = 2;
  static constexpr int32_t kHeadSize = 3;
  static constexpr int64_t kWidth = kHeads * kHeadSize;

  /// Runs the forward; the tensors live on in `kept_` until the next one.
  AttentionArgs forward(const AttentionValues& at) {
    const int64_t queryRows = queryOffsets_.back();
    const int64_t tokens = offsets_.back();
    kept_ = {tensor(queryRows, kWidth, at.q),     tensor(tokens, kWidth, at.k), tensor(tokens, kWidth, at.v),
             backend_->tensor(queryRows, kWidth), vector(at.headMask),          backend_->tensor(queryRows, kHeads),
             backend_->tensor(tokens, 1)};
    AttentionArgs args;
    args.q = kept_[0].view;
    args.k = kept_[1].view;
    args.v = kept_[2].view;
    args.context = kept_[3].view;
    args.headMask = kept_[4].view.data;
    args.logSumExp = kept_[5].view;
    args.columnSums = kept_[6].view;
    args.queryOffsets = indices(queryOffsets_);
    args.offsets = indices(offsets_);
    args.sequences = static_cast<int32_t>(offsets_.size()) - 1;
    args.longest = 4;
    args.heads = kHeads;
    args.headSize = kHeadSize;
    args.scale = 0.7;
    args.dropoutRate = dropout_;
    args.dropoutKey = 5;
    backend_->attention(args);
    return args;
  }

  /// Of an objective that looks at the context and, where `columnSums` says so, at the probability of each token too.
  void expectGradients(bool columnSums) {
    const int64_t queryRows = queryOffsets_.back();
    const int64_t tokens = offsets_.back();
    const AttentionValues at{
        draw(1, queryRows * kWidth), draw(2, tokens * kWidth), draw(3, tokens * kWidth), {0.6, -1.3}};
    const Values dy = draw(5, queryRows * kWidth), dSums = draw(6, tokens);
    const auto objective = [&](Values AttentionValues::*field) {
      return [&, field](const Values& moved) {
        AttentionValues values = at;
        values.*field = moved;
        forward(values);
        return dot(read(kept_[3]), dy) + (columnSums ? dot(read(kept_[6]), dSums) : 0.0);
      };
    };
    AttentionBackwardArgs args;
    args.forward = forward(at);
    const Tensor dContext = tensor(queryRows, kWidth, dy);
    const Tensor dq = backend_->tensor(queryRows, kWidth);
    const Tensor dk = backend_->tensor(tokens, kWidth);
    const Tensor dv = backend_->tensor(tokens, kWidth);
    const Tensor headMask = backend_->tensor(1, kHeads);
    const Tensor dColumnSums = tensor(tokens, 1, dSums);
    if (columnSums) args.dColumnSums = dColumnSums.view;
    args.dContext = dContext.view;
    args.dq = dq.view;
    args.dk = dk.view;
    args.dv = dv.view;
    args.headMaskGradient = headMask.view;
    args.groups = indices(std::vector<int32_t>(offsets_.size() - 1, 0));
    backend_->attentionBackward(args);
    expectGradient("q", at.q, objective(&AttentionValues::q), read(dq));
    expectGradient("k", at.k, objective(&AttentionValues::k), read(dk));
    expectGradient("v", at.v, objective(&AttentionValues::v), read(dv));
    expectGradient("headMask", at.headMask, objective(&AttentionValues::headMask), read(headMask));
  }

  std::vector<int32_t> offsets_{0, 3, 4, 8};
  std::vector<int32_t> queryOffsets_ = offsets_;
  double dropout_ = 0;

 private:
  std::vector<Tensor> kept_;
};

TEST_F(AttentionGradientTest, attentionBackwardIsTheGradientOfItsInputsAndHeadMask) { expectGradients(false); }

TEST_F(AttentionGradientTest, attentionBackwardAddsWhatColumnSumsGive) { expectGradients(true); }

TEST_F(AttentionGradientTest, attentionBackwardHoldsWithFewerQueriesThanTokens) {
  queryOffsets_ = {0, 1, 1, 3};
  expectGradients(false);
  expectGradients(true);
}

TEST_F(AttentionGradientTest, attentionBackwardHoldsWhereProbabilitiesAreDroppedOut) {
  dropout_ = 0.4;
  expectGradients(false);
  expectGradients(true);
}

TEST_F(GradientTest, attentionBackwardPutsEachSequenceIntoItsGroup) {
  AttentionBackwardArgs args;
  const Tensor q = tensor(3, 2, draw(1, 6)), k = tensor(3, 2, draw(2, 6)), v = tensor(3, 2, draw(3, 6));
  const Tensor context = backend_->tensor(3, 2), logSumExp = backend_->tensor(3, 1);
  const int32_t* offsets = indices({0, 1, 2, 3});
  args.forward = {q.view, k.view, v.view, offsets, offsets, 3, 1, 1, 2, 1.0, nullptr, context.view, logSumExp.view, {}};
  backend_->attention(args.forward);
  const Tensor dContext = tensor(3, 2, {1, 0, 10, 0, 0, 100});
  const Tensor sums = tensor(2, 1, {0.5, 0});
  args.dContext = dContext.view;
  args.headMaskGradient = sums.view;
  args.groups = indices({0, 0, 1});
  backend_->attentionBackward(args);
  // One token a sequence: its context is its value.
  const Values value = read(v);
  const Values actual = read(sums);
  EXPECT_NEAR(actual[0], 0.5 + value[0] + 10 * value[2], 1e-12);
  EXPECT_NEAR(actual[1], 100 * value[5], 1e-12);
}

class ActivationGradientTest : public GradientTest, public testing::WithParamInterface<Activation> {};

TEST_P(ActivationGradientTest, activationBackwardIsTheGradientOfItsInputAndColumnMask) {
  const int64_t rows = 4, cols = 3;
  const Values preActivation = draw(1, rows * cols, 1.5);
  const Values mask{0.5, 1, -2};
  const Values dy = draw(2, rows * cols);
  // The forward is linear()'s epilogue; an identity weight lets the values through.
  const Values identity{1, 0, 0, 0, 1, 0, 0, 0, 1};
  const auto weight = backend_->pack(tensor(cols, cols, identity).view, false);
  const auto forward = [&](const Values& x, const Values& columnMask) {
    const Tensor y = backend_->tensor(rows, cols);
    const Tensor maskTensor = vector(columnMask);
    Epilogue epilogue;
    epilogue.activation = GetParam();
    epilogue.columnMask = maskTensor.view.data;
    backend_->linear(tensor(rows, cols, x).view, *weight, epilogue, y.view);
    return dot(read(y), dy);
  };
  const Tensor dyTensor = tensor(rows, cols, dy), x = tensor(rows, cols, preActivation), maskTensor = vector(mask);
  const Tensor dx = backend_->tensor(rows, cols), maskGradient = backend_->tensor(2, cols);
  ActivationBackwardArgs args;
  args.dy = dyTensor.view;
  args.preActivation = x.view;
  args.activation = GetParam();
  args.columnMask = maskTensor.view.data;
  args.offsets = indices({0, 1, 3, 4});
  args.sequences = 3;
  args.dx = dx.view;
  args.maskGradient = maskGradient.view;
  args.groups = indices({0, 1, 1});
  backend_->activationBackward(args);
  expectGradient(
      "preActivation", preActivation, [&](const Values& at) { return forward(at, mask); }, read(dx));
  const Values groups = read(maskGradient);
  Values total;
  for (int64_t c = 0; c < cols; ++c) total.push_back(groups[c] + groups[cols + c]);
  expectGradient(
      "columnMask", mask, [&](const Values& at) { return forward(preActivation, at); }, total);
}

INSTANTIATE_TEST_SUITE_P(Activations, ActivationGradientTest,
                         testing::Values(Activation::none, Activation::gelu, Activation::geluTanh, Activation::relu,
                                         Activation::tanh));

class SoftTokenMaskGradientTest : public GradientTest {
 protected:
  static constexpr int64_t kTokens = 8;
  static constexpr int64_t kCols = 3;
  static constexpr double kSparsity = 0.4;

  /// What tokens are worth, less the penalty on the masks that `sparsity` stands for.
  double objective(const Values& x, const Values& scores, double threshold) {
    const Tensor input = tensor(kTokens, kCols, x), scoreTensor = tensor(kTokens, 1, scores);
    const Tensor y = backend_->tensor(kTokens, kCols);
    backend_->softTokenMask({input.view, scoreTensor.view, indices(offsets_), indices(lengths_), 3, threshold,
                             kTemperature, y.view, masks_.view});
    double penalty = 0;
    const Values masks = read(masks_);
    for (size_t s = 0; s < lengths_.size(); ++s) {
      for (int32_t token = offsets_[s]; token < offsets_[s + 1]; ++token) penalty += masks[token] / lengths_[s];
    }
    return dot(read(y), dy_) + kSparsity * penalty;
  }

  static constexpr double kTemperature = 0.2;
  const std::vector<int32_t> offsets_{0, 3, 4, 8}, lengths_{3, 2, 5};
  const Values dy_ = draw(3, kTokens* kCols);
  const Tensor masks_ = backend_->tensor(kTokens, 1);
};

TEST_F(SoftTokenMaskGradientTest, softTokenMaskBackwardIsTheGradientOfInputScoresAndThreshold) {
  const Values x = draw(1, kTokens * kCols), scores = draw(2, kTokens);
  const double threshold = 0.1;
  objective(x, scores, threshold);
  const Tensor dy = tensor(kTokens, kCols, dy_), input = tensor(kTokens, kCols, x);
  const Tensor dx = backend_->tensor(kTokens, kCols), dScores = backend_->tensor(kTokens, 1);
  const Tensor dThreshold = vector({0.5});
  backend_->softTokenMaskBackward({dy.view, input.view, masks_.view, indices(offsets_), indices(lengths_), 3,
                                   kTemperature, kSparsity, dx.view, dScores.view, dThreshold.view});
  const Values inputGradient = read(dx), scoreGradient = read(dScores);
  expectGradient(
      "x", x, [&](const Values& at) { return objective(at, scores, threshold); }, inputGradient);
  expectGradient(
      "scores", scores, [&](const Values& at) { return objective(x, at, threshold); }, scoreGradient);
  expectGradient("threshold", {threshold}, [&](const Values& at) { return objective(x, scores, at[0]); },
                 {read(dThreshold)[0] - 0.5});
  for (size_t s = 0; s < lengths_.size(); ++s) EXPECT_EQ(scoreGradient[offsets_[s]], 0) << "first of " << s;
}

TEST_F(GradientTest, dropoutOfTheGradientIsDropoutsGradient) {
  const int64_t rows = 3, cols = 5;
  const Values x = draw(1, rows * cols), dy = draw(2, rows * cols);
  const Tensor residual = tensor(rows, cols, draw(3, rows * cols)), y = backend_->tensor(rows, cols);
  const auto objective = [&](const Values& at) {
    backend_->dropout({tensor(rows, cols, at).view, 0.4, 5, residual.view, y.view});
    return dot(read(y), dy);
  };
  const Tensor dx = tensor(rows, cols, dy);
  backend_->dropout({dx.view, 0.4, 5, {}, dx.view});
  expectGradient("x", x, objective, read(dx));
}

class LossGradientTest : public GradientTest {
 protected:
  void expectGradients(LossKind kind, int64_t rows, int64_t cols, const void* labels,
                       const int32_t* offsets = nullptr) {
    const Values logits = draw(1, rows * cols, 2);
    const Tensor losses = backend_->tensor(3, 1), dLogits = backend_->tensor(rows, cols);
    const auto total = [&](const Values& at) {
      backend_->loss({kind, tensor(rows, cols, at).view, labels, losses.view, dLogits.view, offsets});
      const Values values = read(losses);
      return values[0] + values[1] + values[2];
    };
    total(logits);
    expectGradient("logits", logits, total, read(dLogits));
  }
};

TEST_F(LossGradientTest, crossEntropyReturnsItsGradient) {
  expectGradients(LossKind::crossEntropy, 3, 4, indices({2, 0, 3}));
}

TEST_F(LossGradientTest, meanSquaredReturnsItsGradient) {
  const Tensor labels = vector({0.5, -1, 2});
  expectGradients(LossKind::meanSquared, 3, 1, labels.view.data);
}

TEST_F(LossGradientTest, spanReturnsItsGradient) {
  expectGradients(LossKind::span, 7, 2, indices({2, 1, 0, 0, 1, 2}), indices({0, 3, 4, 7}));
}

TEST_F(GradientTest, spanIsTheMeanOfTwoCrossEntropiesOverTheTokensOfASequence) {
  const Values logits = draw(1, 14, 2);
  const Tensor losses = backend_->tensor(3, 1), dLogits = backend_->tensor(7, 2);
  backend_->loss({LossKind::span, tensor(7, 2, logits).view, indices({2, 1, 0, 0, 1, 2}), losses.view, dLogits.view,
                  indices({0, 3, 4, 7})});
  const Values actual = read(losses);
  const auto crossEntropy = [&](int64_t first, int64_t tokens, int64_t column, int64_t label) {
    double sum = 0;
    for (int64_t t = 0; t < tokens; ++t) sum += std::exp(logits[2 * (first + t) + column]);
    return std::log(sum) - logits[2 * (first + label) + column];
  };
  EXPECT_NEAR(actual[0], (crossEntropy(0, 3, 0, 2) + crossEntropy(0, 3, 1, 1)) / 2, 1e-12);
  EXPECT_NEAR(actual[1], 0, 1e-12);  // a choice of one
  EXPECT_NEAR(actual[2], (crossEntropy(4, 3, 0, 1) + crossEntropy(4, 3, 1, 2)) / 2, 1e-12);
}

}  // namespace

}  // namespace espalier::test
