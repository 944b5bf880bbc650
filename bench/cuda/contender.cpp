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

#define ESPALIER_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using espalier::Backend;
using espalier::BackendOptions;
using espalier::DType;
using espalier::Error;
using espalier::ErrorCode;
using espalier::Labels;
using espalier::MaskGradients;
using espalier::Mode;
using espalier::Model;
using espalier::ModelSpec;
using espalier::PackedBatch;
using espalier::Products;

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

void copyTo(const std::vector<float>& from, float* to) { std::copy(from.begin(), from.end(), to); }

}  // namespace

struct EspalierEngine {
  std::shared_ptr<Backend> backend;
};

struct EspalierModel {
  std::unique_ptr<Model> model;
  MaskGradients gradients;  // of the last call
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
    Labels labels;
    labels.classes.assign(classes, classes + batch->sequences);
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
