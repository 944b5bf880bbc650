// The optimal brain surgeon of native/solver/elimination.cpp. Here the matrices never shrink: the rows and columns of
// removed units are left to become noise that nothing reads.

#include <vector>

#include "backend/cuda/solver/dense.h"
#include "backend/cuda/solver/device_matrix.h"
#include "backend/cuda/solver/device_statistics.h"
#include "backend/cuda/solver/elimination_steps.h"
#include "backend/cuda/solver/matrix_steps.h"
#include "backend/cuda/solver/solver.h"
#include "core/error.h"
#include "solver/statistics.h"

namespace espalier::cuda {
namespace {

/// inverse [inputs, inputs] of the centred Gram matrix with its ridge, in both triangles.
void invertGram(Runtime& runtime, const ProjectionStatistics& host, double ridge, const Matrix& inverse) {
  const DeviceCopy<double> gram(runtime, host.gram, host.inputs * host.inputs);
  const DeviceCopy<double> sums(runtime, host.inputSums, host.inputs);
  const DeviceMatrix factor(runtime, host.inputs, host.inputs);
  ProjectionStatistics statistics = host;
  statistics.gram = gram.data();
  statistics.inputSums = sums.data();
  factorWithRidge(host, ridge, [&](double added) {
    centreGram(runtime, statistics, added, factor.view);
    cholesky(runtime, factor.view);
  });
  runtime.fillZero(inverse.data, static_cast<size_t>(inverse.rows * inverse.cols) * sizeof(double));
  addToDiagonal(runtime, 1, inverse);
  solveFactored(runtime, factor.view, inverse);
}

/// products [inputs, inputs] = weight' * moments' * weight
void weighInputs(Runtime& runtime, const ProjectionStatistics& host, const double* outputMoments,
                 const Matrix& products) {
  const int64_t inputs = host.inputs, hidden = host.hidden;
  const DeviceCopy<double> copied(runtime, outputMoments, hidden * hidden);
  const DeviceCopy<float> stored(runtime, host.weight, hidden * inputs);
  const DeviceMatrix weight(runtime, hidden, inputs), weighted(runtime, hidden, inputs);
  const Matrix moments{copied.data(), DType::f64, hidden, hidden, hidden};
  widen(runtime, stored.data(), weight.view);
  multiply(runtime, 1, moments, Side::transposed, weight.view, 0, weighted.view);
  multiply(runtime, 1, weighted.view, Side::transposed, weight.view, 0, products);
}

/// The matrices h and t of an elimination, and what it has found so far.
class Eliminator {
 public:
  Eliminator(Runtime& runtime, const DeviceMatrix& inverse, const DeviceMatrix& products, int64_t unitSize)
      : runtime_(runtime),
        inverse_(inverse.view),
        products_(products.view),
        inputs_(inverse.view.rows),
        unitSize_(unitSize),
        units_(inputs_ / unitSize),
        removed_(runtime, static_cast<size_t>(units_)),
        order_(runtime, static_cast<size_t>(units_)),
        failed_(runtime, 1),
        errors_(runtime, static_cast<size_t>(units_)) {
    runtime.fillZero(removed_.data(), removed_.size() * sizeof(int32_t));
    runtime.fillZero(failed_.data(), sizeof(int32_t));
  }

  Elimination run() {
    if (unitSize_ == 1) {
      removeNeurons();
    } else {
      removeUnits();
    }
    return result();
  }

 private:
  double* inverse() const { return static_cast<double*>(inverse_.data); }
  double* products() const { return static_cast<double*>(products_.data); }
  Removals removals() const { return {removed_.data(), order_.data(), errors_.data(), failed_.data()}; }

  /// h -= c' c and t -= c' b + b' c; both panels [any, inputs].
  void subtract(const Matrix& c, const Matrix& b) {
    multiply(runtime_, -1, c, Side::transposed, c, 1, inverse_);
    multiply(runtime_, -1, c, Side::transposed, b, 1, products_);
    multiply(runtime_, -1, b, Side::transposed, c, 1, products_);
  }

  void removeNeurons() {
    const DeviceMatrix c(runtime_, kNeuronPanel, inputs_), b(runtime_, kNeuronPanel, inputs_);
    const DeviceMatrix diagonals(runtime_, 2, inputs_);
    const DeviceArray<Candidate> candidates(runtime_, static_cast<size_t>(2 * neuronBlocks(inputs_)));
    const NeuronStep step{inputs_,
                          inverse(),
                          products(),
                          c.values.data(),
                          b.values.data(),
                          diagonals.view.row<double>(0),
                          diagonals.view.row<double>(1),
                          candidates.data(),
                          removals()};
    startNeurons(runtime_, step);
    int32_t pending = 0;
    for (int32_t index = 0; index < units_; ++index) {
      removeNeuron(runtime_, step, index, pending);
      if (++pending == kNeuronPanel) {
        subtract(c.view, b.view);
        pending = 0;
      }
    }
  }

  void removeUnits() {
    const DeviceMatrix c(runtime_, unitSize_, inputs_), b(runtime_, unitSize_, inputs_);
    const DeviceMatrix factors(runtime_, inputs_, unitSize_), middles(runtime_, inputs_, unitSize_);
    const DeviceArray<double> costs(runtime_, static_cast<size_t>(units_));
    const UnitStep step{inputs_,
                        static_cast<int32_t>(unitSize_),
                        inverse(),
                        products(),
                        factors.values.data(),
                        middles.values.data(),
                        costs.data(),
                        c.values.data(),
                        b.values.data(),
                        removals()};
    for (int32_t index = 0; index < units_; ++index) {
      removeUnit(runtime_, step, index);
      subtract(c.view, b.view);
    }
  }

  Elimination result() {
    int32_t failed = 0;
    runtime_.copyOut(&failed, failed_.data(), sizeof failed);
    if (failed != 0) throw Error(ErrorCode::notPositiveDefinite, "the inputs of a projection cannot be told apart");
    Elimination result;
    result.order.resize(order_.size());
    result.errors.resize(errors_.size());
    runtime_.copyOut(result.order.data(), order_.data(), order_.size() * sizeof(int32_t));
    runtime_.copyOut(result.errors.data(), errors_.data(), errors_.size() * sizeof(double));
    return result;
  }

  Runtime& runtime_;
  Matrix inverse_, products_;
  int64_t inputs_, unitSize_, units_;
  DeviceArray<int32_t> removed_, order_, failed_;
  DeviceArray<double> errors_;
};

}  // namespace

Elimination eliminationOrder(Runtime& runtime, const ProjectionStatistics& statistics, const double* outputMoments,
                             int64_t unitSize, double ridge) {
  checkUnits(statistics, unitSize);
  const DeviceMatrix inverse(runtime, statistics.inputs, statistics.inputs);
  const DeviceMatrix products(runtime, statistics.inputs, statistics.inputs);
  invertGram(runtime, statistics, ridge, inverse.view);
  weighInputs(runtime, statistics, outputMoments, products.view);
  return Eliminator(runtime, inverse, products, unitSize).run();
}

}  // namespace espalier::cuda
