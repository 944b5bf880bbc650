#pragma once

#include <memory>
#include <vector>

#include "model/model.h"

namespace espalier {

/// Second moments of a loss gradient at the outputs of all sub-layers, before their LayerNorms: the sum over rows of
/// d' d, d being a row's gradient. They say which directions of an output the loss feels.
class GradientMoments {
 public:
  explicit GradientMoments(std::shared_ptr<const Model> model);

  size_t bytes() const;
  const Backend& backend() const { return model_->backend(); }

  /// gradient: [rows, hidden] of one micro-batch.
  void add(size_t layer, Sublayer sublayer, const Matrix& gradient);

  /// [hidden, hidden], row-major.
  std::vector<double> read(size_t layer, Sublayer sublayer) const;

 private:
  const Tensor& sum(size_t layer, Sublayer sublayer) const;

  std::shared_ptr<const Model> model_;
  std::vector<Tensor> sums_;  // attention and FFN of each layer
};

}  // namespace espalier
