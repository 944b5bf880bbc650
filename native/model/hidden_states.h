#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/layer.h"
#include "model/model.h"

namespace espalier {

/// Sums over rows of a sub-layer's inputs x to its output projection and of the targets b: the teacher's
/// pre-LayerNorm output less the student's residual input and bias. Row-major, in double.
struct SublayerStatistics {
  int64_t rows = 0;
  std::vector<double> gram;        // [inputs, inputs] x'x
  std::vector<double> cross;       // [inputs, hidden] x'b
  std::vector<double> inputSums;   // [inputs]
  std::vector<double> targetSums;  // [hidden]
  double targetSquares = 0;
};

/// The hidden states of many sequences, taken through a model one sub-layer at a time: what layer-wise least squares
/// needs. No token is dropped. Memory: one [tokens, hidden] matrix, whatever the number of layers.
class HiddenStates {
 public:
  /// The embeddings' output. `targetsOnly` holds further neurons of the same layers and may be null: they take part in
  /// the targets that collect() draws from these states, but not in the states. With `everyToken` the last layer keeps
  /// all rows even where its head reads first tokens only.
  HiddenStates(std::shared_ptr<const Model> model, std::shared_ptr<const Model> targetsOnly, const PackedBatch& batch,
               bool everyToken, const CancelToken& cancel);

  size_t bytes() const { return hidden_.buffer->bytes(); }

  /// Replaces the states by the sub-layer's output. Unless every token is kept, a sequence head's model has only first
  /// tokens left after the last layer's attention.
  void advance(size_t layer, Sublayer sublayer, const CancelToken& cancel);

  /// Statistics of the inputs alone (cross and targets stay empty) while the states advance past the sub-layer.
  SublayerStatistics collectInputs(size_t layer, Sublayer sublayer, const CancelToken& cancel);

  /// Statistics of these states as inputs and of the teacher's as targets: how what came before has displaced them.
  SublayerStatistics collectDrift(const HiddenStates& teacher, const CancelToken& cancel) const;

  /// Statistics with these states as the student's, before it advances; the teacher's states advance. Both must hold
  /// the same batch and stand before the same sub-layer.
  SublayerStatistics collect(HiddenStates& teacher, size_t layer, Sublayer sublayer, const CancelToken& cancel) const;

 private:
  /// advance(), showing the inputs of the output projection of every micro-batch.
  void advance(size_t layer, Sublayer sublayer, const std::function<void(const Matrix&)>& onInputs,
               const CancelToken& cancel);
  /// Whether the layer's attention leaves first tokens only.
  bool shrinksIn(size_t layer) const { return !everyToken_ && model_->spec().firstTokensOnly(layer); }
  /// The states once `sublayer` of `layer` is passed: these ones again, or a smaller tensor for first tokens.
  Tensor successor(size_t layer, Sublayer sublayer) const;
  /// One part's rows of `states`, which has a row per token or per sequence.
  Matrix rows(const Tensor& states, size_t part) const;
  void checkPosition(size_t layer, Sublayer sublayer) const;
  void checkTeacher(const HiddenStates& teacher) const;

  std::shared_ptr<const Model> model_;
  std::shared_ptr<const Model> targetsOnly_;
  bool everyToken_;
  std::vector<MicroBatch> parts_;
  std::vector<DeviceBatch> batches_;
  int64_t sequences_;
  int64_t tokens_;
  Tensor hidden_;
  size_t position_ = 0;  // sub-layers passed
};

}  // namespace espalier
