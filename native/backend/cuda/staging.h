#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace espalier::cuda {

/// Pinned host memory on the way between the host's ordinary memory and the device, which can then copy while both go
/// on. One for each stream; safe to use from several host threads, which take turns but for a few bytes from the
/// device.
class Staging {
 public:
  explicit Staging(cudaStream_t stream);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// As Runtime::copyRowsIn().
  void copyIn(void* device, size_t deviceStride, const void* host, size_t rowBytes, size_t rows);
  /// As Runtime::copyRowsOut().
  void copyOut(void* host, const void* device, size_t deviceStride, size_t rowBytes, size_t rows);

 private:
  /// `bytes` of pinned memory that no copy to the device reads any more.
  char* reserve(size_t bytes);
  void copyFewOut(void* host, const void* device, size_t bytes);

  cudaStream_t stream_;
  std::mutex mutex_;
  char* memory_ = nullptr;
  size_t used_ = 0;  // bytes that copies to the device may still read
  cudaEvent_t arrived_[2] = {};
  struct Few;
  std::mutex idleMutex_;  // of its own: whoever holds the other may be waiting
  std::vector<std::unique_ptr<Few>> idle_;
};

}  // namespace espalier::cuda
