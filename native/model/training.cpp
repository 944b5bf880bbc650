#include "model/training.h"

#include <cmath>
#include <map>
#include <set>

#include "model/parts.h"
#include "model/training_pass.h"

namespace espalier {
namespace {

/// Tokens whose activations are held at once on a host, for all threads to share each operation.
constexpr int32_t kHostPassTokens = 1024;

int32_t passTokens(const Backend& backend) { return backend.onHost() ? kHostPassTokens : backend.backwardTokens(); }

/// Weights with the values of `from`, but nobody else's.
Weights copyWeights(Backend& backend, const Weights& from, const ModelSpec& spec) {
  Weights source = from, copy = allocateWeights(backend, spec, backend.dtype());
  const std::vector<WeightSlot> sources = weightSlots(source, spec), targets = weightSlots(copy, spec);
  for (size_t i = 0; i < targets.size(); ++i) backend.addScaled({sources[i].tensor->view, 1, targets[i].tensor->view});
  return copy;
}

}  // namespace

Training::Training(const Model& model)
    : backend_(model.backend()),
      parameters_(copyWeights(backend_, model.weights(), model.spec())),
      gradients_(allocateWeights(backend_, model.spec(), DType::f64)),
      firstMoments_(allocateWeights(backend_, model.spec(), backend_.dtype())),
      secondMoments_(allocateWeights(backend_, model.spec(), backend_.dtype())),
      parameterSlots_(weightSlots(parameters_, model.spec())),
      gradientSlots_(weightSlots(gradients_, model.spec())),
      firstMomentSlots_(weightSlots(firstMoments_, model.spec())),
      secondMomentSlots_(weightSlots(secondMoments_, model.spec())) {
  model_ = std::make_unique<Model>(backend_.shared_from_this(), model.spec(), parameters_, Mode::gradients);
}

size_t Training::bytes() const {
  std::set<const Buffer*> buffers;
  for (const auto* slots : {&gradientSlots_, &firstMomentSlots_, &secondMomentSlots_}) {
    for (const WeightSlot& slot : *slots) buffers.insert(slot.tensor->buffer.get());
  }
  size_t bytes = model_->bytes();
  for (const Buffer* buffer : buffers) bytes += buffer->bytes();
  return bytes;
}

PassResult Training::accumulate(const PackedBatch& batch, const Labels& labels, const PassOptions& options,
                                const CancelToken& cancel) {
  checkBatch(batch, spec());
  checkLabels(labels, batch, spec());
  require(!labels.given(), "training needs labels");
  checkPassOptions(options, *model_);
  // Here and not where the parameters change: the next pass tries again where memory ran out.
  if (!packed_) model_->packAnew();
  packed_ = true;
  PassResult result;
  const size_t layers = spec().layers.size();
  result.tokens.resize(layers);
  result.meanMasks.resize(layers);
  result.thresholdGradients.resize(layers);
  try {
    uint64_t index = 0;
    for (const MicroBatch& part : splitBatch(batch, passTokens(backend_))) {
      const Model::WorkspaceLease workspace(*model_);
      (*workspace).reset();
      TrainingPass pass(*model_, gradients_, options, *workspace, batch, part, index++);
      pass.forward(cancel);
      pass.backward(labels, cancel);
      pass.report(result);
    }
    requireFinite(result.losses);
  } catch (...) {
    forgetGradients();
    throw;
  }
  return result;
}

double Training::step(const OptimizerStep& options) {
  const double norm = std::abs(options.gradientScale) * gradientNorm();
  if (!std::isfinite(norm)) {
    forgetGradients();
    throw Error(ErrorCode::nonFinite, "a gradient is not a finite number (try a smaller learning rate)");
  }
  AdamWArgs args;
  args.learningRate = options.learningRate;
  args.step = steps_ + 1;
  args.gradientScale = options.gradientScale;
  if (options.maxGradientNorm > 0) args.gradientScale *= std::min(1.0, options.maxGradientNorm / (norm + 1e-6));
  packed_ = false;
  for (size_t i = 0; i < parameterSlots_.size(); ++i) {
    args.parameter = parameterSlots_[i].tensor->view;
    args.gradient = gradientSlots_[i].tensor->view;
    args.firstMoment = firstMomentSlots_[i].tensor->view;
    args.secondMoment = secondMomentSlots_[i].tensor->view;
    args.weightDecay = parameterSlots_[i].vector ? 0 : options.weightDecay;
    backend_.adamW(args);
  }
  ++steps_;
  forgetGradients();
  return norm;
}

void Training::forgetGradients() {
  backend_.fillZero(gradients_.vectors.view);
  for (const WeightSlot& slot : gradientSlots_) {
    if (!slot.vector) backend_.fillZero(slot.tensor->view);
  }
}

double Training::gradientNorm() {
  std::map<int64_t, Tensor> sums, squaresOf;  // by number of columns: few, as each has to be waited for
  const auto ofWidth = [&](std::map<int64_t, Tensor>& tensors, int64_t cols) {
    Tensor& tensor = tensors[cols];
    if (!tensor.buffer) tensor = backend_.tensor(1, cols, DType::f64);
    return tensor.view;
  };
  for (const WeightSlot& slot : gradientSlots_) {
    const Matrix& gradient = slot.tensor->view;
    if (slot.vector || gradient.rows == 0 || gradient.cols == 0) continue;
    backend_.columnSums({gradient, ofWidth(sums, gradient.cols), ofWidth(squaresOf, gradient.cols)});
  }
  double squares = 0;
  for (double value : backend_.readDoubles(gradients_.vectors.view)) squares += value * value;
  for (const auto& [cols, tensor] : squaresOf) {
    for (double square : backend_.readDoubles(tensor.view)) squares += square;
  }
  return std::sqrt(squares);
}

std::unique_ptr<Model> Training::snapshot(Mode mode) const {
  Weights copy = copyWeights(backend_, parameters_, spec());
  // A Model may put other tensors in the place of single ones.
  copy.vectors = {};
  for (LayerWeights& layer : copy.layers) layer.queryKeyValue = {};
  return std::make_unique<Model>(backend_.shared_from_this(), spec(), std::move(copy), mode);
}

size_t Training::slotOf(const std::string& role) const {
  for (size_t i = 0; i < parameterSlots_.size(); ++i) {
    if (parameterSlots_[i].role == role) return i;
  }
  throw Error(ErrorCode::invalidArgument, "the model has no weight " + role);
}

Training::State Training::state(const std::string& role) const {
  const size_t slot = slotOf(role);
  return {readTensor(backend_, *parameterSlots_[slot].tensor), readTensor(backend_, *firstMomentSlots_[slot].tensor),
          readTensor(backend_, *secondMomentSlots_[slot].tensor)};
}

void Training::restore(const std::map<std::string, State>& states, int64_t steps) {
  require(states.size() == parameterSlots_.size() && steps >= 0, "the state of every weight is needed");
  for (const auto& [role, state] : states) {
    const WeightSlot& slot = parameterSlots_[slotOf(role)];
    for (const HostTensor* tensor : {&state.parameter, &state.firstMoment, &state.secondMoment}) {
      require(static_cast<int64_t>(tensor->values.size()) == slot.rows * slot.cols,
              "a state to restore has the wrong number of values");
      for (float value : tensor->values) require(std::isfinite(value), "a state to restore is not a finite number");
    }
  }
  packed_ = false;
  for (const auto& [role, state] : states) {
    const size_t slot = slotOf(role);
    backend_.write(parameterSlots_[slot].tensor->view, state.parameter.values.data());
    backend_.write(firstMomentSlots_[slot].tensor->view, state.firstMoment.values.data());
    backend_.write(secondMomentSlots_[slot].tensor->view, state.secondMoment.values.data());
  }
  steps_ = steps;
  forgetGradients();
}

}  // namespace espalier
