#include "solver/backend_solver.h"

#include "solver/statistics.h"

namespace espalier {
namespace {

/// Room for a fit of a [outputs, inputs] projection.
ProjectionFit emptyFit(int64_t outputs, int64_t inputs) {
  return {std::vector<float>(static_cast<size_t>(outputs * inputs)), std::vector<float>(static_cast<size_t>(outputs))};
}

}  // namespace

// On a device, sizes of results are known only once those of the arguments are known to fit.

ScaleSystem Solver::scaleSystem(const ProjectionStatistics& statistics, int64_t unitSize, bool ones) const {
  if (table_ == nullptr) return espalier::scaleSystem(statistics, unitSize, ones, backend_->threads());
  checkUnits(statistics, unitSize);
  const auto unknowns = static_cast<size_t>(statistics.inputs / unitSize + (ones ? 1 : 0));
  ScaleSystem system{std::vector<double>(unknowns * unknowns), std::vector<double>(unknowns)};
  check(table_->scaleSystem(backend_->state(), &statistics, unitSize, ones, system.matrix.data(), system.rhs.data()));
  return system;
}

std::vector<double> Solver::solveFiltered(const double* matrix, const std::vector<double>& rhs) const {
  if (table_ == nullptr) return espalier::solveFiltered(matrix, rhs, backend_->threads());
  std::vector<double> scales(rhs.size());
  check(table_->solveFiltered(backend_->state(), matrix, rhs.data(), static_cast<int64_t>(rhs.size()), scales.data()));
  return scales;
}

Elimination Solver::eliminationOrder(const ProjectionStatistics& statistics, const double* outputMoments,
                                     int64_t unitSize, double ridge) const {
  if (table_ == nullptr)
    return espalier::eliminationOrder(statistics, outputMoments, unitSize, ridge, backend_->threads());
  checkUnits(statistics, unitSize);
  const auto units = static_cast<size_t>(statistics.inputs / unitSize);
  Elimination elimination{std::vector<int32_t>(units), std::vector<double>(units)};
  check(table_->eliminationOrder(backend_->state(), &statistics, outputMoments, unitSize, ridge,
                                 elimination.order.data(), elimination.errors.data()));
  return elimination;
}

ProjectionFit Solver::solveProjection(const ProjectionStatistics& statistics, double ridge) const {
  if (table_ == nullptr) return espalier::solveProjection(statistics, ridge, backend_->threads());
  checkUnits(statistics, 1);
  ProjectionFit fit = emptyFit(statistics.hidden, statistics.inputs);
  check(table_->solveProjection(backend_->state(), &statistics, ridge, fit.weight.data(), fit.biasShift.data()));
  return fit;
}

double Solver::bestRidge(const ProjectionStatistics& fit, const ProjectionStatistics& heldOut,
                         const std::vector<double>& ridges) const {
  if (table_ == nullptr) return espalier::bestRidge(fit, heldOut, ridges, backend_->threads());
  double best = 0;
  check(
      table_->bestRidge(backend_->state(), &fit, &heldOut, ridges.data(), static_cast<int64_t>(ridges.size()), &best));
  return best;
}

ProjectionFit Solver::composeProjection(const float* weight, int64_t outputs, const ProjectionFit& map) const {
  if (table_ == nullptr) return espalier::composeProjection(weight, outputs, map, backend_->threads());
  const auto inputs = static_cast<int64_t>(map.biasShift.size());
  require(static_cast<int64_t>(map.weight.size()) == inputs * inputs, "an affine map must be square");
  ProjectionFit composed = emptyFit(outputs, inputs);
  check(table_->composeProjection(backend_->state(), weight, outputs, map.weight.data(), map.biasShift.data(), inputs,
                                  composed.weight.data(), composed.biasShift.data()));
  return composed;
}

}  // namespace espalier
