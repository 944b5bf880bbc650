// Products as plain loops, in the place of the vendor's library.

#include "backend/cuda/products.h"

#include "backend/cuda/kernels/activations.h"

namespace espalier::cuda {
namespace {

float valueAt(const Matrix& matrix, int64_t row, int64_t column) {
  float value;
  const auto* place = static_cast<const char*>(matrix.data) +
                      static_cast<size_t>(row * matrix.stride + column) * dtypeBytes(matrix.dtype);
  espalier::toFloat(matrix.dtype, place, 1, &value);
  return value;
}

float factor(const Matrix& matrix, Side side, int64_t row, int64_t column) {
  return side == Side::plain ? valueAt(matrix, row, column) : valueAt(matrix, column, row);
}

}  // namespace

struct Multiplier::State {};

Multiplier::Multiplier(Runtime&, Products) {}

Multiplier::~Multiplier() = default;

void Multiplier::multiply(const Product& product) {
  const Matrix& y = product.y;
  const int64_t inner = product.aSide == Side::plain ? product.a.cols : product.a.rows;
  const Matrix bias{const_cast<void*>(product.bias), y.dtype, 1, y.cols, y.cols};
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t c = 0; c < y.cols; ++c) {
      float value = 0;
      for (int64_t i = 0; i < inner; ++i) {
        value += factor(product.a, product.aSide, r, i) * factor(product.b, product.bSide, i, c);
      }
      if (bias) value += valueAt(bias, 0, c);
      if (product.geluTanh) value = activate(Activation::geluTanh, value);
      if (product.residual) value += valueAt(product.residual, r, c);
      espalier::fromFloat(&value, 1, y.dtype,
                          y.row<char>(0) + (r * y.stride + c) * static_cast<int64_t>(dtypeBytes(y.dtype)));
    }
  }
}

}  // namespace espalier::cuda
