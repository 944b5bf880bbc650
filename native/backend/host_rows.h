#pragma once

#include <cstddef>
#include <cstring>

namespace espalier {

/// Copies `rows` runs of rowBytes each between places in host memory, the runs so many bytes apart.
inline void copyHostRows(void* to, size_t toStride, const void* from, size_t fromStride, size_t rowBytes, size_t rows) {
  for (size_t r = 0; r < rows; ++r) {
    std::memcpy(static_cast<char*>(to) + r * toStride, static_cast<const char*>(from) + r * fromStride, rowBytes);
  }
}

}  // namespace espalier
