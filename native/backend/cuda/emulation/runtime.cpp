// A device whose memory is the host's and whose stream does everything at once.

#include "backend/cuda/runtime.h"

#include <cstdlib>
#include <cstring>

#include "backend/host_rows.h"

namespace espalier::cuda {

struct Runtime::State {};

Runtime::Runtime(int32_t device) {
  if (device != 0) throw Error(ErrorCode::noDevice, "the emulation is of one device only");
}

Runtime::~Runtime() = default;

void Runtime::bind() const {}

Stream Runtime::stream() const { return nullptr; }

const char* Runtime::describe() const { return "CUDA emulated on the host"; }

int32_t Runtime::architecture() const { return 80; }

void* Runtime::allocate(size_t bytes) {
  void* data = std::malloc(bytes);
  if (data == nullptr) throw Error(ErrorCode::outOfMemory, "the CUDA device ran out of memory");
  return data;
}

void Runtime::release(void* data) noexcept { std::free(data); }

void Runtime::copyRowsIn(void* device, size_t deviceStride, const void* host, size_t rowBytes, size_t rows) {
  copyHostRows(device, deviceStride, host, rowBytes, rowBytes, rows);
}

void Runtime::copyRowsOut(void* host, const void* device, size_t deviceStride, size_t rowBytes, size_t rows) {
  copyHostRows(host, rowBytes, device, deviceStride, rowBytes, rows);
}

void Runtime::fillZero(void* device, size_t bytes) { std::memset(device, 0, bytes); }

void* Runtime::blas() { return nullptr; }

void* Runtime::solver() { return nullptr; }

}  // namespace espalier::cuda
