#include "model/weight_gradients.h"

namespace espalier {

void addLinearGradient(Backend& backend, const Linear& gradient, const Matrix& dy, const Matrix& x) {
  if (x.cols > 0 && dy.cols > 0) backend.transposedProduct({dy, x, gradient.weight.view, true});
  backend.columnSums({dy, gradient.bias.view, {}});
}

}  // namespace espalier
