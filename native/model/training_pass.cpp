#include "model/training_pass.h"

#include <algorithm>
#include <cmath>

#include "model/embedding_gradient.h"

namespace espalier {
namespace {

/// Keys that are far apart for counters that are not (Steele, Lea and Flood 2014: SplitMix64's mixing function).
uint64_t mixed(uint64_t key) {
  key += 0x9E3779B97F4A7C15u;
  key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9u;
  key = (key ^ (key >> 27)) * 0x94D049BB133111EBu;
  return key ^ (key >> 31);
}

/// Places of dropout: the embeddings', three of each layer from 1 on, the head's.
constexpr uint64_t kEmbeddings = 0;
constexpr uint64_t ofLayer(size_t layer) { return 1 + 3 * static_cast<uint64_t>(layer); }

std::vector<double> rowSquares(Backend& backend, const Matrix& view) {
  const std::vector<double> values = backend.readDoubles(view);
  std::vector<double> squares(static_cast<size_t>(view.rows), 0);
  for (size_t i = 0; i < values.size(); ++i) squares[i / static_cast<size_t>(view.cols)] += values[i] * values[i];
  return squares;
}

/// What importance is a mean over: as TokenPruning::paddedLength.
int32_t meanOver(const PassOptions& options) {
  if (options.soft != nullptr) return options.soft->paddedLength;
  return options.pruning != nullptr ? options.pruning->meanOver() : 0;
}

/// Offsets of a micro-batch's sequences in its own rows.
std::vector<int32_t> ownOffsets(const PackedBatch& batch, const MicroBatch& part) {
  const auto begin = batch.offsets.begin() + part.firstSequence;
  std::vector<int32_t> offsets(begin, begin + part.sequences + 1);
  for (int32_t& offset : offsets) offset -= part.firstToken;
  return offsets;
}

}  // namespace

void checkPassOptions(const PassOptions& options, const Model& model) {
  const ModelSpec& spec = model.spec();
  require(options.pruning == nullptr || options.soft == nullptr, "tokens are either dropped or masked");
  require(options.dropout >= 0 && options.dropout < 1, "a dropout rate must be at least 0 and below 1");
  if (options.pruning != nullptr) checkTokenPruning(*options.pruning, spec.layers.size());
  if (options.soft != nullptr) {
    for (const std::vector<double>* ofLayers : {&options.soft->values, &options.soft->sparsity}) {
      require(ofLayers->size() == spec.layers.size(),
              "one soft threshold a layer is needed, and one weight of its masks");
      for (double value : *ofLayers)
        require(std::isfinite(value), "soft thresholds and weights must be finite numbers");
    }
    require(options.soft->temperature > 0, "a temperature must be positive");
    require(options.soft->paddedLength >= 0, "a padded length must be positive");
  }
  const Distillation& distillation = options.distillation;
  if (distillation.teacher == nullptr) return;
  const ModelSpec& teacher = distillation.teacher->spec();
  require(teacher.layers.size() == spec.layers.size() && teacher.head == spec.head && teacher.labels == spec.labels &&
              teacher.hiddenSize == spec.hiddenSize,
          "a teacher must have as many layers, logits and dimensions as what it teaches (give another)");
  require(teacher.vocabularySize >= spec.vocabularySize && teacher.maxPositions >= spec.maxPositions &&
              teacher.positionPadding == spec.positionPadding && teacher.tokenTypes == spec.tokenTypes,
          "a teacher must know the tokens, positions and token types of what it teaches (give another)");
  require(&distillation.teacher->backend() == &model.backend(), "a teacher must share the engine of what it teaches");
  require(distillation.temperature > 0, "a temperature must be positive");
  for (double weight : {distillation.labels, distillation.logits, distillation.hidden}) {
    require(std::isfinite(weight), "a weight of a loss must be a finite number");
  }
}

TrainingPass::TrainingPass(const Model& model, Weights& gradients, const PassOptions& options, Workspace& workspace,
                           const PackedBatch& batch, const MicroBatch& part, uint64_t index)
    : model_(model),
      backend_(model.backend()),
      gradients_(gradients),
      options_(options),
      workspace_(workspace),
      batch_(batch),
      part_(part),
      index_(index),
      tokens_(backend_, model.spec(), batch, part, meanOver(options)),
      passed_(model.spec().layers.size()) {
  const auto layers = static_cast<int64_t>(passed_.size());
  if (options.soft != nullptr) thresholdGradients_ = backend_.tensor(layers, 1, DType::f64);
}

Dropout TrainingPass::dropout(uint64_t place) const {
  return {options_.dropout, mixed(mixed(options_.seed) + index_) + place};
}

void TrainingPass::forward(const CancelToken& cancel) {
  const ModelSpec& spec = model_.spec();
  TokenRows rows = tokens_.rows();
  Matrix hidden = workspace_.matrix(rows.tokens, spec.hiddenSize);
  embeddingSum_ = workspace_.matrix(rows.tokens, spec.hiddenSize);
  embeddingStatistics_ = workspace_.matrix(rows.tokens, 2);
  model_.embed(tokens_, hidden, embeddingSum_, embeddingStatistics_);
  const auto [rate, key] = dropout(kEmbeddings);
  if (rate > 0) backend_.dropout({hidden, rate, key, {}, hidden});
  for (size_t l = 0; l < passed_.size(); ++l) {
    cancel.check();
    Passed& passed = passed_[l];
    passed.rows = rows;
    passed.options.trace = &passed.trace;
    passed.options.pruning = options_.pruning;
    passed.options.soft = options_.soft;
    passed.options.dropout = dropout(ofLayer(l));
    passed.output = layer(l).forward(hidden);
    lastStates_.passed(l, hidden, passed.output.kept);
    rows = passed.output.kept.remaining;
    hidden = passed.output.hidden;
  }
  if (spec.head == HeadKind::span) hidden = lastStates_.restore(backend_, &workspace_, hidden);
  head_ = makeHead(model_, workspace_, dropout(ofLayer(passed_.size())));
  logits_ = workspace_.matrix(hidden.rows, spec.labels);
  head_->forward(hidden, logits_);
  if (options_.distillation.teacher != nullptr) teach(cancel);
}

void TrainingPass::teach(const CancelToken& cancel) {
  const Model& teacher = *options_.distillation.teacher;
  const TokenRows rows = tokens_.rows();
  Matrix hidden = workspace_.matrix(rows.tokens, teacher.spec().hiddenSize);
  teacher.embed(tokens_, hidden);
  for (size_t l = 0; l < passed_.size(); ++l) {
    cancel.check();
    hidden = Layer(teacher, l, rows, workspace_).forward(hidden).hidden;
    if (!learnsFromHidden()) continue;
    passed_[l].taught = hidden;
    if (teacher.spec().firstTokensOnly(l)) continue;
    for (size_t earlier = 0; earlier <= l; ++earlier) {
      const KeptTokens& kept = passed_[earlier].output.kept;
      if (kept.rows == nullptr) continue;
      const Matrix survivors = workspace_.matrix(kept.remaining.tokens, hidden.cols);
      backend_.gatherRows({passed_[l].taught, kept.rows, survivors});
      passed_[l].taught = survivors;
    }
  }
  const Matrix logits = workspace_.matrix(logits_.rows, logits_.cols);
  makeHead(teacher, workspace_)->forward(hidden, logits);
  teacherLogits_ = backend_.readDoubles(logits);
}

Matrix TrainingPass::judge(const Labels& labels) {
  const DeviceLabels partLabels(backend_, model_.spec(), labels, part_);
  const Matrix losses = workspace_.matrix(part_.sequences, 1);
  const Matrix dLogits = workspace_.matrix(logits_.rows, logits_.cols);
  backend_.loss({labels.loss, logits_, partLabels.data(), losses, dLogits, tokens_.rows().offsets});
  losses_ = backend_.readDoubles(losses);
  const Distillation& distillation = options_.distillation;
  if (distillation.teacher == nullptr) return dLogits;
  std::vector<double> gradients = backend_.readDoubles(dLogits);
  distilLogits(distillation, model_.spec().head, ownOffsets(batch_, part_), backend_.readDoubles(logits_),
               teacherLogits_, logits_.cols, losses_, gradients);
  backend_.write(dLogits, gradients.data());
  return dLogits;
}

void TrainingPass::backward(const Labels& labels, const CancelToken& cancel) {
  const ModelSpec& spec = model_.spec();
  Matrix gradient = head_->backward(judge(labels), &gradients_);
  if (spec.head == HeadKind::span) gradient = lastStates_.restoreBackward(backend_, workspace_, gradient);
  for (size_t l = passed_.size(); l-- > 0;) {
    cancel.check();
    if (learnsFromHidden()) addHiddenGradient(l, gradient);
    LayerGradients gradients;
    gradients.weights = &gradients_.layers[l];
    if (options_.soft != nullptr) {
      gradients.threshold = thresholdGradients_.view.rowRange(static_cast<int64_t>(l), 1);
    }
    gradient = layer(l).backward(gradient, gradients);
    lastStates_.addDropped(backend_, l, gradient);
  }
  embeddingBackward(gradient);
}

void TrainingPass::addHiddenGradient(size_t layer, const Matrix& gradient) {
  const Passed& passed = passed_[layer];
  const Matrix difference = workspace_.matrix(gradient.rows, gradient.cols);
  backend_.subtract({passed.output.hidden, passed.taught, nullptr, difference});
  // Each sequence's mean over its rows, the layers and the dimensions.
  const bool firstTokens = model_.spec().firstTokensOnly(layer);
  const int32_t* const offsets = firstTokens ? passed.rows.singleOffsets : passed.output.kept.remaining.offsets;
  const std::vector<int32_t> bounds = backend_.readIndices(offsets, part_.sequences + 1);
  const double weight =
      options_.distillation.hidden / (static_cast<double>(passed_.size()) * static_cast<double>(gradient.cols));
  const std::vector<double> squares = rowSquares(backend_, difference);
  for (size_t s = 0; s < losses_.size(); ++s) {
    const int32_t first = bounds[s], rows = bounds[s + 1] - first;
    for (int32_t row = first; row < first + rows; ++row)
      losses_[s] += weight / rows * squares[static_cast<size_t>(row)];
    backend_.addScaled({difference.rowRange(first, rows), 2 * weight / rows, gradient.rowRange(first, rows)});
  }
}

void TrainingPass::embeddingBackward(const Matrix& gradient) {
  const auto [rate, key] = dropout(kEmbeddings);
  if (rate > 0) backend_.dropout({gradient, rate, key, {}, gradient});
  LayerNormBackwardArgs norm;
  norm.dy = norm.dx = gradient;
  norm.x = embeddingSum_;
  norm.statistics = embeddingStatistics_;
  norm.gamma = model_.weights().embeddingNorm.gamma.view.data;
  norm.dGamma = gradients_.embeddingNorm.gamma.view;
  norm.dBeta = gradients_.embeddingNorm.beta.view;
  backend_.layerNormBackward(norm);
  addEmbeddingGradient(backend_, model_.spec(), batch_, part_, gradient, gradients_);
}

void TrainingPass::report(PassResult& result) const {
  result.losses.insert(result.losses.end(), losses_.begin(), losses_.end());
  const std::vector<int32_t> offsets = ownOffsets(batch_, part_);
  std::vector<bool> there(static_cast<size_t>(part_.tokens), true);
  std::vector<double> thresholds;
  if (options_.soft != nullptr) thresholds = backend_.readDoubles(thresholdGradients_.view);
  for (size_t l = 0; l < passed_.size(); ++l) {
    const Passed& passed = passed_[l];
    if (!passed.trace.softMasks) {
      result.tokens[l] +=
          options_.soft != nullptr ? std::count(there.begin(), there.end(), true) : passed.output.kept.remaining.tokens;
      continue;
    }
    const std::vector<double> masks = backend_.readDoubles(passed.trace.softMasks);
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      double sum = 0;
      for (int32_t token = offsets[s]; token < offsets[s + 1]; ++token) {
        sum += masks[static_cast<size_t>(token)];
        if (masks[static_cast<size_t>(token)] < 0.5) there[static_cast<size_t>(token)] = false;
      }
      result.meanMasks[l] += sum / (offsets[s + 1] - offsets[s]);
    }
    result.tokens[l] += std::count(there.begin(), there.end(), true);
    result.thresholdGradients[l] += model_.spec().layers[l].heads * thresholds[l];
  }
}

}  // namespace espalier
