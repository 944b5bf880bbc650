#pragma once

#include <memory>

#include "backend/backend.h"
#include "solver/solver_table.h"

namespace espalier {

/// The functions of solver.h where a Backend computes: on its device when it has a solver of its own, otherwise on the
/// host with the backend's threads.
class Solver {
 public:
  explicit Solver(std::shared_ptr<Backend> backend) : backend_(std::move(backend)), table_(backend_->solverTable()) {}

  ScaleSystem scaleSystem(const ProjectionStatistics& statistics, int64_t unitSize, bool ones) const;
  std::vector<double> solveFiltered(const double* matrix, const std::vector<double>& rhs) const;
  Elimination eliminationOrder(const ProjectionStatistics& statistics, const double* outputMoments, int64_t unitSize,
                               double ridge) const;
  ProjectionFit solveProjection(const ProjectionStatistics& statistics, double ridge) const;
  double bestRidge(const ProjectionStatistics& fit, const ProjectionStatistics& heldOut,
                   const std::vector<double>& ridges) const;
  ProjectionFit composeProjection(const float* weight, int64_t outputs, const ProjectionFit& map) const;

 private:
  std::shared_ptr<Backend> backend_;
  const SolverTable* table_;
};

}  // namespace espalier
