#pragma once

// Hopper's own instructions (sm_90a), one function each: barriers in shared memory, bulk tensor copies, warpgroup
// matrix products. Semantics: the PTX ISA's chapters "Parallel Synchronization and Communication Instructions",
// "Data Movement and Conversion Instructions" and "Asynchronous Warpgroup Level Matrix Instructions".

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace espalier::cuda::hopper {

__device__ __forceinline__ uint32_t sharedAddress(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// --- Barriers in shared memory. A phase ends when `arrivals` threads arrived and all announced bytes came in.

__device__ __forceinline__ void initBarrier(uint64_t* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(barrier)), "r"(arrivals) : "memory");
}

/// After initBarrier, before the cluster's other blocks and the copy engine may see the barriers.
__device__ __forceinline__ void publishBarriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

/// Arrives, and announces `bytes` that the copy engine will bring in this phase.
__device__ __forceinline__ void arriveExpecting(uint64_t* barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(sharedAddress(barrier)), "r"(bytes)
               : "memory");
}

/// Arrives at the barrier of the same place in block `rank` of the cluster.
__device__ __forceinline__ void arriveAt(uint64_t* barrier, uint32_t rank) {
  asm volatile(
      "{ .reg .b32 there; mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there]; }" ::"r"(sharedAddress(barrier)),
      "r"(rank)
      : "memory");
}

/// Waits until the phase of that parity has ended. A fresh barrier's phase has parity 0, the one "before" it 1.
__device__ __forceinline__ void waitPhase(uint64_t* barrier, uint32_t parity) {
  const uint32_t address = sharedAddress(barrier);
  uint32_t ended;
  do {
    asm volatile(
        "{ .reg .pred ended; mbarrier.try_wait.parity.shared::cta.b64 ended, [%1], %2;\n"
        "selp.u32 %0, 1, 0, ended; }"
        : "=r"(ended)
        : "r"(address), "r"(parity)
        : "memory");
  } while (ended == 0);
}

/// All threads of all blocks of the cluster.
__device__ __forceinline__ void syncCluster() {
  __syncwarp();
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// --- Named barriers of a block: `threads` threads, those that wait and those that only arrive, end a round.

template <int kThreads>
__device__ __forceinline__ void waitForRound(int barrier) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(kThreads) : "memory");
}

template <int kThreads>
__device__ __forceinline__ void arriveAtRound(int barrier) {
  asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "n"(kThreads) : "memory");
}

// --- The copy engine.

/// The box of `map` at (column, row) comes to `shared`; its bytes count at `barrier`. Outside the tensor it is zero.
__device__ __forceinline__ void loadBox(void* shared, const CUtensorMap& map, int column, int row, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::
          "r"(sharedAddress(shared)),
      "l"(&map), "r"(column), "r"(row), "r"(sharedAddress(barrier))
      : "memory");
}

/// The same for every block of the cluster whose bit is set in `blocks`: at the same place of its shared memory,
/// counted at its own barrier.
__device__ __forceinline__ void loadBoxFor(uint16_t blocks, void* shared, const CUtensorMap& map, int column, int row,
                                           uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster"
      " [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(sharedAddress(shared)),
      "l"(&map), "r"(column), "r"(row), "r"(sharedAddress(barrier)), "h"(blocks)
      : "memory");
}

/// 16 bytes from global to shared memory, or 16 zeros; waitForCopies() waits for this thread's.
__device__ __forceinline__ void copy16(uint32_t to, const void* from, bool present) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(present ? 16 : 0) : "memory");
}

__device__ __forceinline__ void waitForCopies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

__device__ __forceinline__ void prefetchMap(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// --- Registers move between the warpgroups of a block.

template <int kRegisters>
__device__ __forceinline__ void shrinkRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

template <int kRegisters>
__device__ __forceinline__ void growRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// --- Shared memory by its 32-bit addresses.

__device__ __forceinline__ uint32_t load4(uint32_t address) {
  uint32_t value;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(value) : "r"(address) : "memory");
  return value;
}

__device__ __forceinline__ uint4 load16(uint32_t address) {
  uint4 value;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "r"(address)
               : "memory");
  return value;
}

// --- 8x8 matrices of 16-bit values, four at once: lane i gives the address of row i % 8 of matrix i / 8, and its
// register m holds of matrix m, row lane / 4, the columns 2 (lane % 4) and the next.

__device__ __forceinline__ void storeMatrices(uint32_t address, const uint32_t (&values)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(values[0]),
               "r"(values[1]), "r"(values[2]), "r"(values[3])
               : "memory");
}

__device__ __forceinline__ void loadMatrices(uint32_t (&values)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(values[0]), "=r"(values[1]), "=r"(values[2]), "=r"(values[3])
               : "r"(address)
               : "memory");
}

// --- Products of a warpgroup.

constexpr int kSwizzledRowBytes = 128;
constexpr int kSwizzleAtomRows = 8;

/// What a product needs to know of a factor in shared memory: rows of 128 bytes in atoms of 8 rows, swizzled by 128
/// bytes, the first atom at `address`, a multiple of 1024. Bits 0-13: address, 16-29: leading offset (without meaning
/// in this layout), 32-45: distance of the atoms, each in units of 16 bytes; 62-63: the swizzle.
__host__ __device__ constexpr uint64_t swizzledFactor(uint32_t address) {
  constexpr uint64_t kLeadingOffset = 1;
  constexpr uint64_t kAtomDistance = kSwizzledRowBytes * kSwizzleAtomRows / 16;
  constexpr uint64_t kSwizzle128Bytes = 1;
  return static_cast<uint64_t>((address & 0x3FFFF) >> 4) | kLeadingOffset << 16 | kAtomDistance << 32 |
         kSwizzle128Bytes << 62;
}
static_assert(swizzledFactor(0) == 0x4000004000010000u, "the layout's constant bits");
static_assert(swizzledFactor(0x38400) == 0x4000004000013840u, "the address in units of 16 bytes");

/// The factor `bytes` further on: along a row inside the first atom's 128 bytes, or by whole atoms.
__host__ __device__ constexpr uint64_t advance(uint64_t factor, uint32_t bytes) { return factor + (bytes >> 4); }

/// Before the first product, and before products that use sums touched by other instructions.
__device__ __forceinline__ void beginProducts() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

/// Closes the group of the products issued since the last call.
__device__ __forceinline__ void commitProducts() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

/// Waits until at most the last kPending groups are unfinished.
template <int kPending>
__device__ __forceinline__ void waitForProducts() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// Keeps the compiler from moving what it does with the sums over this point: it does not know that products run on
/// after the instruction that started them.
template <int kSums>
__device__ __forceinline__ void pin(float (&sums)[kSums]) {
#pragma unroll
  for (int i = 0; i < kSums; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

/// The PTX name of an element type.
template <typename T>
struct PtxName;
template <>
struct PtxName<__half> {
  static constexpr char value[] = "f16";
};
template <>
struct PtxName<__nv_bfloat16> {
  static constexpr char value[] = "bf16";
};

// sums += x w' for 64 rows of x, as many rows of w as the function says and 16 columns of both. Thread t of the
// warpgroup holds at sums[4 g + 2 h + c] row 16 (t / 32) + t % 32 / 4 + 8 h, column 8 g + 2 (t % 4) + c.

/// 128 rows of w.
template <typename T>
__device__ __forceinline__ void multiplyAsync(float (&sums)[64], uint64_t x, uint64_t w) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.%66.%66 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
      "}, %64, %65, 1, 1, 1, 0, 0;"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]), "+f"(sums[4]), "+f"(sums[5]), "+f"(sums[6]),
        "+f"(sums[7]), "+f"(sums[8]), "+f"(sums[9]), "+f"(sums[10]), "+f"(sums[11]), "+f"(sums[12]), "+f"(sums[13]),
        "+f"(sums[14]), "+f"(sums[15]), "+f"(sums[16]), "+f"(sums[17]), "+f"(sums[18]), "+f"(sums[19]), "+f"(sums[20]),
        "+f"(sums[21]), "+f"(sums[22]), "+f"(sums[23]), "+f"(sums[24]), "+f"(sums[25]), "+f"(sums[26]), "+f"(sums[27]),
        "+f"(sums[28]), "+f"(sums[29]), "+f"(sums[30]), "+f"(sums[31]), "+f"(sums[32]), "+f"(sums[33]), "+f"(sums[34]),
        "+f"(sums[35]), "+f"(sums[36]), "+f"(sums[37]), "+f"(sums[38]), "+f"(sums[39]), "+f"(sums[40]), "+f"(sums[41]),
        "+f"(sums[42]), "+f"(sums[43]), "+f"(sums[44]), "+f"(sums[45]), "+f"(sums[46]), "+f"(sums[47]), "+f"(sums[48]),
        "+f"(sums[49]), "+f"(sums[50]), "+f"(sums[51]), "+f"(sums[52]), "+f"(sums[53]), "+f"(sums[54]), "+f"(sums[55]),
        "+f"(sums[56]), "+f"(sums[57]), "+f"(sums[58]), "+f"(sums[59]), "+f"(sums[60]), "+f"(sums[61]), "+f"(sums[62]),
        "+f"(sums[63])
      : "l"(x), "l"(w), "C"(PtxName<T>::value));
}

/// 192 rows of w.
template <typename T>
__device__ __forceinline__ void multiplyAsync(float (&sums)[96], uint64_t x, uint64_t w) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n192k16.f32.%98.%98 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
      "}, %96, %97, 1, 1, 1, 0, 0;"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]), "+f"(sums[4]), "+f"(sums[5]), "+f"(sums[6]),
        "+f"(sums[7]), "+f"(sums[8]), "+f"(sums[9]), "+f"(sums[10]), "+f"(sums[11]), "+f"(sums[12]), "+f"(sums[13]),
        "+f"(sums[14]), "+f"(sums[15]), "+f"(sums[16]), "+f"(sums[17]), "+f"(sums[18]), "+f"(sums[19]), "+f"(sums[20]),
        "+f"(sums[21]), "+f"(sums[22]), "+f"(sums[23]), "+f"(sums[24]), "+f"(sums[25]), "+f"(sums[26]), "+f"(sums[27]),
        "+f"(sums[28]), "+f"(sums[29]), "+f"(sums[30]), "+f"(sums[31]), "+f"(sums[32]), "+f"(sums[33]), "+f"(sums[34]),
        "+f"(sums[35]), "+f"(sums[36]), "+f"(sums[37]), "+f"(sums[38]), "+f"(sums[39]), "+f"(sums[40]), "+f"(sums[41]),
        "+f"(sums[42]), "+f"(sums[43]), "+f"(sums[44]), "+f"(sums[45]), "+f"(sums[46]), "+f"(sums[47]), "+f"(sums[48]),
        "+f"(sums[49]), "+f"(sums[50]), "+f"(sums[51]), "+f"(sums[52]), "+f"(sums[53]), "+f"(sums[54]), "+f"(sums[55]),
        "+f"(sums[56]), "+f"(sums[57]), "+f"(sums[58]), "+f"(sums[59]), "+f"(sums[60]), "+f"(sums[61]), "+f"(sums[62]),
        "+f"(sums[63]), "+f"(sums[64]), "+f"(sums[65]), "+f"(sums[66]), "+f"(sums[67]), "+f"(sums[68]), "+f"(sums[69]),
        "+f"(sums[70]), "+f"(sums[71]), "+f"(sums[72]), "+f"(sums[73]), "+f"(sums[74]), "+f"(sums[75]), "+f"(sums[76]),
        "+f"(sums[77]), "+f"(sums[78]), "+f"(sums[79]), "+f"(sums[80]), "+f"(sums[81]), "+f"(sums[82]), "+f"(sums[83]),
        "+f"(sums[84]), "+f"(sums[85]), "+f"(sums[86]), "+f"(sums[87]), "+f"(sums[88]), "+f"(sums[89]), "+f"(sums[90]),
        "+f"(sums[91]), "+f"(sums[92]), "+f"(sums[93]), "+f"(sums[94]), "+f"(sums[95])
      : "l"(x), "l"(w), "C"(PtxName<T>::value));
}

}  // namespace espalier::cuda::hopper
