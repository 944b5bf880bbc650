#include "backend/cpu/scratch.h"

#include "backend/cpu/memory.h"

namespace espalier::cpu {

float* threadScratch(size_t count) {
  thread_local AlignedFloats memory;
  thread_local size_t capacity = 0;
  if (count > capacity) {
    capacity = 0;
    memory.reset();
    memory.reset(static_cast<float*>(allocateAligned(count * sizeof(float))));
    capacity = count;
  }
  return memory.get();
}

}  // namespace espalier::cpu
