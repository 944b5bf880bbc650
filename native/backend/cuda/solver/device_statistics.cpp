#include "backend/cuda/solver/device_statistics.h"

#include <cmath>
#include <vector>

#include "core/error.h"
#include "solver/statistics.h"

namespace espalier::cuda {

DeviceStatistics::DeviceStatistics(Runtime& runtime, const ProjectionStatistics& host)
    : gram_(runtime, host.gram, host.inputs * host.inputs),
      cross_(runtime, host.cross, host.inputs * host.hidden),
      inputSums_(runtime, host.inputSums, host.inputs),
      targetSums_(runtime, host.targetSums, host.hidden),
      weight_(runtime, host.weight, host.hidden * host.inputs),
      view_{host.rows,     host.inputs,       host.hidden,        gram_.data(),
            cross_.data(), inputSums_.data(), targetSums_.data(), weight_.data()} {}

double ridgeOf(const ProjectionStatistics& statistics, double part) {
  const int64_t n = statistics.inputs;
  std::vector<double> diagonal;
  for (int64_t i = 0; i < n; ++i) {
    const double mean = statistics.inputSums[i] / statistics.rows;
    diagonal.push_back(statistics.gram[i * n + i] - mean * statistics.inputSums[i]);
    // cuSOLVER does not say whether a pivot was negative or no number at all.
    if (!std::isfinite(diagonal.back())) {
      throw Error(ErrorCode::nonFinite, "the statistics of a projection have values that are not finite");
    }
  }
  // Rows of stride 0 lie on one another: element [i][i] of this matrix is diagonal[i].
  return addRidge({diagonal.data(), DType::f64, n, n, 0}, part);
}

}  // namespace espalier::cuda
