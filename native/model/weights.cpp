#include "model/weights.h"

#include <algorithm>

namespace espalier {
namespace {

/// Rows or columns of every unit in `kept`, `unitSize` apiece.
std::vector<int64_t> expandUnits(const std::vector<int32_t>& kept, int64_t unitSize) {
  std::vector<int64_t> indices;
  indices.reserve(kept.size() * static_cast<size_t>(unitSize));
  for (int64_t unit : kept) {
    for (int64_t i = 0; i < unitSize; ++i) indices.push_back(unit * unitSize + i);
  }
  return indices;
}

Tensor upload(Backend& backend, const HostTensor& host) {
  return backend.tensorFrom(host.rows, host.cols, host.values.data());
}

Tensor keepRows(Backend& backend, const Tensor& tensor, const std::vector<int64_t>& rows) {
  const HostTensor from = readTensor(backend, tensor);
  HostTensor to{static_cast<int64_t>(rows.size()), from.cols, {}};
  to.values.reserve(rows.size() * static_cast<size_t>(from.cols));
  for (int64_t row : rows) {
    const auto begin = from.values.begin() + row * from.cols;
    to.values.insert(to.values.end(), begin, begin + from.cols);
  }
  return upload(backend, to);
}

Tensor keepColumns(Backend& backend, const Tensor& tensor, const std::vector<int64_t>& columns) {
  const HostTensor from = readTensor(backend, tensor);
  HostTensor to{from.rows, static_cast<int64_t>(columns.size()), {}};
  to.values.reserve(columns.size() * static_cast<size_t>(from.rows));
  for (int64_t row = 0; row < from.rows; ++row) {
    for (int64_t column : columns) to.values.push_back(from.values[row * from.cols + column]);
  }
  return upload(backend, to);
}

/// Keeps outputs of a linear map: rows of its weight, entries of its bias.
void keepOutputs(Backend& backend, Linear& linear, const std::vector<int64_t>& outputs) {
  linear.weight = keepRows(backend, linear.weight, outputs);
  linear.bias = keepColumns(backend, linear.bias, outputs);
}

void checkKept(const std::vector<int32_t>& kept, int32_t units) {
  for (size_t i = 0; i < kept.size(); ++i) {
    require(kept[i] >= 0 && kept[i] < units, "a kept unit does not exist");
    require(i == 0 || kept[i] > kept[i - 1], "kept units must ascend");
  }
}

/// As many elements, or so many more that what follows them is aligned for every load and library.
int64_t aligned(int64_t elements) {
  constexpr int64_t kStep = 64;
  return (elements + kStep - 1) / kStep * kStep;
}

}  // namespace

std::vector<WeightSlot> weightSlots(Weights& weights, const ModelSpec& spec) {
  const int64_t hidden = spec.hiddenSize;
  std::vector<WeightSlot> slots;
  const auto linear = [&](const std::string& role, Linear& map, int64_t outputs, int64_t inputs) {
    slots.push_back({role + ".weight", &map.weight, outputs, inputs, false});
    slots.push_back({role + ".bias", &map.bias, 1, outputs, true});
  };
  const auto norm = [&](const std::string& role, Norm& map) {
    slots.push_back({role + ".weight", &map.gamma, 1, hidden, true});
    slots.push_back({role + ".bias", &map.beta, 1, hidden, true});
  };
  slots.push_back({"embeddings.word", &weights.word, spec.vocabularySize, hidden, false});
  slots.push_back({"embeddings.position", &weights.position, spec.maxPositions, hidden, false});
  if (spec.tokenTypes > 0) {
    slots.push_back({"embeddings.tokenType", &weights.tokenType, spec.tokenTypes, hidden, false});
  }
  norm("embeddings.norm", weights.embeddingNorm);
  weights.layers.resize(spec.layers.size());
  for (size_t l = 0; l < spec.layers.size(); ++l) {
    const std::string prefix = "layers." + std::to_string(l);
    const int64_t width = static_cast<int64_t>(spec.layers[l].heads) * spec.headSize;
    const int64_t neurons = spec.layers[l].neurons;
    LayerWeights& layer = weights.layers[l];
    linear(prefix + ".attention.query", layer.query, width, hidden);
    linear(prefix + ".attention.key", layer.key, width, hidden);
    linear(prefix + ".attention.value", layer.value, width, hidden);
    linear(prefix + ".attention.output", layer.attentionOutput, hidden, width);
    norm(prefix + ".attention.norm", layer.attentionNorm);
    linear(prefix + ".ffn.in", layer.ffnIn, neurons, hidden);
    linear(prefix + ".ffn.out", layer.ffnOut, hidden, neurons);
    norm(prefix + ".ffn.norm", layer.ffnNorm);
  }
  if (spec.head == HeadKind::sequence) linear("pooler", weights.pooler, hidden, hidden);
  linear("classifier", weights.classifier, spec.labels, hidden);
  return slots;
}

Linear someOutputs(const Linear& linear, int64_t first, int64_t count) {
  return {{linear.weight.buffer, linear.weight.view.rowRange(first, count)},
          {linear.bias.buffer, linear.bias.view.columns(first, count)}};
}

Weights allocateWeights(Backend& backend, const ModelSpec& spec, DType vectors) {
  Weights weights;
  const std::vector<WeightSlot> slots = weightSlots(weights, spec);
  int64_t elements = 0, used = 0;
  for (const WeightSlot& slot : slots) elements += slot.vector ? aligned(slot.cols) : 0;
  weights.vectors = backend.tensor(1, elements, vectors);
  const auto nextVector = [&](int64_t count) {
    const Tensor vector{weights.vectors.buffer, weights.vectors.view.columns(used, count)};
    used += aligned(count);
    return vector;
  };
  for (size_t l = 0; l < spec.layers.size(); ++l) {
    const int64_t width = static_cast<int64_t>(spec.layers[l].heads) * spec.headSize;
    LayerWeights& layer = weights.layers[l];
    layer.queryKeyValue = {backend.tensor(3 * width, spec.hiddenSize), nextVector(3 * width)};
    int64_t first = 0;
    for (Linear* projection : {&layer.query, &layer.key, &layer.value}) {
      *projection = someOutputs(layer.queryKeyValue, first, width);
      first += width;
    }
  }
  for (const WeightSlot& slot : slots) {
    if (slot.tensor->buffer) continue;
    *slot.tensor = slot.vector ? nextVector(slot.cols) : backend.tensor(slot.rows, slot.cols);
  }
  return weights;
}

Weights loadWeights(Backend& backend, const ModelSpec& spec,
                    const std::function<std::vector<float>(const std::string& role)>& provide) {
  Weights weights;
  for (const WeightSlot& slot : weightSlots(weights, spec)) {
    const std::vector<float> values = provide(slot.role);
    if (static_cast<int64_t>(values.size()) != slot.rows * slot.cols) {
      throw Error(ErrorCode::invalidArgument, "the weight " + slot.role + " has " + std::to_string(values.size()) +
                                                  " elements instead of " + std::to_string(slot.rows) + " x " +
                                                  std::to_string(slot.cols));
    }
    *slot.tensor = backend.tensorFrom(slot.rows, slot.cols, values.data());
  }
  return weights;
}

HostTensor readTensor(Backend& backend, const Tensor& tensor) {
  HostTensor host{tensor.view.rows, tensor.view.cols, {}};
  host.values.resize(static_cast<size_t>(host.rows * host.cols));
  backend.read(tensor.view, host.values.data());
  return host;
}

Weights selectUnits(Backend& backend, const Weights& weights, ModelSpec& spec, const KeptUnits& kept) {
  require(kept.heads.size() == spec.layers.size() && kept.neurons.size() == spec.layers.size(),
          "kept units must be given for every layer");
  Weights smaller = weights;
  for (size_t l = 0; l < spec.layers.size(); ++l) {
    LayerWeights& layer = smaller.layers[l];
    LayerShape& shape = spec.layers[l];
    checkKept(kept.heads[l], shape.heads);
    checkKept(kept.neurons[l], shape.neurons);
    if (static_cast<int32_t>(kept.heads[l].size()) < shape.heads) {
      const std::vector<int64_t> columns = expandUnits(kept.heads[l], spec.headSize);
      for (Linear* projection : {&layer.query, &layer.key, &layer.value}) keepOutputs(backend, *projection, columns);
      layer.attentionOutput.weight = keepColumns(backend, layer.attentionOutput.weight, columns);
    }
    if (static_cast<int32_t>(kept.neurons[l].size()) < shape.neurons) {
      const std::vector<int64_t> columns = expandUnits(kept.neurons[l], 1);
      keepOutputs(backend, layer.ffnIn, columns);
      layer.ffnOut.weight = keepColumns(backend, layer.ffnOut.weight, columns);
    }
    shape = {static_cast<int32_t>(kept.heads[l].size()), static_cast<int32_t>(kept.neurons[l].size())};
  }
  return smaller;
}

}  // namespace espalier
