#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/cancel.h"
#include "model/batch.h"
#include "model/labels.h"
#include "model/packing.h"
#include "model/recorded_forwards.h"
#include "model/spec.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace espalier {

/// The two halves of a layer, in order.
enum class Sublayer { attention, ffn };

class GradientMoments;
struct TokenRecord;

/// How a forward departs from what the model's spec says; null pointers: not at all.
struct ForwardOptions {
  const Mask* mask = nullptr;
  const TokenPruning* pruning = nullptr;  // in place of the spec's
  TokenRecord* record = nullptr;          // receives what became of the tokens
};

/// Gradients of the summed losses of each group's sequences, row-major.
struct MaskGradients {
  std::vector<float> losses;   // [sequences]
  std::vector<float> heads;    // [groups, all heads]
  std::vector<float> neurons;  // [groups, all neurons]
};

/// Weights loaded on one Backend. Const members may run on several threads at once; scaleUnits() and replace()
/// may not run beside anything else on the same model.
class Model {
 public:
  Model(std::shared_ptr<Backend> backend, ModelSpec spec, Weights weights, Mode mode);

  const ModelSpec& spec() const { return spec_; }
  Mode mode() const { return mode_; }
  Backend& backend() const { return *backend_; }
  const PackedLayer& layer(size_t index) const { return layers_[index]; }
  const PackedHead& head() const { return head_; }
  const LayerWeights& layerWeights(size_t index) const { return weights_.layers[index]; }
  const Weights& weights() const { return weights_; }
  /// Bytes of weights and packings; tensors shared with other models are counted in each.
  size_t bytes() const;

  /// Logits [sequences, labels], of a span head [tokens, 2]. Throws nonFinite when a logit is NaN or infinite.
  std::vector<float> forward(const PackedBatch& batch, const ForwardOptions& options, const CancelToken& cancel) const;

  /// Kwon et al. 2022, section 4.1: the gradient of the loss with respect to every mask entry, summed over the
  /// sequences of each group, no token being dropped. groups: [sequences], ascending from 0. `moments` may be null;
  /// otherwise it grows by the gradients at the sub-layers' outputs. Needs mode gradients.
  MaskGradients maskGradients(const PackedBatch& batch, const Labels& labels, const std::vector<int32_t>& groups,
                              const Mask* mask, GradientMoments* moments, const CancelToken& cancel) const;

  /// The smaller model of the kept units.
  std::unique_ptr<Model> select(const KeptUnits& kept, Mode mode) const;

  /// Folds one scale a head or neuron into the output projection of a sub-layer.
  void scaleUnits(size_t layer, Sublayer sublayer, const std::vector<double>& scales);

  /// Puts new values [rows, cols] in the place of those of the given roles. All or nothing: throws invalidArgument on
  /// an unknown role, a wrong number of values, or a value that is not finite.
  void replace(const std::map<std::string, std::vector<float>>& weights);

  /// Once values of the weights have changed in their place. When it throws, nothing but itself may be called next.
  void packAnew();

  /// The master values of one role.
  HostTensor weight(const std::string& role) const;

  /// Hidden states of the embeddings: hidden [tokens, hiddenSize] is written; sum and statistics as in EmbedArgs.
  void embed(const DeviceBatch& batch, const Matrix& hidden, const Matrix& sum = {},
             const Matrix& statistics = {}) const;

  /// Scratch for one run; give it back by destroying the lease.
  class WorkspaceLease {
   public:
    explicit WorkspaceLease(const Model& model);
    ~WorkspaceLease();
    WorkspaceLease(const WorkspaceLease&) = delete;
    WorkspaceLease& operator=(const WorkspaceLease&) = delete;
    Workspace& operator*() const { return *workspace_; }

   private:
    const Model& model_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  std::shared_ptr<Backend> backend_;
  ModelSpec spec_;
  Weights weights_;
  Mode mode_;
  std::vector<PackedLayer> layers_;
  PackedHead head_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
  mutable RecordedForwards recorded_;  // of the weights as they are
};

}  // namespace espalier
