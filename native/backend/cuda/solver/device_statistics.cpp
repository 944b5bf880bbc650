#include "backend/cuda/solver/device_statistics.h"

namespace espalier::cuda {

DeviceStatistics::DeviceStatistics(Runtime& runtime, const ProjectionStatistics& host)
    : gram_(runtime, host.gram, host.inputs * host.inputs),
      cross_(runtime, host.cross, host.inputs * host.hidden),
      inputSums_(runtime, host.inputSums, host.inputs),
      targetSums_(runtime, host.targetSums, host.hidden),
      weight_(runtime, host.weight, host.hidden * host.inputs),
      view_{host.rows,     host.inputs,       host.hidden,        gram_.data(),
            cross_.data(), inputSums_.data(), targetSums_.data(), weight_.data()} {}

}  // namespace espalier::cuda
