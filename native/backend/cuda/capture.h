#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "backend/cuda/runtime.h"

namespace espalier::cuda {

/// A stream that takes note of the work it is asked for instead of doing it, until end() or its own end. For the thread
/// that makes it.
class Capture {
 public:
  Capture();
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  cudaStream_t stream() const { return stream_.get(); }
  /// The work as a graph that is launched on `target`. Throws where some of the work could not be noted.
  std::unique_ptr<Recording> end(cudaStream_t target);

 private:
  struct DestroyStream {
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  };
  std::unique_ptr<CUstream_st, DestroyStream> stream_;
};

}  // namespace espalier::cuda
