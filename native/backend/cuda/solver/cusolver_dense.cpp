// The libraries count in columns: to them a row-major matrix is its own transpose, and a lower triangle an upper one.

#include <cublas_v2.h>
#include <cusolverDn.h>

#include <string>

#include "backend/cuda/check.h"
#include "backend/cuda/solver/dense.h"

namespace espalier::cuda {
namespace {

constexpr cublasFillMode_t kRowMajorLower = CUBLAS_FILL_MODE_UPPER;

double* dataOf(const Matrix& matrix) { return static_cast<double*>(matrix.data); }

int sizeOf(int64_t size) {
  require(size <= INT32_MAX, "a matrix is too large to be factored on a device");
  return static_cast<int>(size);
}

int readInfo(Runtime& runtime, const DeviceArray<int>& info) {
  int value = 0;
  runtime.copyOut(&value, info.data(), sizeof(value));
  if (value < 0) throw Error(ErrorCode::internal, "cuSOLVER refused argument " + std::to_string(-value));
  return value;
}

}  // namespace

void multiply(Runtime& runtime, double alpha, const Matrix& a, Side aSide, const Matrix& b, double beta,
              const Matrix& c) {
  check(
      cublasDgemm(static_cast<cublasHandle_t>(runtime.blas()), CUBLAS_OP_N,
                  aSide == Side::plain ? CUBLAS_OP_N : CUBLAS_OP_T, sizeOf(c.cols), sizeOf(c.rows), sizeOf(b.rows),
                  &alpha, dataOf(b), sizeOf(b.stride), dataOf(a), sizeOf(a.stride), &beta, dataOf(c), sizeOf(c.stride)),
      "multiplying matrices");
}

void cholesky(Runtime& runtime, const Matrix& a) {
  const auto handle = static_cast<cusolverDnHandle_t>(runtime.solver());
  const int n = sizeOf(a.rows), stride = sizeOf(a.stride);
  int size = 0;
  check(cusolverDnDpotrf_bufferSize(handle, kRowMajorLower, n, dataOf(a), stride, &size), "factoring a matrix");
  const DeviceArray<double> workspace(runtime, static_cast<size_t>(size));
  const DeviceArray<int> info(runtime, 1);
  check(cusolverDnDpotrf(handle, kRowMajorLower, n, dataOf(a), stride, workspace.data(), size, info.data()),
        "factoring a matrix");
  if (readInfo(runtime, info) > 0) {
    throw Error(ErrorCode::notPositiveDefinite, "a system of least squares is not positive definite");
  }
}

void solveFactored(Runtime& runtime, const Matrix& l, const Matrix& rows) {
  const DeviceArray<int> info(runtime, 1);  // says of wrong arguments only, which the status says too
  check(
      cusolverDnDpotrs(static_cast<cusolverDnHandle_t>(runtime.solver()), kRowMajorLower, sizeOf(l.rows),
                       sizeOf(rows.rows), dataOf(l), sizeOf(l.stride), dataOf(rows), sizeOf(rows.stride), info.data()),
      "solving for a factored matrix");
}

}  // namespace espalier::cuda
