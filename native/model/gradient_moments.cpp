#include "model/gradient_moments.h"

namespace espalier {

GradientMoments::GradientMoments(std::shared_ptr<const Model> model) : model_(std::move(model)) {
  const int64_t hidden = model_->spec().hiddenSize;
  for (size_t i = 0; i < 2 * model_->spec().layers.size(); ++i) {
    sums_.push_back(model_->backend().tensor(hidden, hidden, DType::f64));
  }
}

size_t GradientMoments::bytes() const {
  size_t bytes = 0;
  for (const Tensor& sum : sums_) bytes += sum.buffer->bytes();
  return bytes;
}

void GradientMoments::add(size_t layer, Sublayer sublayer, const Matrix& gradient) {
  model_->backend().gram({gradient, sum(layer, sublayer).view, true});
}

std::vector<double> GradientMoments::read(size_t layer, Sublayer sublayer) const {
  return model_->backend().readDoubles(sum(layer, sublayer).view);
}

const Tensor& GradientMoments::sum(size_t layer, Sublayer sublayer) const {
  require(layer < model_->spec().layers.size(), "there is no such layer");
  return sums_[2 * layer + (sublayer == Sublayer::ffn ? 1 : 0)];
}

}  // namespace espalier
