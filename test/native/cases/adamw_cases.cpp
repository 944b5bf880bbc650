#include "cases/cases.h"

namespace espalier::test {

namespace {

/// Two steps from moments of zero: the second moment cannot be negative.
OperationCase adamWCase(const std::string& name, int64_t rows, int64_t cols, bool inDouble = false) {
  return {name, {{1}}, [=](Run& run) {
            const Rows all = Run::fixed(rows);
            const auto gradient = [&] { return inDouble ? run.input(all, cols, DType::f64) : run.input(all, cols); };
            AdamWArgs args;
            args.parameter = run.updated(all, cols);
            args.firstMoment = run.updated(all, cols);
            args.secondMoment = run.updated(all, cols);
            args.learningRate = 0.1;
            args.weightDecay = 0.05;
            args.gradientScale = 0.3;
            run.backend().fillZero(args.firstMoment);
            run.backend().fillZero(args.secondMoment);
            for (args.step = 1; args.step <= 2; ++args.step) {
              args.gradient = gradient();
              run.backend().adamW(args);
            }
          }};
}

}  // namespace

std::vector<OperationCase> adamWCases() {
  std::vector<OperationCase> cases;
  for (int64_t cols : {0, 1, 7, 16, 33, 384}) cases.push_back(adamWCase("adamW" + std::to_string(cols), 5, cols));
  cases.push_back(adamWCase("adamWOfDoubles", 5, 37, true));
  cases.push_back(adamWCase("adamWManyRows", 300, 70));
  cases.push_back(adamWCase("adamWNoRows", 0, 8));
  return cases;
}

OperationCase randomAdamW(Random& random) {
  return adamWCase("adamW", random.between(0, 60), random.between(1, 300), random.chance());
}

}  // namespace espalier::test
