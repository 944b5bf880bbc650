#include "model/hidden_states.h"

#include <algorithm>

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
  std::vector<double> read(const Tensor& tensor) {
    std::vector<double> values(static_cast<size_t>(tensor.view.rows * tensor.view.cols));
    backend_.read(tensor.view, values.data());
    return values;
  }

  Backend& backend_;
  int64_t rows_ = 0;
  Tensor gram_, cross_, inputSums_, targetSums_, targetSquares_;
};

}  // namespace

HiddenStates::HiddenStates(std::shared_ptr<const Model> model, std::shared_ptr<const Model> targetsOnly,
                           const PackedBatch& batch, bool everyToken, const CancelToken& cancel)
    : model_(std::move(model)), targetsOnly_(std::move(targetsOnly)), everyToken_(everyToken) {
  require(targetsOnly_ == nullptr || targetsOnly_->spec().layers.size() == model_->spec().layers.size(),
          "the neurons for targets belong to another model");
  checkBatch(batch, model_->spec());
  sequences_ = batch.sequences();
  tokens_ = batch.tokens();
  Backend& backend = model_->backend();
  parts_ = splitBatch(batch, std::max(backend.microBatchTokens(), kMicroBatchTokens));
  hidden_ = backend.tensor(tokens_, model_->spec().hiddenSize);
  batches_.reserve(parts_.size());
  for (size_t i = 0; i < parts_.size(); ++i) {
    cancel.check();
    batches_.emplace_back(backend, model_->spec(), batch, parts_[i]);
    model_->embed(batches_[i], rows(hidden_, i));
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
  const Tensor next = successor(layer, sublayer);
  const Model::WorkspaceLease workspace(*model_);
  for (size_t i = 0; i < parts_.size(); ++i) {
    cancel.check();
    (*workspace).reset();
    const Layer run(*model_, layer, batches_[i].rows(), *workspace);
    const Matrix hidden = rows(hidden_, i);
    if (sublayer == Sublayer::attention) {
      const Queries queries = shrinksIn(layer) ? run.firstTokens(hidden) : run.allTokens(hidden);
      const Matrix context = run.attentionContext(queries, hidden);
      onInputs(context);
      run.normalize(sublayer, run.attentionSum(context, queries.input), rows(next, i));
    } else {
      const Matrix activations = run.ffnActivations(hidden);
      onInputs(activations);
      run.normalize(sublayer, run.ffnSum(activations, hidden), rows(next, i));
    }
  }
  hidden_ = next;
  ++position_;
}

SublayerStatistics HiddenStates::collectDrift(const HiddenStates& teacher, const CancelToken& cancel) const {
  checkTeacher(teacher);
  Accumulator accumulator(model_->backend(), hidden_.view.cols, hidden_.view.cols);
  for (size_t i = 0; i < parts_.size(); ++i) {
    cancel.check();
    accumulator.add(rows(hidden_, i), teacher.rows(teacher.hidden_, i));
  }
  return accumulator.read();
}

SublayerStatistics HiddenStates::collect(HiddenStates& teacher, size_t layer, Sublayer sublayer,
                                         const CancelToken& cancel) const {
  checkPosition(layer, sublayer);
  checkTeacher(teacher);
  Backend& backend = model_->backend();
  const bool attention = sublayer == Sublayer::attention;
  const LayerWeights& weights = model_->layerWeights(layer);
  const Linear& output = attention ? weights.attentionOutput : weights.ffnOut;
  Accumulator accumulator(backend, output.weight.view.cols, output.weight.view.rows);
  const Tensor next = teacher.successor(layer, sublayer);
  const bool shrinks = next.view.rows != teacher.hidden_.view.rows;
  const Model::WorkspaceLease workspace(*model_);
  for (size_t i = 0; i < parts_.size(); ++i) {
    cancel.check();
    (*workspace).reset();
    const Layer student(*model_, layer, batches_[i].rows(), *workspace);
    const Layer guide(*teacher.model_, layer, batches_[i].rows(), *workspace);
    const Matrix hidden = rows(hidden_, i);
    const Matrix guideHidden = teacher.rows(teacher.hidden_, i);
    Matrix inputs, sum, reached;
    if (attention) {
      inputs = student.attentionContext(student.allTokens(hidden), hidden);
      reached = sum =
          guide.attentionSum(guide.attentionContext(guide.allTokens(guideHidden), guideHidden), guideHidden);
    } else {
      inputs = student.ffnActivations(hidden);
      reached = sum = guide.ffnSum(guide.ffnActivations(guideHidden), guideHidden);
      if (teacher.targetsOnly_ != nullptr) {
        const Layer further(*teacher.targetsOnly_, layer, batches_[i].rows(), *workspace);
        reached = further.ffnSumWithoutBias(further.ffnActivations(guideHidden), sum);
      }
    }
    const Matrix targets = (*workspace).matrix(hidden.rows, hidden.cols);
    backend.subtract({reached, hidden, output.bias.view.data, targets});
    accumulator.add(inputs, targets);
    guide.normalize(sublayer, sum, shrinks ? sum : teacher.rows(next, i));
    if (shrinks) backend.gatherRows({sum, batches_[i].rows().firstTokens(), teacher.rows(next, i)});
  }
  teacher.hidden_ = next;
  ++teacher.position_;
  return accumulator.read();
}

Tensor HiddenStates::successor(size_t layer, Sublayer sublayer) const {
  if (!shrinksIn(layer) || sublayer == Sublayer::ffn) return hidden_;
  return model_->backend().tensor(sequences_, hidden_.view.cols);
}

Matrix HiddenStates::rows(const Tensor& states, size_t part) const {
  const MicroBatch& range = parts_[part];
  if (states.view.rows == tokens_) return states.view.rowRange(range.firstToken, range.tokens);
  return states.view.rowRange(range.firstSequence, range.sequences);
}

void HiddenStates::checkPosition(size_t layer, Sublayer sublayer) const {
  require(layer < model_->spec().layers.size(), "there is no such layer");
  require(position_ == 2 * layer + (sublayer == Sublayer::ffn ? 1 : 0), "hidden states stand at another sub-layer");
}

void HiddenStates::checkTeacher(const HiddenStates& teacher) const {
  require(teacher.position_ == position_, "teacher and student stand at different sub-layers");
  require(tokens_ == teacher.tokens_ && sequences_ == teacher.sequences_ && everyToken_ == teacher.everyToken_,
          "teacher and student hold different batches");
  require(&model_->backend() == &teacher.model_->backend(), "teacher and student must share an engine");
}

}  // namespace espalier
