#pragma once

#include "model/model.h"
#include "model/token_dropping.h"

namespace espalier {

/// One layer's part of a Mask on the device; null pointers mean all ones.
struct LayerMask {
  const void* heads = nullptr;
  const void* neurons = nullptr;
};

/// What a layer's backward needs from its forward. The sums are the inputs of the two LayerNorms.
struct LayerTrace {
  Matrix input, queryInput;
  Matrix query, keyValue, logSumExp;
  KeptTokens kept;
  Matrix context;
  Matrix attentionSum, attentionStatistics;
  Matrix middle;
  Matrix preActivation, activations;
  Matrix ffnSum, ffnStatistics;
  Matrix output, softMasks;  // before the masks
};

/// Thresholds while they are learnt: nothing is dropped, every layer's output is multiplied by soft masks.
struct SoftThresholds {
  double temperature = 1;  // of importance: how far from the threshold a mask is about 0 or 1
  // One a layer:
  std::vector<double> values;
  std::vector<double> sparsity;  // the weight of the layer's mean mask in a sequence's loss
  int32_t paddedLength = 0;      // what importance and that mean are means over, as in TokenPruning
};

struct Dropout {
  double rate = 0;   // of the elements of each sub-layer's projection, and of attention probabilities
  uint64_t key = 0;  // of the attention's projection; its successors are the FFN's and the probabilities'
};

/// How a run of a layer departs from plain inference.
struct LayerOptions {
  LayerMask mask;
  LayerTrace* trace = nullptr;            // receives what backward() needs
  const TokenPruning* pruning = nullptr;  // drops tokens
  bool scores = false;                    // hand on the column sums even where nothing is dropped
  const SoftThresholds* soft = nullptr;   // masks them; together with a trace only
  Dropout dropout;
};

/// Where a layer's backward leaves its gradients. All of them grow.
struct LayerGradients {
  const int32_t* groups = nullptr;     // [sequences] -> row of the next two
  Matrix heads, neurons;               // [groups, this layer's units], of the masks
  GradientMoments* moments = nullptr;  // of the sums, when wanted
  LayerWeights* weights = nullptr;     // when wanted: matrices in the backend's dtype, vectors in f64
  Matrix threshold;                    // [1, 1] in f64, of the soft one times the number of heads
};

/// The rows that ask in attention: every token, or first tokens only.
struct Queries {
  Matrix input;                      // [queries, hidden]
  const int32_t* offsets = nullptr;  // rows of each sequence
};

/// Room for what attention says of the tokens. It outlives the rest of a layer.
struct Judgement {
  Matrix columnSums;        // of attention(), where they are needed
  int32_t* kept = nullptr;  // of dropTokens(), where tokens are dropped
};

/// What goes on from a layer's attention to its output projection.
struct Attended {
  Matrix context;  // [queries or tokens that go on, heads * headSize]
  Matrix input;    // [queries or tokens that go on, hidden], the layer's
  KeptTokens kept;
};

/// What a layer hands on.
struct LayerOutput {
  Matrix hidden;  // [tokens that go on, hidden], or [sequences, hidden] where only first tokens are wanted
  KeptTokens kept;
  Matrix columnSums;  // of attention(), where they are needed
};

/// One encoder layer on one micro-batch. Every matrix it returns lives in the workspace.
/// sequence: hidden -> attend -> attentionSum -> LayerNorm -> ffnActivations -> ffnSum -> LayerNorm.
class Layer {
 public:
  Layer(const Model& model, size_t index, const TokenRows& rows, Workspace& workspace,
        const LayerOptions& options = {});

  /// Whether only first tokens are wanted from this layer.
  bool firstTokensOnly() const { return model_.spec().firstTokensOnly(index_); }
  Queries allTokens(const Matrix& hidden) const { return {hidden, rows_.offsets}; }
  Queries firstTokens(const Matrix& hidden) const;

  Judgement roomForJudgement() const;
  /// The context of all that ask, less the tokens that are dropped once it is known.
  Attended attend(const Queries& queries, const Matrix& hidden, const Judgement& room) const;
  /// Output projection + bias + residual input: [queries, hidden], before the LayerNorm.
  Matrix attentionSum(const Matrix& context, const Matrix& input) const;
  /// [rows, neurons]
  Matrix ffnActivations(const Matrix& input) const;
  Matrix ffnSum(const Matrix& activations, const Matrix& input) const;
  /// What further neurons of the same layer add to another model's sum.
  Matrix ffnSumWithoutBias(const Matrix& activations, const Matrix& sum) const;
  /// The LayerNorm that ends a sub-layer; y may be sum itself.
  void normalize(Sublayer sublayer, const Matrix& sum, const Matrix& y) const;

  /// The whole layer. hidden: [tokens, hidden].
  LayerOutput forward(const Matrix& hidden) const { return forward(hidden, scratch(hidden.rows, hidden.cols)); }
  /// room: of at least the output's rows, where that goes; hidden itself where nobody, such as a trace, keeps it.
  LayerOutput forward(const Matrix& hidden, const Matrix& room) const;

  /// From the gradient of the output's `hidden`, which is overwritten, to that of the input. For layer 0 it is
  /// meaningless unless weights are asked for: no mask lies below.
  Matrix backward(const Matrix& gradient, const LayerGradients& gradients) const;

 private:
  /// [queries, heads * headSize]. columnSums: as of attention(), may be empty.
  Matrix attentionContext(const Queries& queries, const Matrix& hidden, const Matrix& columnSums) const;
  bool dropsTokens() const;
  bool masksTokens() const { return options_.soft != nullptr && model_.spec().judgesTokens(index_); }
  /// The sum that ends a sub-layer, before its LayerNorm.
  Matrix project(Sublayer sublayer, const Matrix& units, const Matrix& input) const;
  /// The gradient of a projection without what was added to it: `gradient` itself where nothing is dropped out.
  Matrix projectionGradient(Sublayer sublayer, const Matrix& gradient) const;
  Matrix maskSoftly(const Matrix& output, const Matrix& columnSums) const;
  /// Leaves in `gradient` that of the output before the soft masks; returns that of the column sums.
  Matrix softMaskBackward(const Matrix& gradient, const LayerGradients& gradients) const;
  /// Both turn `gradient` of a sub-layer's output into that of its input; the latter leaves it in `input`.
  void ffnBackward(const Matrix& gradient, const LayerGradients& gradients) const;
  void attentionBackward(const Matrix& gradient, const Matrix& input, const Matrix& dColumnSums,
                         const LayerGradients& gradients) const;
  void normBackward(Sublayer sublayer, const Matrix& gradient, const LayerGradients& gradients) const;
  /// Of what asked, from the gradient of the projection of what went on.
  Matrix contextGradient(const Matrix& projection) const;
  uint64_t dropoutKey(Sublayer sublayer) const { return options_.dropout.key + (sublayer == Sublayer::ffn ? 1 : 0); }
  AttentionArgs attentionArgs(const Matrix& query, const Matrix& keyValue, const int32_t* queryOffsets) const;
  Matrix scratch(int64_t rows, int64_t cols) const { return workspace_.matrix(rows, cols); }
  /// A value a token.
  Matrix tokenScores() const { return workspace_.matrix(rows_.tokens, 1, sumsDType(backend_.dtype())); }
  LayerTrace* trace() const { return options_.trace; }

  const Model& model_;
  Backend& backend_;
  const PackedLayer& packed_;
  const LayerShape shape_;
  size_t index_;
  const TokenRows rows_;
  Workspace& workspace_;
  LayerOptions options_;
};

}  // namespace espalier
