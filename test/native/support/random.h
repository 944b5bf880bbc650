#pragma once

#include <cstdint>

namespace espalier::test {

/// The i-th number of an endless fixed sequence: the same on every machine and in any order of asking.
inline uint64_t scramble(uint64_t i) {
  i += 0x9e3779b97f4a7c15u;
  i = (i ^ (i >> 30)) * 0xbf58476d1ce4e5b9u;
  i = (i ^ (i >> 27)) * 0x94d049bb133111ebu;
  return i ^ (i >> 31);
}

inline uint64_t scramble(uint64_t a, uint64_t b, uint64_t c) { return scramble(scramble(scramble(a) + b) + c); }

/// A bell-shaped value of unit variance, at most 3.5 in magnitude and exact in float.
inline float bell(uint64_t bits) {
  float sum = 0;
  for (int part = 0; part < 4; ++part) sum += static_cast<float>((bits >> (16 * part)) & 0xffff) / 65536 - 0.5f;
  return sum * 1.75f;
}

/// Draws for shapes.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(scramble(seed)) {}
  /// A whole number in [low, high].
  int32_t between(int32_t low, int32_t high) {
    state_ = scramble(state_);
    return low + static_cast<int32_t>(state_ % static_cast<uint64_t>(high - low + 1));
  }
  bool chance() { return between(0, 1) == 1; }

 private:
  uint64_t state_;
};

}  // namespace espalier::test
