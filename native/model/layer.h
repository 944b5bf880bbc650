#pragma once

#include "model/model.h"

namespace espalier {

/// One layer's part of a Mask on the device; null pointers mean all ones.
struct LayerMask {
  const void* heads = nullptr;
  const void* neurons = nullptr;
};

/// What a layer's backward needs from its forward. The sums are the inputs of the two LayerNorms.
struct LayerTrace {
  Matrix query, keyValue, logSumExp;
  Matrix attentionSum, attentionStatistics;
  Matrix preActivation;
  Matrix ffnSum, ffnStatistics;
};

/// Where a layer's backward leaves its gradients.
struct LayerGradients {
  const int32_t* groups = nullptr;     // [sequences] -> row of the next two
  Matrix heads, neurons;               // [groups, this layer's units], grow by the mask gradients
  GradientMoments* moments = nullptr;  // grows by the gradients of the sums, when wanted
};

/// The rows that ask in attention: every token, or first tokens only.
struct Queries {
  Matrix input;                      // [queries, hidden]
  const int32_t* offsets = nullptr;  // rows of each sequence
};

/// One encoder layer on one micro-batch. Every matrix it returns lives in the workspace.
/// sequence: hidden -> attentionContext -> attentionSum -> LayerNorm -> ffnActivations -> ffnSum -> LayerNorm.
class Layer {
 public:
  /// `trace`, when given, receives what backward() needs.
  Layer(const Model& model, size_t index, const DeviceBatch& batch, Workspace& workspace, LayerMask mask = {},
        LayerTrace* trace = nullptr);

  /// Whether only first tokens are wanted from this layer.
  bool firstTokensOnly() const { return model_.spec().firstTokensOnly(index_); }
  Queries allTokens(const Matrix& hidden) const { return {hidden, batch_.offsets()}; }
  Queries firstTokens(const Matrix& hidden) const;

  /// [queries, heads * headSize]
  Matrix attentionContext(const Queries& queries, const Matrix& hidden) const;
  /// Output projection + bias + residual input: [queries, hidden], before the LayerNorm.
  Matrix attentionSum(const Matrix& context, const Matrix& input) const;
  /// [rows, neurons]
  Matrix ffnActivations(const Matrix& input) const;
  Matrix ffnSum(const Matrix& activations, const Matrix& input) const;
  /// What further neurons of the same layer add to another model's sum.
  Matrix ffnSumWithoutBias(const Matrix& activations, const Matrix& sum) const;
  /// The LayerNorm that ends a sub-layer; y may be sum itself.
  void normalize(Sublayer sublayer, const Matrix& sum, const Matrix& y) const;

  /// The whole layer: [tokens, hidden] -> [tokens or sequences, hidden].
  Matrix forward(const Matrix& hidden) const;

  /// Returns the gradient of the layer's input, meaningless for layer 0, below which no mask lies. `gradient` is
  /// overwritten.
  Matrix backward(const Matrix& gradient, const LayerGradients& gradients) const;

 private:
  /// The sum that ends a sub-layer, before its LayerNorm.
  Matrix project(const PackedLinear& output, const Matrix& units, const Matrix& input, Matrix LayerTrace::*kept) const;
  /// Both turn `gradient` of a sub-layer's sum into that of its input; attentionBackward leaves it in `input`.
  void ffnBackward(const Matrix& gradient, const LayerGradients& gradients) const;
  void attentionBackward(const Matrix& gradient, const Matrix& input, const LayerGradients& gradients) const;
  AttentionArgs attentionArgs(const Matrix& query, const Matrix& keyValue, const int32_t* queryOffsets) const;
  Matrix scratch(int64_t rows, int64_t cols) const { return workspace_.matrix(rows, cols); }

  const Model& model_;
  Backend& backend_;
  const PackedLayer& packed_;
  const LayerShape shape_;
  size_t index_;
  const DeviceBatch& batch_;
  Workspace& workspace_;
  LayerMask mask_;
  LayerTrace* trace_;
};

}  // namespace espalier
