// The operations of Backend: what ops.h asks of the arguments is checked here, once for every backend.

#include <cmath>

#include "backend/arguments.h"
#include "backend/backend.h"

namespace espalier {

namespace {

void requireEpsilon(const Arguments& arguments, double epsilon) {
  arguments.require(std::isfinite(epsilon) && epsilon >= 0, "epsilon must be finite and not negative");
}

void requireRate(const Arguments& arguments, double rate) {
  arguments.require(rate >= 0 && rate < 1, "the rate of dropout must lie in [0, 1)");
}

void requireLayerNormVectors(const Arguments& arguments, const void* gamma, const void* beta) {
  arguments.require(gamma != nullptr, "gamma is missing");
  arguments.require(beta != nullptr, "beta is missing");
}

/// What attention() and its backward ask alike.
void requireAttentionInputs(const Arguments& arguments, const AttentionArgs& args) {
  arguments.require(args.heads >= 0, "heads must not be negative");
  arguments.require(args.headSize > 0, "headSize must be positive");
  arguments.require(args.sequences >= 0, "sequences must not be negative");
  arguments.require(args.longest >= 0, "longest must not be negative");
  arguments.require(std::isfinite(args.scale), "scale must be finite");
  requireRate(arguments, args.dropoutRate);
  arguments.require(args.sequences == 0 || (args.offsets && args.queryOffsets), "offsets or queryOffsets is missing");
  arguments.require(args.k.rows <= int64_t{args.longest} * args.sequences,
                    "k has more rows than `sequences` sequences of `longest` tokens");
  const int64_t width = int64_t{args.heads} * args.headSize;
  arguments.shape({"q", args.q}, args.q.rows, width);
  arguments.shape({"k", args.k}, args.k.rows, width);
  arguments.shape({"v", args.v}, args.k.rows, width);
}

/// A [groups, cols] gradient to which every sequence adds a row, where it is wanted.
void requireGroupedGradient(const Arguments& arguments, const NamedMatrix& gradient, int64_t cols, int32_t sequences,
                            const int32_t* offsets, const int32_t* groups) {
  if (!gradient.view) return;
  arguments.shape(gradient, gradient.view.rows, cols);
  arguments.require(sequences >= 0, "sequences must not be negative");
  if (sequences == 0) return;
  arguments.require(gradient.view.rows > 0, "the mask gradient needs at least one row");
  arguments.require(offsets != nullptr, "offsets is missing");
  arguments.require(groups != nullptr, "groups is missing");
}

/// What token thresholds ask of the sequences whose tokens they judge.
void requireSequences(const Arguments& arguments, int64_t tokens, int32_t sequences, const int32_t* offsets,
                      const int32_t* lengths) {
  arguments.require(sequences >= 0, "sequences must not be negative");
  arguments.require(sequences > 0 || tokens == 0, "there are tokens but no sequences");
  arguments.require(sequences == 0 || (offsets && lengths), "offsets or lengths is missing");
}

void requireTemperature(const Arguments& arguments, double temperature) {
  arguments.require(std::isfinite(temperature) && temperature > 0, "temperature must be finite and positive");
}

/// An index array as a view, to be compared with others.
Matrix indexView(const int32_t* indices, int64_t count) {
  return {const_cast<int32_t*>(indices), DType::i32, 1, count, count};
}

/// What transposedProduct() and gram() ask of their result.
void requireProduct(const Arguments& arguments, const Matrix& c, int64_t rows, int64_t cols, DType dtype) {
  arguments.shape({"c", c}, rows, cols, c.dtype == DType::f64 ? DType::f64 : dtype);
}

}  // namespace

void Backend::linear(const Matrix& x, const Weight& weight, const Epilogue& epilogue, const Matrix& y) {
  const Arguments arguments("linear", dtype());
  const NamedMatrix preActivation{"preActivation", epilogue.preActivation};
  const NamedMatrix residual{"residual", epilogue.residual};
  arguments.shape({"x", x}, x.rows, weight.inputs());
  arguments.shape({"y", y}, x.rows, weight.outputs());
  arguments.optionalShape(preActivation, x.rows, weight.outputs());
  arguments.optionalShape(residual, x.rows, weight.outputs());
  arguments.separate({"y", y}, {{"x", x}, preActivation});
  arguments.separate(preActivation, {{"x", x}, residual});
  arguments.sameOrSeparate({"y", y}, residual);
  const LinearArgs args{x, weight.packed(), epilogue, y};
  check(table_->linear(state_, &args));
}

void Backend::embed(const EmbedArgs& args) {
  const Arguments arguments("embed", dtype());
  const int64_t hidden = args.y.cols;
  arguments.require(hidden > 0, "y needs at least one column");
  arguments.shape({"y", args.y}, args.y.rows, hidden);
  arguments.shape({"word", args.word}, args.word.rows, hidden);
  arguments.shape({"position", args.position}, args.position.rows, hidden);
  if (args.tokenTypes) arguments.shape({"tokenType", args.tokenType}, args.tokenType.rows, hidden);
  arguments.require(args.y.rows == 0 || (args.ids && args.positions), "ids or positions is missing");
  requireLayerNormVectors(arguments, args.gamma, args.beta);
  requireEpsilon(arguments, args.epsilon);
  const NamedMatrix y{"y", args.y}, sum{"sum", args.sum}, statistics{"statistics", args.statistics};
  const NamedMatrix word{"word", args.word}, position{"position", args.position},
      tokenType{"tokenType", args.tokenType};
  arguments.optionalShape(sum, args.y.rows, hidden);
  arguments.optionalShape(statistics, args.y.rows, 2);
  arguments.separate(y, {word, position, tokenType, sum, statistics});
  arguments.separate(sum, {word, position, tokenType, statistics});
  arguments.separate(statistics, {word, position, tokenType});
  check(table_->embed(state_, &args));
}

void Backend::embedBackward(const EmbedBackwardArgs& args) {
  const Arguments arguments("embedBackward", dtype());
  arguments.shape({"dy", args.dy}, args.dy.rows, args.dy.cols);
  arguments.shape({"gradient", args.gradient}, args.gradient.rows, args.dy.cols);
  arguments.require(args.entries >= 0, "entries must not be negative");
  arguments.require(args.entries <= args.gradient.rows, "more entries than gradient has rows, so they repeat");
  arguments.require(args.entries == 0 || (args.offsets && args.ids), "offsets or ids is missing");
  arguments.require(args.entries == 0 || args.dy.rows == 0 || args.rows, "rows is missing");
  arguments.separate({"gradient", args.gradient}, {{"dy", args.dy}});
  check(table_->embedBackward(state_, &args));
}

void Backend::layerNorm(const LayerNormArgs& args) {
  const Arguments arguments("layerNorm", dtype());
  const NamedMatrix statistics{"statistics", args.statistics};
  arguments.require(args.x.cols > 0, "x needs at least one column");
  arguments.shape({"x", args.x}, args.x.rows, args.x.cols);
  arguments.shape({"y", args.y}, args.x.rows, args.x.cols);
  arguments.optionalShape(statistics, args.x.rows, 2);
  requireLayerNormVectors(arguments, args.gamma, args.beta);
  requireEpsilon(arguments, args.epsilon);
  arguments.sameOrSeparate({"y", args.y}, {"x", args.x});
  arguments.separate(statistics, {{"x", args.x}, {"y", args.y}});
  check(table_->layerNorm(state_, &args));
}

void Backend::layerNormBackward(const LayerNormBackwardArgs& args) {
  const Arguments arguments("layerNormBackward", dtype());
  arguments.require(args.x.cols > 0, "x needs at least one column");
  arguments.shape({"x", args.x}, args.x.rows, args.x.cols);
  arguments.shape({"dy", args.dy}, args.x.rows, args.x.cols);
  arguments.shape({"statistics", args.statistics}, args.x.rows, 2);
  arguments.shape({"dx", args.dx}, args.x.rows, args.x.cols);
  arguments.require(args.gamma != nullptr, "gamma is missing");
  const NamedMatrix dGamma{"dGamma", args.dGamma}, dBeta{"dBeta", args.dBeta};
  if (args.dGamma) arguments.shape(dGamma, 1, args.x.cols, DType::f64);
  if (args.dBeta) arguments.shape(dBeta, 1, args.x.cols, DType::f64);
  arguments.sameOrSeparate({"dx", args.dx}, {"dy", args.dy});
  arguments.separate({"dx", args.dx}, {{"x", args.x}, {"statistics", args.statistics}, dGamma, dBeta});
  arguments.separate(dGamma, {{"dy", args.dy}, {"x", args.x}, {"statistics", args.statistics}, dBeta});
  arguments.separate(dBeta, {{"dy", args.dy}, {"x", args.x}, {"statistics", args.statistics}});
  check(table_->layerNormBackward(state_, &args));
}

void Backend::attention(const AttentionArgs& args) {
  const Arguments arguments("attention", dtype());
  const NamedMatrix q{"q", args.q}, k{"k", args.k}, v{"v", args.v};
  const NamedMatrix logSumExp{"logSumExp", args.logSumExp}, columnSums{"columnSums", args.columnSums};
  requireAttentionInputs(arguments, args);
  arguments.shape({"context", args.context}, args.q.rows, args.q.cols);
  arguments.optionalShape(logSumExp, args.q.rows, args.heads);
  if (args.columnSums) arguments.shape(columnSums, args.k.rows, 1, sumsDType(dtype()));
  arguments.separate({"context", args.context}, {q, k, v, logSumExp, columnSums});
  arguments.separate(logSumExp, {q, k, v, columnSums});
  arguments.separate(columnSums, {q, k, v});
  check(table_->attention(state_, &args));
}

void Backend::attentionBackward(const AttentionBackwardArgs& args) {
  const Arguments arguments("attentionBackward", dtype());
  const AttentionArgs& forward = args.forward;
  const NamedMatrix q{"q", forward.q}, k{"k", forward.k}, v{"v", forward.v}, logSumExp{"logSumExp", forward.logSumExp};
  const NamedMatrix dContext{"dContext", args.dContext}, dq{"dq", args.dq}, dk{"dk", args.dk}, dv{"dv", args.dv};
  const NamedMatrix headMaskGradient{"headMaskGradient", args.headMaskGradient};
  const NamedMatrix dColumnSums{"dColumnSums", args.dColumnSums};
  requireAttentionInputs(arguments, forward);
  arguments.shape(logSumExp, forward.q.rows, forward.heads);
  arguments.shape(dContext, forward.q.rows, forward.q.cols);
  arguments.require(bool(args.dq) == bool(args.dk) && bool(args.dq) == bool(args.dv),
                    "dq, dk and dv are given together or not at all");
  arguments.optionalShape(dq, forward.q.rows, forward.q.cols);
  arguments.optionalShape(dk, forward.k.rows, forward.k.cols);
  arguments.optionalShape(dv, forward.k.rows, forward.k.cols);
  arguments.optionalShape(dColumnSums, forward.k.rows, 1);
  requireGroupedGradient(arguments, headMaskGradient, forward.heads, forward.sequences, forward.offsets, args.groups);
  arguments.separate(dq, {q, k, v, logSumExp, dContext, dColumnSums, dk, dv, headMaskGradient});
  arguments.separate(dk, {q, k, v, logSumExp, dContext, dColumnSums, dv, headMaskGradient});
  arguments.separate(dv, {q, k, v, logSumExp, dContext, dColumnSums, headMaskGradient});
  arguments.separate(headMaskGradient, {q, k, v, logSumExp, dContext, dColumnSums});
  check(table_->attentionBackward(state_, &args));
}

void Backend::activationBackward(const ActivationBackwardArgs& args) {
  const Arguments arguments("activationBackward", dtype());
  const NamedMatrix dy{"dy", args.dy}, dx{"dx", args.dx}, maskGradient{"maskGradient", args.maskGradient};
  const NamedMatrix preActivation{"preActivation", args.preActivation};
  arguments.shape(dy, args.dy.rows, args.dy.cols);
  arguments.shape(preActivation, args.dy.rows, args.dy.cols);
  arguments.optionalShape(dx, args.dy.rows, args.dy.cols);
  requireGroupedGradient(arguments, maskGradient, args.dy.cols, args.sequences, args.offsets, args.groups);
  arguments.sameOrSeparate(dx, dy);
  arguments.separate(dx, {preActivation, maskGradient});
  arguments.separate(maskGradient, {dy, preActivation});
  check(table_->activationBackward(state_, &args));
}

void Backend::gatherRows(const GatherRowsArgs& args) {
  const Arguments arguments("gatherRows", dtype());
  arguments.shape({"x", args.x}, args.x.rows, args.x.cols);
  arguments.shape({"y", args.y}, args.y.rows, args.x.cols);
  arguments.require(args.y.rows == 0 || args.rows, "rows is missing");
  arguments.separate({"y", args.y}, {{"x", args.x}});
  check(table_->gatherRows(state_, &args));
}

void Backend::scatterRows(const ScatterRowsArgs& args) {
  const Arguments arguments("scatterRows", dtype());
  arguments.shape({"x", args.x}, args.x.rows, args.x.cols);
  arguments.shape({"y", args.y}, args.y.rows, args.x.cols);
  arguments.require(args.x.rows == 0 || args.rows, "rows is missing");
  arguments.require(args.x.rows <= args.y.rows, "x has more rows than y, so its rows cannot be distinct");
  arguments.separate({"y", args.y}, {{"x", args.x}});
  check(table_->scatterRows(state_, &args));
}

void Backend::selectTokens(const SelectTokensArgs& args) {
  const Arguments arguments("selectTokens", dtype());
  const int64_t tokens = args.scores.rows;
  arguments.shape({"scores", args.scores}, tokens, 1, sumsDType(dtype()));
  arguments.require(std::isfinite(args.threshold), "threshold must be finite");
  requireSequences(arguments, tokens, args.sequences, args.offsets, args.lengths);
  arguments.require(tokens == 0 || args.rows, "rows is missing");
  arguments.require(args.newOffsets != nullptr, "newOffsets is missing");
  const Matrix offsets = indexView(args.offsets, args.sequences + int64_t{1});
  const Matrix newOffsets = indexView(args.newOffsets, args.sequences + int64_t{1});
  const Matrix lengths = indexView(args.lengths, args.sequences), rows = indexView(args.rows, tokens);
  const NamedMatrix scores{"scores", args.scores};
  arguments.separate({"rows", rows}, {scores, {"offsets", offsets}, {"lengths", lengths}, {"newOffsets", newOffsets}});
  arguments.separate({"newOffsets", newOffsets}, {scores, {"offsets", offsets}, {"lengths", lengths}});
  check(table_->selectTokens(state_, &args));
}

void Backend::softTokenMask(const SoftTokenMaskArgs& args) {
  const Arguments arguments("softTokenMask", dtype());
  const NamedMatrix x{"x", args.x}, scores{"scores", args.scores}, y{"y", args.y}, masks{"masks", args.masks};
  const int64_t tokens = args.x.rows;
  arguments.shape(x, tokens, args.x.cols);
  arguments.shape(y, tokens, args.x.cols);
  for (const NamedMatrix& matrix : {scores, masks}) arguments.shape(matrix, tokens, 1, sumsDType(dtype()));
  requireSequences(arguments, tokens, args.sequences, args.offsets, args.lengths);
  arguments.require(std::isfinite(args.threshold), "threshold must be finite");
  requireTemperature(arguments, args.temperature);
  arguments.separate(y, {x, scores, masks});
  arguments.separate(masks, {x, scores});
  check(table_->softTokenMask(state_, &args));
}

void Backend::softTokenMaskBackward(const SoftTokenMaskBackwardArgs& args) {
  const Arguments arguments("softTokenMaskBackward", dtype());
  const NamedMatrix dy{"dy", args.dy}, x{"x", args.x}, masks{"masks", args.masks}, dx{"dx", args.dx};
  const NamedMatrix dScores{"dScores", args.dScores}, dThreshold{"dThreshold", args.dThreshold};
  const int64_t tokens = args.x.rows;
  for (const NamedMatrix& matrix : {dy, x, dx}) arguments.shape(matrix, tokens, args.x.cols);
  for (const NamedMatrix& matrix : {masks, dScores}) arguments.shape(matrix, tokens, 1, sumsDType(dtype()));
  arguments.shape(dThreshold, 1, 1, DType::f64);
  requireSequences(arguments, tokens, args.sequences, args.offsets, args.lengths);
  requireTemperature(arguments, args.temperature);
  arguments.require(std::isfinite(args.sparsity), "sparsity must be finite");
  arguments.sameOrSeparate(dx, dy);
  arguments.separate(dx, {x, masks, dScores, dThreshold});
  arguments.separate(dScores, {dy, x, masks, dThreshold});
  arguments.separate(dThreshold, {dy, x, masks});
  check(table_->softTokenMaskBackward(state_, &args));
}

void Backend::transposedProduct(const TransposedProductArgs& args) {
  const Arguments arguments("transposedProduct", dtype());
  arguments.shape({"a", args.a}, args.a.rows, args.a.cols);
  arguments.shape({"b", args.b}, args.a.rows, args.b.cols);
  requireProduct(arguments, args.c, args.a.cols, args.b.cols, dtype());
  arguments.separate({"c", args.c}, {{"a", args.a}, {"b", args.b}});
  check(table_->transposedProduct(state_, &args));
}

void Backend::gram(const GramArgs& args) {
  const Arguments arguments("gram", dtype());
  arguments.shape({"x", args.x}, args.x.rows, args.x.cols);
  requireProduct(arguments, args.c, args.x.cols, args.x.cols, dtype());
  arguments.separate({"c", args.c}, {{"x", args.x}});
  check(table_->gram(state_, &args));
}

void Backend::columnSums(const ColumnSumsArgs& args) {
  const Arguments arguments("columnSums", dtype());
  const NamedMatrix squares{"squares", args.squares};
  arguments.shape({"x", args.x}, args.x.rows, args.x.cols);
  arguments.shape({"sums", args.sums}, 1, args.x.cols, DType::f64);
  if (args.squares) arguments.shape(squares, 1, args.x.cols, DType::f64);
  arguments.separate({"sums", args.sums}, {{"x", args.x}, squares});
  arguments.separate(squares, {{"x", args.x}});
  check(table_->columnSums(state_, &args));
}

void Backend::subtract(const SubtractArgs& args) {
  const Arguments arguments("subtract", dtype());
  arguments.shape({"x", args.x}, args.x.rows, args.x.cols);
  arguments.shape({"z", args.z}, args.x.rows, args.x.cols);
  arguments.shape({"y", args.y}, args.x.rows, args.x.cols);
  arguments.sameOrSeparate({"y", args.y}, {"x", args.x});
  arguments.sameOrSeparate({"y", args.y}, {"z", args.z});
  check(table_->subtract(state_, &args));
}

void Backend::addScaled(const AddScaledArgs& args) {
  const Arguments arguments("addScaled", dtype());
  arguments.shape({"x", args.x}, args.x.rows, args.x.cols);
  arguments.shape({"y", args.y}, args.x.rows, args.x.cols);
  arguments.require(std::isfinite(args.factor), "factor must be finite");
  arguments.separate({"y", args.y}, {{"x", args.x}});
  check(table_->addScaled(state_, &args));
}

void Backend::dropout(const DropoutArgs& args) {
  const Arguments arguments("dropout", dtype());
  const NamedMatrix x{"x", args.x}, residual{"residual", args.residual}, y{"y", args.y};
  arguments.shape(x, args.x.rows, args.x.cols);
  arguments.shape(y, args.x.rows, args.x.cols);
  arguments.optionalShape(residual, args.x.rows, args.x.cols);
  requireRate(arguments, args.rate);
  arguments.sameOrSeparate(y, x);
  arguments.sameOrSeparate(y, residual);
  check(table_->dropout(state_, &args));
}

void Backend::adamW(const AdamWArgs& args) {
  const Arguments arguments("adamW", dtype());
  const NamedMatrix parameter{"parameter", args.parameter}, gradient{"gradient", args.gradient};
  const NamedMatrix firstMoment{"firstMoment", args.firstMoment}, secondMoment{"secondMoment", args.secondMoment};
  const int64_t rows = args.parameter.rows, cols = args.parameter.cols;
  for (const NamedMatrix& matrix : {parameter, firstMoment, secondMoment}) arguments.shape(matrix, rows, cols);
  arguments.shape(gradient, rows, cols, args.gradient.dtype == DType::f64 ? DType::f64 : dtype());
  arguments.require(std::isfinite(args.learningRate), "learningRate must be finite");
  arguments.require(std::isfinite(args.weightDecay), "weightDecay must be finite");
  arguments.require(args.beta1 >= 0 && args.beta1 < 1, "beta1 must lie in [0, 1)");
  arguments.require(args.beta2 >= 0 && args.beta2 < 1, "beta2 must lie in [0, 1)");
  requireEpsilon(arguments, args.epsilon);
  arguments.require(args.step >= 1, "step is counted from 1");
  arguments.require(std::isfinite(args.gradientScale), "gradientScale must be finite");
  arguments.separate(parameter, {gradient, firstMoment, secondMoment});
  arguments.separate(firstMoment, {gradient, secondMoment});
  arguments.separate(secondMoment, {gradient});
  check(table_->adamW(state_, &args));
}

void Backend::loss(const LossArgs& args) {
  const Arguments arguments("loss", dtype());
  const Matrix& logits = args.logits;
  const bool span = args.kind == LossKind::span;
  const int64_t sequences = span ? args.losses.rows : logits.rows;
  arguments.shape({"logits", logits}, logits.rows, logits.cols);
  arguments.require(args.kind != LossKind::meanSquared || logits.cols == 1, "meanSquared takes one logit a sequence");
  arguments.require(!span || logits.cols == 2, "span takes two logits a token");
  arguments.require(!span || sequences <= logits.rows, "span needs a token in every sequence");
  arguments.require(!span || sequences == 0 || args.offsets, "offsets is missing");
  arguments.require(logits.cols > 0, "logits needs at least one column");
  arguments.require(sequences == 0 || args.labels, "labels is missing");
  arguments.shape({"losses", args.losses}, sequences, 1);
  arguments.shape({"dLogits", args.dLogits}, logits.rows, logits.cols);
  arguments.separate({"dLogits", args.dLogits}, {{"logits", logits}, {"losses", args.losses}});
  arguments.separate({"losses", args.losses}, {{"logits", logits}});
  check(table_->loss(state_, &args));
}

}  // namespace espalier
