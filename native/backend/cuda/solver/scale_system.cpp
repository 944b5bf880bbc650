#include "backend/cuda/solver/dense.h"
#include "backend/cuda/solver/device_matrix.h"
#include "backend/cuda/solver/matrix_steps.h"
#include "backend/cuda/solver/solver.h"
#include "solver/scale_terms.h"
#include "solver/statistics.h"

namespace espalier::cuda {

ScaleSystem scaleSystem(Runtime& runtime, const ProjectionStatistics& statistics, int64_t unitSize, bool ones) {
  checkUnits(statistics, unitSize);
  const int64_t inputs = statistics.inputs, units = inputs / unitSize;
  const int64_t unknowns = units + (ones ? 1 : 0);
  const DenseMatrix vectors = inputVectors(statistics);
  ScaleSystem system;
  system.matrix.resize(static_cast<size_t>(unknowns * unknowns));
  {
    const DeviceCopy<double> gram(runtime, statistics.gram, inputs * inputs);
    const DeviceCopy<float> stored(runtime, statistics.weight, statistics.hidden * inputs);
    const DeviceMatrix weight(runtime, statistics.hidden, inputs), products(runtime, inputs, inputs);
    const DeviceMatrix partial(runtime, inputs, units), matrix(runtime, unknowns, unknowns);
    widen(runtime, stored.data(), weight.view);
    multiply(runtime, 1, weight.view, Side::transposed, weight.view, 0, products.view);
    sumOverUnits(runtime, gram.data(), products.view, unitSize, partial.view, matrix.view);
    runtime.copyOut(system.matrix.data(), matrix.view.data, system.matrix.size() * sizeof(double));
  }
  completeScaleSystem(statistics, vectors.view, unitSize, ones, system);
  return system;
}

}  // namespace espalier::cuda
