// A persistent matrix product for Hopper. One warpgroup of a block copies, two multiply, each its own tile of y: while
// one of them applies the epilogue to its tile, the other one keeps the tensor cores busy. The blocks of a cluster work
// on tiles one below the other and share their rows of w: each copies a part of them for all.

#include <cudaTypedefs.h>

#include <algorithm>
#include <climits>

#include "backend/cuda/kernel.h"
#include "backend/cuda/kernels/hopper_linear.h"
#include "backend/cuda/kernels/wgmma.h"

namespace espalier::cuda {
namespace {

constexpr int kClusterBlocks = 2;
constexpr int kWarpgroup = 128;
constexpr int kWarpsInGroup = kWarpgroup / kWarp;
constexpr int kThreads = 3 * kWarpgroup;
constexpr int kCopierRegisters = 40, kMultiplierRegisters = 232;

constexpr int kTileRows = 128;
constexpr int kProductRows = 64;  // of one wgmma
constexpr int kHalves = kTileRows / kProductRows;
constexpr int kTileInner = 64;  // one swizzled row of 128 bytes
constexpr int kProductInnerBytes = 32;
constexpr int kRowBytes = hopper::kSwizzledRowBytes;

// The epilogue works on 16 x 64 values at a time, a warp's part, which pass through shared memory between the
// registers' layout and rows of 128 bytes. 16 bytes between the rows keep the banks apart.
constexpr int kPartRows = 16;
constexpr int kPartCols = 64;
constexpr int kPartStride = kPartCols * 2 + 16;
constexpr int kPartBytes = kPartRows * kPartStride;

/// A warp's shared memory for the epilogue: a part, and the tile's columns of bias and columnMask.
__host__ __device__ constexpr int warpBytes(int tileCols) { return kPartBytes + 2 * 2 * tileCols; }

constexpr int kSwizzleAlignment = 1024;
constexpr int kXBytes = kTileRows * kRowBytes;
__host__ __device__ constexpr int wBytes(int tileCols) { return tileCols * kRowBytes; }
__host__ __device__ constexpr int stageBytes(int tileCols) { return kXBytes + wBytes(tileCols); }
__host__ __device__ constexpr int stages(int tileCols) { return tileCols > 128 ? 5 : 6; }

/// Shared memory: the stages' tiles of x and w, what the warps need for the epilogue, two barriers a stage.
__host__ __device__ constexpr int sharedBytes(int tileCols) {
  return kSwizzleAlignment + stages(tileCols) * (stageBytes(tileCols) + 2 * static_cast<int>(sizeof(uint64_t))) +
         2 * kWarpsInGroup * warpBytes(tileCols);
}
constexpr int kSharedOfABlock = 227 * 1024;
static_assert(sharedBytes(128) <= kSharedOfABlock && sharedBytes(192) <= kSharedOfABlock, "too many stages");

/// What the kernel does with the sums, and the extents.
struct Target {
  const void* bias;
  const void* columnMask;
  const void* residual;
  int64_t ldResidual;
  void* y;
  int64_t ldy;
  int rows;
  int inputs;
  int outputs;
};

__host__ __device__ constexpr int ceilDivide(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

/// The order of the work: a unit is a tile for each block of a cluster. Units go down a band of rows before they go to
/// the next column, so that what runs at the same time shares rows of x and of w in the L2 cache.
struct Units {
  static constexpr int kBand = 8;
  int down, across;

  __host__ __device__ Units(int rows, int outputs, int tileCols)
      : down(ceilDivide(rows, kTileRows * kClusterBlocks)), across(ceilDivide(outputs, tileCols)) {}
  __host__ __device__ int count() const { return down * across; }

  struct Tile {
    int down, across;
  };
  __host__ __device__ Tile tile(int unit) const {
    const int band = unit / (kBand * across), inBand = unit % (kBand * across);
    const int height = down - band * kBand < kBand ? down - band * kBand : kBand;
    return {band * kBand + inBand % height, inBand / height};
  }
};

/// A walk through the ring of stages. `parity` is that of the phase in which the stage's barriers are now.
template <int kStages>
struct Ring {
  int stage = 0;
  uint32_t parity = 0;

  __device__ void forward(int steps) {
    stage += steps;
    parity ^= (stage / kStages) & 1;
    stage %= kStages;
  }
  __device__ void forward() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

template <int kTileCols>
struct Shared {
  static constexpr int kStages = stages(kTileCols);
  char* base;

  __device__ explicit Shared(char* memory) {
    const uint32_t address = hopper::sharedAddress(memory);
    base = memory + (kSwizzleAlignment - address % kSwizzleAlignment) % kSwizzleAlignment;
  }
  __device__ char* x(int stage) const { return base + stage * stageBytes(kTileCols); }
  __device__ char* w(int stage) const { return x(stage) + kXBytes; }
  __device__ char* part(int warp) const { return x(kStages) + warp * warpBytes(kTileCols); }
  __device__ uint64_t* full(int stage) const { return reinterpret_cast<uint64_t*>(part(2 * kWarpsInGroup)) + stage; }
  __device__ uint64_t* empty(int stage) const { return full(kStages + stage); }
};

// Φ(-a) = 2^p(a): p of degree 7 fits log2 Φ(-a) on [0, 6] (least squares, weights iterated towards the smallest largest
// error). gelu(x) = max(x, 0) - |x| Φ(-|x|) is then within 3e-7 of the exact value, and on (-6, 0) within 2e-5 of it
// relatively. NaN stays NaN.
__device__ __forceinline__ float fastGelu(float x) {
  constexpr float kFar = 8.0f;  // what is left there is below 1e-14; an infinity must not meet a 0
  const float a = fminf(fabsf(x), kFar);
  float p = -1.6836651e-6f;
  p = fmaf(p, a, 5.8989074e-5f);
  p = fmaf(p, a, -9.1421961e-4f);
  p = fmaf(p, a, 8.4650616e-3f);
  p = fmaf(p, a, -5.3926124e-2f);
  p = fmaf(p, a, -4.5843404e-1f);
  p = fmaf(p, a, -1.1512966f);
  p = fmaf(p, a, -9.9998516e-1f);
  float tail;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(tail) : "f"(p));
  const float half = 0.5f * x;
  return fmaf(-a, tail, half + fabsf(half));
}

/// x / 2 (1 + tanh z) = x / (1 + exp(-2 z)).
__device__ __forceinline__ float fastGeluTanh(float x) {
  constexpr float kLog2E = 1.4426950408889634f, kSqrtTwoOverPi = 0.79788456080286536f, kCubic = 0.044715f;
  const float square = x * x;
  const float exponent = x * fmaf(square, -2 * kLog2E * kSqrtTwoOverPi * kCubic, -2 * kLog2E * kSqrtTwoOverPi);
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(exponent));
  return __fdividef(x, 1.0f + power);
}

template <Activation kActivation>
__device__ __forceinline__ float activateFast(float x) {
  if constexpr (kActivation == Activation::gelu) return fastGelu(x);
  if constexpr (kActivation == Activation::geluTanh) return fastGeluTanh(x);
  if constexpr (kActivation == Activation::relu) return x < 0.0f ? 0.0f : x;  // NaN stays NaN
  return x;
}

template <typename T>
__device__ __forceinline__ uint32_t pack(float low, float high) {
  uint32_t both;
  asm("cvt.rn.%3x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low), "C"(hopper::PtxName<T>::value));
  return both;
}

template <typename T>
__device__ __forceinline__ float2 unpack(uint32_t both) {
  const auto* values = reinterpret_cast<const T*>(&both);
  return {toFloat(values[0]), toFloat(values[1])};
}

/// Copies every tile this block multiplies into the ring of stages. One thread.
template <int kTileCols>
__device__ __forceinline__ void copyTiles(const CUtensorMap& x, const CUtensorMap& w, const Target& target,
                                          const Shared<kTileCols>& shared, int rank) {
  constexpr int kShareRows = kTileCols / kClusterBlocks;
  constexpr auto kEveryBlock = static_cast<uint16_t>((1 << kClusterBlocks) - 1);
  hopper::prefetchMap(x);
  hopper::prefetchMap(w);
  const Units units(target.rows, target.outputs, kTileCols);
  const int steps = ceilDivide(target.inputs, kTileInner);
  Ring<Shared<kTileCols>::kStages> ring;
  for (int unit = blockIdx.x / kClusterBlocks; unit < units.count(); unit += gridDim.x / kClusterBlocks) {
    const Units::Tile tile = units.tile(unit);
    const int row = (tile.down * kClusterBlocks + rank) * kTileRows;
    const int share = tile.across * kTileCols + rank * kShareRows;
    for (int step = 0; step < steps; ++step, ring.forward()) {
      uint64_t* full = shared.full(ring.stage);
      hopper::waitPhase(shared.empty(ring.stage), ring.parity ^ 1);
      hopper::arriveExpecting(full, stageBytes(kTileCols));
      hopper::loadBox(shared.x(ring.stage), x, step * kTileInner, row, full);
      char* to = shared.w(ring.stage) + rank * kShareRows * kRowBytes;
      if constexpr (kClusterBlocks > 1) {
        hopper::loadBoxFor(kEveryBlock, to, w, step * kTileInner, share, full);
      } else {
        hopper::loadBox(to, w, step * kTileInner, share, full);
      }
    }
  }
}

/// Tells every block of the cluster that this warp no longer reads the stage.
template <int kTileCols>
__device__ __forceinline__ void release(const Shared<kTileCols>& shared, int stage) {
  const int lane = threadIdx.x % kWarp;
  if (lane < kClusterBlocks) hopper::arriveAt(shared.empty(stage), lane);
}

/// Adds one tile's sums, the ring's next `steps` stages. `passTurn` runs when all products are issued.
template <typename T, int kTileCols, typename PassTurn>
__device__ __forceinline__ void multiplyTile(float (&sums)[kHalves][kTileCols / 2], const Shared<kTileCols>& shared,
                                             Ring<Shared<kTileCols>::kStages>& ring, int steps, PassTurn passTurn) {
  int previous = 0;
  for (int step = 0; step < steps; ++step) {
    hopper::waitPhase(shared.full(ring.stage), ring.parity);
    const uint64_t x = hopper::swizzledFactor(hopper::sharedAddress(shared.x(ring.stage)));
    const uint64_t w = hopper::swizzledFactor(hopper::sharedAddress(shared.w(ring.stage)));
    hopper::beginProducts();
#pragma unroll
    for (int inner = 0; inner < kRowBytes; inner += kProductInnerBytes) {
#pragma unroll
      for (int half = 0; half < kHalves; ++half) {
        hopper::multiplyAsync<T>(sums[half], hopper::advance(x, half * kProductRows * kRowBytes + inner),
                                 hopper::advance(w, inner));
      }
    }
    hopper::commitProducts();
    hopper::waitForProducts<1>();
    if (step > 0) release(shared, previous);
    previous = ring.stage;
    ring.forward();
  }
  passTurn();
  hopper::waitForProducts<0>();
  release(shared, previous);
#pragma unroll
  for (int half = 0; half < kHalves; ++half) hopper::pin(sums[half]);
}

/// A warp's place in the epilogue: its shared memory, and the first row and column of its part of the tile.
struct Place {
  uint32_t part, vectors;
  int row, col;
};

/// Starts to copy the tile's columns of bias and columnMask to the warp's shared memory; absent, they are 0.
template <typename T, int kTileCols>
__device__ __forceinline__ void copyVectors(const Target& target, const Place& place) {
  const int offset = threadIdx.x % kWarp * 8;
  if (offset >= kTileCols) return;
  const bool inside = place.col + offset < target.outputs;
  const auto copy = [&](uint32_t to, const void* vector) {
    const bool present = vector != nullptr && inside;
    hopper::copy16(to + offset * 2, present ? static_cast<const T*>(vector) + place.col + offset : target.y, present);
  };
  copy(place.vectors, target.bias);
  copy(place.vectors + kTileCols * 2, target.columnMask);
}

/// Rows of 128 bytes of a part: a lane moves 16 bytes of every fourth row.
struct Lines {
  static constexpr int kLines = 4, kRowStep = kPartRows / kLines;
  int row, col;  // in the matrix
  uint32_t address;

  __device__ explicit Lines(const Place& place) {
    const int lane = threadIdx.x % kWarp;
    row = place.row + lane / 8;
    col = place.col + lane % 8 * 8;
    address = place.part + lane / 8 * kPartStride + lane % 8 * 16;
  }
  __device__ uint32_t addressOf(int line) const { return address + line * kRowStep * kPartStride; }
  __device__ bool inside(const Target& target, int line) const {
    return col < target.outputs && row + line * kRowStep < target.rows;
  }
};

template <typename T>
__device__ __forceinline__ void copyResidual(const Target& target, const Lines& lines) {
  const T* from = static_cast<const T*>(target.residual) + lines.row * target.ldResidual + lines.col;
#pragma unroll
  for (int i = 0; i < Lines::kLines; ++i) {
    const bool inside = lines.inside(target, i);
    hopper::copy16(lines.addressOf(i), inside ? from + i * Lines::kRowStep * target.ldResidual : target.y, inside);
  }
}

template <typename T>
__device__ __forceinline__ void storePart(const Target& target, const Lines& lines) {
  T* to = static_cast<T*>(target.y) + lines.row * target.ldy + lines.col;
#pragma unroll
  for (int i = 0; i < Lines::kLines; ++i) {
    const uint4 line = hopper::load16(lines.addressOf(i));
    if (lines.inside(target, i)) *reinterpret_cast<uint4*>(to + i * Lines::kRowStep * target.ldy) = line;
  }
}

/// The epilogue of a warp's part of a tile; `sums` are this lane's 32 of it, `vectors` its bias, and its mask
/// kTileCols further.
template <typename T, Activation kActivation, int kTileCols>
__device__ __forceinline__ void finishPart(const Target& target, const float* sums, const Place& place,
                                           uint32_t vectors) {
  const Lines lines(place);
  if (target.residual != nullptr) copyResidual<T>(target, lines);
  float values[32];
#pragma unroll
  for (int i = 0; i < 32; i += 4) {
    const float2 bias = unpack<T>(hopper::load4(vectors + i / 4 * 16));
#pragma unroll
    for (int j = i; j < i + 4; j += 2) {
      values[j] = activateFast<kActivation>(sums[j] + bias.x);
      values[j + 1] = activateFast<kActivation>(sums[j + 1] + bias.y);
    }
  }
  if (target.columnMask != nullptr) {
#pragma unroll
    for (int i = 0; i < 32; i += 4) {
      const float2 mask = unpack<T>(hopper::load4(vectors + kTileCols * 2 + i / 4 * 16));
#pragma unroll
      for (int j = i; j < i + 4; j += 2) {
        values[j] *= mask.x;
        values[j + 1] *= mask.y;
      }
    }
  }
  const int lane = threadIdx.x % kWarp;
  const uint32_t matrices = place.part + lane % 16 * kPartStride + lane / 16 * 16;
  if (target.residual != nullptr) {
    hopper::waitForCopies();
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 32; i += 8) {
      uint32_t residual[4];
      hopper::loadMatrices(residual, matrices + i / 4 * 16);
#pragma unroll
      for (int m = 0; m < 4; ++m) {
        const float2 both = unpack<T>(residual[m]);
        values[i + 2 * m] += both.x;
        values[i + 2 * m + 1] += both.y;
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 32; i += 8) {
    uint32_t packed[4];
#pragma unroll
    for (int m = 0; m < 4; ++m) packed[m] = pack<T>(values[i + 2 * m], values[i + 2 * m + 1]);
    hopper::storeMatrices(matrices + i / 4 * 16, packed);
  }
  __syncwarp();
  storePart<T>(target, lines);
  __syncwarp();
}

template <typename T, Activation kActivation, int kTileCols>
__device__ __forceinline__ void finishTile(const Target& target, const float (&sums)[kHalves][kTileCols / 2],
                                           const Place& place) {
  hopper::waitForCopies();
  __syncwarp();
#pragma unroll
  for (int col = 0; col < kTileCols; col += kPartCols) {
    const uint32_t vectors = place.vectors + col * 2 + threadIdx.x % 4 * 4;
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const Place part{place.part, place.vectors, place.row + half * kProductRows, place.col + col};
      finishPart<T, kActivation, kTileCols>(target, sums[half] + col / 2, part, vectors);
    }
  }
}

/// Every second tile of this block's, from the `group`-th on.
template <typename T, Activation kActivation, int kTileCols>
__device__ __forceinline__ void multiplyTiles(const Target& target, const Shared<kTileCols>& shared, int rank,
                                              int group) {
  constexpr int kFirstTurn = 1;  // a named barrier for each of the two groups
  constexpr int kBoth = 2 * kWarpgroup;
  const int warp = threadIdx.x % kWarpgroup / kWarp;
  const uint32_t part = hopper::sharedAddress(shared.part(group * kWarpsInGroup + warp));
  const Units units(target.rows, target.outputs, kTileCols);
  const int steps = ceilDivide(target.inputs, kTileInner), clusters = gridDim.x / kClusterBlocks;
  const int firstUnit = blockIdx.x / kClusterBlocks;
  Ring<Shared<kTileCols>::kStages> ring;
  if (group > 0) ring.forward(steps);
  for (int unit = firstUnit + group * clusters; unit < units.count(); unit += 2 * clusters) {
    const Units::Tile tile = units.tile(unit);
    const Place place{part, part + kPartBytes, (tile.down * kClusterBlocks + rank) * kTileRows + warp * kPartRows,
                      tile.across * kTileCols};
    copyVectors<T, kTileCols>(target, place);
    float sums[kHalves][kTileCols / 2] = {};
    if (unit != firstUnit) hopper::waitForRound<kBoth>(kFirstTurn + group);
    multiplyTile<T>(sums, shared, ring, steps, [&] {
      if (unit + clusters < units.count()) hopper::arriveAtRound<kBoth>(kFirstTurn + 1 - group);
    });
    ring.forward(steps);
    finishTile<T, kActivation, kTileCols>(target, sums, place);
  }
}

template <typename T, Activation kActivation, int kTileCols>
__global__ void __cluster_dims__(kClusterBlocks, 1, 1) __launch_bounds__(kThreads, 1)
    linearKernel(const __grid_constant__ CUtensorMap x, const __grid_constant__ CUtensorMap w,
                 const __grid_constant__ Target target) {
  const Shared<kTileCols> shared(sharedMemory());
  const int rank = blockIdx.x % kClusterBlocks;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < shared.kStages; ++stage) {
      hopper::initBarrier(shared.full(stage), 1);
      hopper::initBarrier(shared.empty(stage), kWarpsInGroup * kClusterBlocks);
    }
    hopper::publishBarriers();
  }
  hopper::syncCluster();
  const int warpgroup = threadIdx.x / kWarpgroup;
  if (warpgroup == 0) {
    hopper::shrinkRegisters<kCopierRegisters>();
    if (threadIdx.x == 0) copyTiles<kTileCols>(x, w, target, shared, rank);
    hopper::syncCluster();
  } else {
    hopper::growRegisters<kMultiplierRegisters>();
    multiplyTiles<T, kActivation, kTileCols>(target, shared, rank, warpgroup - 1);
    hopper::syncCluster();
  }
}

void check(cudaError_t error, const char* doing) {
  if (error != cudaSuccess) {
    throw Error(ErrorCode::internal, std::string(doing) + ": " + cudaGetErrorString(error));
  }
}

int deviceAttribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  check(cudaGetDevice(&device), "asking for the device");
  check(cudaDeviceGetAttribute(&value, attribute, device), "asking the device");
  return value;
}

/// The driver's function, found at run time so that nothing links the driver.
PFN_cuTensorMapEncodeTiled_v12000 tensorMapEncoder() {
  static const auto encoder = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found{};
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found),
          "asking the driver for tensor maps");
    if (found != cudaDriverEntryPointSuccess) {
      throw Error(ErrorCode::unsupported, "the CUDA driver knows no tensor maps");
    }
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  }();
  return encoder;
}

/// The map of a row-major matrix [rows, cols] from which boxes of boxRows x kTileInner are copied.
CUtensorMap tensorMap(const void* data, DType dtype, int64_t rows, int64_t cols, int64_t stride, int boxRows) {
  const cuuint64_t extents[] = {static_cast<cuuint64_t>(cols), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(stride) * dtypeBytes(dtype)};
  const cuuint32_t box[] = {kTileInner, static_cast<cuuint32_t>(boxRows)};
  const cuuint32_t everyElement[] = {1, 1};
  CUtensorMap map;
  const CUresult result = tensorMapEncoder()(
      &map, dtype == DType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2,
      const_cast<void*>(data), extents, strides, box, everyElement, CU_TENSOR_MAP_INTERLEAVE_NONE,
      CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error(ErrorCode::internal,
                "the CUDA driver made no tensor map, error " + std::to_string(static_cast<int>(result)));
  }
  return map;
}

template <typename T, Activation kActivation, int kTileCols>
void start(const HopperLinear& product, int clusters, cudaStream_t stream) {
  const CUtensorMap x = tensorMap(product.x, product.dtype, product.rows, product.inputs, product.ldx, kTileRows);
  const CUtensorMap w =
      tensorMap(product.w, product.dtype, product.outputs, product.inputs, product.ldw, kTileCols / kClusterBlocks);
  const Target target{product.bias,
                      product.columnMask,
                      product.residual,
                      product.ldResidual,
                      product.y,
                      product.ldy,
                      static_cast<int>(product.rows),
                      static_cast<int>(product.inputs),
                      static_cast<int>(product.outputs)};
  const int units = Units(target.rows, target.outputs, kTileCols).count();
  launch(linearKernel<T, kActivation, kTileCols>, dim3(std::min(clusters, units) * kClusterBlocks), dim3(kThreads),
         sharedBytes(kTileCols), stream, x, w, target);
}

/// The time of a product in tiles of so many columns, up to a factor. Narrow tiles read more of x for each product.
double cost(const HopperLinear& product, int clusters, int tileCols) {
  const Units units(static_cast<int>(product.rows), static_cast<int>(product.outputs), tileCols);
  const double timeOfATile = tileCols > 128 ? tileCols : 1.125 * tileCols;
  return ceilDivide(units.count(), clusters) * timeOfATile;
}

template <typename T, Activation kActivation>
void chooseTile(const HopperLinear& product, cudaStream_t stream) {
  const int clusters = std::max(1, deviceAttribute(cudaDevAttrMultiProcessorCount) / kClusterBlocks);
  if (cost(product, clusters, 192) <= cost(product, clusters, 128)) {
    start<T, kActivation, 192>(product, clusters, stream);
  } else {
    start<T, kActivation, 128>(product, clusters, stream);
  }
}

template <typename T>
void chooseActivation(const HopperLinear& product, cudaStream_t stream) {
  switch (product.activation) {
    case Activation::none:
      return chooseTile<T, Activation::none>(product, stream);
    case Activation::gelu:
      return chooseTile<T, Activation::gelu>(product, stream);
    case Activation::geluTanh:
      return chooseTile<T, Activation::geluTanh>(product, stream);
    case Activation::relu:
      return chooseTile<T, Activation::relu>(product, stream);
    case Activation::tanh:
      break;
  }
}

bool aligned(const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

bool strideFits(int64_t stride, int64_t cols) {
  constexpr int64_t kLongest = int64_t{1} << 38;  // tensor maps count 40 bits of bytes
  return stride % 8 == 0 && stride >= cols && stride < kLongest;
}

}  // namespace

bool hopperLinearSupports(const HopperLinear& product) {
  constexpr int64_t kMost = INT_MAX - kTileRows * kClusterBlocks;
  const auto fits = [](int64_t extent) { return extent > 0 && extent <= kMost; };
  return (product.dtype == DType::f16 || product.dtype == DType::bf16) && product.activation != Activation::tanh &&
         fits(product.inputs) && fits(product.outputs) && product.rows >= 0 && product.rows <= kMost &&
         product.outputs % 8 == 0 && product.rows * (product.outputs / 64 + 1) / kTileRows < kMost &&
         strideFits(product.ldx, product.inputs) && strideFits(product.ldw, product.inputs) &&
         strideFits(product.ldy, product.outputs) &&
         (product.residual == nullptr || strideFits(product.ldResidual, product.outputs)) && aligned(product.x) &&
         aligned(product.w) && aligned(product.bias) && aligned(product.columnMask) && aligned(product.residual) &&
         aligned(product.y);
}

void hopperLinear(const HopperLinear& product, cudaStream_t stream) {
  require(hopperLinearSupports(product), "this product is not one for Hopper's kernel");
  if (product.rows == 0) return;
  if (product.dtype == DType::f16) {
    chooseActivation<Half>(product, stream);
  } else {
    chooseActivation<Bfloat16>(product, stream);
  }
}

}  // namespace espalier::cuda
