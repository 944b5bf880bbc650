// Which tokens go on. How many do up to each token says everything: a token goes on where that number grows, and the
// number less one is its new row. It is counted in blocks of tokens first, then over the blocks.

#include <algorithm>

#include "backend/cuda/kernels/operations.h"
#include "backend/cuda/kernels/sequences.h"
#include "backend/cuda/kernels/vectors.h"
#include "backend/cuda/mma.h"

namespace espalier::cuda {
namespace {

constexpr size_t kScanBytes = kThreads / kWarp * sizeof(int32_t);

/// The sum of `value` over the threads of a block up to this one. `total` receives that of all.
__device__ int32_t sumUpToThread(int32_t value, int32_t& total) {
  int32_t* warpTotals = reinterpret_cast<int32_t*>(sharedMemory());
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const int32_t before = __shfl_up_sync(kAllLanes, value, distance);
    if (laneIndex() >= distance) value += before;
  }
  __syncthreads();  // nobody reads an earlier call's totals any more
  if (laneIndex() == kWarp - 1) warpTotals[warpIndex()] = value;
  __syncthreads();
  total = 0;
  for (int warp = 0; warp < kThreads / kWarp; ++warp) {
    if (warp == warpIndex()) value += total;
    total += warpTotals[warp];
  }
  return value;
}

/// counts[token] = how many go on from its block's first token to it; blockCounts[block] = how many of the block.
__global__ void countInBlocksKernel(RowsOf<const float> scores, const int32_t* offsets, const int32_t* lengths,
                                    int32_t sequences, float threshold, int32_t tokens, int32_t* counts,
                                    int32_t* blockCounts) {
  const int32_t token = static_cast<int32_t>(blockIdx.x * blockDim.x + threadIdx.x);
  bool stays = false;
  if (token < tokens) {
    const int32_t sequence = sequenceOf(token, offsets, sequences);
    stays = token == offsets[sequence] || *scores.row(token) >= threshold * static_cast<float>(lengths[sequence]);
  }
  int32_t total;
  const int32_t count = sumUpToThread(stays ? 1 : 0, total);
  if (token < tokens) counts[token] = count;
  if (threadIdx.x == 0) blockCounts[blockIdx.x] = total;
}

/// blockCounts[block] = how many go on in the blocks before it: one block of threads for all.
__global__ void sumBlocksKernel(int32_t* blockCounts, int32_t blocks) {
  int32_t before = 0;
  for (int32_t first = 0; first < blocks; first += kThreads) {
    const int32_t block = first + static_cast<int32_t>(threadIdx.x);
    const int32_t count = block < blocks ? blockCounts[block] : 0;
    int32_t total;
    const int32_t upToBlock = sumUpToThread(count, total);
    if (block < blocks) blockCounts[block] = before + upToBlock - count;
    before += total;
  }
}

/// A thread a token and an offset.
__global__ void writeSelectedKernel(const int32_t* counts, const int32_t* blockCounts, const int32_t* offsets,
                                    int32_t sequences, int32_t tokens, int32_t* rows, int32_t* newOffsets) {
  const int32_t index = static_cast<int32_t>(blockIdx.x * blockDim.x + threadIdx.x);
  const auto countBefore = [&](int32_t token) {
    return token == 0 ? 0 : counts[token - 1] + blockCounts[(token - 1) / kThreads];
  };
  if (index < tokens) {
    const int32_t row = countBefore(index);
    if (countBefore(index + 1) > row) rows[row] = index;
  }
  if (index == 0) newOffsets[0] = 0;
  if (index < sequences) newOffsets[index + 1] = countBefore(offsets[index + 1]);
}

}  // namespace

void selectTokens(const SelectTokensArgs& args, Runtime& runtime) {
  const Stream stream = runtime.stream();
  const auto tokens = static_cast<int32_t>(args.scores.rows);
  const dim3 blocks = blocksFor(tokens);
  const DeviceArray<int32_t> scratch(runtime, static_cast<size_t>(tokens) + blocks.x + 1);
  int32_t *const counts = scratch.data(), *const blockCounts = counts + tokens;
  launch(&countInBlocksKernel, blocks, dim3(kThreads), kScanBytes, stream, RowsOf<const float>(args.scores),
         args.offsets, args.lengths, args.sequences, static_cast<float>(args.threshold), tokens, counts, blockCounts);
  launch(&sumBlocksKernel, dim3(1), dim3(kThreads), kScanBytes, stream, blockCounts, static_cast<int32_t>(blocks.x));
  launch(&writeSelectedKernel, blocksFor(std::max(tokens, args.sequences + 1)), dim3(kThreads), 0, stream,
         static_cast<const int32_t*>(counts), static_cast<const int32_t*>(blockCounts), args.offsets, args.sequences,
         tokens, args.rows, args.newOffsets);
}

}  // namespace espalier::cuda
