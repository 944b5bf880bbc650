#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "backend/cuda/kernel.h"

namespace espalier::cuda {

/// Work that was recorded, to be done again in the order of its runtime's stream.
class Recording {
 public:
  virtual ~Recording() = default;
  /// Not on several threads at once.
  virtual void replay() const = 0;
};

/// One device with a stream of its own: everything a backend asks of it runs in the order in which it was asked.
/// Safe to use from several host threads.
class Runtime {
 public:
  /// Throws noDevice when there is no device of this index, or it is too old or cannot be had.
  explicit Runtime(int32_t device);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// Makes the device the calling host thread's own; each entry from outside begins with it.
  void bind() const;
  /// Where to ask for work. While this thread records, that is a place of its own.
  Stream stream() const;
  /// "NVIDIA H100 80GB HBM3, 79 GiB, compute capability 9.0"
  const char* describe() const;
  /// 90 for compute capability 9.0.
  int32_t architecture() const;

  /// From a pool that keeps what is released. Throws outOfMemory.
  void* allocate(size_t bytes);
  void release(void* data) noexcept;
  /// The most bytes that were allocated at once, by this process on this device.
  size_t peakBytes() const;
  /// `rows` runs of rowBytes each, deviceStride bytes apart on the device, without gaps on the host. `host` may be
  /// changed as soon as this returns.
  void copyRowsIn(void* device, size_t deviceStride, const void* host, size_t rowBytes, size_t rows);
  /// Waits until `host` is filled.
  void copyRowsOut(void* host, const void* device, size_t deviceStride, size_t rowBytes, size_t rows);
  void copyIn(void* device, const void* host, size_t bytes) { copyRowsIn(device, bytes, host, bytes, 1); }
  void copyOut(void* host, const void* device, size_t bytes) { copyRowsOut(host, device, bytes, bytes, 1); }
  void fillZero(void* device, size_t bytes);

  /// From here on this thread's work is recorded instead of done. Throws where it records already, and until the end
  /// of the recording where memory or a copy is asked for.
  void beginRecording();
  /// Ends it in any case.
  std::unique_ptr<Recording> endRecording();
  /// Ends it where there is one, and forgets the work.
  void abandonRecording() noexcept;

  /// A cublasHandle_t and a cusolverDnHandle_t of the stream, made on first use. Null in the emulation.
  void* blas();
  void* solver();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// `count` elements of device memory, not cleared, until it goes out of scope; the stream's order makes that safe.
template <typename T>
class DeviceArray {
 public:
  DeviceArray(Runtime& runtime, size_t count)
      : runtime_(runtime), data_(static_cast<T*>(runtime.allocate(count * sizeof(T)))), size_(count) {}
  ~DeviceArray() { runtime_.release(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  Runtime& runtime_;
  T* data_;
  size_t size_;
};

}  // namespace espalier::cuda
