// Compiled once per instruction set. ESPALIER_DENSE names the table; the build renames the namespace Eigen in each
// copy, so that no template instantiated here is shared with code for another instruction set.
#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "solver/dense.h"

namespace espalier {

extern const DenseKernels ESPALIER_DENSE;

namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<RowMajor, Eigen::Unaligned, Eigen::OuterStride<>>;

View view(const Matrix& m) {
  return View(static_cast<double*>(m.data), m.rows, m.cols, Eigen::OuterStride<>(m.stride));
}

void addProduct(double alpha, const Matrix& a, const Matrix& b, const Matrix& c) {
  view(c).noalias() += alpha * view(a) * view(b).transpose();
}

bool factor(const Matrix& a) {
  Eigen::Ref<RowMajor, 0, Eigen::OuterStride<>> target = view(a);
  return Eigen::LLT<decltype(target)>(target).info() == Eigen::Success;
}

void solveRows(const Matrix& l, const Matrix& b) {
  view(l).triangularView<Eigen::Lower>().transpose().solveInPlace<Eigen::OnTheRight>(view(b));
}

void solveRowsTransposed(const Matrix& l, const Matrix& b) {
  view(l).triangularView<Eigen::Lower>().solveInPlace<Eigen::OnTheRight>(view(b));
}

void solveFactored(const Matrix& l, double* x) {
  Eigen::Map<Eigen::VectorXd> vector(x, l.rows);
  view(l).triangularView<Eigen::Lower>().solveInPlace(vector);
  view(l).triangularView<Eigen::Lower>().transpose().solveInPlace(vector);
}

}  // namespace

const DenseKernels ESPALIER_DENSE = {addProduct, factor, solveRows, solveRowsTransposed, solveFactored};

}  // namespace espalier
