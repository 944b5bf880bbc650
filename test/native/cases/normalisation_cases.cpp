#include "cases/cases.h"

namespace espalier::test {

namespace {

const Batch kBatch{{3, 1, 12, 0, 7}};

OperationCase layerNormCase(const std::string& name, const Batch& batch, int64_t cols, bool inPlace, bool statistics) {
  return {name, batch, [=](Run& run) {
            LayerNormArgs args;
            args.y = inPlace ? run.updated(run.tokens(), cols) : run.output(run.tokens(), cols);
            args.x = inPlace ? args.y : run.input(run.tokens(), cols, 3);
            args.gamma = run.vector(cols);
            args.beta = run.vector(cols);
            args.epsilon = 1e-5;
            if (statistics) args.statistics = run.output(run.tokens(), 2);
            run.backend().layerNorm(args);
          }};
}

/// The parameters whose gradients are wanted.
struct LayerNormParameters {
  bool gamma = false;
  bool beta = false;
};

OperationCase layerNormBackwardCase(const std::string& name, const Batch& batch, int64_t cols, bool inPlace,
                                    LayerNormParameters wanted = {}) {
  return {name, batch, [=](Run& run) {
            // The forward's own statistics, so that the backward sees what it would in a model.
            LayerNormArgs forward;
            forward.x = run.input(run.tokens(), cols, 3);
            forward.y = run.output(run.tokens(), cols);
            forward.gamma = run.vector(cols);
            forward.beta = run.vector(cols);
            forward.epsilon = 1e-5;
            forward.statistics = run.output(run.tokens(), 2);
            run.backend().layerNorm(forward);
            const Matrix dx = inPlace ? run.updated(run.tokens(), cols) : run.output(run.tokens(), cols);
            const Matrix dy = inPlace ? dx : run.input(run.tokens(), cols);
            LayerNormBackwardArgs args{dy, forward.x, forward.statistics, forward.gamma, dx};
            if (wanted.gamma) args.dGamma = run.updated(Run::fixed(1), cols, DType::f64);
            if (wanted.beta) args.dBeta = run.updated(Run::fixed(1), cols, DType::f64);
            run.backend().layerNormBackward(args);
          }};
}

OperationCase embedCase(const std::string& name, const Batch& batch, int64_t hidden, bool tokenTypes, bool saved) {
  return {name, batch, [=](Run& run) {
            EmbedArgs args;
            args.ids = run.indices(run.tokens(), 11);
            args.positions = run.indices(run.tokens(), 40);
            if (tokenTypes) {
              args.tokenTypes = run.indices(run.tokens(), 2);
              args.tokenType = run.input(Run::fixed(2), hidden);
            }
            args.word = run.input(Run::fixed(11), hidden);
            args.position = run.input(Run::fixed(40), hidden);
            args.gamma = run.vector(hidden);
            args.beta = run.vector(hidden);
            args.epsilon = 1e-5;
            args.y = run.output(run.tokens(), hidden);
            if (saved) {
              args.sum = run.output(run.tokens(), hidden);
              args.statistics = run.output(run.tokens(), 2);
            }
            run.backend().embed(args);
          }};
}

}  // namespace

std::vector<OperationCase> normalisationCases() {
  std::vector<OperationCase> cases;
  for (int64_t cols : {1, 2, 7, 8, 15, 16, 17, 64, 100, 384, 769}) {
    const std::string width = std::to_string(cols);
    cases.push_back(layerNormCase("layerNorm" + width, kBatch, cols, false, true));
    cases.push_back(layerNormBackwardCase("layerNormBackward" + width, kBatch, cols, false));
    cases.push_back(layerNormBackwardCase("layerNormBackwardParameters" + width, kBatch, cols, false, {true, true}));
    cases.push_back(embedCase("embed" + width, kBatch, cols, true, false));
    cases.push_back(embedCase("embedSaved" + width, kBatch, cols, true, true));
  }
  cases.push_back(layerNormCase("layerNormInPlace", kBatch, 37, true, true));
  cases.push_back(layerNormCase("layerNormWithoutStatistics", kBatch, 37, false, false));
  cases.push_back(layerNormCase("layerNormManyRows", {{300, 77}}, 65, false, true));
  cases.push_back(layerNormCase("layerNormNoRows", {{0}}, 8, false, true));
  cases.push_back(layerNormBackwardCase("layerNormBackwardInPlace", kBatch, 37, true));
  cases.push_back(layerNormBackwardCase("layerNormBackwardManyRows", {{300, 77}}, 65, false));
  cases.push_back(layerNormBackwardCase("layerNormBackwardParametersManyRows", {{300, 277}}, 165, false, {true, true}));
  cases.push_back(layerNormBackwardCase("layerNormBackwardParametersInPlace", kBatch, 37, true, {true, true}));
  cases.push_back(layerNormBackwardCase("layerNormBackwardGammaOnly", kBatch, 37, false, {true, false}));
  cases.push_back(layerNormBackwardCase("layerNormBackwardBetaOnly", kBatch, 37, false, {false, true}));
  cases.push_back(layerNormBackwardCase("layerNormBackwardParametersNoRows", {{0}}, 8, false, {true, true}));
  cases.push_back(embedCase("embedWithoutTokenTypes", kBatch, 24, false, false));
  cases.push_back(embedCase("embedSavedManyRows", {{300, 77}}, 65, true, true));
  cases.push_back(embedCase("embedNoRows", {{0}}, 8, true, true));
  return cases;
}

OperationCase randomNormalisation(Random& random) {
  const Batch batch{{random.between(0, 40), random.between(1, 90)}};
  const int64_t cols = random.between(1, 300);
  switch (random.between(0, 2)) {
    case 0:
      return layerNormCase("layerNorm", batch, cols, random.chance(), random.chance());
    case 1:
      return layerNormBackwardCase("layerNormBackward", batch, cols, random.chance(),
                                   {random.chance(), random.chance()});
    default:
      return embedCase("embed", batch, cols, random.chance(), random.chance());
  }
}

}  // namespace espalier::test
