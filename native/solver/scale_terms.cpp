#include "solver/scale_terms.h"

namespace espalier {

void completeScaleSystem(const ProjectionStatistics& statistics, const Matrix& vectors, int64_t unitSize, bool ones,
                         ScaleSystem& system) {
  const int64_t units = statistics.inputs / unitSize;
  const int64_t unknowns = units + (ones ? 1 : 0);
  const int64_t hidden = statistics.hidden;
  // A'b, and the products with the column of ones.
  system.rhs.assign(static_cast<size_t>(unknowns), 0.0);
  std::vector<double> withOnes(static_cast<size_t>(units));
  for (int64_t i = 0; i < statistics.inputs; ++i) {
    double target = 0, sum = 0;
    for (int64_t c = 0; c < hidden; ++c) {
      target += statistics.cross[i * hidden + c] * vectors.row<double>(i)[c];
      sum += vectors.row<double>(i)[c];
    }
    system.rhs[i / unitSize] += target;
    withOnes[i / unitSize] += sum * statistics.inputSums[i];
  }
  if (ones) {
    for (int64_t u = 0; u < units; ++u) {
      system.matrix[u * unknowns + units] = system.matrix[units * unknowns + u] = withOnes[u];
    }
    system.matrix[units * unknowns + units] = statistics.rows * static_cast<double>(hidden);
    for (int64_t c = 0; c < hidden; ++c) system.rhs[units] += statistics.targetSums[c];
  }
  for (int64_t u = 0; u < unknowns; ++u) {
    for (int64_t v = 0; v < unknowns; ++v) system.rhs[u] -= system.matrix[u * unknowns + v];
  }
}

}  // namespace espalier
