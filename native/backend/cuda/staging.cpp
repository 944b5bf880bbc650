#include "backend/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "backend/cuda/check.h"

namespace espalier::cuda {
namespace {

constexpr size_t kBytes = size_t{16} << 20;
/// The most that one copy moves at once: two of them overlap.
constexpr size_t kPart = size_t{4} << 20;
/// The most that is awaited beside other copies.
constexpr size_t kFew = 64;

/// Calls part(device offset, host offset, bytes of a row, rows) for parts of at most kPart bytes.
template <typename Part>
void forEachPart(size_t deviceStride, size_t rowBytes, size_t rows, const Part& part) {
  const size_t together = kPart / std::max<size_t>(rowBytes, 1);
  for (size_t row = 0; together > 0 && row < rows; row += together) {
    part(row * deviceStride, row * rowBytes, rowBytes, std::min(together, rows - row));
  }
  for (size_t row = 0; together == 0 && row < rows; ++row) {
    for (size_t first = 0; first < rowBytes; first += kPart) {
      part(row * deviceStride + first, row * rowBytes + first, std::min(kPart, rowBytes - first), size_t{1});
    }
  }
}

}  // namespace

/// Where a few bytes arrive.
struct Staging::Few {
  char* memory = nullptr;
  cudaEvent_t arrived = nullptr;

  Few() {
    check(cudaHostAlloc(reinterpret_cast<void**>(&memory), kFew, cudaHostAllocDefault), "allocating pinned memory");
    check(cudaEventCreateWithFlags(&arrived, cudaEventDisableTiming), "making an event");
  }
  ~Few() {
    cudaEventDestroy(arrived);
    cudaFreeHost(memory);
  }
  Few(const Few&) = delete;
  Few& operator=(const Few&) = delete;
};

Staging::Staging(cudaStream_t stream) : stream_(stream) {
  check(cudaHostAlloc(reinterpret_cast<void**>(&memory_), kBytes, cudaHostAllocDefault), "allocating pinned memory");
  for (cudaEvent_t& event : arrived_)
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
}

Staging::~Staging() {
  for (cudaEvent_t event : arrived_) cudaEventDestroy(event);
  cudaFreeHost(memory_);
}

char* Staging::reserve(size_t bytes) {
  if (used_ + bytes > kBytes) {
    check(cudaStreamSynchronize(stream_), "waiting for copies to the device");
    used_ = 0;
  }
  char* place = memory_ + used_;
  used_ += bytes;
  return place;
}

void Staging::copyIn(void* device, size_t deviceStride, const void* host, size_t rowBytes, size_t rows) {
  const std::lock_guard<std::mutex> lock(mutex_);
  forEachPart(deviceStride, rowBytes, rows, [&](size_t to, size_t from, size_t width, size_t height) {
    char* place = reserve(width * height);
    std::memcpy(place, static_cast<const char*>(host) + from, width * height);
    check(cudaMemcpy2DAsync(static_cast<char*>(device) + to, std::max(deviceStride, width), place, width, width, height,
                            cudaMemcpyHostToDevice, stream_),
          "copying to the device");
  });
}

void Staging::copyFewOut(void* host, const void* device, size_t bytes) {
  std::unique_ptr<Few> few;
  {
    const std::lock_guard<std::mutex> lock(idleMutex_);
    if (!idle_.empty()) {
      few = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!few) few = std::make_unique<Few>();
  check(cudaMemcpyAsync(few->memory, device, bytes, cudaMemcpyDeviceToHost, stream_), "copying from the device");
  check(cudaEventRecord(few->arrived, stream_), "copying from the device");
  check(cudaEventSynchronize(few->arrived), "copying from the device");
  std::memcpy(host, few->memory, bytes);
  const std::lock_guard<std::mutex> lock(idleMutex_);
  idle_.push_back(std::move(few));
}

void Staging::copyOut(void* host, const void* device, size_t deviceStride, size_t rowBytes, size_t rows) {
  if (rows == 1 && rowBytes <= kFew) return copyFewOut(host, device, rowBytes);
  const std::lock_guard<std::mutex> lock(mutex_);
  char* const places[2] = {reserve(2 * kPart), memory_ + used_ - kPart};
  struct Arriving {
    char* to = nullptr;
    size_t bytes = 0;
  } arriving[2];
  const auto take = [&](int place) {
    if (arriving[place].bytes == 0) return;
    check(cudaEventSynchronize(arrived_[place]), "copying from the device");
    std::memcpy(arriving[place].to, places[place], arriving[place].bytes);
    arriving[place].bytes = 0;
  };
  int place = 0;
  forEachPart(deviceStride, rowBytes, rows, [&](size_t from, size_t to, size_t width, size_t height) {
    take(place);
    check(cudaMemcpy2DAsync(places[place], width, static_cast<const char*>(device) + from,
                            std::max(deviceStride, width), width, height, cudaMemcpyDeviceToHost, stream_),
          "copying from the device");
    check(cudaEventRecord(arrived_[place], stream_), "copying from the device");
    arriving[place] = {static_cast<char*>(host) + to, width * height};
    place = 1 - place;
  });
  take(place);
  take(1 - place);
  used_ = 0;  // all that was asked of the stream before is done
}

}  // namespace espalier::cuda
