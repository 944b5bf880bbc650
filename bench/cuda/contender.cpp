// espalier's engine for a measurement in another language: a C API without exceptions, so that a Python process can let
// espalier and PyTorch take turns. A failing call returns null or non-zero, and espalierLastError() says why.

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/cancel.h"
#include "model/model.h"
#include "model/token_record.h"
#include "model/training.h"
#include "solver/backend_solver.h"

#define ESPALIER_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using espalier::Backend;
using espalier::BackendOptions;
using espalier::DType;
using espalier::Error;
using espalier::ErrorCode;
using espalier::ForwardOptions;
using espalier::Labels;
using espalier::MaskGradients;
using espalier::Mode;
using espalier::Model;
using espalier::ModelSpec;
using espalier::OptimizerStep;
using espalier::PackedBatch;
using espalier::PassOptions;
using espalier::Products;
using espalier::ProjectionFit;
using espalier::ProjectionStatistics;
using espalier::Solver;
using espalier::TokenPruning;
using espalier::TokenRecord;
using espalier::Training;

thread_local std::string lastError;

/// What `run` returns, or `failure` after an exception.
template <typename Result, typename Run>
Result guarded(Result failure, Run run) {
  try {
    return run();
  } catch (const Error& error) {
    lastError = std::string(espalier::errorCodeName(error.code())) + ": " + error.what();
  } catch (const std::exception& error) {
    lastError = error.what();
  } catch (...) {
    lastError = "an exception of unknown type";
  }
  return failure;
}

template <typename Value>
Value choose(const std::map<std::string, Value>& choices, const char* what, const std::string& name) {
  const auto found = choices.find(name);
  if (found == choices.end()) {
    throw Error(ErrorCode::invalidArgument, std::string("there is no ") + what + " '" + name + "'");
  }
  return found->second;
}

template <typename T>
void copyTo(const std::vector<T>& from, T* to) {
  std::copy(from.begin(), from.end(), to);
}

}  // namespace

struct EspalierEngine {
  std::shared_ptr<Backend> backend;
};

struct EspalierModel {
  std::unique_ptr<Model> model;
  MaskGradients gradients;  // of the last call
};

struct EspalierTraining {
  std::unique_ptr<Training> training;
};

/// A BERT encoder under a sequence head. heads, neurons: [layers].
struct EspalierShape {
  int32_t layers, hiddenSize, headSize, vocabularySize, maxPositions, tokenTypes, labels;
  double layerNormEpsilon;
  const int32_t* heads;
  const int32_t* neurons;
};

/// A weight by its role (native/model/weights.cpp): rows * cols values as checkpoints store them.
struct EspalierWeight {
  const char* role;
  const float* values;
  int64_t count;
};

/// Sequences without padding. ids, tokenTypes: [offsets[sequences]]; offsets: [sequences + 1].
struct EspalierBatch {
  int32_t sequences;
  const int32_t* ids;
  const int32_t* tokenTypes;
  const int32_t* offsets;
};

/// One step of training: PassOptions, and OptimizerStep but for the scale of the gradients, which makes them a mean.
struct EspalierStep {
  double learningRate, weightDecay, maxGradientNorm, dropout;
  uint64_t seed;
};

/// Which tokens go on: as TokenPruning. thresholds: [layers].
struct EspalierThresholds {
  const double* values;
  int32_t paddedLength;
};

/// As ProjectionStatistics, whose comments have the shapes.
struct EspalierStatistics {
  double rows;
  int64_t inputs, hidden;
  const double* gram;
  const double* cross;
  const double* inputSums;
  const double* targetSums;
  const float* weight;
};

namespace {

ModelSpec toSpec(const EspalierShape& shape) {
  ModelSpec spec;
  spec.hiddenSize = shape.hiddenSize;
  spec.headSize = shape.headSize;
  spec.vocabularySize = shape.vocabularySize;
  spec.maxPositions = shape.maxPositions;
  spec.tokenTypes = shape.tokenTypes;
  spec.labels = shape.labels;
  spec.layerNormEpsilon = shape.layerNormEpsilon;
  for (int32_t layer = 0; layer < shape.layers; ++layer) {
    spec.layers.push_back({shape.heads[layer], shape.neurons[layer]});
  }
  espalier::checkSpec(spec);
  return spec;
}

PackedBatch toBatch(const EspalierBatch& batch) {
  const int32_t tokens = batch.offsets[batch.sequences];
  return {{batch.ids, batch.ids + tokens},
          {batch.tokenTypes, batch.tokenTypes + tokens},
          {batch.offsets, batch.offsets + batch.sequences + 1}};
}

Labels toLabels(const int32_t* classes, int32_t sequences) {
  Labels labels;
  labels.classes.assign(classes, classes + sequences);
  return labels;
}

ProjectionStatistics toStatistics(const EspalierStatistics& given) {
  return {given.rows,  given.inputs,    given.hidden,     given.gram,
          given.cross, given.inputSums, given.targetSums, given.weight};
}

}  // namespace

/// The reason of the last failure on this thread.
ESPALIER_EXPORT const char* espalierLastError() { return lastError.c_str(); }

/// backend: "cpu", "cuda" or "reference"; dtype: "f32", "f64", "f16" or "bf16"; products: "full", "tf32" or "bf16".
ESPALIER_EXPORT EspalierEngine* espalierOpen(const char* backend, const char* dtype, const char* products,
                                             int32_t threads, int32_t device) {
  return guarded<EspalierEngine*>(nullptr, [&] {
    static const std::map<std::string, DType> kTypes = {
        {"f32", DType::f32}, {"f64", DType::f64}, {"f16", DType::f16}, {"bf16", DType::bf16}};
    static const std::map<std::string, Products> kProducts = {
        {"full", Products::full}, {"tf32", Products::tf32}, {"bf16", Products::bf16}};
    BackendOptions options;
    options.dtype = choose(kTypes, "dtype", dtype);
    options.products = choose(kProducts, "kind of products", products);
    options.threads = threads;
    options.device = device;
    return std::make_unique<EspalierEngine>(EspalierEngine{Backend::open(backend, options)}).release();
  });
}

/// The instruction set or the device's name.
ESPALIER_EXPORT const char* espalierDescribe(EspalierEngine* engine) { return engine->backend->describe(); }

ESPALIER_EXPORT void espalierClose(EspalierEngine* engine) { delete engine; }

/// Copies the weights. `gradients` allows espalierMaskGradients().
ESPALIER_EXPORT EspalierModel* espalierModel(EspalierEngine* engine, const EspalierShape* shape,
                                             const EspalierWeight* weights, int32_t count, int32_t gradients) {
  return guarded<EspalierModel*>(nullptr, [&] {
    std::map<std::string, const EspalierWeight*> byRole;
    for (int32_t i = 0; i < count; ++i) byRole[weights[i].role] = &weights[i];
    const ModelSpec spec = toSpec(*shape);
    espalier::Weights loaded = espalier::loadWeights(*engine->backend, spec, [&](const std::string& role) {
      const EspalierWeight& weight = *choose(byRole, "weight", role);
      return std::vector<float>(weight.values, weight.values + weight.count);
    });
    auto model = std::make_unique<Model>(engine->backend, spec, std::move(loaded),
                                         gradients != 0 ? Mode::gradients : Mode::inference);
    return std::make_unique<EspalierModel>(EspalierModel{std::move(model), {}}).release();
  });
}

ESPALIER_EXPORT void espalierFreeModel(EspalierModel* model) { delete model; }

/// logits: [sequences, labels].
ESPALIER_EXPORT int32_t espalierForward(const EspalierModel* model, const EspalierBatch* batch, float* logits) {
  return guarded(1, [&] {
    copyTo(model->model->forward(toBatch(*batch), {}, espalier::CancelToken()), logits);
    return 0;
  });
}

/// classes, groups: [sequences]. losses [sequences], heads and neurons [groups, all heads or neurons] are the model's
/// until the next call.
ESPALIER_EXPORT int32_t espalierMaskGradients(EspalierModel* model, const EspalierBatch* batch, const int32_t* classes,
                                              const int32_t* groups, const float** losses, const float** heads,
                                              const float** neurons) {
  return guarded(1, [&] {
    const Labels labels = toLabels(classes, batch->sequences);
    const std::vector<int32_t> groupOf(groups, groups + batch->sequences);
    MaskGradients& gradients = model->gradients;
    gradients =
        model->model->maskGradients(toBatch(*batch), labels, groupOf, nullptr, nullptr, espalier::CancelToken());
    *losses = gradients.losses.data();
    *heads = gradients.heads.data();
    *neurons = gradients.neurons.data();
    return 0;
  });
}

/// As espalierForward(), tokens being dropped. depths: [tokens], the layers that let each go on; null where nobody
/// asks.
ESPALIER_EXPORT int32_t espalierForwardDropping(const EspalierModel* model, const EspalierBatch* batch,
                                                const EspalierThresholds* thresholds, float* logits, int32_t* depths) {
  return guarded(1, [&] {
    TokenPruning pruning;
    pruning.values.assign(thresholds->values, thresholds->values + model->model->spec().layers.size());
    pruning.paddedLength = thresholds->paddedLength;
    TokenRecord record;
    ForwardOptions options;
    options.pruning = &pruning;
    if (depths != nullptr) options.record = &record;
    copyTo(model->model->forward(toBatch(*batch), options, espalier::CancelToken()), logits);
    copyTo(record.depths, depths);
    return 0;
  });
}

/// Of a copy of the model.
ESPALIER_EXPORT EspalierTraining* espalierTraining(const EspalierModel* model) {
  return guarded<EspalierTraining*>(nullptr,
                                    [&] { return new EspalierTraining{std::make_unique<Training>(*model->model)}; });
}

ESPALIER_EXPORT void espalierFreeTraining(EspalierTraining* training) { delete training; }

/// One batch, one step. classes: [sequences]. Gives the losses before the step, [sequences], and the gradients' norm.
ESPALIER_EXPORT int32_t espalierTrain(EspalierTraining* training, const EspalierBatch* batch, const int32_t* classes,
                                      const EspalierStep* step, float* losses, double* norm) {
  return guarded(1, [&] {
    PassOptions pass;
    pass.dropout = step->dropout;
    pass.seed = step->seed;
    const Labels labels = toLabels(classes, batch->sequences);
    copyTo(training->training->accumulate(toBatch(*batch), labels, pass, espalier::CancelToken()).losses, losses);
    OptimizerStep options;
    options.learningRate = step->learningRate;
    options.weightDecay = step->weightDecay;
    options.maxGradientNorm = step->maxGradientNorm;
    options.gradientScale = 1.0 / batch->sequences;
    *norm = training->training->step(options);
    return 0;
  });
}

/// values: as many as the role's weight has.
ESPALIER_EXPORT int32_t espalierParameter(const EspalierTraining* training, const char* role, float* values) {
  return guarded(1, [&] {
    copyTo(training->training->state(role).parameter.values, values);
    return 0;
  });
}

/// As solveProjection(). weight: [hidden, inputs]; biasShift: [hidden].
ESPALIER_EXPORT int32_t espalierSolveProjection(EspalierEngine* engine, const EspalierStatistics* statistics,
                                                double ridge, float* weight, float* biasShift) {
  return guarded(1, [&] {
    const ProjectionFit fit = Solver(engine->backend).solveProjection(toStatistics(*statistics), ridge);
    copyTo(fit.weight, weight);
    copyTo(fit.biasShift, biasShift);
    return 0;
  });
}

/// As bestRidge(). ridges: [count].
ESPALIER_EXPORT int32_t espalierBestRidge(EspalierEngine* engine, const EspalierStatistics* fit,
                                          const EspalierStatistics* heldOut, const double* ridges, int32_t count,
                                          double* best) {
  return guarded(1, [&] {
    *best = Solver(engine->backend).bestRidge(toStatistics(*fit), toStatistics(*heldOut), {ridges, ridges + count});
    return 0;
  });
}

/// scaleSystem() of units of one input without a column of ones, and what solveFiltered() makes of it: [inputs].
ESPALIER_EXPORT int32_t espalierSolveScales(EspalierEngine* engine, const EspalierStatistics* statistics,
                                            double* scales) {
  return guarded(1, [&] {
    const Solver solver(engine->backend);
    const espalier::ScaleSystem system = solver.scaleSystem(toStatistics(*statistics), 1, false);
    copyTo(solver.solveFiltered(system.matrix.data(), system.rhs), scales);
    return 0;
  });
}

/// As eliminationOrder() of units of one input. outputMoments: [hidden, hidden]; order, errors: [inputs].
ESPALIER_EXPORT int32_t espalierEliminationOrder(EspalierEngine* engine, const EspalierStatistics* statistics,
                                                 const double* outputMoments, double ridge, int32_t* order,
                                                 double* errors) {
  return guarded(1, [&] {
    const espalier::Elimination elimination =
        Solver(engine->backend).eliminationOrder(toStatistics(*statistics), outputMoments, 1, ridge);
    copyTo(elimination.order, order);
    copyTo(elimination.errors, errors);
    return 0;
  });
}
