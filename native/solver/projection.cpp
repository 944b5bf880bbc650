#include <algorithm>
#include <numeric>
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

/// The sum over rows of |x * weight' + shift - b|^2, less that of |b|^2.
double squaredError(const ProjectionStatistics& statistics, const ProjectionFit& fit, int threads) {
  const int64_t inputs = statistics.inputs, hidden = statistics.hidden;
  const Matrix gram{const_cast<double*>(statistics.gram), DType::f64, inputs, inputs, inputs};
  std::vector<double> errors(static_cast<size_t>(hidden), 0.0);
  parallelFor(threads, (hidden + kOutputTile - 1) / kOutputTile, [&](int64_t tile) {
    const int64_t first = tile * kOutputTile;
    DenseMatrix rows(std::min(kOutputTile, hidden - first), inputs), images(rows.view.rows, inputs);
    std::copy_n(fit.weight.data() + first * inputs, rows.values.size(), rows.values.data());
    denseKernels().addProduct(1, rows.view, gram, images.view);
    for (int64_t r = 0; r < rows.view.rows; ++r) {
      const int64_t c = first + r;
      const double shift = fit.biasShift[static_cast<size_t>(c)];
      double error = shift * (statistics.rows * shift - 2 * statistics.targetSums[c]);
      for (int64_t i = 0; i < inputs; ++i) {
        error +=
            rows.view.row<double>(r)[i] *
            (images.view.row<double>(r)[i] + 2 * (shift * statistics.inputSums[i] - statistics.cross[i * hidden + c]));
      }
      errors[static_cast<size_t>(c)] = error;
    }
  });
  return std::accumulate(errors.begin(), errors.end(), 0.0);
}

}  // namespace

ProjectionFit solveProjection(const ProjectionStatistics& statistics, double ridge, int threads) {
  checkUnits(statistics, 1);
  const int64_t inputs = statistics.inputs, hidden = statistics.hidden;
  DenseMatrix gram(inputs, inputs);
  const double pull = factorWithRidge(statistics, ridge, [&](double added) {
    centreGram(statistics, added, gram.view);
    cholesky(gram.view, threads);
  });
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

double bestRidge(const ProjectionStatistics& fit, const ProjectionStatistics& heldOut,
                 const std::vector<double>& ridges, int threads) {
  checkUnits(heldOut, 1);
  require(!ridges.empty(), "there is no ridge to choose from");
  require(fit.inputs == heldOut.inputs && fit.hidden == heldOut.hidden, "held-out statistics have another size");
  std::vector<double> errors;
  for (double ridge : ridges) errors.push_back(squaredError(heldOut, solveProjection(fit, ridge, threads), threads));
  return ridges[static_cast<size_t>(std::min_element(errors.begin(), errors.end()) - errors.begin())];
}

ProjectionFit composeProjection(const float* weight, int64_t outputs, const ProjectionFit& map, int threads) {
  const auto inputs = static_cast<int64_t>(map.biasShift.size());
  require(static_cast<int64_t>(map.weight.size()) == inputs * inputs, "an affine map must be square");
  DenseMatrix transposed(inputs, inputs);
  for (int64_t i = 0; i < inputs; ++i) {
    for (int64_t j = 0; j < inputs; ++j) transposed.view.row<double>(j)[i] = map.weight[i * inputs + j];
  }
  ProjectionFit composed;
  composed.weight.resize(static_cast<size_t>(outputs * inputs));
  composed.biasShift.resize(static_cast<size_t>(outputs));
  parallelFor(threads, (outputs + kOutputTile - 1) / kOutputTile, [&](int64_t tile) {
    const int64_t first = tile * kOutputTile;
    DenseMatrix rows(std::min(kOutputTile, outputs - first), inputs), products(rows.view.rows, inputs);
    std::copy_n(weight + first * inputs, rows.values.size(), rows.values.data());
    denseKernels().addProduct(1, rows.view, transposed.view, products.view);
    std::copy(products.values.begin(), products.values.end(), composed.weight.begin() + first * inputs);
    for (int64_t o = 0; o < rows.view.rows; ++o) {
      double shift = 0;
      for (int64_t i = 0; i < inputs; ++i) shift += rows.view.row<double>(o)[i] * map.biasShift[static_cast<size_t>(i)];
      composed.biasShift[static_cast<size_t>(first + o)] = static_cast<float>(shift);
    }
  });
  return composed;
}

}  // namespace espalier
