#pragma once

// Arguments of every operation a backend provides. Plain structs of views and numbers: they cross the plugin boundary.
//
// Conventions
// - Activations are packed: the tokens of several sequences one after another, no padding. `offsets` has
//   `sequences + 1` entries; sequence s owns rows offsets[s] .. offsets[s + 1] - 1.
// - All floating-point views of one call have the backend's dtype unless a field says otherwise.
// - Vectors (bias, gamma, masks) are contiguous, in the backend's dtype. A null pointer or an empty view means absent.
// - No operation writes outside rows x cols of an output view (the gap up to `stride` stays untouched).
// - Index arrays (ids, offsets, groups) live in device memory.
// - Results are bit-equal at any thread count. A row's or a sequence's own results do not depend on its place in the
//   batch or on its neighbours either; sums over rows (gram, transposedProduct, columnSums) take rows in order, in
//   chunks of fixed size.

#include <cstdint>

#include "core/matrix.h"

namespace espalier {

/// The type of sums that a backend of element type `dtype` hands on to be compared: f32 where that has 16 bits.
constexpr DType sumsDType(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

/// gelu is the erf form, geluTanh is "gelu_new".
enum class Activation : int32_t { none = 0, gelu = 1, geluTanh = 2, relu = 3, tanh = 4 };

/// A weight in the layout the backend's products want; only the backend that made it knows what is inside.
struct PackedWeight;

/// weight: [outputs, inputs] as checkpoints store it. `transposed` packs its transpose, so that linear() with the
/// result computes dy * weight, the gradient with respect to the input.
struct PackArgs {
  Matrix weight;
  bool transposed = false;
};

/// Applied to the product in this order: + bias, save, activation, * columnMask, + residual.
struct Epilogue {
  const void* bias = nullptr;  // [outputs]
  Matrix preActivation;        // [rows, outputs], receives product + bias
  Activation activation = Activation::none;
  const void* columnMask = nullptr;  // [outputs]
  Matrix residual;                   // [rows, outputs]
};

/// y = epilogue(x * W'). x: [rows, inputs], y: [rows, outputs]. inputs may be 0: the product is then zero.
/// y may alias epilogue.residual.
struct LinearArgs {
  Matrix x;
  const PackedWeight* weight = nullptr;
  Epilogue epilogue;
  Matrix y;
};

/// y = layerNorm(word[id] + position[position] + tokenType[type]). Tables are [entries, hidden]; y: [tokens, hidden].
/// ids, positions and tokenTypes are validated by the caller. tokenTypes may be null (DistilBERT). `sum` and
/// `statistics`, when given, receive what layerNormBackward() takes for its x and statistics.
struct EmbedArgs {
  const int32_t* ids = nullptr;
  const int32_t* positions = nullptr;
  const int32_t* tokenTypes = nullptr;
  Matrix word, position, tokenType;
  const void* gamma = nullptr;
  const void* beta = nullptr;
  double epsilon = 0;
  Matrix y;
  Matrix sum = {};         // [tokens, hidden]
  Matrix statistics = {};  // [tokens, 2]: mean, rstd
};

/// What the summed embeddings' gradient dy adds to one table: gradient row ids[e] += the rows of dy that took entry e,
/// dy[rows[i]] for offsets[e] <= i < offsets[e + 1]. The caller sorts the rows by entry; `ids` are distinct.
struct EmbedBackwardArgs {
  Matrix dy;                         // [tokens, hidden]
  const int32_t* rows = nullptr;     // of dy
  const int32_t* offsets = nullptr;  // [entries + 1]
  const int32_t* ids = nullptr;      // [entries]
  int32_t entries = 0;
  Matrix gradient;  // of the table
};

/// y = gamma * (x - mean) * rstd + beta, row-wise. `statistics`, when given, receives [rows, 2]: mean, rstd.
/// y may alias x.
struct LayerNormArgs {
  Matrix x;
  const void* gamma = nullptr;
  const void* beta = nullptr;
  double epsilon = 0;
  Matrix y;
  Matrix statistics;
};

/// dx = gradient with respect to x; x and statistics as in the forward. dx may alias dy. dGamma and dBeta: [1, cols] in
/// f64, each += its gradient summed over the rows; they may be empty.
struct LayerNormBackwardArgs {
  Matrix dy;
  Matrix x;
  Matrix statistics;
  const void* gamma = nullptr;
  Matrix dx;
  Matrix dGamma = {}, dBeta = {};
};

/// Variable-length attention, every query of a sequence against every token of it:
/// context = headMask * softmax(scale * q k') v, per head.
/// k, v: [tokens, heads * headSize] by `offsets`; q, context: [queries, heads * headSize] by `queryOffsets`
/// (the same array when every token asks; fewer rows when only first tokens matter).
/// columnSums[j] = the probability that token j receives, before the head mask, summed over the heads and the queries
/// of its sequence: a token's importance for pruning (Kim et al., "Learned Token Pruning", 2021, equation 2) before it
/// is divided. Zero where there are no heads. The probabilities that weigh v, not those of columnSums, are dropped out
/// as DropoutArgs says, those of a query and a head being row query * heads + head of `longest` columns.
struct AttentionArgs {
  Matrix q, k, v;
  const int32_t* queryOffsets = nullptr;
  const int32_t* offsets = nullptr;
  int32_t sequences = 0;
  int32_t longest = 0;  // tokens of the longest sequence
  int32_t heads = 0;
  int32_t headSize = 0;
  double scale = 1;
  const void* headMask = nullptr;  // [heads]
  Matrix context;
  Matrix logSumExp;        // [queries, heads], wanted by the backward; may be empty
  Matrix columnSums;       // [tokens, 1] in sumsDType(), see above; may be empty
  double dropoutRate = 0;  // in [0, 1); a backend in 16 bits may throw unsupported where it is not 0
  uint64_t dropoutKey = 0;
};

/// Gradients of attention(). dContext: gradient of the (masked) context. dq, dk, dv may be empty together (nothing
/// flows below layer 0). headMaskGradient: [groups, heads], row groups[s] += the gradient of sequence s; it may be
/// empty. dq, dk, dv are overwritten. dColumnSums: [tokens, 1], the gradient of columnSums, which dq and dk then take
/// in as well; it may be empty.
struct AttentionBackwardArgs {
  AttentionArgs forward;  // context unused, logSumExp as saved
  Matrix dContext;
  Matrix dq, dk, dv;
  Matrix headMaskGradient;
  const int32_t* groups = nullptr;  // [sequences] -> row of headMaskGradient, never descending
  Matrix dColumnSums;
};

/// Backward of columnMask * activation(preActivation) at a sub-layer with masked units.
/// dx = dy * columnMask * activation'(preActivation); maskGradient row groups[s] += sum over the rows of sequence s of
/// dy * activation(preActivation). dx may alias dy, or be empty when only the mask gradient is wanted; maskGradient may
/// be empty.
struct ActivationBackwardArgs {
  Matrix dy;
  Matrix preActivation;
  Activation activation = Activation::none;
  const void* columnMask = nullptr;
  const int32_t* offsets = nullptr;  // rows of each sequence, for maskGradient
  int32_t sequences = 0;
  Matrix dx;
  Matrix maskGradient;              // [groups, cols]
  const int32_t* groups = nullptr;  // [sequences] -> row of maskGradient, never descending
};

/// y[i] = x[rows[i]]. The one way rows are dropped: token dropping and a classifier's first tokens alike.
struct GatherRowsArgs {
  Matrix x;
  const int32_t* rows = nullptr;
  Matrix y;
};

/// y[rows[i]] = x[i], or += x[i] with `accumulate`, which is the backward of gatherRows; the rows are distinct.
struct ScatterRowsArgs {
  Matrix x;
  const int32_t* rows = nullptr;
  Matrix y;
  bool accumulate = false;
};

/// Which tokens go on: the first of each sequence, and every token with scores[token] >= threshold * lengths[sequence].
/// With attention()'s columnSums for scores and `threshold` the wanted one times the number of heads, that asks for a
/// mean over heads and queries; `lengths` are what it divides by, the sequences' own or those they came in with.
/// rows[i] receives the row of the i-th token that goes on, ascending, as gatherRows() takes it, and what lies behind
/// the last one stays as it is; newOffsets receives their offsets, whose last entry is how many there are.
struct SelectTokensArgs {
  Matrix scores;  // [tokens, 1] in sumsDType()
  const int32_t* offsets = nullptr;
  const int32_t* lengths = nullptr;  // [sequences]
  int32_t sequences = 0;
  double threshold = 0;
  int32_t* rows = nullptr;        // room for every token
  int32_t* newOffsets = nullptr;  // [sequences + 1]
};

/// The choice of selectTokens() made differentiable (Kim et al., "Learned Token Pruning", 2021, section 3.3):
///   y[i] = masks[i] x[i];  masks[i] = sigmoid((scores[i] / lengths[sequence] - threshold) / temperature),
/// and 1 for the first token of each sequence. As for selectTokens() the caller multiplies the threshold, and with it
/// the temperature, by the number of heads. Lengths are positive where a sequence has tokens.
struct SoftTokenMaskArgs {
  Matrix x;       // [tokens, hidden]
  Matrix scores;  // [tokens, 1] in sumsDType()
  const int32_t* offsets = nullptr;
  const int32_t* lengths = nullptr;  // [sequences]
  int32_t sequences = 0;
  double threshold = 0;
  double temperature = 1;
  Matrix y;
  Matrix masks;  // [tokens, 1] in sumsDType()
};

/// Gradients of softTokenMask(), and of a penalty of `sparsity` times the sum over the sequences of their masks' sum
/// over `lengths`; x and masks as in the forward. dx[i] = masks[i] dy[i]. With
///   d[i] = (<dy[i], x[i]> + sparsity / lengths[sequence]) masks[i] (1 - masks[i]) / temperature,
/// which is 0 for first tokens: dScores[i] = d[i] / lengths[sequence]; dThreshold -= the sum of d. dx may alias dy.
struct SoftTokenMaskBackwardArgs {
  Matrix dy;
  Matrix x;
  Matrix masks;
  const int32_t* offsets = nullptr;
  const int32_t* lengths = nullptr;  // [sequences]
  int32_t sequences = 0;
  double temperature = 1;
  double sparsity = 0;
  Matrix dx;
  Matrix dScores;     // [tokens, 1] in sumsDType(), overwritten
  Matrix dThreshold;  // [1, 1] in f64, added to
};

/// c (+)= a' b with a: [n, p], b: [n, q], c: [p, q] in f64, or in the backend's dtype. `accumulate` adds to c.
/// Rows are summed in fixed-size chunks in the backend's dtype, chunks in c's dtype.
struct TransposedProductArgs {
  Matrix a, b, c;
  bool accumulate = false;
};

/// c (+)= x' x, both triangles written; otherwise as TransposedProductArgs with a = b = x.
struct GramArgs {
  Matrix x, c;
  bool accumulate = false;
};

/// sums[0, c] += sum of column c of x; squares[0, c] += sum of its squares. sums and squares: [1, cols] in f64;
/// squares may be empty.
struct ColumnSumsArgs {
  Matrix x;
  Matrix sums;
  Matrix squares;
};

/// y = x - z element by element, less bias[c] when given. y may alias x or z.
struct SubtractArgs {
  Matrix x, z;
  const void* bias = nullptr;
  Matrix y;
};

/// y += factor * x.
struct AddScaledArgs {
  Matrix x;
  double factor = 1;
  Matrix y;
};

/// y = residual + keep * x / (1 - rate), without a residual where it is absent. Element (row, col) is dropped, keep =
/// 0, with probability `rate`; which ones are depends on `key`, row, col and the number of columns alone and is the
/// same on every backend (backend/dropout.h). The same call on the gradient is the backward. y may alias x or residual.
struct DropoutArgs {
  Matrix x;
  double rate = 0;  // in [0, 1)
  uint64_t key = 0;
  Matrix residual;
  Matrix y;
};

/// One step of AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019) as PyTorch takes it. With g
/// gradientScale times `gradient`, m and v its moments, and t = `step`, counted from 1:
///   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g g;
///   parameter = (1 - learningRate weightDecay) parameter
///               - learningRate / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon).
/// All of one shape; gradient in f64, or in the backend's dtype.
struct AdamWArgs {
  Matrix parameter, gradient, firstMoment, secondMoment;
  double learningRate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weightDecay = 0;
  int64_t step = 1;
  double gradientScale = 1;  // the mean over a batch and clipping in one factor
};

enum class LossKind : int32_t { crossEntropy = 0, meanSquared = 1, span = 2 };

/// losses [sequences, 1] and the gradient of each sequence's own loss with respect to its logits.
/// crossEntropy: logits [sequences, classes], labels int32 classes. meanSquared: logits [sequences, 1], labels values
/// in the backend's dtype. span: logits [tokens, 2] by `offsets`, labels int32 [sequences, 2], start and end token
/// counted inside the sequence; the loss is the mean of the cross entropies over the sequence's start and its end
/// logits. Indices are validated by the caller.
struct LossArgs {
  LossKind kind = LossKind::crossEntropy;
  Matrix logits;
  const void* labels = nullptr;
  Matrix losses;
  Matrix dLogits;
  const int32_t* offsets = nullptr;  // of span
};

}  // namespace espalier
