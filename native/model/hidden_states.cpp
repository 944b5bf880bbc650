#include "model/hidden_states.h"

#include <algorithm>
#include <utility>

namespace espalier {
namespace {

/// The device side of SublayerStatistics.
class Accumulator {
 public:
  Accumulator(Backend& backend, int64_t inputs, int64_t hidden)
      : backend_(backend),
        gram_(backend.tensor(inputs, inputs, DType::f64)),
        cross_(backend.tensor(inputs, hidden, DType::f64)),
        inputSums_(backend.tensor(1, inputs, DType::f64)),
        targetSums_(backend.tensor(1, hidden, DType::f64)),
        targetSquares_(backend.tensor(1, hidden, DType::f64)) {}

  void addInputs(const Matrix& inputs) {
    rows_ += inputs.rows;
    if (inputs.cols == 0) return;
    backend_.gram({inputs, gram_.view, true});
    backend_.columnSums({inputs, inputSums_.view, {}});
  }

  void add(const Matrix& inputs, const Matrix& targets) {
    addInputs(inputs);
    backend_.columnSums({targets, targetSums_.view, targetSquares_.view});
    if (inputs.cols > 0) backend_.transposedProduct({inputs, targets, cross_.view, true});
  }

  SublayerStatistics read() {
    SublayerStatistics statistics;
    statistics.rows = rows_;
    statistics.gram = read(gram_);
    statistics.cross = read(cross_);
    statistics.inputSums = read(inputSums_);
    statistics.targetSums = read(targetSums_);
    for (double squares : read(targetSquares_)) statistics.targetSquares += squares;
    return statistics;
  }

 private:
  std::vector<double> read(const Tensor& tensor) { return backend_.readDoubles(tensor.view); }

  Backend& backend_;
  int64_t rows_ = 0;
  Tensor gram_, cross_, inputSums_, targetSums_, targetSquares_;
};

/// The rows of first tokens, in the workspace.
Matrix firstRows(Backend& backend, Workspace& workspace, const Matrix& all, const TokenRows& rows) {
  const Matrix first = workspace.matrix(rows.sequences, all.cols);
  if (all.cols > 0) backend.gatherRows({all, rows.firstTokens(), first});
  return first;
}

}  // namespace

HiddenStates::HiddenStates(std::shared_ptr<const Model> model, const PackedBatch& batch, HiddenStatesOptions options,
                           const CancelToken& cancel)
    : model_(std::move(model)), options_(std::move(options)), offsets_(batch.offsets) {
  const ModelSpec& spec = model_->spec();
  const TokenPruning& pruning = options_.pruning;
  require(options_.targetsOnly == nullptr || options_.targetsOnly->spec().layers.size() == spec.layers.size(),
          "the neurons for targets belong to another model");
  require(options_.targetsOnly == nullptr || &options_.targetsOnly->backend() == &model_->backend(),
          "the neurons for targets must share the engine of the model");
  checkTokenPruning(pruning, spec.layers.size());
  require(options_.firstTokenWeight >= 1, "a first token counts at least once");
  require(pruning.values.empty() || options_.everyToken, "states that drop tokens must keep every token's row");
  checkBatch(batch, spec);
  Backend& backend = model_->backend();
  parts_ = splitBatch(batch, std::max(backend.microBatchTokens(), kMicroBatchTokens));
  hidden_ = backend.tensor(batch.tokens(), spec.hiddenSize);
  batches_.reserve(parts_.size());
  for (size_t i = 0; i < parts_.size(); ++i) {
    cancel.check();
    batches_.emplace_back(backend, spec, batch, parts_[i], pruning.meanOver());
    kept_.push_back({nullptr, batches_[i].rows(), nullptr});
    model_->embed(batches_[i], rows(i));
  }
}

void HiddenStates::advance(size_t layer, Sublayer sublayer, const CancelToken& cancel) {
  advance(
      layer, sublayer, [](const Matrix&) {}, cancel);
}

SublayerStatistics HiddenStates::collectInputs(size_t layer, Sublayer sublayer, const CancelToken& cancel) {
  checkPosition(layer, sublayer);
  const LayerWeights& weights = model_->layerWeights(layer);
  const Linear& output = sublayer == Sublayer::attention ? weights.attentionOutput : weights.ffnOut;
  Accumulator accumulator(model_->backend(), output.weight.view.cols, 0);
  advance(
      layer, sublayer, [&](const Matrix& inputs) { accumulator.addInputs(inputs); }, cancel);
  return accumulator.read();
}

void HiddenStates::advance(size_t layer, Sublayer sublayer, const std::function<void(const Matrix&)>& onInputs,
                           const CancelToken& cancel) {
  checkPosition(layer, sublayer);
  const Model::WorkspaceLease workspace(*model_);
  const size_t next = position_ + 1;
  position_ = kBetween;
  for (size_t i = 0; i < parts_.size(); ++i) {
    cancel.check();
    (*workspace).reset();
    const Layer run = layerOn(layer, i, *workspace);
    const Matrix hidden = rows(i);
    if (sublayer == Sublayer::attention) {
      const Queries queries = shrinksIn(layer) ? run.firstTokens(hidden) : run.allTokens(hidden);
      const Attended attended = run.attend(queries, hidden, run.roomForJudgement());
      onInputs(attended.context);
      kept_[i] = keptOfAll(model_->backend(), kept_[i], attended.kept);
      if (shrinksIn(layer)) leaveFirstTokens(i);
      run.normalize(sublayer, run.attentionSum(attended.context, attended.input), rows(i));
    } else {
      const Matrix activations = run.ffnActivations(hidden);
      onInputs(activations);
      run.normalize(sublayer, run.ffnSum(activations, hidden), hidden);
    }
  }
  position_ = next;
}

SublayerStatistics HiddenStates::collectDrift(const HiddenStates& teacher, const CancelToken& cancel) const {
  checkTeacher(teacher);
  Accumulator accumulator(model_->backend(), hidden_.view.cols, hidden_.view.cols);
  const Model::WorkspaceLease workspace(*model_);
  for (size_t i = 0; i < parts_.size(); ++i) {
    cancel.check();
    (*workspace).reset();
    accumulator.add(rows(i), keptRows(model_->backend(), *workspace, teacher.rows(i), kept_[i]));
  }
  return accumulator.read();
}

SublayerStatistics HiddenStates::collect(HiddenStates& teacher, size_t layer, Sublayer sublayer,
                                         const CancelToken& cancel) const {
  checkTeacher(teacher);
  checkPosition(layer, sublayer);
  teacher.checkPosition(layer, sublayer);  // it may have fewer layers
  Backend& backend = model_->backend();
  const bool attention = sublayer == Sublayer::attention;
  const LayerWeights& weights = model_->layerWeights(layer);
  const Linear& output = attention ? weights.attentionOutput : weights.ffnOut;
  Accumulator accumulator(backend, output.weight.view.cols, output.weight.view.rows);
  const Model::WorkspaceLease workspace(*model_);
  teacher.position_ = kBetween;
  for (size_t i = 0; i < parts_.size(); ++i) {
    cancel.check();
    (*workspace).reset();
    const Layer student = layerOn(layer, i, *workspace);
    const Layer guide = teacher.layerOn(layer, i, *workspace);
    const Matrix guideHidden = teacher.rows(i);
    KeptTokens kept = kept_[i];
    Matrix inputs, residual = rows(i), sum, reached;
    if (attention) {
      const Attended attended = student.attend(student.allTokens(residual), residual, student.roomForJudgement());
      inputs = attended.context;
      residual = attended.input;
      kept = keptOfAll(backend, kept, attended.kept);
      const Attended guided = guide.attend(guide.allTokens(guideHidden), guideHidden, {});
      reached = sum = guide.attentionSum(guided.context, guideHidden);
    } else {
      inputs = student.ffnActivations(residual);
      reached = sum = guide.ffnSum(guide.ffnActivations(guideHidden), guideHidden);
      if (const auto& targetsOnly = teacher.options_.targetsOnly) {
        const Layer further(*targetsOnly, layer, batches_[i].rows(), *workspace);
        reached = further.ffnSumWithoutBias(further.ffnActivations(guideHidden), sum);
      }
    }
    const Matrix targets = (*workspace).matrix(residual.rows, residual.cols);
    backend.subtract({keptRows(backend, *workspace, reached, kept), residual, output.bias.view.data, targets});
    accumulator.add(inputs, targets);
    if (options_.firstTokenWeight > 1) {
      const Matrix firstInputs = firstRows(backend, *workspace, inputs, kept.remaining);
      const Matrix firstTargets = firstRows(backend, *workspace, targets, kept.remaining);
      for (int32_t times = 1; times < options_.firstTokenWeight; ++times) accumulator.add(firstInputs, firstTargets);
    }
    if (attention && teacher.shrinksIn(layer)) {
      guide.normalize(sublayer, sum, sum);
      teacher.leaveFirstTokens(i);
      backend.gatherRows({sum, batches_[i].rows().firstTokens(), teacher.rows(i)});
    } else {
      guide.normalize(sublayer, sum, guideHidden);
    }
  }
  teacher.position_ = position_ + 1;
  return accumulator.read();
}

void HiddenStates::leaveFirstTokens(size_t part) {
  TokenRows& rows = kept_[part].remaining;
  rows.tokens = rows.sequences;
  rows.offsets = rows.singleOffsets;
}

Layer HiddenStates::layerOn(size_t layer, size_t part, Workspace& workspace) const {
  LayerOptions options;
  options.pruning = &options_.pruning;
  return {*model_, layer, kept_[part].remaining, workspace, options};
}

Matrix HiddenStates::rows(size_t part) const {
  return hidden_.view.rowRange(parts_[part].firstToken, kept_[part].remaining.tokens);
}

size_t HiddenStates::position() const {
  require(position_ != kBetween, "hidden states are of no use once they have failed to advance");
  return position_;
}

void HiddenStates::checkPosition(size_t layer, Sublayer sublayer) const {
  require(layer < model_->spec().layers.size(), "there is no such layer");
  require(position() == 2 * layer + (sublayer == Sublayer::ffn ? 1 : 0), "hidden states stand at another sub-layer");
}

void HiddenStates::checkTeacher(const HiddenStates& teacher) const {
  require(teacher.position() == position(), "teacher and student stand at different sub-layers");
  require(offsets_ == teacher.offsets_ && options_.everyToken == teacher.options_.everyToken,
          "teacher and student hold different batches");
  require(teacher.options_.pruning.values.empty(), "a teacher drops no tokens");
  require(&model_->backend() == &teacher.model_->backend(), "teacher and student must share an engine");
}

}  // namespace espalier
