#include "backend/reference/operations.h"

namespace espalier::reference {

namespace {

template <typename T, typename Total>
void addTransposedProduct(const TransposedProductArgs& args) {
  for (int64_t i = 0; i < args.c.rows; ++i) {
    for (int64_t j = 0; j < args.c.cols; ++j) {
      const auto product = [&](int64_t r) { return args.a.row<T>(r)[i] * args.b.row<T>(r)[j]; };
      Total& c = args.c.row<Total>(i)[j];
      c = (args.accumulate ? c : Total(0)) + sumOverRows<T, Total>(args.a.rows, product);
    }
  }
}

}  // namespace

template <typename T>
void transposedProduct(const TransposedProductArgs& args) {
  if (args.c.dtype == DType::f64) {
    addTransposedProduct<T, double>(args);
  } else {
    addTransposedProduct<T, T>(args);
  }
}

template <typename T>
void gram(const GramArgs& args) {
  transposedProduct<T>({args.x, args.x, args.c, args.accumulate});
}

template <typename T>
void columnSums(const ColumnSumsArgs& args) {
  for (int64_t c = 0; c < args.x.cols; ++c) {
    const auto element = [&](int64_t r) { return args.x.row<T>(r)[c]; };
    const auto square = [&](int64_t r) { return element(r) * element(r); };
    args.sums.row<double>(0)[c] += sumOverRows<T, double>(args.x.rows, element);
    if (args.squares) args.squares.row<double>(0)[c] += sumOverRows<T, double>(args.x.rows, square);
  }
}

template void transposedProduct<float>(const TransposedProductArgs&);
template void transposedProduct<double>(const TransposedProductArgs&);
template void gram<float>(const GramArgs&);
template void gram<double>(const GramArgs&);
template void columnSums<float>(const ColumnSumsArgs&);
template void columnSums<double>(const ColumnSumsArgs&);

}  // namespace espalier::reference
