#include "model/layer.h"

#include <cmath>

#include "model/gradient_moments.h"

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

Epilogue withResidual(const Matrix& residual) {
  Epilogue epilogue;
  epilogue.residual = residual;
  return epilogue;
}

}  // namespace

Layer::Layer(const Model& model, size_t index, const DeviceBatch& batch, Workspace& workspace, LayerMask mask,
             LayerTrace* trace)
    : model_(model),
      backend_(model.backend()),
      packed_(model.layer(index)),
      shape_(model.spec().layers[index]),
      index_(index),
      batch_(batch),
      workspace_(workspace),
      mask_(mask),
      trace_(trace) {}

Queries Layer::firstTokens(const Matrix& hidden) const {
  const Matrix rows = scratch(batch_.sequences(), hidden.cols);
  backend_.gatherRows({hidden, batch_.firstTokens(), rows});
  return {rows, batch_.singleOffsets()};
}

AttentionArgs Layer::attentionArgs(const Matrix& query, const Matrix& keyValue, const int32_t* queryOffsets) const {
  AttentionArgs args;
  const int64_t width = query.cols;
  args.q = query;
  args.k = keyValue.columns(0, width);
  args.v = keyValue.columns(width, width);
  args.queryOffsets = queryOffsets;
  args.offsets = batch_.offsets();
  args.sequences = batch_.sequences();
  args.longest = batch_.longest();
  args.heads = shape_.heads;
  args.headSize = model_.spec().headSize;
  args.scale = 1 / std::sqrt(static_cast<double>(args.headSize));
  args.headMask = mask_.heads;
  return args;
}

Matrix Layer::attentionContext(const Queries& queries, const Matrix& hidden) const {
  const int64_t width = static_cast<int64_t>(shape_.heads) * model_.spec().headSize;
  const int64_t asking = queries.input.rows;
  const Matrix context = scratch(asking, width);
  if (width == 0) return context;
  Matrix query, keyValue;
  if (packed_.queryAlone()) {
    query = scratch(asking, width);
    keyValue = scratch(batch_.tokens(), 2 * width);
    backend_.linear(queries.input, *packed_.query.forward, withBias(packed_.query), query);
    backend_.linear(hidden, *packed_.keyValue.forward, withBias(packed_.keyValue), keyValue);
  } else {
    const Matrix all = scratch(batch_.tokens(), 3 * width);
    backend_.linear(hidden, *packed_.queryKeyValue.forward, withBias(packed_.queryKeyValue), all);
    query = all.columns(0, width);
    keyValue = all.columns(width, 2 * width);
  }
  AttentionArgs args = attentionArgs(query, keyValue, queries.offsets);
  args.context = context;
  if (trace_ != nullptr) args.logSumExp = scratch(asking, shape_.heads);
  backend_.attention(args);
  keep(trace_, &LayerTrace::query, query);
  keep(trace_, &LayerTrace::keyValue, keyValue);
  keep(trace_, &LayerTrace::logSumExp, args.logSumExp);
  return context;
}

Matrix Layer::attentionSum(const Matrix& context, const Matrix& input) const {
  return project(packed_.attentionOutput, context, input, &LayerTrace::attentionSum);
}

Matrix Layer::ffnActivations(const Matrix& input) const {
  const Matrix activations = scratch(input.rows, shape_.neurons);
  if (shape_.neurons == 0) return activations;
  Epilogue epilogue = withBias(packed_.ffnIn);
  epilogue.activation = model_.spec().activation;
  epilogue.columnMask = mask_.neurons;
  if (trace_ != nullptr) epilogue.preActivation = scratch(input.rows, shape_.neurons);
  backend_.linear(input, *packed_.ffnIn.forward, epilogue, activations);
  keep(trace_, &LayerTrace::preActivation, epilogue.preActivation);
  return activations;
}

Matrix Layer::ffnSum(const Matrix& activations, const Matrix& input) const {
  return project(packed_.ffnOut, activations, input, &LayerTrace::ffnSum);
}

Matrix Layer::project(const PackedLinear& output, const Matrix& units, const Matrix& input,
                      Matrix LayerTrace::*kept) const {
  const Matrix sum = scratch(input.rows, input.cols);
  Epilogue epilogue = withBias(output);
  epilogue.residual = input;
  backend_.linear(units, *output.forward, epilogue, sum);
  keep(trace_, kept, sum);
  return sum;
}

Matrix Layer::ffnSumWithoutBias(const Matrix& activations, const Matrix& sum) const {
  const Matrix wider = scratch(sum.rows, sum.cols);
  backend_.linear(activations, *packed_.ffnOut.forward, withResidual(sum), wider);
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
  if (trace_ != nullptr) args.statistics = scratch(sum.rows, 2);
  backend_.layerNorm(args);
  keep(trace_, attention ? &LayerTrace::attentionStatistics : &LayerTrace::ffnStatistics, args.statistics);
}

Matrix Layer::forward(const Matrix& hidden) const {
  const int64_t rows = firstTokensOnly() ? batch_.sequences() : batch_.tokens();
  const Matrix result = scratch(rows, hidden.cols);
  const Workspace::Mark mark = workspace_.mark();
  const Queries queries = firstTokensOnly() ? firstTokens(hidden) : allTokens(hidden);
  const Matrix attention = attentionSum(attentionContext(queries, hidden), queries.input);
  // A trace keeps the sums, so the normalised rows need a place of their own; otherwise they replace the sums.
  const Matrix middle = trace_ != nullptr ? scratch(rows, hidden.cols) : attention;
  normalize(Sublayer::attention, attention, middle);
  normalize(Sublayer::ffn, ffnSum(ffnActivations(middle), middle), result);
  if (trace_ == nullptr) workspace_.rewind(mark);
  return result;
}

Matrix Layer::backward(const Matrix& gradient, const LayerGradients& gradients) const {
  const LayerWeights& weights = model_.layerWeights(index_);
  // Every token receives a gradient from here, through keys and values, where only first tokens gave one.
  const Matrix input = firstTokensOnly() && index_ > 0 ? scratch(batch_.tokens(), gradient.cols) : gradient;
  const Workspace::Mark mark = workspace_.mark();
  backend_.layerNormBackward(
      {gradient, trace_->ffnSum, trace_->ffnStatistics, weights.ffnNorm.gamma.view.data, gradient});
  if (gradients.moments != nullptr) gradients.moments->add(index_, Sublayer::ffn, gradient);
  ffnBackward(gradient, gradients);
  backend_.layerNormBackward(
      {gradient, trace_->attentionSum, trace_->attentionStatistics, weights.attentionNorm.gamma.view.data, gradient});
  if (gradients.moments != nullptr) gradients.moments->add(index_, Sublayer::attention, gradient);
  attentionBackward(gradient, input, gradients);
  workspace_.rewind(mark);
  return input;
}

void Layer::ffnBackward(const Matrix& gradient, const LayerGradients& gradients) const {
  if (shape_.neurons == 0) return;
  const Matrix activations = scratch(gradient.rows, shape_.neurons);
  backend_.linear(gradient, *packed_.ffnOut.backward, {}, activations);
  ActivationBackwardArgs args;
  args.dy = args.dx = activations;
  args.preActivation = trace_->preActivation;
  args.activation = model_.spec().activation;
  args.columnMask = mask_.neurons;
  args.offsets = firstTokensOnly() ? batch_.singleOffsets() : batch_.offsets();
  args.sequences = batch_.sequences();
  args.maskGradient = gradients.neurons;
  args.groups = gradients.groups;
  backend_.activationBackward(args);
  backend_.linear(activations, *packed_.ffnIn.backward, withResidual(gradient), gradient);
}

void Layer::attentionBackward(const Matrix& gradient, const Matrix& input, const LayerGradients& gradients) const {
  const bool bottom = index_ == 0;
  if (shape_.heads == 0) {
    if (firstTokensOnly() && !bottom) {
      backend_.fillZero(input);
      backend_.scatterAddRows({gradient, batch_.firstTokens(), input});
    }
    return;
  }
  const int64_t width = trace_->query.cols;
  AttentionBackwardArgs args;
  args.forward =
      attentionArgs(trace_->query, trace_->keyValue, firstTokensOnly() ? batch_.singleOffsets() : batch_.offsets());
  args.forward.logSumExp = trace_->logSumExp;
  args.headMaskGradient = gradients.heads;
  args.groups = gradients.groups;
  args.dContext = scratch(gradient.rows, width);
  backend_.linear(gradient, *packed_.attentionOutput.backward, {}, args.dContext);
  if (bottom) {
    backend_.attentionBackward(args);
    return;
  }
  if (!packed_.queryAlone()) {
    const Matrix all = scratch(batch_.tokens(), 3 * width);
    args.dq = all.columns(0, width);
    args.dk = all.columns(width, width);
    args.dv = all.columns(2 * width, width);
    backend_.attentionBackward(args);
    backend_.linear(all, *packed_.queryKeyValue.backward, withResidual(gradient), input);
    return;
  }
  const Matrix keyValue = scratch(batch_.tokens(), 2 * width);
  args.dq = scratch(gradient.rows, width);
  args.dk = keyValue.columns(0, width);
  args.dv = keyValue.columns(width, width);
  backend_.attentionBackward(args);
  // The residual path and the query's gradient belong to the rows that asked, the keys' and values' to every token.
  backend_.linear(args.dq, *packed_.query.backward, withResidual(gradient), gradient);
  backend_.linear(keyValue, *packed_.keyValue.backward, {}, input);
  backend_.scatterAddRows({gradient, batch_.firstTokens(), input});
}

}  // namespace espalier
