#pragma once

#include "backend/cuda/kernel.h"
#include "backend/cuda/kernels/vectors.h"
#include "backend/cuda/runtime.h"

namespace espalier::cuda {

template <typename Body>
__global__ void forEachKernel(int64_t count, Body body) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index < count) body(index);
}

/// body(index) on the device for every index in [0, count), each in a thread of its own.
template <typename Body>
void forEach(Runtime& runtime, int64_t count, const Body& body) {
  launch(forEachKernel<Body>, blocksFor(count), dim3(kThreads), 0, runtime.stream(), count, body);
}

}  // namespace espalier::cuda
