#include "backend/cuda/runtime.h"

#include <cublas_v2.h>
#include <cusolverDn.h>

#include <mutex>
#include <string>
#include <utility>

#include "backend/cuda/capture.h"
#include "backend/cuda/check.h"
#include "backend/cuda/staging.h"

namespace espalier::cuda {
namespace {

constexpr int32_t kOldestArchitecture = 80;

cudaMemPool_t poolOf(int32_t device) {
  cudaMemPool_t pool = nullptr;
  check(cudaDeviceGetDefaultMemPool(&pool, device), "finding the memory pool");
  return pool;
}

/// What this thread records, and of whose work.
struct Recorder {
  const Runtime* runtime = nullptr;
  std::unique_ptr<Capture> capture;
};

thread_local Recorder recorder;

void requireNoRecording(const char* what) {
  if (recorder.capture) {
    throw Error(ErrorCode::internal, std::string(what) + " is not possible while work is recorded");
  }
}

}  // namespace

struct Runtime::State {
  int32_t device = 0;
  int32_t architecture = 0;
  std::string description;
  cudaStream_t stream = nullptr;
  std::unique_ptr<Staging> staging;
  std::mutex handleMutex;
  cublasHandle_t blas = nullptr;
  cusolverDnHandle_t solver = nullptr;

  ~State() {
    if (solver != nullptr) cusolverDnDestroy(solver);
    if (blas != nullptr) cublasDestroy(blas);
    staging.reset();
    if (stream != nullptr) cudaStreamDestroy(stream);
  }
};

Runtime::Runtime(int32_t device) : state_(std::make_unique<State>()) {
  int32_t driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) {
    throw Error(ErrorCode::noDevice, "there is no NVIDIA driver (libcuda.so.1)");
  }
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    cudaGetLastError();
    throw Error(ErrorCode::noDevice, std::string("the CUDA driver finds no device: ") + cudaGetErrorString(error));
  }
  if (device >= count) {
    throw Error(ErrorCode::noDevice,
                "there is no CUDA device " + std::to_string(device) + " (found: " + std::to_string(count) + ")");
  }
  state_->device = device;
  // A device that another process has for itself fails here, or where the stream is made.
  check(cudaSetDevice(device), "choosing the device", ErrorCode::noDevice);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "asking for the device's properties");
  state_->architecture = 10 * properties.major + properties.minor;
  state_->description = std::string(properties.name) + ", " + std::to_string(properties.totalGlobalMem >> 30) +
                        " GiB, compute capability " + std::to_string(properties.major) + "." +
                        std::to_string(properties.minor);
  if (state_->architecture < kOldestArchitecture) {
    throw Error(ErrorCode::noDevice, state_->description + ", is too old: 8.0 is needed");
  }
  check(cudaStreamCreateWithFlags(&state_->stream, cudaStreamNonBlocking), "making a stream", ErrorCode::noDevice);
  state_->staging = std::make_unique<Staging>(state_->stream);
  uint64_t keepAll = UINT64_MAX;
  check(cudaMemPoolSetAttribute(poolOf(device), cudaMemPoolAttrReleaseThreshold, &keepAll),
        "setting up the memory pool");
}

Runtime::~Runtime() {
  cudaSetDevice(state_->device);
  cudaStreamSynchronize(state_->stream);
}

void Runtime::bind() const { check(cudaSetDevice(state_->device), "choosing the device"); }

Stream Runtime::stream() const { return recorder.runtime == this ? recorder.capture->stream() : state_->stream; }

const char* Runtime::describe() const { return state_->description.c_str(); }

int32_t Runtime::architecture() const { return state_->architecture; }

void* Runtime::allocate(size_t bytes) {
  requireNoRecording("allocating");
  void* data = nullptr;
  check(cudaMallocAsync(&data, bytes, state_->stream), "allocating");
  return data;
}

void Runtime::release(void* data) noexcept { cudaFreeAsync(data, state_->stream); }

size_t Runtime::peakBytes() const {
  uint64_t bytes = 0;
  check(cudaMemPoolGetAttribute(poolOf(state_->device), cudaMemPoolAttrUsedMemHigh, &bytes),
        "asking for the memory that was used");
  return bytes;
}

void Runtime::copyRowsIn(void* device, size_t deviceStride, const void* host, size_t rowBytes, size_t rows) {
  requireNoRecording("copying to the device");
  state_->staging->copyIn(device, deviceStride, host, rowBytes, rows);
}

void Runtime::copyRowsOut(void* host, const void* device, size_t deviceStride, size_t rowBytes, size_t rows) {
  requireNoRecording("copying from the device");
  state_->staging->copyOut(host, device, deviceStride, rowBytes, rows);
}

void Runtime::fillZero(void* device, size_t bytes) {
  check(cudaMemsetAsync(device, 0, bytes, stream()), "clearing memory");
}

void Runtime::beginRecording() {
  requireNoRecording("recording");
  recorder.capture = std::make_unique<Capture>();
  recorder.runtime = this;
}

std::unique_ptr<Recording> Runtime::endRecording() {
  const Recorder ended = std::exchange(recorder, {});
  if (ended.runtime != this) throw Error(ErrorCode::internal, "there is no recording to end");
  return ended.capture->end(state_->stream);
}

void Runtime::abandonRecording() noexcept { recorder = {}; }

void* Runtime::blas() {
  const std::lock_guard<std::mutex> lock(state_->handleMutex);
  if (state_->blas == nullptr) {
    check(cublasCreate(&state_->blas), "opening cuBLAS");
    check(cublasSetStream(state_->blas, state_->stream), "opening cuBLAS");
  }
  return state_->blas;
}

void* Runtime::solver() {
  const std::lock_guard<std::mutex> lock(state_->handleMutex);
  if (state_->solver == nullptr) {
    check(cusolverDnCreate(&state_->solver), "opening cuSOLVER");
    check(cusolverDnSetStream(state_->solver, state_->stream), "opening cuSOLVER");
  }
  return state_->solver;
}

}  // namespace espalier::cuda
