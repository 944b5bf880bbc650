// Compiled once for each instruction set, each time with its function's name.

#include "multiply_adds.h"

#include "backend/cpu/simd.h"

namespace espalier::bench {

int64_t ESPALIER_MULTIPLY_ADDS() {
  constexpr int kChains = 12;  // hide the latency of a multiply-add, twice a cycle
  constexpr int64_t kSteps = 20000;
  const Vec factor = Vec::broadcast(0.999f), term = Vec::broadcast(0.001f);
  Vec chains[kChains];
  // Different values, or the compiler would compute one chain for all.
#pragma GCC unroll 12
  for (int chain = 0; chain < kChains; ++chain) chains[chain] = Vec::broadcast(static_cast<float>(chain));
  for (int64_t step = 0; step < kSteps; ++step) {
#pragma GCC unroll 12
    for (int chain = 0; chain < kChains; ++chain) chains[chain] = fma(chains[chain], factor, term);
  }
  for (const Vec& chain : chains) {
    volatile float used = sum(chain);
    static_cast<void>(used);
  }
  return 2 * kChains * kSteps * Vec::kWidth;
}

}  // namespace espalier::bench
