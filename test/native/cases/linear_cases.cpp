#include <cmath>

#include "cases/cases.h"

namespace espalier::test {

namespace {

/// Which parts of the epilogue a case asks for.
struct Parts {
  bool bias = false;
  bool preActivation = false;
  Activation activation = Activation::none;
  bool columnMask = false;
  enum { noResidual, ownResidual, inPlace } residual = noResidual;
};

struct LinearShape {
  Batch batch;
  int64_t inputs;
  int64_t outputs;
  bool transposed = false;
  Parts parts;
};

const Parts kEverything{true, true, Activation::gelu, true, Parts::ownResidual};

OperationCase linearCase(const std::string& name, const LinearShape& shape) {
  return {name, shape.batch, [shape](Run& run) {
            const Parts& parts = shape.parts;
            const Rows tokens = run.tokens();
            // Scaled so that outputs stay near unit variance at any width.
            const Matrix x = run.input(tokens, shape.inputs, 1 / std::sqrt(1.0f + static_cast<float>(shape.inputs)));
            const auto weight = shape.transposed ? run.weight(shape.inputs, shape.outputs, true)
                                                 : run.weight(shape.outputs, shape.inputs, false);
            Epilogue epilogue;
            if (parts.bias) epilogue.bias = run.vector(shape.outputs);
            if (parts.preActivation) epilogue.preActivation = run.output(tokens, shape.outputs);
            epilogue.activation = parts.activation;
            if (parts.columnMask) epilogue.columnMask = run.vector(shape.outputs);
            if (parts.residual == Parts::ownResidual) epilogue.residual = run.input(tokens, shape.outputs);
            const bool inPlace = parts.residual == Parts::inPlace;
            const Matrix y = inPlace ? run.updated(tokens, shape.outputs) : run.output(tokens, shape.outputs);
            if (inPlace) epilogue.residual = y;
            run.backend().linear(x, *weight, epilogue, y);
          }};
}

std::string shapeName(int64_t inputs, int64_t outputs) {
  return std::to_string(inputs) + "to" + std::to_string(outputs);
}

}  // namespace

std::vector<OperationCase> linearCases() {
  const Batch batch{{3, 1, 12, 0, 7}};
  std::vector<OperationCase> cases;
  for (const auto& [inputs, outputs] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 5}, {5, 0}, {1, 1}, {2, 15}, {16, 16}, {17, 33}, {64, 1}, {100, 130}, {384, 31}, {385, 48}, {800, 20}}) {
    cases.push_back(linearCase("linearPlain" + shapeName(inputs, outputs), {batch, inputs, outputs, false, {}}));
    cases.push_back(
        linearCase("linearEverything" + shapeName(inputs, outputs), {batch, inputs, outputs, true, kEverything}));
  }
  for (const auto& [name, activation] :
       std::vector<std::pair<std::string, Activation>>{{"Gelu", Activation::gelu},
                                                       {"GeluTanh", Activation::geluTanh},
                                                       {"Relu", Activation::relu},
                                                       {"Tanh", Activation::tanh}}) {
    cases.push_back(linearCase("linear" + name, {batch, 40, 37, false, {true, false, activation}}));
  }
  for (int32_t rows : {1, 2, 5, 6, 7, 61, 97, 200, 513}) {
    cases.push_back(linearCase("linearOf" + std::to_string(rows) + "Rows", {{{rows}}, 48, 40, false, kEverything}));
  }
  cases.push_back(linearCase("linearNoRows", {{{0}}, 8, 8, false, kEverything}));
  cases.push_back(linearCase("linearWideAndDeep", {{{150, 43}}, 770, 400, true, kEverything}));
  cases.push_back(linearCase("linearOntoItsResidual",
                             {batch, 33, 50, false, {true, false, Activation::none, false, Parts::inPlace}}));
  return cases;
}

OperationCase randomLinear(Random& random) {
  const auto activation = static_cast<Activation>(random.between(0, 4));
  Parts parts{random.chance(), random.chance(), activation, random.chance()};
  parts.residual = random.chance() ? Parts::inPlace : random.chance() ? Parts::ownResidual : Parts::noResidual;
  const Batch batch{{random.between(0, 40), random.between(1, 90), random.between(0, 3)}};
  return linearCase("linear", {batch, random.between(0, 500), random.between(1, 150), random.chance(), parts});
}

}  // namespace espalier::test
