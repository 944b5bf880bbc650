#pragma once

#include <cstdint>
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

struct HiddenStatesOptions {
  /// Further neurons of the same layers: they take part in the targets that collect() draws from these states, but not
  /// in the states.
  std::shared_ptr<const Model> targetsOnly;
  /// The last layer keeps its rows even where its head reads first tokens only.
  bool everyToken = false;
  /// Drops tokens on the way, whatever the model's spec says. Needs everyToken: which row is whose must stay clear.
  TokenPruning pruning;
  /// How often the rows of first tokens count in what collect() finds of these states as the student's.
  int32_t firstTokenWeight = 1;
};

/// The hidden states of many sequences, taken through a model one sub-layer at a time: what layer-wise least squares
/// needs. Memory: one [tokens, hidden] matrix, whatever the number of layers.
class HiddenStates {
 public:
  /// The embeddings' output.
  HiddenStates(std::shared_ptr<const Model> model, const PackedBatch& batch, HiddenStatesOptions options,
               const CancelToken& cancel);

  size_t bytes() const { return hidden_.buffer->bytes(); }

  /// Replaces the states by the sub-layer's output: of the tokens that it lets go on. Without everyToken, a sequence
  /// head's model has only first tokens left after the last layer's attention. States that fail to advance, here or
  /// below, are of no further use: whatever is asked of them throws invalidArgument.
  void advance(size_t layer, Sublayer sublayer, const CancelToken& cancel);

  /// Statistics of the inputs alone (cross and targets stay empty) while the states advance past the sub-layer.
  SublayerStatistics collectInputs(size_t layer, Sublayer sublayer, const CancelToken& cancel);

  /// Statistics of these states as inputs and of the teacher's as targets: how what came before has displaced them.
  SublayerStatistics collectDrift(const HiddenStates& teacher, const CancelToken& cancel) const;

  /// Statistics with these states as the student's, before it advances; the teacher's states advance. Both must hold
  /// the same batch and stand before the same sub-layer. Where these states drop tokens, of those that they let go on.
  SublayerStatistics collect(HiddenStates& teacher, size_t layer, Sublayer sublayer, const CancelToken& cancel) const;

 private:
  /// Where states are while they advance: some parts have, others have not.
  static constexpr size_t kBetween = SIZE_MAX;

  /// advance(), showing the inputs of the output projection of every micro-batch.
  void advance(size_t layer, Sublayer sublayer, const std::function<void(const Matrix&)>& onInputs,
               const CancelToken& cancel);
  /// Whether the layer's attention leaves first tokens only.
  bool shrinksIn(size_t layer) const { return !options_.everyToken && model_->spec().firstTokensOnly(layer); }
  void leaveFirstTokens(size_t part);
  Layer layerOn(size_t layer, size_t part, Workspace& workspace) const;
  /// One part's states, a row for every token that is left.
  Matrix rows(size_t part) const;
  /// Sub-layers passed.
  size_t position() const;
  void checkPosition(size_t layer, Sublayer sublayer) const;
  void checkTeacher(const HiddenStates& teacher) const;

  std::shared_ptr<const Model> model_;
  HiddenStatesOptions options_;
  std::vector<int32_t> offsets_;  // of the sequences
  std::vector<MicroBatch> parts_;
  std::vector<DeviceBatch> batches_;
  std::vector<KeptTokens> kept_;  // a part each, of all its tokens
  Tensor hidden_;                 // [tokens, hidden], a part's in the first of its rows
  size_t position_ = 0;           // sub-layers passed, or kBetween
};

}  // namespace espalier
