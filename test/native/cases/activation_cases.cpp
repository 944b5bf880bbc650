#include "cases/cases.h"

namespace espalier::test {

namespace {

struct ActivationShape {
  Batch batch;
  int64_t cols;
  Activation activation = Activation::gelu;
  bool columnMask = true;
  enum { noDx, ownDx, inPlace } dx = ownDx;
  bool maskGradient = true;
  bool oneGroup = false;
};

OperationCase activationCase(const std::string& name, const ActivationShape& shape) {
  return {name, shape.batch, [shape](Run& run) {
            ActivationBackwardArgs args;
            const bool inPlace = shape.dx == ActivationShape::inPlace;
            args.preActivation = run.input(run.tokens(), shape.cols, 2);
            args.dy = inPlace ? run.updated(run.tokens(), shape.cols) : run.input(run.tokens(), shape.cols);
            if (shape.dx != ActivationShape::noDx) args.dx = inPlace ? args.dy : run.output(run.tokens(), shape.cols);
            args.activation = shape.activation;
            if (shape.columnMask) args.columnMask = run.vector(shape.cols);
            if (shape.maskGradient) {
              const GroupedGradient gradient = run.groupedGradient(shape.cols, shape.oneGroup);
              args.maskGradient = gradient.sums;
              args.groups = gradient.groups;
              args.offsets = run.offsets();
              args.sequences = static_cast<int32_t>(run.sequences().count);
            }
            run.backend().activationBackward(args);
          }};
}

}  // namespace

std::vector<OperationCase> activationCases() {
  const Batch batch{{3, 1, 12, 0, 7}};
  std::vector<OperationCase> cases;
  for (const auto& [name, activation] :
       std::vector<std::pair<std::string, Activation>>{{"None", Activation::none},
                                                       {"Gelu", Activation::gelu},
                                                       {"GeluTanh", Activation::geluTanh},
                                                       {"Relu", Activation::relu},
                                                       {"Tanh", Activation::tanh}}) {
    cases.push_back(activationCase("activationBackward" + name, {batch, 37, activation}));
  }
  for (int64_t cols : {0, 1, 7, 8, 16, 17, 100, 530}) {
    cases.push_back(activationCase("activationBackward" + std::to_string(cols) + "Columns", {batch, cols}));
  }
  cases.push_back(activationCase("activationBackwardManyRows", {{{400, 130}}, 33}));
  cases.push_back(activationCase("activationBackwardNoSequences", {{{}}, 33}));
  cases.push_back(activationCase("activationBackwardWithoutMask", {batch, 37, Activation::gelu, false}));
  cases.push_back(
      activationCase("activationBackwardInPlace", {batch, 37, Activation::gelu, true, ActivationShape::inPlace}));
  cases.push_back(
      activationCase("activationBackwardMaskOnly", {batch, 37, Activation::gelu, true, ActivationShape::noDx}));
  cases.push_back(activationCase("activationBackwardInputOnly",
                                 {batch, 37, Activation::gelu, true, ActivationShape::ownDx, false}));
  cases.push_back(activationCase("activationBackwardOneGroup",
                                 {batch, 37, Activation::gelu, true, ActivationShape::ownDx, true, true}));
  return cases;
}

OperationCase randomActivation(Random& random) {
  ActivationShape shape{{{random.between(1, 30), random.between(0, 60)}}, random.between(1, 300)};
  shape.activation = static_cast<Activation>(random.between(0, 4));
  shape.columnMask = random.chance();
  shape.dx = random.chance() ? ActivationShape::inPlace : ActivationShape::ownDx;
  shape.maskGradient = random.chance();
  shape.oneGroup = random.chance();
  return activationCase("activationBackward", shape);
}

}  // namespace espalier::test
