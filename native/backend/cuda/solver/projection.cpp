#include <algorithm>
#include <numeric>
#include <vector>

#include "backend/cuda/solver/dense.h"
#include "backend/cuda/solver/device_matrix.h"
#include "backend/cuda/solver/device_statistics.h"
#include "backend/cuda/solver/matrix_steps.h"
#include "backend/cuda/solver/solver.h"
#include "core/error.h"
#include "solver/statistics.h"

namespace espalier::cuda {
namespace {

/// to [matrix.rows] on the host = matrix * column
std::vector<double> timesColumn(Runtime& runtime, const Matrix& matrix, const double* column) {
  const DeviceMatrix product(runtime, matrix.rows, 1);
  const Matrix factor{const_cast<double*>(column), DType::f64, matrix.cols, 1, 1};
  multiply(runtime, 1, matrix, Side::plain, factor, 0, product.view);
  std::vector<double> values(static_cast<size_t>(matrix.rows));
  runtime.copyOut(values.data(), product.view.data, values.size() * sizeof(double));
  return values;
}

std::vector<float> toHost(Runtime& runtime, const DeviceArray<float>& values) {
  std::vector<float> result(values.size());
  runtime.copyOut(result.data(), values.data(), result.size() * sizeof(float));
  return result;
}

/// Fits one projection, which stays on the device, with any number of ridges.
class Fitter {
 public:
  Fitter(Runtime& runtime, const ProjectionStatistics& host)
      : runtime_(runtime),
        host_(host),
        statistics_(runtime, host),
        factor_(runtime, host.inputs, host.inputs),
        solution_(runtime, host.hidden, host.inputs),
        weight_(runtime, solution_.values.size()) {}

  void fit(double ridge) {
    const double pull = factorWithRidge(host_, ridge, [&](double added) {
      centreGram(runtime_, statistics_.view(), added, factor_.view);
      cholesky(runtime_, factor_.view);
    });
    pulledProducts(runtime_, statistics_.view(), pull, solution_.view);
    solveFactored(runtime_, factor_.view, solution_.view);
    narrow(runtime_, solution_.view, weight_.data());
    biasShift_.clear();
    const std::vector<double> means = timesColumn(runtime_, solution_.view, statistics_.view().inputSums);
    for (int64_t c = 0; c < host_.hidden; ++c) {
      biasShift_.push_back(static_cast<float>((host_.targetSums[c] - means[static_cast<size_t>(c)]) / host_.rows));
    }
  }

  /// [hidden, inputs] on the device
  const DeviceArray<float>& weight() const { return weight_; }
  /// [hidden]
  const std::vector<float>& biasShift() const { return biasShift_; }

 private:
  Runtime& runtime_;
  const ProjectionStatistics& host_;
  DeviceStatistics statistics_;
  DeviceMatrix factor_, solution_;
  DeviceArray<float> weight_;
  std::vector<float> biasShift_;
};

/// The sum over rows of |x * weight' + shift - b|^2, less that of |b|^2. The statistics are on the device.
double squaredError(Runtime& runtime, const ProjectionStatistics& statistics, const Fitter& fitter) {
  const int64_t inputs = statistics.inputs, hidden = statistics.hidden;
  const DeviceMatrix weight(runtime, hidden, inputs), images(runtime, hidden, inputs);
  const DeviceCopy<float> shift(runtime, fitter.biasShift().data(), hidden);
  const DeviceArray<double> errors(runtime, static_cast<size_t>(hidden));
  const Matrix gram{const_cast<double*>(statistics.gram), DType::f64, inputs, inputs, inputs};
  widen(runtime, fitter.weight().data(), weight.view);
  multiply(runtime, 1, weight.view, Side::plain, gram, 0, images.view);
  squaredErrors(runtime, statistics, weight.view, images.view, shift.data(), errors.data());
  std::vector<double> values(errors.size());
  runtime.copyOut(values.data(), errors.data(), values.size() * sizeof(double));
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

ProjectionFit solveProjection(Runtime& runtime, const ProjectionStatistics& statistics, double ridge) {
  checkUnits(statistics, 1);
  Fitter fitter(runtime, statistics);
  fitter.fit(ridge);
  return {toHost(runtime, fitter.weight()), fitter.biasShift()};
}

double bestRidge(Runtime& runtime, const ProjectionStatistics& fit, const ProjectionStatistics& heldOut,
                 const std::vector<double>& ridges) {
  checkUnits(fit, 1);
  checkUnits(heldOut, 1);
  require(!ridges.empty(), "there is no ridge to choose from");
  require(fit.inputs == heldOut.inputs && fit.hidden == heldOut.hidden, "held-out statistics have another size");
  Fitter fitter(runtime, fit);
  const DeviceStatistics others(runtime, heldOut);
  std::vector<double> errors;
  for (double ridge : ridges) {
    fitter.fit(ridge);
    errors.push_back(squaredError(runtime, others.view(), fitter));
  }
  return ridges[static_cast<size_t>(std::min_element(errors.begin(), errors.end()) - errors.begin())];
}

ProjectionFit composeProjection(Runtime& runtime, const float* weight, int64_t outputs, const ProjectionFit& map) {
  const auto inputs = static_cast<int64_t>(map.biasShift.size());
  require(static_cast<int64_t>(map.weight.size()) == inputs * inputs, "an affine map must be square");
  const auto widened = [&](const float* host, const DeviceMatrix& to) {
    const DeviceCopy<float> stored(runtime, host, static_cast<int64_t>(to.values.size()));
    widen(runtime, stored.data(), to.view);
  };
  const DeviceMatrix outer(runtime, outputs, inputs), inner(runtime, inputs, inputs), shift(runtime, inputs, 1);
  const DeviceMatrix product(runtime, outputs, inputs);
  widened(weight, outer);
  widened(map.weight.data(), inner);
  widened(map.biasShift.data(), shift);
  multiply(runtime, 1, outer.view, Side::plain, inner.view, 0, product.view);
  const DeviceArray<float> composed(runtime, product.values.size());
  narrow(runtime, product.view, composed.data());
  const std::vector<double> biasShift = timesColumn(runtime, outer.view, shift.values.data());
  return {toHost(runtime, composed), {biasShift.begin(), biasShift.end()}};
}

}  // namespace espalier::cuda
