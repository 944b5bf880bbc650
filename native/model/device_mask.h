#pragma once

#include <vector>

#include "model/layer.h"

namespace espalier {

/// Device copies of a Mask and the way to one layer's part of it.
class DeviceMask {
 public:
  DeviceMask(Backend& backend, const ModelSpec& spec, const Mask* mask) {
    if (mask == nullptr) return;
    size_t heads = 0, neurons = 0;
    for (const LayerShape& shape : spec.layers) {
      heads_.push_back(slice(backend, mask->heads, heads, shape.heads));
      neurons_.push_back(slice(backend, mask->neurons, neurons, shape.neurons));
      heads += static_cast<size_t>(shape.heads);
      neurons += static_cast<size_t>(shape.neurons);
    }
    require(mask->heads.size() == heads && mask->neurons.size() == neurons,
            "a mask must have one value per head and neuron of the model");
  }

  LayerMask layer(size_t index) const {
    if (heads_.empty()) return {};
    return {heads_[index].view.data, neurons_[index].view.data};
  }

 private:
  static Tensor slice(Backend& backend, const std::vector<float>& values, size_t first, int32_t count) {
    require(first + static_cast<size_t>(count) <= values.size(),
            "a mask must have one value per head and neuron of the model");
    return backend.tensorFrom(1, count, values.data() + first);
  }

  std::vector<Tensor> heads_, neurons_;
};

}  // namespace espalier
