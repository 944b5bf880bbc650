#include "model/packing.h"

#include <initializer_list>
#include <vector>

namespace espalier {
namespace {

/// One linear map whose outputs are those of each part, one after another.
Linear stack(Backend& backend, std::initializer_list<const Linear*> parts) {
  std::vector<float> weights, biases;
  const auto append = [&](std::vector<float>& values, const Tensor& tensor) {
    const HostTensor part = readTensor(backend, tensor);
    values.insert(values.end(), part.values.begin(), part.values.end());
  };
  for (const Linear* part : parts) {
    append(weights, part->weight);
    append(biases, part->bias);
  }
  const auto outputs = static_cast<int64_t>(biases.size());
  const int64_t inputs = (*parts.begin())->weight.view.cols;
  return {backend.tensorFrom(outputs, inputs, weights.data()), backend.tensorFrom(1, outputs, biases.data())};
}

}  // namespace

PackedLinear packLinear(Backend& backend, const Linear& linear, Mode mode) {
  PackedLinear packed;
  packed.forward = backend.pack(linear.weight.view, false);
  if (mode == Mode::gradients) packed.backward = backend.pack(linear.weight.view, true);
  packed.bias = linear.bias;
  return packed;
}

PackedLayer packLayer(Backend& backend, const LayerWeights& layer, bool queryAlone, Mode mode) {
  PackedLayer packed;
  const int64_t width = layer.query.weight.view.rows;
  const bool stacked = layer.queryKeyValue.weight.buffer != nullptr;
  if (queryAlone) {
    packed.query = packLinear(backend, layer.query, mode);
    packed.keyValue = packLinear(
        backend,
        stacked ? someOutputs(layer.queryKeyValue, width, 2 * width) : stack(backend, {&layer.key, &layer.value}),
        mode);
  } else {
    packed.queryKeyValue = packLinear(
        backend, stacked ? layer.queryKeyValue : stack(backend, {&layer.query, &layer.key, &layer.value}), mode);
  }
  packed.attentionOutput = packLinear(backend, layer.attentionOutput, mode);
  packed.ffnIn = packLinear(backend, layer.ffnIn, mode);
  packed.ffnOut = packLinear(backend, layer.ffnOut, mode);
  return packed;
}

PackedHead packHead(Backend& backend, const Weights& weights, HeadKind head, Mode mode) {
  PackedHead packed;
  if (head == HeadKind::sequence) packed.pooler = packLinear(backend, weights.pooler, mode);
  packed.classifier = packLinear(backend, weights.classifier, mode);
  return packed;
}

size_t packedBytes(const PackedLinear& linear) {
  return (linear.forward ? linear.forward->bytes() : 0) + (linear.backward ? linear.backward->bytes() : 0);
}

size_t packedBytes(const PackedLayer& layer) {
  size_t bytes = 0;
  for (const PackedLinear* linear :
       {&layer.queryKeyValue, &layer.query, &layer.keyValue, &layer.attentionOutput, &layer.ffnIn, &layer.ffnOut}) {
    bytes += packedBytes(*linear);
  }
  return bytes;
}

size_t packedBytes(const PackedHead& head) { return packedBytes(head.pooler) + packedBytes(head.classifier); }

}  // namespace espalier
