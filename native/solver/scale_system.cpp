#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"
#include "solver/dense.h"
#include "solver/scale_terms.h"
#include "solver/solver.h"
#include "solver/statistics.h"

namespace espalier {
namespace {

constexpr int64_t kTileInputs = 192;

Matrix matrixView(double* data, int64_t rows, int64_t cols) { return {data, DType::f64, rows, cols, cols}; }

/// A'A between the units of two tiles: sums of gram * (weight' weight) over each pair of units. A product of two
/// outputs summed over the hidden coordinates is the product of the inputs times that of their weight vectors.
void fillTile(const ProjectionStatistics& statistics, const Matrix& vectors, int64_t unitSize, int64_t firstUnit,
              int64_t units, int64_t firstOther, int64_t others, int64_t unknowns, double* matrix) {
  std::vector<double> weights(static_cast<size_t>(units * others * unitSize * unitSize));
  const Matrix products = matrixView(weights.data(), units * unitSize, others * unitSize);
  denseKernels().addProduct(1, vectors.rowRange(firstUnit * unitSize, products.rows),
                            vectors.rowRange(firstOther * unitSize, products.cols), products);
  for (int64_t u = 0; u < units; ++u) {
    for (int64_t o = 0; o < others; ++o) {
      double sum = 0;
      for (int64_t i = u * unitSize; i < (u + 1) * unitSize; ++i) {
        const double* gram = statistics.gram + (firstUnit * unitSize + i) * statistics.inputs + firstOther * unitSize;
        for (int64_t j = o * unitSize; j < (o + 1) * unitSize; ++j) sum += gram[j] * products.row<double>(i)[j];
      }
      matrix[(firstUnit + u) * unknowns + firstOther + o] = sum;
      matrix[(firstOther + o) * unknowns + firstUnit + u] = sum;
    }
  }
}

}  // namespace

ScaleSystem scaleSystem(const ProjectionStatistics& statistics, int64_t unitSize, bool ones, int threads) {
  checkUnits(statistics, unitSize);
  const int64_t units = statistics.inputs / unitSize;
  const int64_t unknowns = units + (ones ? 1 : 0);
  const DenseMatrix owned = inputVectors(statistics);
  const Matrix& vectors = owned.view;

  ScaleSystem system;
  system.matrix.resize(static_cast<size_t>(unknowns * unknowns));
  const int64_t tile = std::max<int64_t>(1, kTileInputs / unitSize);
  const int64_t tiles = (units + tile - 1) / tile;
  parallelFor(threads, tiles * tiles, [&](int64_t index) {
    const int64_t first = index / tiles * tile, other = index % tiles * tile;
    if (other > first) return;
    fillTile(statistics, vectors, unitSize, first, std::min(tile, units - first), other, std::min(tile, units - other),
             unknowns, system.matrix.data());
  });

  system.rhs.resize(static_cast<size_t>(unknowns));
  completeScaleSystem(statistics, unitSize, ones, system.matrix.data(), system.rhs.data());
  return system;
}

}  // namespace espalier
