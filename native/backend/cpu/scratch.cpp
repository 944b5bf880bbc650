#include "backend/cpu/scratch.h"

#include <memory>
#include <new>

namespace espalier::cpu {
namespace {

constexpr std::align_val_t kCacheLine{64};

struct Free {
  void operator()(float* data) const { ::operator delete(data, kCacheLine); }
};

struct ThreadMemory {
  std::unique_ptr<float, Free> data;
  size_t count = 0;
};

}  // namespace

float* threadScratch(size_t count) {
  thread_local ThreadMemory memory;
  if (count > memory.count) {
    memory.count = 0;
    memory.data.reset();
    memory.data.reset(static_cast<float*>(::operator new(count * sizeof(float), kCacheLine)));
    memory.count = count;
  }
  return memory.data.get();
}

}  // namespace espalier::cpu
