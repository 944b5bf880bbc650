#include "backend/cpu/memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

namespace espalier::cpu {
namespace {

constexpr size_t kCacheLine = 64;

constexpr size_t kHugePage = size_t{2} << 20;

/// Stands right before the memory that was handed out.
struct Origin {
  void* start;
  size_t mapped;  // 0: from the heap
};
static_assert(sizeof(Origin) <= kCacheLine);

Origin& originOf(void* data) { return static_cast<Origin*>(data)[-1]; }

/// Large memory is mapped apart from the heap, which would keep what is freed for itself.
void* map(size_t bytes) {
  const size_t mapped = bytes + 2 * kHugePage;
  void* start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) throw std::bad_alloc();
  const uintptr_t first = reinterpret_cast<uintptr_t>(start) + sizeof(Origin);
  void* data = reinterpret_cast<void*>((first + kHugePage - 1) / kHugePage * kHugePage);
  // Only a request: without huge pages everything still works.
  madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  originOf(data) = {start, mapped};
  return data;
}

}  // namespace

void* allocateAligned(size_t bytes) {
  if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
  if (bytes >= kHugePage) return map(bytes);
  void* start = nullptr;
  if (posix_memalign(&start, kCacheLine, bytes + kCacheLine) != 0) throw std::bad_alloc();
  void* data = static_cast<char*>(start) + kCacheLine;
  originOf(data) = {start, 0};
  return data;
}

void releaseAligned(void* data) noexcept {
  if (data == nullptr) return;
  const Origin origin = originOf(data);
  if (origin.mapped > 0) {
    munmap(origin.start, origin.mapped);
  } else {
    std::free(origin.start);
  }
}

}  // namespace espalier::cpu
