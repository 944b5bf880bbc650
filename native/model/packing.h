#pragma once

#include <memory>

#include "model/weights.h"

namespace espalier {

/// What a model is opened for; it keeps only the packings that need.
enum class Mode { inference, gradients };

/// A linear map ready for use: y = x W' + bias, and, in mode gradients, dx = dy W.
struct PackedLinear {
  std::shared_ptr<Weight> forward;
  std::shared_ptr<Weight> backward;  // null in mode inference
  Tensor bias;
};

/// Query, key and value share their input and are one product, but where only first tokens ask: in a classifier's last
/// layer the query stands alone.
struct PackedLayer {
  PackedLinear queryKeyValue;    // or else
  PackedLinear query, keyValue;  // these two
  PackedLinear attentionOutput, ffnIn, ffnOut;

  bool queryAlone() const { return query.forward != nullptr; }
};

/// pooler: of a sequence head only.
struct PackedHead {
  PackedLinear pooler, classifier;
};

PackedLinear packLinear(Backend& backend, const Linear& linear, Mode mode);
PackedLayer packLayer(Backend& backend, const LayerWeights& layer, bool queryAlone, Mode mode);

PackedHead packHead(Backend& backend, const Weights& weights, HeadKind head, Mode mode);

size_t packedBytes(const PackedLinear& linear);
size_t packedBytes(const PackedLayer& layer);
size_t packedBytes(const PackedHead& head);

}  // namespace espalier
