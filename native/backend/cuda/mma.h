#pragma once

// What kernels say in PTX: products of small matrices by a warp's tensor cores, and copies into shared memory that do
// not wait; each with a twin for the emulation. The layouts are those of the PTX manual, sections "mma" and "ldmatrix".
// With lane = 4 * group + member, a lane holds of a 16 x 8 matrix of sums the elements
//   (group, 2 member), (group, 2 member + 1), (group + 8, 2 member), (group + 8, 2 member + 1).

#include <cstdint>
#include <cstring>

#include "backend/cuda/kernel.h"

namespace espalier::cuda {

__device__ inline int laneIndex() { return static_cast<int>(threadIdx.x % kWarp); }
__device__ inline int warpIndex() { return static_cast<int>(threadIdx.x / kWarp); }

#if defined(__CUDACC__)

__device__ inline uint32_t sharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Starts copying 16 bytes to shared memory; both addresses are multiples of 16. Zeros instead unless `inside`: then
/// nothing is read.
__device__ inline void copyAsync16(void* shared, const void* global, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(shared)), "l"(global),
               "r"(inside ? 16 : 0)
               : "memory");
}

/// As copyAsync16(), of 4 bytes.
__device__ inline void copyAsync4(void* shared, const void* global, bool inside) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(sharedAddress(shared)), "l"(global),
               "r"(inside ? 4 : 0)
               : "memory");
}

/// Closes the group of the copies this thread has started since the last one.
__device__ inline void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits for this thread's copies, except for those of the newest `kPending` groups.
template <int kPending>
__device__ inline void waitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

/// Loads four 8 x 8 matrices of 16-bit elements; lane l says where row l % 8 of matrix l / 8 is. A lane receives of
/// each matrix the elements (group, 2 member) and (group, 2 member + 1).
__device__ inline void loadMatrices(uint32_t (&matrices)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(sharedAddress(row))
               : "memory");
}

/// As loadMatrices(), of the transposed matrices.
__device__ inline void loadTransposedMatrices(uint32_t (&matrices)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(sharedAddress(row))
               : "memory");
}

/// Two neighbouring 16-bit elements, the first in the lower half.
template <typename T>
__device__ uint32_t pairOf(float first, float second);
template <>
__device__ inline uint32_t pairOf<Half>(float first, float second) {
  const __half2 pair = __floats2half2_rn(first, second);
  return reinterpret_cast<const uint32_t&>(pair);
}
template <>
__device__ inline uint32_t pairOf<Bfloat16>(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  return reinterpret_cast<const uint32_t&>(pair);
}

/// sums [16, 8] += left [16, 16] * right [16, 8], elements of type T in pairs.
template <typename T>
__device__ void multiplyAddPairs(float (&sums)[4], const uint32_t (&left)[4], uint32_t right0, uint32_t right1);
template <>
__device__ inline void multiplyAddPairs<Half>(float (&sums)[4], const uint32_t (&left)[4], uint32_t right0,
                                              uint32_t right1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}
template <>
__device__ inline void multiplyAddPairs<Bfloat16>(float (&sums)[4], const uint32_t (&left)[4], uint32_t right0,
                                                  uint32_t right1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

/// a * b, which no addition is fused with: the same wherever it is computed.
__device__ inline float roundedProduct(float a, float b) { return __fmul_rn(a, b); }

/// 2 to the power of `exponent`, wrong by two units in the last place at most; zero where the result is subnormal.
__device__ inline float powerOfTwo(float exponent) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(exponent));
  return power;
}

/// The nearest number with 10 bits of mantissa, ties away from zero.
__device__ inline uint32_t tf32Of(float value) {
  uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(value));
  return rounded;
}

/// sums [16, 8] += left [16, 8] * right [8, 8].
__device__ inline void multiplyAddTf32(float (&sums)[4], const uint32_t (&left)[4], uint32_t right0, uint32_t right1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

#else

inline void copyNow(void* shared, const void* global, size_t bytes, bool inside) {
  if (inside) {
    std::memcpy(shared, global, bytes);
  } else {
    std::memset(shared, 0, bytes);
  }
}

inline void copyAsync16(void* shared, const void* global, bool inside) { copyNow(shared, global, 16, inside); }
inline void copyAsync4(void* shared, const void* global, bool inside) { copyNow(shared, global, 4, inside); }
inline void commitCopies() {}
template <int kPending>
void waitForCopies() {}

/// A lane's two elements of four 8 x 8 matrices: element `i` of the pair is in row rowOf(i), column columnOf(i).
template <typename RowOf, typename ColumnOf>
void gatherMatrices(uint32_t (&matrices)[4], const void* row, const RowOf& rowOf, const ColumnOf& columnOf) {
  const auto rows = emulation::gatherWarp<const void*>(row);
  for (int matrix = 0; matrix < 4; ++matrix) {
    uint16_t pair[2];
    for (int i = 0; i < 2; ++i) {
      pair[i] = static_cast<const uint16_t*>(rows[8 * matrix + rowOf(i)])[columnOf(i)];
    }
    std::memcpy(&matrices[matrix], pair, sizeof(pair));
  }
}

inline void loadMatrices(uint32_t (&matrices)[4], const void* row) {
  const int group = laneIndex() / 4, member = laneIndex() % 4;
  gatherMatrices(
      matrices, row, [&](int) { return group; }, [&](int i) { return 2 * member + i; });
}

inline void loadTransposedMatrices(uint32_t (&matrices)[4], const void* row) {
  const int group = laneIndex() / 4, member = laneIndex() % 4;
  gatherMatrices(
      matrices, row, [&](int i) { return 2 * member + i; }, [&](int) { return group; });
}

template <typename T>
uint32_t pairOf(float first, float second) {
  const T elements[2] = {fromFloat<T>(first), fromFloat<T>(second)};
  uint32_t pair;
  std::memcpy(&pair, elements, sizeof(pair));
  return pair;
}

/// One lane's operands of a product.
struct Operands {
  uint32_t left[4], right[2];
};

/// sums [16, 8] += left [16, 2 perHalf] * right [2 perHalf, 8]. A register holds perHalf / 4 neighbouring elements:
/// elementOf(register, i) is the i-th.
template <typename Element>
void multiplyAddOperands(float (&sums)[4], const Operands& mine, int perHalf, const Element& elementOf) {
  const auto warp = emulation::gatherWarp<Operands>(mine);
  const int group = laneIndex() / 4, member = laneIndex() % 4;
  const int perRegister = perHalf / 4;
  for (int i = 0; i < 4; ++i) {
    const int lower = i / 2;  // whether the row is one of the lower eight
    const int column = 2 * member + i % 2;
    for (int half = 0; half < 2; ++half) {
      for (int k = 0; k < perHalf; ++k) {
        const uint32_t left = warp[4 * group + k / perRegister].left[2 * half + lower];
        const uint32_t right = warp[4 * column + k / perRegister].right[half];
        sums[i] += elementOf(left, k % perRegister) * elementOf(right, k % perRegister);
      }
    }
  }
}

template <typename T>
void multiplyAddPairs(float (&sums)[4], const uint32_t (&left)[4], uint32_t right0, uint32_t right1) {
  const Operands mine{{left[0], left[1], left[2], left[3]}, {right0, right1}};
  multiplyAddOperands(sums, mine, 8, [](uint32_t pair, int i) {
    T elements[2];
    std::memcpy(elements, &pair, sizeof(pair));
    return toFloat(elements[i]);
  });
}

inline float roundedProduct(float a, float b) { return a * b; }

inline float powerOfTwo(float exponent) { return exp2f(exponent); }

inline uint32_t tf32Of(float value) {
  constexpr uint32_t kDropped = 0x1fff, kExponent = 0x7f800000;
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & kExponent) == kExponent) return bits;
  return (bits + (kDropped + 1) / 2) & ~kDropped;
}

inline void multiplyAddTf32(float (&sums)[4], const uint32_t (&left)[4], uint32_t right0, uint32_t right1) {
  const Operands mine{{left[0], left[1], left[2], left[3]}, {right0, right1}};
  multiplyAddOperands(sums, mine, 4, [](uint32_t bits, int) {
    float element;
    std::memcpy(&element, &bits, sizeof(bits));
    return element;
  });
}

#endif

}  // namespace espalier::cuda
