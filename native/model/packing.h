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

/// Key and value share their input and are one product. The query stands alone: in a classifier's last layer only first
/// tokens ask.
struct PackedLayer {
  PackedLinear query, keyValue, attentionOutput, ffnIn, ffnOut;
};

/// pooler: of a sequence head only.
struct PackedHead {
  PackedLinear pooler, classifier;
};

PackedLinear packLinear(Backend& backend, const Linear& linear, Mode mode);
PackedLayer packLayer(Backend& backend, const LayerWeights& layer, Mode mode);

PackedHead packHead(Backend& backend, const Weights& weights, HeadKind head, Mode mode);

size_t packedBytes(const PackedLinear& linear);
size_t packedBytes(const PackedLayer& layer);
size_t packedBytes(const PackedHead& head);

}  // namespace espalier
