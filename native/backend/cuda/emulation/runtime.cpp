// A device whose memory is the host's and whose stream does everything at once, unless it is recorded.

#include "backend/cuda/runtime.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "backend/host_rows.h"

namespace espalier::cuda {

struct Runtime::State {
  std::mutex mutex;
  std::unordered_map<void*, size_t> sizes;  // of what is allocated
  size_t used = 0, peak = 0;
};

namespace {

void requireNoRecording(const char* what) {
  if (emulation::recorded) {
    throw Error(ErrorCode::internal, std::string(what) + " is not possible while work is recorded");
  }
}

class WorkRecording final : public Recording {
 public:
  explicit WorkRecording(emulation::Work work) : work_(std::move(work)) {}
  void replay() const override {
    for (const auto& piece : work_) piece();
  }

 private:
  emulation::Work work_;
};

}  // namespace

Runtime::Runtime(int32_t device) : state_(std::make_unique<State>()) {
  if (device != 0) throw Error(ErrorCode::noDevice, "the emulation is of one device only");
}

Runtime::~Runtime() = default;

void Runtime::bind() const {}

Stream Runtime::stream() const { return nullptr; }

const char* Runtime::describe() const { return "CUDA emulated on the host"; }

int32_t Runtime::architecture() const { return 80; }

void* Runtime::allocate(size_t bytes) {
  requireNoRecording("allocating");
  void* data = std::malloc(bytes);
  if (data == nullptr) throw Error(ErrorCode::outOfMemory, "the CUDA device ran out of memory");
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->sizes[data] = bytes;
  state_->used += bytes;
  state_->peak = std::max(state_->peak, state_->used);
  return data;
}

void Runtime::release(void* data) noexcept {
  if (data == nullptr) return;
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    const auto found = state_->sizes.find(data);
    state_->used -= found->second;
    state_->sizes.erase(found);
  }
  std::free(data);
}

size_t Runtime::peakBytes() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->peak;
}

void Runtime::copyRowsIn(void* device, size_t deviceStride, const void* host, size_t rowBytes, size_t rows) {
  requireNoRecording("copying to the device");
  copyHostRows(device, deviceStride, host, rowBytes, rowBytes, rows);
}

void Runtime::copyRowsOut(void* host, const void* device, size_t deviceStride, size_t rowBytes, size_t rows) {
  requireNoRecording("copying from the device");
  copyHostRows(host, rowBytes, device, deviceStride, rowBytes, rows);
}

void Runtime::fillZero(void* device, size_t bytes) {
  emulation::doOrRecord([=] { std::memset(device, 0, bytes); });
}

void Runtime::beginRecording() {
  requireNoRecording("recording");
  emulation::recorded = std::make_unique<emulation::Work>();
}

std::unique_ptr<Recording> Runtime::endRecording() {
  const std::unique_ptr<emulation::Work> work = std::move(emulation::recorded);
  if (!work) throw Error(ErrorCode::internal, "there is no recording to end");
  return std::make_unique<WorkRecording>(std::move(*work));
}

void Runtime::abandonRecording() noexcept { emulation::recorded.reset(); }

void* Runtime::blas() { return nullptr; }

void* Runtime::solver() { return nullptr; }

}  // namespace espalier::cuda
