#pragma once

#include "backend/cuda/solver/device_matrix.h"
#include "solver/solver.h"

namespace espalier::cuda {

/// A copy of statistics, and what they point to, on the device.
class DeviceStatistics {
 public:
  DeviceStatistics(Runtime& runtime, const ProjectionStatistics& host);

  /// Its pointers are the device's.
  const ProjectionStatistics& view() const { return view_; }

 private:
  DeviceCopy<double> gram_, cross_, inputSums_, targetSums_;
  DeviceCopy<float> weight_;
  ProjectionStatistics view_;
};

}  // namespace espalier::cuda
