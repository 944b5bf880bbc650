#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "backend/cuda/check.h"
#include "backend/cuda/kernel.h"

namespace espalier::cuda {
namespace {

int32_t currentDevice() {
  int32_t device = 0;
  check(cudaGetDevice(&device), "asking for the device");
  return device;
}

}  // namespace

size_t sharedMemoryLimit() {
  int32_t bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, currentDevice()),
        "asking for the shared memory of a block");
  return static_cast<size_t>(bytes);
}

// All threads of the process share what a kernel may have: it is raised only, as another thread may be about to launch
// the kernel with what it allowed itself.
void allowSharedMemory(const void* kernel, size_t bytes) {
  static std::mutex mutex;
  static std::map<std::pair<const void*, int32_t>, size_t> allowed;
  const std::lock_guard<std::mutex> lock(mutex);
  size_t& most = allowed[{kernel, currentDevice()}];
  if (bytes <= most) return;
  if (bytes > sharedMemoryLimit()) {
    throw Error(ErrorCode::unsupported, "an operation needs " + std::to_string(bytes) +
                                            " bytes of shared memory a block, more than this GPU has");
  }
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "preparing a kernel");
  most = bytes;
}

void checkStart() { check(cudaGetLastError(), "starting a kernel"); }

}  // namespace espalier::cuda
