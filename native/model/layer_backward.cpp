#include "model/gradient_moments.h"
#include "model/layer.h"
#include "model/weight_gradients.h"

namespace espalier {
namespace {

Epilogue withResidual(const Matrix& residual) {
  Epilogue epilogue;
  epilogue.residual = residual;
  return epilogue;
}

}  // namespace

Matrix Layer::softMaskBackward(const Matrix& gradient, const LayerGradients& gradients) const {
  SoftTokenMaskBackwardArgs args;
  args.dy = args.dx = gradient;
  args.x = trace()->output;
  args.masks = trace()->softMasks;
  args.offsets = rows_.offsets;
  args.lengths = rows_.lengths;
  args.sequences = rows_.sequences;
  args.temperature = shape_.heads * options_.soft->temperature;
  args.sparsity = options_.soft->sparsity[index_];
  args.dScores = tokenScores();
  args.dThreshold = gradients.threshold;
  backend_.softTokenMaskBackward(args);
  return args.dScores;
}

Matrix Layer::backward(const Matrix& gradient, const LayerGradients& gradients) const {
  const bool fewerRows = firstTokensOnly() || trace()->kept.rows != nullptr;
  // Every token receives a gradient from here, through keys and values, where only some gave one.
  const Matrix input = fewerRows ? scratch(rows_.tokens, gradient.cols) : gradient;
  const Workspace::Mark mark = workspace_.mark();
  Matrix dColumnSums;
  if (masksTokens()) dColumnSums = softMaskBackward(gradient, gradients);
  normBackward(Sublayer::ffn, gradient, gradients);
  ffnBackward(gradient, gradients);
  normBackward(Sublayer::attention, gradient, gradients);
  attentionBackward(gradient, input, dColumnSums, gradients);
  workspace_.rewind(mark);
  return input;
}

void Layer::normBackward(Sublayer sublayer, const Matrix& gradient, const LayerGradients& gradients) const {
  const bool attention = sublayer == Sublayer::attention;
  const LayerWeights& weights = model_.layerWeights(index_);
  LayerNormBackwardArgs args;
  args.dy = args.dx = gradient;
  args.x = attention ? trace()->attentionSum : trace()->ffnSum;
  args.statistics = attention ? trace()->attentionStatistics : trace()->ffnStatistics;
  args.gamma = (attention ? weights.attentionNorm : weights.ffnNorm).gamma.view.data;
  if (gradients.weights != nullptr) {
    const Norm& norm = attention ? gradients.weights->attentionNorm : gradients.weights->ffnNorm;
    args.dGamma = norm.gamma.view;
    args.dBeta = norm.beta.view;
  }
  backend_.layerNormBackward(args);
  if (gradients.moments != nullptr) gradients.moments->add(index_, sublayer, gradient);
}

Matrix Layer::projectionGradient(Sublayer sublayer, const Matrix& gradient) const {
  if (options_.dropout.rate == 0) return gradient;
  const Matrix projection = scratch(gradient.rows, gradient.cols);
  backend_.dropout({gradient, options_.dropout.rate, dropoutKey(sublayer), {}, projection});
  return projection;
}

void Layer::ffnBackward(const Matrix& gradient, const LayerGradients& gradients) const {
  const Matrix projection = projectionGradient(Sublayer::ffn, gradient);
  if (gradients.weights != nullptr) {
    addLinearGradient(backend_, gradients.weights->ffnOut, projection, trace()->activations);
  }
  if (shape_.neurons == 0) return;
  const Matrix activations = scratch(gradient.rows, shape_.neurons);
  backend_.linear(projection, *packed_.ffnOut.backward, {}, activations);
  ActivationBackwardArgs args;
  args.dy = args.dx = activations;
  args.preActivation = trace()->preActivation;
  args.activation = model_.spec().activation;
  args.columnMask = options_.mask.neurons;
  args.offsets = firstTokensOnly() ? rows_.singleOffsets : trace()->kept.remaining.offsets;
  args.sequences = rows_.sequences;
  args.maskGradient = gradients.neurons;
  args.groups = gradients.groups;
  backend_.activationBackward(args);
  if (gradients.weights != nullptr) {
    addLinearGradient(backend_, gradients.weights->ffnIn, activations, trace()->middle);
  }
  backend_.linear(activations, *packed_.ffnIn.backward, withResidual(gradient), gradient);
}

void Layer::attentionBackward(const Matrix& gradient, const Matrix& input, const Matrix& dColumnSums,
                              const LayerGradients& gradients) const {
  const bool flowsOn = index_ > 0 || gradients.weights != nullptr;
  const Matrix projection = projectionGradient(Sublayer::attention, gradient);
  if (gradients.weights != nullptr) {
    addLinearGradient(backend_, gradients.weights->attentionOutput, projection, trace()->context);
  }
  // The rows that the residual path comes from.
  const int32_t* const ownRows = firstTokensOnly() ? rows_.firstTokens() : trace()->kept.rows;
  const auto addResidual = [&] {
    if (ownRows != nullptr) backend_.scatterRows({gradient, ownRows, input, true});
  };
  if (shape_.heads == 0) {
    if (ownRows != nullptr && flowsOn) {
      backend_.fillZero(input);
      addResidual();
    }
    return;
  }
  const int64_t width = trace()->query.cols;
  AttentionBackwardArgs args;
  args.forward =
      attentionArgs(trace()->query, trace()->keyValue, firstTokensOnly() ? rows_.singleOffsets : rows_.offsets);
  args.forward.logSumExp = trace()->logSumExp;
  args.headMaskGradient = gradients.heads;
  args.groups = gradients.groups;
  args.dColumnSums = dColumnSums;
  args.dContext = contextGradient(projection);
  if (!flowsOn) {
    backend_.attentionBackward(args);
    return;
  }
  if (!packed_.queryAlone()) {
    const Matrix all = scratch(rows_.tokens, 3 * width);
    args.dq = all.columns(0, width);
    args.dk = all.columns(width, width);
    args.dv = all.columns(2 * width, width);
    backend_.attentionBackward(args);
    if (gradients.weights != nullptr) {
      addLinearGradient(backend_, gradients.weights->queryKeyValue, all, trace()->input);
    }
    const bool residualInPlace = ownRows == nullptr;
    backend_.linear(all, *packed_.queryKeyValue.backward, residualInPlace ? withResidual(gradient) : Epilogue(), input);
    addResidual();
    return;
  }
  const Matrix keyValue = scratch(rows_.tokens, 2 * width);
  args.dq = scratch(gradient.rows, width);
  args.dk = keyValue.columns(0, width);
  args.dv = keyValue.columns(width, width);
  backend_.attentionBackward(args);
  if (gradients.weights != nullptr) {
    const Linear& stacked = gradients.weights->queryKeyValue;
    addLinearGradient(backend_, gradients.weights->query, args.dq, trace()->queryInput);
    addLinearGradient(backend_, someOutputs(stacked, width, 2 * width), keyValue, trace()->input);
  }
  // The residual path and the query's gradient belong to the rows that asked, the keys' and values' to every token.
  backend_.linear(args.dq, *packed_.query.backward, withResidual(gradient), gradient);
  backend_.linear(keyValue, *packed_.keyValue.backward, {}, input);
  addResidual();
}

Matrix Layer::contextGradient(const Matrix& projection) const {
  const int64_t width = trace()->query.cols;
  const Matrix survivors = scratch(projection.rows, width);
  backend_.linear(projection, *packed_.attentionOutput.backward, {}, survivors);
  const int32_t* const kept = trace()->kept.rows;
  if (kept == nullptr) return survivors;
  const Matrix all = scratch(rows_.tokens, width);
  backend_.fillZero(all);
  backend_.scatterRows({survivors, kept, all});
  return all;
}

}  // namespace espalier
