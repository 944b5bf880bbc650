#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/spec.h"

namespace espalier {

/// weight: [outputs, inputs] as checkpoints store it; bias: [1, outputs].
struct Linear {
  Tensor weight, bias;
};

/// gamma, beta: [1, hidden].
struct Norm {
  Tensor gamma, beta;
};

/// The linear map of `count` of another one's outputs; it shares the memory.
Linear someOutputs(const Linear& linear, int64_t first, int64_t count);

struct LayerWeights {
  Linear query, key, value, attentionOutput;
  Linear queryKeyValue;  // where those three lie one after another in one tensor (allocateWeights()), the whole of it
  Norm attentionNorm;
  Linear ffnIn, ffnOut;
  Norm ffnNorm;
};

/// The master weights of a model. Tensors are immutable and shared between models; a change puts a new one in place.
struct Weights {
  Tensor word, position, tokenType;
  Norm embeddingNorm;
  std::vector<LayerWeights> layers;
  Linear pooler;  // of a sequence head only
  Linear classifier;
  Tensor vectors;  // where all vectors lie one after another in one tensor (allocateWeights()), the whole of it
};

/// A tensor's place among the weights, for code that treats them all alike.
struct WeightSlot {
  std::string role;  // "layers.0.ffn.in.weight"
  Tensor* tensor;
  int64_t rows, cols;  // what `spec` demands; vectors have one row
  bool vector;         // a bias or a part of a LayerNorm
};

/// Every slot of `weights` under `spec`; sizes weights.layers.
std::vector<WeightSlot> weightSlots(Weights& weights, const ModelSpec& spec);

/// The values of one tensor on the host, rows * cols of them.
struct HostTensor {
  int64_t rows = 0, cols = 0;
  std::vector<float> values;
};

/// Weights of `spec`'s shapes, all zero, that are nobody else's; vectors in a type of their own.
Weights allocateWeights(Backend& backend, const ModelSpec& spec, DType vectors);

/// Takes every role from `provide`, which converts one stored tensor at a time (so that the host never holds all of
/// them twice). Throws invalidArgument when one is missing or has the wrong number of elements.
Weights loadWeights(Backend& backend, const ModelSpec& spec,
                    const std::function<std::vector<float>(const std::string& role)>& provide);

HostTensor readTensor(Backend& backend, const Tensor& tensor);

/// Indices of the units to keep, ascending, per layer.
struct KeptUnits {
  std::vector<std::vector<int32_t>> heads, neurons;
};

/// The smaller model made of the kept units; `spec` is changed to match. Untouched tensors are shared.
Weights selectUnits(Backend& backend, const Weights& weights, ModelSpec& spec, const KeptUnits& kept);

}  // namespace espalier
