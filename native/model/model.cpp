#include "model/model.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/thread_pool.h"
#include "model/gradient_moments.h"
#include "model/head.h"
#include "model/layer.h"

namespace espalier {
namespace {

/// Where all threads share each operation of a backward pass.
constexpr int32_t kMomentTokens = 1024;

/// Whether there are enough micro-batches for each thread to take its own through the whole model: none then waits for
/// the others after every operation. Otherwise all threads share each operation.
bool sharesOutTokens(const PackedBatch& batch, const Backend& backend) {
  const int threads = backend.threads();
  return threads > 1 && batch.tokens() >= 2 * backend.microBatchTokens() * threads;
}

/// With `atOnce` above 1, operations inside `run` stay on the thread that calls them.
void forEachPart(const std::vector<MicroBatch>& parts, int atOnce, const std::function<void(int64_t index)>& run) {
  const auto count = static_cast<int64_t>(parts.size());
  if (atOnce > 1) return parallelFor(atOnce, count, run);
  for (int64_t index = 0; index < count; ++index) run(index);
}

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

int32_t checkGroups(const std::vector<int32_t>& groups, int32_t sequences) {
  require(groups.size() == static_cast<size_t>(sequences), "one group per sequence is needed");
  require(groups.front() == 0, "groups must start at 0");
  for (size_t s = 1; s < groups.size(); ++s) {
    require(groups[s] == groups[s - 1] || groups[s] == groups[s - 1] + 1, "groups must ascend by steps of 0 or 1");
  }
  return groups.back() + 1;
}

void requireFinite(const std::vector<float>& logits) {
  for (float value : logits) {
    if (!std::isfinite(value))
      throw Error(ErrorCode::nonFinite, "the model computed a logit that is not a finite number");
  }
}

std::vector<int32_t> slice(const std::vector<int32_t>& values, const MicroBatch& part) {
  const auto begin = values.begin() + part.firstSequence;
  return {begin, begin + part.sequences};
}

/// Sums of every group, [groups, units], out of parts of a batch. The parts come in any order, even at once.
class GroupSums {
 public:
  GroupSums(Backend& backend, int64_t groups, int64_t units, size_t parts)
      : backend_(backend), groups_(groups), units_(units), parts_(parts) {
    if (backend.onHost()) makeRoom();
  }

  /// Takes long enough for a device to be kept busy meanwhile; needed before finish().
  void makeRoom() { sums_.resize(static_cast<size_t>(groups_ * units_)); }

  /// rows: sums of the groups from `firstGroup` on, [groups of the part, units]. With `continues` the first of them
  /// only adds to what an earlier part has of its group. Waiting for a device can wait until everything is queued.
  void add(size_t part, int64_t firstGroup, bool continues, Tensor rows) {
    parts_[part] = {firstGroup, continues, std::move(rows), {}};
    if (backend_.onHost()) read(parts_[part]);
  }

  std::vector<float> finish() {
    for (Part& part : parts_) {
      if (part.rows.buffer) read(part);
      float* group = sums_.data() + part.firstGroup * units_;
      for (size_t i = 0; i < part.continued.size(); ++i) group[i] += part.continued[i];
    }
    return std::move(sums_);
  }

 private:
  struct Part {
    int64_t firstGroup = 0;
    bool continues = false;
    Tensor rows;                   // until they are read
    std::vector<float> continued;  // the first of them, where another part has that group's place
  };

  void read(Part& part) {
    const Matrix& rows = part.rows.view;
    const int64_t shared = part.continues ? 1 : 0;
    part.continued.resize(static_cast<size_t>(shared * units_));
    backend_.read(rows.rowRange(0, shared), part.continued.data());
    backend_.read(rows.rowRange(shared, rows.rows - shared), sums_.data() + (part.firstGroup + shared) * units_);
    part.rows = {};
  }

  Backend& backend_;
  int64_t groups_, units_;
  std::vector<float> sums_;
  std::vector<Part> parts_;
};

std::vector<float> readAll(Backend& backend, const Tensor& tensor) { return readTensor(backend, tensor).values; }

}  // namespace

Model::Model(std::shared_ptr<Backend> backend, ModelSpec spec, Weights weights, Mode mode)
    : backend_(std::move(backend)), spec_(std::move(spec)), weights_(std::move(weights)), mode_(mode) {
  const DType dtype = backend_->dtype();
  if (mode == Mode::gradients && dtype != DType::f32 && dtype != DType::f64) {
    throw Error(ErrorCode::unsupported,
                "in 16 bits a model can be run, but gradients need fp32 (or its products in less)");
  }
  for (size_t l = 0; l < weights_.layers.size(); ++l) {
    layers_.push_back(packLayer(*backend_, weights_.layers[l], spec_.firstTokensOnly(l), mode));
  }
  head_ = packHead(*backend_, weights_, spec_.head, mode);
}

size_t Model::bytes() const {
  size_t bytes = packedBytes(head_);
  for (const PackedLayer& layer : layers_) bytes += packedBytes(layer);
  Weights copy = weights_;  // shares the tensors; slots want mutable access
  for (const WeightSlot& slot : weightSlots(copy, spec_)) bytes += slot.tensor->buffer->bytes();
  return bytes;
}

void Model::embed(const DeviceBatch& batch, const Matrix& hidden) const {
  EmbedArgs args;
  args.ids = batch.ids();
  args.positions = batch.positions();
  args.word = weights_.word.view;
  args.position = weights_.position.view;
  if (spec_.tokenTypes > 0) {
    args.tokenTypes = batch.tokenTypes();
    args.tokenType = weights_.tokenType.view;
  }
  args.gamma = weights_.embeddingNorm.gamma.view.data;
  args.beta = weights_.embeddingNorm.beta.view.data;
  args.epsilon = spec_.layerNormEpsilon;
  args.y = hidden;
  backend_->embed(args);
}

std::vector<float> Model::forward(const PackedBatch& batch, const Mask* mask, const CancelToken& cancel) const {
  checkBatch(batch, spec_);
  const DeviceMask deviceMask(*backend_, spec_, mask);
  const bool firstTokens = spec_.firstTokensOnly(layers_.size() - 1);
  const Tensor logits = backend_->tensor(firstTokens ? batch.sequences() : batch.tokens(), spec_.labels);
  const int threads = backend_->threads();
  const bool sharesOut = sharesOutTokens(batch, *backend_);
  const int32_t ofThread = backend_->microBatchTokens();
  const int32_t together = std::max(ofThread, std::min(ofThread * threads, kMicroBatchTokens));
  const std::vector<MicroBatch> parts = splitBatch(batch, sharesOut ? ofThread : together);
  forEachPart(parts, sharesOut ? threads : 1, [&](int64_t index) {
    const MicroBatch& part = parts[static_cast<size_t>(index)];
    const WorkspaceLease workspace(*this);
    (*workspace).reset();
    const DeviceBatch rows(*backend_, spec_, batch, part);
    Matrix hidden = (*workspace).matrix(rows.tokens(), spec_.hiddenSize);
    embed(rows, hidden);
    for (size_t l = 0; l < layers_.size(); ++l) {
      cancel.check();
      hidden = Layer(*this, l, rows, *workspace, deviceMask.layer(l)).forward(hidden);
    }
    const int32_t first = firstTokens ? part.firstSequence : part.firstToken;
    makeHead(*this, *workspace)->forward(hidden, logits.view.rowRange(first, hidden.rows));
  });
  std::vector<float> result = readAll(*backend_, logits);
  requireFinite(result);
  return result;
}

MaskGradients Model::maskGradients(const PackedBatch& batch, const Labels& labels, const std::vector<int32_t>& groups,
                                   const Mask* mask, GradientMoments* moments, const CancelToken& cancel) const {
  require(mode_ == Mode::gradients, "mask gradients need a model opened for gradients");
  checkBatch(batch, spec_);
  checkLabels(labels, batch, spec_);
  const int32_t groupCount = checkGroups(groups, batch.sequences());
  int64_t allHeads = 0, allNeurons = 0;
  for (const LayerShape& shape : spec_.layers) {
    allHeads += shape.heads;
    allNeurons += shape.neurons;
  }
  const DeviceMask deviceMask(*backend_, spec_, mask);
  const Tensor losses = backend_->tensor(batch.sequences(), 1);
  // The same parts at any number of threads, since a group's sum is that of its parts' sums. Moments grow in the order
  // of the parts: all threads share these.
  const int32_t ofThread = backend_->backwardTokens();
  const std::vector<MicroBatch> parts =
      splitBatch(batch, moments == nullptr ? ofThread : std::max(ofThread, kMomentTokens));
  GroupSums headSums(*backend_, groupCount, allHeads, parts.size());
  GroupSums neuronSums(*backend_, groupCount, allNeurons, parts.size());
  const bool sharesOut = moments == nullptr && static_cast<int64_t>(parts.size()) >= backend_->threads();
  forEachPart(parts, sharesOut ? backend_->threads() : 1, [&](int64_t index) {
    const MicroBatch& part = parts[static_cast<size_t>(index)];
    std::vector<int32_t> ownGroups = slice(groups, part);
    const int32_t firstGroup = ownGroups.front();
    for (int32_t& group : ownGroups) group -= firstGroup;
    const Tensor heads = backend_->tensor(ownGroups.back() + 1, allHeads);
    const Tensor neurons = backend_->tensor(ownGroups.back() + 1, allNeurons);
    const WorkspaceLease workspace(*this);
    (*workspace).reset();
    const DeviceBatch rows(*backend_, spec_, batch, part);
    const auto partGroups = backend_->indices(ownGroups);
    const DeviceLabels partLabels(*backend_, spec_, labels, part);
    Matrix hidden = (*workspace).matrix(rows.tokens(), spec_.hiddenSize);
    embed(rows, hidden);
    std::vector<LayerTrace> traces(layers_.size());
    for (size_t l = 0; l < layers_.size(); ++l) {
      cancel.check();
      hidden = Layer(*this, l, rows, *workspace, deviceMask.layer(l), &traces[l]).forward(hidden);
    }
    const Matrix logits = (*workspace).matrix(hidden.rows, spec_.labels);
    const Matrix dLogits = (*workspace).matrix(hidden.rows, spec_.labels);
    const std::unique_ptr<Head> head = makeHead(*this, *workspace);
    head->forward(hidden, logits);
    Matrix gradient;
    if (labels.given()) {
      gradient = head->backward(partLabels.gradients());
    } else {
      backend_->loss({labels.loss, logits, partLabels.data(), losses.view.rowRange(part.firstSequence, part.sequences),
                      dLogits, rows.offsets()});
      gradient = head->backward(dLogits);
    }
    int64_t headColumn = allHeads, neuronColumn = allNeurons;
    for (size_t l = layers_.size(); l-- > 0;) {
      cancel.check();
      const LayerShape& shape = spec_.layers[l];
      headColumn -= shape.heads;
      neuronColumn -= shape.neurons;
      gradient = Layer(*this, l, rows, *workspace, deviceMask.layer(l), &traces[l])
                     .backward(gradient, {static_cast<const int32_t*>(partGroups->data()),
                                          heads.view.columns(headColumn, shape.heads),
                                          neurons.view.columns(neuronColumn, shape.neurons), moments});
    }
    const bool continues = part.firstSequence > 0 && groups[static_cast<size_t>(part.firstSequence) - 1] == firstGroup;
    headSums.add(static_cast<size_t>(index), firstGroup, continues, heads);
    neuronSums.add(static_cast<size_t>(index), firstGroup, continues, neurons);
  });
  headSums.makeRoom();
  neuronSums.makeRoom();
  MaskGradients result{{}, headSums.finish(), neuronSums.finish()};
  result.losses = readAll(*backend_, losses);
  requireFinite(result.losses);
  return result;
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
  output.weight = backend_->tensorFrom(host.rows, host.cols, host.values.data());
  PackedLayer& packed = layers_[layer];
  (attention ? packed.attentionOutput : packed.ffnOut) = packLinear(*backend_, output, mode_);
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
