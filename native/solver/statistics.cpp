#include "solver/statistics.h"

#include <algorithm>

#include "core/error.h"

namespace espalier {

DenseMatrix inputVectors(const ProjectionStatistics& statistics) {
  DenseMatrix vectors(statistics.inputs, statistics.hidden);
  for (int64_t c = 0; c < statistics.hidden; ++c) {
    for (int64_t i = 0; i < statistics.inputs; ++i) {
      vectors.view.row<double>(i)[c] = statistics.weight[c * statistics.inputs + i];
    }
  }
  return vectors;
}

DenseMatrix centredGram(const ProjectionStatistics& statistics) {
  const int64_t n = statistics.inputs;
  DenseMatrix gram(n, n);
  for (int64_t i = 0; i < n; ++i) {
    const double mean = statistics.inputSums[i] / statistics.rows;
    for (int64_t j = 0; j < n; ++j) {
      gram.view.row<double>(i)[j] = statistics.gram[i * n + j] - mean * statistics.inputSums[j];
    }
  }
  return gram;
}

DenseMatrix centredCross(const ProjectionStatistics& statistics) {
  DenseMatrix cross(statistics.inputs, statistics.hidden);
  for (int64_t i = 0; i < statistics.inputs; ++i) {
    const double mean = statistics.inputSums[i] / statistics.rows;
    for (int64_t c = 0; c < statistics.hidden; ++c) {
      cross.view.row<double>(i)[c] = statistics.cross[i * statistics.hidden + c] - mean * statistics.targetSums[c];
    }
  }
  return cross;
}

double addRidge(const Matrix& gram, double part) {
  double sum = 0;
  for (int64_t i = 0; i < gram.rows; ++i) sum += gram.row<double>(i)[i];
  // Inputs that are always zero have no variance to take a part of.
  const double least = part > 0 ? 1e-20 : 0;
  const double ridge = std::max(least, part * sum / static_cast<double>(std::max<int64_t>(1, gram.rows)));
  for (int64_t i = 0; i < gram.rows; ++i) gram.row<double>(i)[i] += ridge;
  return ridge;
}

void checkUnits(const ProjectionStatistics& statistics, int64_t unitSize) {
  require(statistics.rows > 0 && statistics.hidden > 0, "there are no rows to fit a projection to");
  require(unitSize > 0 && statistics.inputs > 0 && statistics.inputs % unitSize == 0,
          "the inputs of a projection must be a whole number of units");
}

}  // namespace espalier
