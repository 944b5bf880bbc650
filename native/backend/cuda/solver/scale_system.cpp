#include "backend/cuda/solver/dense.h"
#include "backend/cuda/solver/device_matrix.h"
#include "backend/cuda/solver/matrix_steps.h"
#include "backend/cuda/solver/solver.h"
#include "solver/scale_terms.h"
#include "solver/statistics.h"

namespace espalier::cuda {

void scaleSystem(Runtime& runtime, const ProjectionStatistics& statistics, int64_t unitSize, bool ones, double* matrix,
                 double* rhs) {
  checkUnits(statistics, unitSize);
  const int64_t inputs = statistics.inputs, units = inputs / unitSize;
  const int64_t unknowns = units + (ones ? 1 : 0);
  {
    const DeviceCopy<double> gram(runtime, statistics.gram, inputs * inputs);
    const DeviceCopy<float> stored(runtime, statistics.weight, statistics.hidden * inputs);
    const DeviceMatrix weight(runtime, statistics.hidden, inputs), products(runtime, inputs, inputs);
    const DeviceMatrix partial(runtime, inputs, units), sums(runtime, unknowns, unknowns);
    widen(runtime, stored.data(), weight.view);
    multiply(runtime, 1, weight.view, Side::transposed, weight.view, 0, products.view);
    sumOverUnits(runtime, gram.data(), products.view, unitSize, partial.view, sums.view);
    runtime.copyOut(matrix, sums.view.data, sums.values.size() * sizeof(double));
  }
  completeScaleSystem(statistics, unitSize, ones, matrix, rhs);
}

}  // namespace espalier::cuda
