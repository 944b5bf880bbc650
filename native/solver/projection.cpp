#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"
#include "solver/cholesky.h"
#include "solver/dense.h"
#include "solver/solver.h"
#include "solver/statistics.h"

namespace espalier {
namespace {

constexpr int64_t kOutputTile = 64;

}  // namespace

ProjectionFit solveProjection(const ProjectionStatistics& statistics, double ridge, int threads) {
  checkUnits(statistics, 1);
  const int64_t inputs = statistics.inputs, hidden = statistics.hidden;
  DenseMatrix gram = centredGram(statistics);
  const double pull = addRidge(gram.view, ridge);
  cholesky(gram.view, threads);
  const DenseMatrix cross = centredCross(statistics);
  DenseMatrix weight(hidden, inputs);
  ProjectionFit fit;
  fit.weight.resize(static_cast<size_t>(hidden * inputs));
  fit.biasShift.resize(static_cast<size_t>(hidden));
  parallelFor(threads, (hidden + kOutputTile - 1) / kOutputTile, [&](int64_t tile) {
    const int64_t first = tile * kOutputTile;
    const Matrix rows = weight.view.rowRange(first, std::min(kOutputTile, hidden - first));
    for (int64_t c = first; c < first + rows.rows; ++c) {
      for (int64_t i = 0; i < inputs; ++i) {
        weight.view.row<double>(c)[i] = cross.view.row<double>(i)[c] + pull * statistics.weight[c * inputs + i];
      }
    }
    denseKernels().solveRows(gram.view, rows);
    denseKernels().solveRowsTransposed(gram.view, rows);
    for (int64_t c = first; c < first + rows.rows; ++c) {
      double shift = statistics.targetSums[c];
      for (int64_t i = 0; i < inputs; ++i) {
        const double value = weight.view.row<double>(c)[i];
        shift -= value * statistics.inputSums[i];
        fit.weight[static_cast<size_t>(c * inputs + i)] = static_cast<float>(value);
      }
      fit.biasShift[static_cast<size_t>(c)] = static_cast<float>(shift / statistics.rows);
    }
  });
  return fit;
}

}  // namespace espalier
