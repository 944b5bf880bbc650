#include "model/layer.h"

#include <cmath>

namespace espalier {
namespace {

/// Keeps `saved` when there is a trace to keep it in.
void keep(LayerTrace* trace, Matrix LayerTrace::*field, const Matrix& saved) {
  if (trace != nullptr) trace->*field = saved;
}

Epilogue withBias(const PackedLinear& linear) {
  Epilogue epilogue;
  epilogue.bias = linear.bias.view.data;
  return epilogue;
}

}  // namespace

Layer::Layer(const Model& model, size_t index, const TokenRows& rows, Workspace& workspace, const LayerOptions& options)
    : model_(model),
      backend_(model.backend()),
      packed_(model.layer(index)),
      shape_(model.spec().layers[index]),
      index_(index),
      rows_(rows),
      workspace_(workspace),
      options_(options) {}

Queries Layer::firstTokens(const Matrix& hidden) const {
  const Matrix first = scratch(rows_.sequences, hidden.cols);
  backend_.gatherRows({hidden, rows_.firstTokens(), first});
  return {first, rows_.singleOffsets};
}

AttentionArgs Layer::attentionArgs(const Matrix& query, const Matrix& keyValue, const int32_t* queryOffsets) const {
  AttentionArgs args;
  const int64_t width = query.cols;
  args.q = query;
  args.k = keyValue.columns(0, width);
  args.v = keyValue.columns(width, width);
  args.queryOffsets = queryOffsets;
  args.offsets = rows_.offsets;
  args.sequences = rows_.sequences;
  args.longest = rows_.longest;
  args.heads = shape_.heads;
  args.headSize = model_.spec().headSize;
  args.scale = 1 / std::sqrt(static_cast<double>(args.headSize));
  args.headMask = options_.mask.heads;
  args.dropoutRate = options_.dropout.rate;
  args.dropoutKey = options_.dropout.key + 2;
  return args;
}

Matrix Layer::attentionContext(const Queries& queries, const Matrix& hidden, const Matrix& columnSums) const {
  const int64_t width = static_cast<int64_t>(shape_.heads) * model_.spec().headSize;
  const int64_t asking = queries.input.rows;
  const Matrix context = scratch(asking, width);
  if (width == 0) return context;
  Matrix query, keyValue;
  if (packed_.queryAlone()) {
    query = scratch(asking, width);
    keyValue = scratch(rows_.tokens, 2 * width);
    backend_.linear(queries.input, *packed_.query.forward, withBias(packed_.query), query);
    backend_.linear(hidden, *packed_.keyValue.forward, withBias(packed_.keyValue), keyValue);
  } else {
    const Matrix all = scratch(rows_.tokens, 3 * width);
    backend_.linear(hidden, *packed_.queryKeyValue.forward, withBias(packed_.queryKeyValue), all);
    query = all.columns(0, width);
    keyValue = all.columns(width, 2 * width);
  }
  AttentionArgs args = attentionArgs(query, keyValue, queries.offsets);
  args.context = context;
  args.columnSums = columnSums;
  if (trace() != nullptr) args.logSumExp = scratch(asking, shape_.heads);
  backend_.attention(args);
  keep(trace(), &LayerTrace::query, query);
  keep(trace(), &LayerTrace::keyValue, keyValue);
  keep(trace(), &LayerTrace::logSumExp, args.logSumExp);
  return context;
}

Matrix Layer::attentionSum(const Matrix& context, const Matrix& input) const {
  keep(trace(), &LayerTrace::context, context);
  return project(Sublayer::attention, context, input);
}

Matrix Layer::ffnActivations(const Matrix& input) const {
  const Matrix activations = scratch(input.rows, shape_.neurons);
  if (shape_.neurons == 0) return activations;
  Epilogue epilogue = withBias(packed_.ffnIn);
  epilogue.activation = model_.spec().activation;
  epilogue.columnMask = options_.mask.neurons;
  if (trace() != nullptr) epilogue.preActivation = scratch(input.rows, shape_.neurons);
  backend_.linear(input, *packed_.ffnIn.forward, epilogue, activations);
  keep(trace(), &LayerTrace::preActivation, epilogue.preActivation);
  return activations;
}

Matrix Layer::ffnSum(const Matrix& activations, const Matrix& input) const {
  keep(trace(), &LayerTrace::activations, activations);
  return project(Sublayer::ffn, activations, input);
}

Matrix Layer::project(Sublayer sublayer, const Matrix& units, const Matrix& input) const {
  const bool attention = sublayer == Sublayer::attention;
  const PackedLinear& output = attention ? packed_.attentionOutput : packed_.ffnOut;
  const Matrix sum = scratch(input.rows, input.cols);
  Epilogue epilogue = withBias(output);
  const bool dropsOut = options_.dropout.rate > 0;
  if (!dropsOut) epilogue.residual = input;
  backend_.linear(units, *output.forward, epilogue, sum);
  if (dropsOut) backend_.dropout({sum, options_.dropout.rate, dropoutKey(sublayer), input, sum});
  keep(trace(), attention ? &LayerTrace::attentionSum : &LayerTrace::ffnSum, sum);
  return sum;
}

Matrix Layer::ffnSumWithoutBias(const Matrix& activations, const Matrix& sum) const {
  const Matrix wider = scratch(sum.rows, sum.cols);
  Epilogue epilogue;
  epilogue.residual = sum;
  backend_.linear(activations, *packed_.ffnOut.forward, epilogue, wider);
  return wider;
}

void Layer::normalize(Sublayer sublayer, const Matrix& sum, const Matrix& y) const {
  const bool attention = sublayer == Sublayer::attention;
  const LayerWeights& weights = model_.layerWeights(index_);
  const Norm& norm = attention ? weights.attentionNorm : weights.ffnNorm;
  LayerNormArgs args;
  args.x = sum;
  args.gamma = norm.gamma.view.data;
  args.beta = norm.beta.view.data;
  args.epsilon = model_.spec().layerNormEpsilon;
  args.y = y;
  if (trace() != nullptr) args.statistics = scratch(sum.rows, 2);
  backend_.layerNorm(args);
  keep(trace(), attention ? &LayerTrace::attentionStatistics : &LayerTrace::ffnStatistics, args.statistics);
}

bool Layer::dropsTokens() const {
  return options_.pruning != nullptr && options_.pruning->dropsIn(index_) && model_.spec().judgesTokens(index_);
}

Judgement Layer::roomForJudgement() const {
  Judgement room;
  const bool scored = options_.scores && model_.spec().judgesTokens(index_);
  if (scored || dropsTokens() || masksTokens()) room.columnSums = tokenScores();
  if (dropsTokens()) room.kept = workspace_.indices(roomForKept(rows_));
  return room;
}

Attended Layer::attend(const Queries& queries, const Matrix& hidden, const Judgement& room) const {
  KeptTokens kept;
  kept.remaining = rows_;
  const Matrix context = attentionContext(queries, hidden, room.columnSums);
  if (dropsTokens()) {
    kept = dropTokens(backend_, *options_.pruning, index_, shape_.heads, rows_, room.columnSums, room.kept);
  }
  return {keptRows(backend_, workspace_, context, kept), keptRows(backend_, workspace_, queries.input, kept), kept};
}

LayerOutput Layer::forward(const Matrix& hidden, const Matrix& room) const {
  // What outlives the layer comes first: the rest of the workspace is given back.
  const Judgement judgement = roomForJudgement();
  const Workspace::Mark mark = workspace_.mark();
  const Queries queries = firstTokensOnly() ? firstTokens(hidden) : allTokens(hidden);
  const auto [context, input, kept] = attend(queries, hidden, judgement);
  const Matrix result = room.rowRange(0, input.rows);
  const Matrix attention = attentionSum(context, input);
  // A trace keeps the sums, so the normalised rows need a place of their own; otherwise they replace the sums.
  const Matrix middle = trace() != nullptr ? scratch(input.rows, hidden.cols) : attention;
  normalize(Sublayer::attention, attention, middle);
  normalize(Sublayer::ffn, ffnSum(ffnActivations(middle), middle), result);
  keep(trace(), &LayerTrace::input, hidden);
  keep(trace(), &LayerTrace::queryInput, queries.input);
  keep(trace(), &LayerTrace::middle, middle);
  if (trace() != nullptr) trace()->kept = kept;
  const Matrix output = masksTokens() ? maskSoftly(result, judgement.columnSums) : result;
  if (trace() == nullptr) workspace_.rewind(mark);
  return {output, kept, judgement.columnSums};
}

Matrix Layer::maskSoftly(const Matrix& output, const Matrix& columnSums) const {
  const SoftThresholds& soft = *options_.soft;
  SoftTokenMaskArgs args;
  args.x = output;
  args.scores = columnSums;
  args.offsets = rows_.offsets;
  args.lengths = rows_.lengths;
  args.sequences = rows_.sequences;
  args.threshold = shape_.heads * soft.values[index_];
  args.temperature = shape_.heads * soft.temperature;
  args.y = scratch(output.rows, output.cols);
  args.masks = tokenScores();
  backend_.softTokenMask(args);
  keep(trace(), &LayerTrace::output, output);
  keep(trace(), &LayerTrace::softMasks, args.masks);
  return args.y;
}

}  // namespace espalier
