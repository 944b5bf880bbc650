// Products as plain loops, in the place of the vendor's library.

#include "backend/cuda/products.h"

#include <numeric>
#include <vector>

#include "backend/cuda/kernels/activations.h"

namespace espalier::cuda {
namespace {

/// Element (row, column) of a matrix as stored.
float valueAt(const Matrix& matrix, int64_t row, int64_t column) {
  float value;
  const auto* place = static_cast<const char*>(matrix.data) +
                      static_cast<size_t>(row * matrix.stride + column) * dtypeBytes(matrix.dtype);
  espalier::toFloat(matrix.dtype, place, 1, &value);
  return value;
}

/// What the sums run over lies in each row of a [rows, inner] copy.
std::vector<float> rowsOf(const Matrix& matrix, bool flipped) {
  const int64_t rows = flipped ? matrix.cols : matrix.rows, inner = flipped ? matrix.rows : matrix.cols;
  std::vector<float> values;
  values.reserve(static_cast<size_t>(rows * inner));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < inner; ++i) values.push_back(flipped ? valueAt(matrix, i, r) : valueAt(matrix, r, i));
  }
  return values;
}

void multiplyNow(const Product& product) {
  const Matrix& y = product.y;
  const int64_t inner = product.aSide == Side::plain ? product.a.cols : product.a.rows;
  const std::vector<float> a = rowsOf(product.a, product.aSide == Side::transposed);
  const std::vector<float> b = rowsOf(product.b, product.bSide == Side::plain);
  const Matrix bias{const_cast<void*>(product.bias), y.dtype, 1, y.cols, y.cols};
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t c = 0; c < y.cols; ++c) {
      float value = std::inner_product(a.begin() + r * inner, a.begin() + (r + 1) * inner, b.begin() + c * inner, 0.0f);
      if (bias) value += valueAt(bias, 0, c);
      if (product.geluTanh) value = activate(Activation::geluTanh, value);
      if (product.residual) value += valueAt(product.residual, r, c);
      const auto place = static_cast<size_t>(r * y.stride + c) * dtypeBytes(y.dtype);
      espalier::fromFloat(&value, 1, y.dtype, static_cast<char*>(y.data) + place);
    }
  }
}

}  // namespace

struct Multiplier::State {};

Multiplier::Multiplier(Runtime&, Products) {}

Multiplier::~Multiplier() = default;

void Multiplier::multiply(const Product& product) {
  emulation::doOrRecord([product] { multiplyNow(product); });
}

}  // namespace espalier::cuda
