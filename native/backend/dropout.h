#pragma once

#include "backend/ops.h"

// Shared by hosts and devices, whose compiler wants to be told, and by kernels for several instruction sets, which must
// not share code that is not inlined.
#if defined(__CUDACC__)
#define ESPALIER_ANYWHERE __host__ __device__ __forceinline__
#else
#define ESPALIER_ANYWHERE inline __attribute__((always_inline))
#endif

namespace espalier {

/// Mixes the bits of a number: "lowbias32" of Chris Wellons ("Prospecting for Hash Functions", 2018), a bijection any
/// bit of whose argument changes each bit of the result about every other time.
ESPALIER_ANYWHERE constexpr uint32_t mixBits(uint32_t x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}

/// What dropout multiplies each element with. It is a pure function of the element's number and the key, in operations
/// of 32 bits, so that it comes out the same everywhere and in vectors; after 2^32 elements it begins anew.
template <typename T>
struct DropoutFactors {
  uint32_t keys[2];  // of the two rounds
  uint32_t least;    // hash of an element that stays
  T scale;           // of such an element

  DropoutFactors(double rate, uint64_t key)
      : least(static_cast<uint32_t>(rate * 4294967296.0)), scale(static_cast<T>(1 / (1 - rate))) {
    keys[0] = mixBits(static_cast<uint32_t>(key) + 0x9e3779b9u);  // which does not leave zero what it is
    keys[1] = mixBits(static_cast<uint32_t>(key >> 32) ^ keys[0]);
  }

  /// element: row * cols + col.
  ESPALIER_ANYWHERE T of(int64_t element) const {
    const uint32_t hash = mixBits(mixBits(static_cast<uint32_t>(element) ^ keys[0]) ^ keys[1]);
    return hash >= least ? scale : T(0);
  }
};

}  // namespace espalier

#undef ESPALIER_ANYWHERE
