#include <algorithm>

#include "model/device_mask.h"
#include "model/gradient_moments.h"
#include "model/head.h"
#include "model/model.h"
#include "model/parts.h"

namespace espalier {
namespace {

/// Where all threads share each operation of a backward pass.
constexpr int32_t kMomentTokens = 1024;

int32_t checkGroups(const std::vector<int32_t>& groups, int32_t sequences) {
  require(groups.size() == static_cast<size_t>(sequences), "one group per sequence is needed");
  require(groups.front() == 0, "groups must start at 0");
  for (size_t s = 1; s < groups.size(); ++s) {
    require(groups[s] == groups[s - 1] || groups[s] == groups[s - 1] + 1, "groups must ascend by steps of 0 or 1");
  }
  return groups.back() + 1;
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

}  // namespace

MaskGradients Model::maskGradients(const PackedBatch& batch, const Labels& labels, const std::vector<int32_t>& groups,
                                   const Mask* mask, GradientMoments* moments, const CancelToken& cancel) const {
  require(mode_ == Mode::gradients, "mask gradients need a model opened for gradients");
  checkBatch(batch, spec_);
  checkLabels(labels, batch, spec_);
  require(moments == nullptr || &moments->backend() == backend_.get(), "moments and model must share an engine");
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
    const DeviceBatch tokens(*backend_, spec_, batch, part);
    const TokenRows rows = tokens.rows();
    const auto partGroups = backend_->indices(ownGroups);
    const DeviceLabels partLabels(*backend_, spec_, labels, part);
    Matrix hidden = (*workspace).matrix(rows.tokens, spec_.hiddenSize);
    embed(tokens, hidden);
    std::vector<LayerTrace> traces(layers_.size());
    const auto layer = [&](size_t index) {
      LayerOptions options;
      options.mask = deviceMask.layer(index);
      options.trace = &traces[index];
      return Layer(*this, index, rows, *workspace, options);
    };
    for (size_t l = 0; l < layers_.size(); ++l) {
      cancel.check();
      hidden = layer(l).forward(hidden).hidden;
    }
    const Matrix logits = (*workspace).matrix(hidden.rows, spec_.labels);
    const Matrix dLogits = (*workspace).matrix(hidden.rows, spec_.labels);
    const std::unique_ptr<Head> head = makeHead(*this, *workspace);
    head->forward(hidden, logits);
    Matrix gradient;
    if (labels.given()) {
      gradient = head->backward(partLabels.gradients(), nullptr);
    } else {
      backend_->loss({labels.loss, logits, partLabels.data(), losses.view.rowRange(part.firstSequence, part.sequences),
                      dLogits, rows.offsets});
      gradient = head->backward(dLogits, nullptr);
    }
    int64_t headColumn = allHeads, neuronColumn = allNeurons;
    for (size_t l = layers_.size(); l-- > 0;) {
      cancel.check();
      const LayerShape& shape = spec_.layers[l];
      headColumn -= shape.heads;
      neuronColumn -= shape.neurons;
      LayerGradients gradients;
      gradients.groups = static_cast<const int32_t*>(partGroups->data());
      gradients.heads = heads.view.columns(headColumn, shape.heads);
      gradients.neurons = neurons.view.columns(neuronColumn, shape.neurons);
      gradients.moments = moments;
      gradient = layer(l).backward(gradient, gradients);
    }
    const bool continues = part.firstSequence > 0 && groups[static_cast<size_t>(part.firstSequence) - 1] == firstGroup;
    headSums.add(static_cast<size_t>(index), firstGroup, continues, heads);
    neuronSums.add(static_cast<size_t>(index), firstGroup, continues, neurons);
  });
  headSums.makeRoom();
  neuronSums.makeRoom();
  MaskGradients result{{}, headSums.finish(), neuronSums.finish()};
  result.losses = readTensor(*backend_, losses).values;
  requireFinite(result.losses);
  if (labels.given()) {
    requireFinite(result.heads);
    requireFinite(result.neurons);
  }
  return result;
}

}  // namespace espalier
