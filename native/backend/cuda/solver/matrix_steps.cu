#include "backend/cuda/solver/for_each.h"
#include "backend/cuda/solver/matrix_steps.h"

namespace espalier::cuda {
namespace {

double* dataOf(const Matrix& matrix) { return static_cast<double*>(matrix.data); }

template <typename From, typename To>
struct Convert {
  const From* from;
  To* to;

  __device__ void operator()(int64_t index) const { to[index] = static_cast<To>(from[index]); }
};

struct AddToDiagonal {
  double value;
  int64_t size;
  double* to;  // [size, size]

  __device__ void operator()(int64_t index) const { to[index * size + index] += value; }
};

struct CentreGram {
  ProjectionStatistics statistics;
  double ridge;
  double* to;  // [inputs, inputs]

  __device__ void operator()(int64_t index) const {
    const int64_t i = index / statistics.inputs, j = index % statistics.inputs;
    const double mean = statistics.inputSums[i] / statistics.rows;
    const double centred = statistics.gram[index] - mean * statistics.inputSums[j];
    to[index] = i == j ? centred + ridge : centred;
  }
};

struct PulledProducts {
  ProjectionStatistics statistics;
  double pull;
  double* to;  // [hidden, inputs]

  __device__ void operator()(int64_t index) const {
    const int64_t c = index / statistics.inputs, i = index % statistics.inputs;
    const double mean = statistics.inputSums[i] / statistics.rows;
    to[index] =
        statistics.cross[i * statistics.hidden + c] - mean * statistics.targetSums[c] + pull * statistics.weight[index];
  }
};

/// One block for each hidden coordinate. Shared memory: a double for each thread.
__global__ void squaredErrorsKernel(ProjectionStatistics statistics, const double* weight, const double* images,
                                    const float* shifts, double* errors) {
  const int64_t c = blockIdx.x, inputs = statistics.inputs;
  const int thread = static_cast<int>(threadIdx.x);
  const double shift = shifts[c];
  double sum = 0;
  for (int64_t i = thread; i < inputs; i += kThreads) {
    const double target = statistics.cross[i * statistics.hidden + c];
    sum += weight[c * inputs + i] * (images[c * inputs + i] + 2 * (shift * statistics.inputSums[i] - target));
  }
  auto* sums = reinterpret_cast<double*>(sharedMemory());
  sums[thread] = sum;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (thread < half) sums[thread] += sums[thread + half];
    __syncthreads();
  }
  if (thread == 0) errors[c] = sums[0] + shift * (statistics.rows * shift - 2 * statistics.targetSums[c]);
}

/// A unit's part of a row of gram * products, element by element.
struct SumRowOverUnit {
  const double* gram;
  const double* products;
  int64_t inputs, unitSize;
  double* sums;  // [inputs, units]

  __device__ void operator()(int64_t index) const {
    const int64_t units = inputs / unitSize;
    const int64_t first = index / units * inputs + index % units * unitSize;
    double sum = 0;
    for (int64_t j = first; j < first + unitSize; ++j) sum += gram[j] * products[j];
    sums[index] = sum;
  }
};

/// Sums of both triangles are taken below the diagonal: rounding must not make the matrix less than symmetric.
struct SumRowsOfUnit {
  const double* sums;  // [inputs, units]
  int64_t units, unitSize;
  double* to;
  int64_t stride;

  __device__ void operator()(int64_t index) const {
    const int64_t row = index / units, column = index % units;
    const int64_t u = row > column ? row : column, v = row > column ? column : row;
    double sum = 0;
    for (int64_t i = u * unitSize; i < (u + 1) * unitSize; ++i) sum += sums[i * units + v];
    to[row * stride + column] = sum;
  }
};

}  // namespace

void widen(Runtime& runtime, const float* from, const Matrix& to) {
  forEach(runtime, to.rows * to.cols, Convert<float, double>{from, dataOf(to)});
}

void narrow(Runtime& runtime, const Matrix& from, float* to) {
  forEach(runtime, from.rows * from.cols, Convert<double, float>{dataOf(from), to});
}

void addToDiagonal(Runtime& runtime, double value, const Matrix& to) {
  forEach(runtime, to.rows, AddToDiagonal{value, to.rows, dataOf(to)});
}

void centreGram(Runtime& runtime, const ProjectionStatistics& statistics, double ridge, const Matrix& to) {
  forEach(runtime, statistics.inputs * statistics.inputs, CentreGram{statistics, ridge, dataOf(to)});
}

void pulledProducts(Runtime& runtime, const ProjectionStatistics& statistics, double pull, const Matrix& to) {
  forEach(runtime, statistics.hidden * statistics.inputs, PulledProducts{statistics, pull, dataOf(to)});
}

void squaredErrors(Runtime& runtime, const ProjectionStatistics& statistics, const Matrix& weight, const Matrix& images,
                   const float* shift, double* errors) {
  const double* weights = dataOf(weight);
  const double* products = dataOf(images);
  launch(squaredErrorsKernel, dim3(static_cast<unsigned>(statistics.hidden)), dim3(kThreads), kThreads * sizeof(double),
         runtime.stream(), statistics, weights, products, shift, errors);
}

void sumOverUnits(Runtime& runtime, const double* gram, const Matrix& products, int64_t unitSize, const Matrix& units,
                  const Matrix& to) {
  const int64_t count = units.cols;
  forEach(runtime, units.rows * count, SumRowOverUnit{gram, dataOf(products), units.rows, unitSize, dataOf(units)});
  forEach(runtime, count * count, SumRowsOfUnit{dataOf(units), count, unitSize, dataOf(to), to.stride});
}

}  // namespace espalier::cuda
