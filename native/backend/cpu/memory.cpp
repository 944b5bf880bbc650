#include "backend/cpu/memory.h"

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace espalier::cpu {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void* allocateAligned(size_t bytes) {
  void* data = nullptr;
  const bool huge = bytes >= kHugePage;
  if (posix_memalign(&data, huge ? kHugePage : kCacheLine, bytes) != 0) throw std::bad_alloc();
#if defined(__linux__)
  // Only a request: without huge pages everything still works.
  if (huge) madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return data;
}

void releaseAligned(void* data) noexcept { std::free(data); }

}  // namespace espalier::cpu
