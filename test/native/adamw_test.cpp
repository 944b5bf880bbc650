// Three steps of AdamW against the numbers of PyTorch 2.15's torch.optim.AdamW in double.

#include <gtest/gtest.h>

#include "support/engines.h"

namespace espalier::test {

namespace {

/// gradientScale: of which the gradients given are the share that makes up for it.
void expectStepsOfPyTorch(double gradientScale) {
  const auto backend = openOracle();
  const auto row = [&](const std::vector<double>& values) {
    return backend->tensorFrom(1, static_cast<int64_t>(values.size()), values.data(), DType::f64);
  };
  const std::vector<std::vector<double>> gradients{
      {0.5, -1.0, 0.001, 0.0}, {-0.25, -2.0, 0.002, 1.0}, {1.5, 0.5, -0.003, -1.0}};
  const std::vector<std::vector<double>> expected{
      {0.8951996007984032, -0.3975999000999001, 1.94, 0.24875},
      {0.8641210612716664, -0.2992852432301812, 1.8712210922269337, 0.1733648604603933},
      {0.7930582072753418, -0.23893394407873353, 1.8664098785259895, 0.17700059565065684}};
  const Tensor parameter = row({1.0, -0.5, 2.0, 0.25});
  const Tensor firstMoment = backend->tensor(1, 4), secondMoment = backend->tensor(1, 4);
  AdamWArgs args;
  args.parameter = parameter.view;
  args.firstMoment = firstMoment.view;
  args.secondMoment = secondMoment.view;
  args.learningRate = 0.1;
  args.beta2 = 0.99;
  args.epsilon = 1e-3;
  args.weightDecay = 0.05;
  args.gradientScale = gradientScale;
  for (size_t step = 0; step < gradients.size(); ++step) {
    std::vector<double> given = gradients[step];
    for (double& value : given) value /= gradientScale;
    const Tensor gradient = row(given);
    args.gradient = gradient.view;
    args.step = static_cast<int64_t>(step) + 1;
    backend->adamW(args);
    std::vector<double> actual(4);
    backend->read(parameter.view, actual.data());
    for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[step][i], 1e-14) << args.step;
  }
}

TEST(AdamW, takesTheStepsOfPyTorch) { expectStepsOfPyTorch(1); }

TEST(AdamW, scalesTheGradientFirst) { expectStepsOfPyTorch(0.25); }

}  // namespace

}  // namespace espalier::test
