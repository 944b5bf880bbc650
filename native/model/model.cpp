#include "model/model.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "core/thread_pool.h"
#include "model/gradient_moments.h"
#include "model/head.h"
#include "model/layer.h"

namespace espalier {

Model::Model(std::shared_ptr<Backend> backend, ModelSpec spec, Weights weights, Mode mode)
    : backend_(std::move(backend)),
      spec_(std::move(spec)),
      weights_(std::move(weights)),
      mode_(mode),
      recorded_(*backend_) {
  const DType dtype = backend_->dtype();
  if (mode == Mode::gradients && dtype != DType::f32 && dtype != DType::f64) {
    throw Error(ErrorCode::unsupported,
                "in 16 bits a model can be run, but gradients need fp32 (or its products in less)");
  }
  packAnew();
}

void Model::packAnew() {
  recorded_.forget();
  layers_.clear();
  for (size_t l = 0; l < weights_.layers.size(); ++l) {
    layers_.push_back(packLayer(*backend_, weights_.layers[l], spec_.firstTokensOnly(l), mode_));
  }
  head_ = packHead(*backend_, weights_, spec_.head, mode_);
}

size_t Model::bytes() const {
  size_t bytes = packedBytes(head_);
  for (const PackedLayer& layer : layers_) bytes += packedBytes(layer);
  Weights copy = weights_;  // shares the tensors; slots want mutable access
  std::set<const Buffer*> buffers;
  for (const WeightSlot& slot : weightSlots(copy, spec_)) buffers.insert(slot.tensor->buffer.get());
  for (const Buffer* buffer : buffers) bytes += buffer->bytes();
  return bytes;
}

std::unique_ptr<Model> Model::select(const KeptUnits& kept, Mode mode) const {
  ModelSpec spec = spec_;
  Weights weights = selectUnits(*backend_, weights_, spec, kept);
  return std::make_unique<Model>(backend_, std::move(spec), std::move(weights), mode);
}

void Model::scaleUnits(size_t layer, Sublayer sublayer, const std::vector<double>& scales) {
  require(layer < layers_.size(), "there is no such layer");
  const bool attention = sublayer == Sublayer::attention;
  const int64_t unitSize = attention ? spec_.headSize : 1;
  Linear& output = attention ? weights_.layers[layer].attentionOutput : weights_.layers[layer].ffnOut;
  HostTensor host = readTensor(*backend_, output.weight);
  require(static_cast<int64_t>(scales.size()) * unitSize == host.cols, "one scale per head or neuron is needed");
  for (double scale : scales) require(std::isfinite(scale), "a scale is not a finite number");
  for (int64_t row = 0; row < host.rows; ++row) {
    float* values = host.values.data() + row * host.cols;
    for (int64_t column = 0; column < host.cols; ++column) {
      values[column] = static_cast<float>(values[column] * scales[static_cast<size_t>(column / unitSize)]);
    }
  }
  Linear scaled{backend_->tensorFrom(host.rows, host.cols, host.values.data()), output.bias};
  PackedLinear repacked = packLinear(*backend_, scaled, mode_);
  recorded_.forget();
  output = std::move(scaled);
  PackedLayer& packed = layers_[layer];
  (attention ? packed.attentionOutput : packed.ffnOut) = std::move(repacked);
}

void Model::replace(const std::map<std::string, std::vector<float>>& weights) {
  Weights replaced = weights_;
  size_t found = 0;
  for (const WeightSlot& slot : weightSlots(replaced, spec_)) {
    const auto values = weights.find(slot.role);
    if (values == weights.end()) continue;
    require(static_cast<int64_t>(values->second.size()) == slot.rows * slot.cols,
            "a weight to put in has the wrong number of values");
    for (float value : values->second) require(std::isfinite(value), "a weight to put in is not a finite number");
    *slot.tensor = backend_->tensorFrom(slot.rows, slot.cols, values->second.data());
    ++found;
  }
  require(found == weights.size(), "the model lacks a weight that is to be replaced");
  const auto changed = [&](const std::string& prefix) {
    const auto first = weights.lower_bound(prefix);
    return first != weights.end() && first->first.compare(0, prefix.size(), prefix) == 0;
  };
  std::vector<PackedLayer> layers = layers_;
  for (size_t l = 0; l < layers.size(); ++l) {
    if (changed("layers." + std::to_string(l) + ".")) {
      layers[l] = packLayer(*backend_, replaced.layers[l], spec_.firstTokensOnly(l), mode_);
    }
  }
  if (changed("pooler.") || changed("classifier.")) head_ = packHead(*backend_, replaced, spec_.head, mode_);
  recorded_.forget();
  layers_ = std::move(layers);
  weights_ = std::move(replaced);
}

HostTensor Model::weight(const std::string& role) const {
  Weights copy = weights_;
  for (const WeightSlot& slot : weightSlots(copy, spec_)) {
    if (slot.role == role) return readTensor(*backend_, *slot.tensor);
  }
  throw Error(ErrorCode::invalidArgument, "the model has no weight " + role);
}

Model::WorkspaceLease::WorkspaceLease(const Model& model) : model_(model) {
  const std::lock_guard<std::mutex> lock(model.mutex_);
  if (model.idle_.empty()) {
    workspace_ = std::make_unique<Workspace>(*model.backend_);
  } else {
    workspace_ = std::move(model.idle_.back());
    model.idle_.pop_back();
  }
}

Model::WorkspaceLease::~WorkspaceLease() {
  const std::lock_guard<std::mutex> lock(model_.mutex_);
  model_.idle_.push_back(std::move(workspace_));
}

}  // namespace espalier
