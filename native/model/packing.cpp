#include "model/packing.h"

namespace espalier {
namespace {

/// One linear map whose outputs are those of `a`, then those of `b`.
Linear stack(Backend& backend, const Linear& a, const Linear& b) {
  const auto join = [&](const Tensor& first, const Tensor& second, bool vector) {
    HostTensor joined = readTensor(backend, first);
    const HostTensor tail = readTensor(backend, second);
    joined.values.insert(joined.values.end(), tail.values.begin(), tail.values.end());
    (vector ? joined.cols : joined.rows) += vector ? tail.cols : tail.rows;
    return backend.tensorFrom(joined.rows, joined.cols, joined.values.data());
  };
  return {join(a.weight, b.weight, false), join(a.bias, b.bias, true)};
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
  const Linear keyValue = stack(backend, layer.key, layer.value);
  if (queryAlone) {
    packed.query = packLinear(backend, layer.query, mode);
    packed.keyValue = packLinear(backend, keyValue, mode);
  } else {
    packed.queryKeyValue = packLinear(backend, stack(backend, layer.query, keyValue), mode);
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
