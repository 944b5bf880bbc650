#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "backend/cuda/kernel.h"

namespace espalier::test {
namespace {

using namespace cuda;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

constexpr unsigned kHalfWarp = 0xffff;

/// What a launch that must fail says.
template <typename Launch>
std::string errorOf(const Launch& launch) {
  try {
    launch();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::internal);
    return error.what();
  }
  return "nothing was thrown";
}

void expectMessage(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

template <typename T>
std::vector<T> counted(size_t count) {
  std::vector<T> result(count);
  for (size_t i = 0; i < count; ++i) result[i] = static_cast<T>(i + 1);
  return result;
}

__device__ int blockRank() { return (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x; }
__device__ int threadRank() { return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x; }

__global__ void recordIndices(int4* threads, int4* blocks) {
  const int at = blockRank() * blockDim.x * blockDim.y * blockDim.z + threadRank();
  // Once after a barrier, where other threads ran in between.
  for (int i = 0; i < 2; ++i) {
    threads[at].x += threadIdx.x;
    threads[at].y += threadIdx.y;
    threads[at].z += threadIdx.z;
    threads[at].w += 1;
    blocks[at] = make_int4(blockIdx.x, blockIdx.y, blockIdx.z, gridDim.x);
    if (i == 0) __syncthreads();
  }
}

TEST(Emulation, threadsSeeTheirIndices) {
  const dim3 grid(3, 2, 2), block(5, 4, 3);
  std::vector<int4> threads(12 * 60), blocks(12 * 60);
  launch(recordIndices, grid, block, 0, nullptr, threads.data(), blocks.data());
  for (int i = 0; i < 12 * 60; ++i) {
    const int thread = i % 60, at = i / 60;
    EXPECT_EQ(threads[i].x, 2 * (thread % 5));
    EXPECT_EQ(threads[i].y, 2 * (thread / 5 % 4));
    EXPECT_EQ(threads[i].z, 2 * (thread / 20));
    EXPECT_EQ(threads[i].w, 2);
    EXPECT_EQ(blocks[i].x, at % 3);
    EXPECT_EQ(blocks[i].y, at / 3 % 2);
    EXPECT_EQ(blocks[i].z, at / 6);
    EXPECT_EQ(blocks[i].w, 3);
  }
}

/// The sum of each block's `blockDim.x` values, by halving.
__global__ void sumBlocks(const float* values, float* sums) {
  float* shared = reinterpret_cast<float*>(sharedMemory());
  shared[threadIdx.x] = values[blockIdx.x * blockDim.x + threadIdx.x];
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = shared[0];
}

TEST(Emulation, blocksReduceThroughSharedMemory) {
  for (const unsigned threads : {1u, 32u, 256u, 1024u}) {
    const auto values = counted<float>(2 * threads);
    float sums[2] = {};
    launch(sumBlocks, dim3(2), dim3(threads), threads * sizeof(float), nullptr, values.data(), &sums[0]);
    float expected[2] = {};
    for (unsigned i = 0; i < 2 * threads; ++i) expected[i / threads] += values[i];
    EXPECT_EQ(sums[0], expected[0]) << threads;
    EXPECT_EQ(sums[1], expected[1]) << threads;
  }
}

struct Shuffled {
  int from, exclusive, up, down;
};

__global__ void shuffleAll(Shuffled* results, int argument, int width) {
  const int mine = static_cast<int>(threadIdx.x) + 100;
  results[threadIdx.x].from = __shfl_sync(kAllLanes, mine, argument, width);
  results[threadIdx.x].exclusive = __shfl_xor_sync(kAllLanes, mine, argument, width);
  results[threadIdx.x].up = __shfl_up_sync(kAllLanes, mine, argument, width);
  results[threadIdx.x].down = __shfl_down_sync(kAllLanes, mine, argument, width);
}

TEST(Emulation, shufflesMoveValuesWithinTheirWidth) {
  for (const int width : {1, 2, 8, 32}) {
    for (const int argument : {0, 1, 3, 5, 16, 31}) {
      std::vector<Shuffled> results(64);
      launch(shuffleAll, dim3(1), dim3(64), 0, nullptr, results.data(), argument, width);
      for (int i = 0; i < 64; ++i) {
        const int lane = i % kWarp, first = lane / width * width, last = first + width - 1;
        const auto valueOf = [&](int source) { return 100 + i - lane + source; };
        const int exclusive = lane ^ argument;
        EXPECT_EQ(results[i].from, valueOf(first + argument % width));
        EXPECT_EQ(results[i].exclusive, valueOf(exclusive > last ? lane : exclusive));
        EXPECT_EQ(results[i].up, valueOf(lane - argument < first ? lane : lane - argument));
        EXPECT_EQ(results[i].down, valueOf(lane + argument > last ? lane : lane + argument));
      }
    }
  }
}

__global__ void shufflePartialWarp(float* results) {
  results[threadIdx.x] = __shfl_xor_sync(kAllLanes, static_cast<float>(threadIdx.x), 16);
}

TEST(Emulation, absentLanesAreUndefined) {
  std::vector<float> results(20);
  launch(shufflePartialWarp, dim3(1), dim3(20), 0, nullptr, results.data());
  for (int i = 0; i < 20; ++i) {
    if ((i ^ 16) < 20) {
      EXPECT_EQ(results[i], i ^ 16);
    } else {
      EXPECT_TRUE(std::isnan(results[i]));
    }
  }
}

__global__ void reduceWarps(const float* values, float* sums, float* largest, int* counts) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  sums[i] = warpSum(values[i]);
  largest[i] = warpMax(values[i]);
  counts[i] = __reduce_add_sync(kAllLanes, static_cast<int>(values[i]));
}

TEST(Emulation, warpsReduce) {
  const auto values = counted<float>(192);
  std::vector<float> sums(192), largest(192);
  std::vector<int> counts(192);
  launch(reduceWarps, dim3(2), dim3(96), 0, nullptr, values.data(), sums.data(), largest.data(), counts.data());
  for (int i = 0; i < 192; ++i) {
    const int before = i / kWarp * kWarp;
    EXPECT_EQ(sums[i], kWarp * before + kWarp * (kWarp + 1) / 2);
    EXPECT_EQ(counts[i], kWarp * before + kWarp * (kWarp + 1) / 2);
    EXPECT_EQ(largest[i], before + kWarp);
  }
}

struct Votes {
  unsigned ballot;
  int any, all, neverAny, alwaysAll;
};

__global__ void vote(Votes* results) {
  const bool third = threadIdx.x % 3 == 0;
  results[threadIdx.x] = {__ballot_sync(kAllLanes, third), __any_sync(kAllLanes, third), __all_sync(kAllLanes, third),
                          __any_sync(kAllLanes, 0), __all_sync(kAllLanes, 2)};
}

TEST(Emulation, warpsVote) {
  std::vector<Votes> results(40);
  launch(vote, dim3(1), dim3(40), 0, nullptr, results.data());
  unsigned ballots[2] = {};
  for (unsigned i = 0; i < 40; i += 3) ballots[i / kWarp] |= 1u << i % kWarp;
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(results[i].ballot, ballots[i / kWarp]);
    EXPECT_EQ(results[i].any, 1);
    EXPECT_EQ(results[i].all, 0);
    EXPECT_EQ(results[i].neverAny, 0);
    EXPECT_EQ(results[i].alwaysAll, 1);
  }
}

/// Each half of a warp goes its own way, and turns its values round as often as its number says.
__global__ void reverseHalves(int* values) {
  int* shared = reinterpret_cast<int*>(sharedMemory());
  const bool upper = threadIdx.x >= 16;
  if (upper) {
    for (int i = 0; i < 3; ++i) values[threadIdx.x] = __shfl_xor_sync(kHalfWarp << 16, values[threadIdx.x], 15);
  } else {
    shared[threadIdx.x] = values[threadIdx.x];
    __syncwarp(kHalfWarp);
    values[threadIdx.x] = shared[15 - threadIdx.x];
  }
  __syncwarp();
  shared[threadIdx.x] = values[threadIdx.x];
  __syncwarp();
  values[threadIdx.x] = shared[threadIdx.x ^ 16];
}

TEST(Emulation, partsOfAWarpSynchroniseByThemselves) {
  auto values = counted<int>(kWarp);
  launch(reverseHalves, dim3(1), dim3(kWarp), kWarp * sizeof(int), nullptr, values.data());
  for (int i = 0; i < kWarp; ++i) EXPECT_EQ(values[i], kWarp - i);
}

struct Large {
  int words[16];
};

/// Goes on to the next operation while slower lanes still have to read the last one's values.
__global__ void gatherTwice(int* sums) {
  Large mine{};
  mine.words[15] = static_cast<int>(threadIdx.x);
  const auto& large = emulation::gatherWarp(mine);
  int sum = 0;
  for (const Large& other : large) sum += other.words[15];
  const auto& small = emulation::gatherWarp(static_cast<short>(sum));
  for (const short other : small) sums[threadIdx.x] += other;
}

TEST(Emulation, gatherGivesEveryLaneEveryValue) {
  std::vector<int> sums(48);
  launch(gatherTwice, dim3(1), dim3(48), 0, nullptr, sums.data());
  for (int i = 0; i < 48; ++i) EXPECT_EQ(sums[i], i < kWarp ? kWarp * 31 * 16 : 16 * (47 * 24 - 31 * 16)) << i;
}

__global__ void countUp(int* count, unsigned* flags) {
  atomicAdd(count, 2);
  __threadfence();
  if (__ffs(1 << blockIdx.x) == static_cast<int>(blockIdx.x) + 1) atomicAdd(flags, 1u << blockIdx.x);
}

TEST(Emulation, atomicsAndBits) {
  int count = 0;
  unsigned flags = 0;
  launch(countUp, dim3(3), dim3(1), 0, nullptr, &count, &flags);
  EXPECT_EQ(count, 6);
  EXPECT_EQ(__popc(flags), 3);
}

TEST(Emulation, roundsToNearestEven) {
  EXPECT_EQ(cuda::toFloat(fromFloat<Half>(1 + 0x1p-11f)), 1);
  EXPECT_EQ(cuda::toFloat(fromFloat<Half>(1 + 0x3p-11f)), 1 + 0x1p-9f);
  EXPECT_EQ(cuda::toFloat(fromFloat<Bfloat16>(1 + 0x1p-8f)), 1);
  EXPECT_EQ(cuda::toFloat(fromFloat<Bfloat16>(1 + 0x3p-8f)), 1 + 0x1p-6f);
}

__global__ void copyShared(float* to) { to[threadIdx.x] = reinterpret_cast<const float*>(sharedMemory())[threadIdx.x]; }

TEST(Emulation, sharedMemoryBeginsAsNaN) {
  std::vector<float> values(8);
  launch(copyShared, dim3(2), dim3(8), 8 * sizeof(float), nullptr, values.data());
  for (const float value : values) EXPECT_TRUE(std::isnan(value));
}

__global__ void overrun(int elements) {
  __syncthreads();
  if (threadIdx.x == 0) sharedMemory()[elements] = 1;
}

TEST(EmulationDeathTest, sharedMemoryOverrunIsCaught) {
  if (!kAddressSanitizer) GTEST_SKIP() << "found by AddressSanitizer only";
  EXPECT_DEATH(launch(overrun, dim3(1), dim3(32), 100, nullptr, 100), "heap-buffer-overflow");
}

__global__ void readBeforeBarrier(float* values) {
  float* shared = reinterpret_cast<float*>(sharedMemory());
  shared[threadIdx.x] = 1;
  values[blockIdx.x * blockDim.x + threadIdx.x] = shared[threadIdx.x == 0 ? 0 : threadIdx.x - 1];
}

TEST(Emulation, oneOfTwoBlocksShowsAMissingBarrier) {
  std::vector<float> values(2 * 64);
  launch(readBeforeBarrier, dim3(2), dim3(64), 64 * sizeof(float), nullptr, values.data());
  EXPECT_EQ(values[63], 1);
  EXPECT_TRUE(std::isnan(values[127]));
}

__global__ void leaveBeforeBarrier(int leaving) {
  if (static_cast<int>(threadIdx.x) < leaving) return;
  __syncthreads();
}

__global__ void leaveBeforeShuffle(int* values) {
  if (threadIdx.x != 3) values[threadIdx.x] = __shfl_sync(kAllLanes, 1, 0);
}

__global__ void mixOperations() {
  if (threadIdx.x % 2 == 0) {
    __syncwarp();
  } else {
    __syncthreads();
  }
}

TEST(Emulation, reportsThreadsThatWaitForEver) {
  const std::string barrier = errorOf([] { launch(leaveBeforeBarrier, dim3(2), dim3(64), 0, nullptr, 1); });
  expectMessage(barrier, "of the 64 threads of block (0, 0, 0) 63 wait at __syncthreads, such as (1, 0, 0)");
  std::vector<int> values(kWarp);
  expectMessage(errorOf([&] { launch(leaveBeforeShuffle, dim3(1), dim3(kWarp), 0, nullptr, values.data()); }),
                "31 wait at __shfl_sync");
  const std::string mixed = errorOf([] { launch(mixOperations, dim3(1), dim3(kWarp), 0, nullptr); });
  expectMessage(mixed, "16 wait at __syncthreads");
  expectMessage(mixed, "16 wait at __syncwarp");
}

__global__ void leaveSelfOut() { __syncwarp(~(1u << threadIdx.x)); }

TEST(Emulation, reportsALaneThatItsMaskLacks) {
  expectMessage(errorOf([] { launch(leaveSelfOut, dim3(1), dim3(kWarp), 0, nullptr); }),
                "a lane calls __syncwarp with a mask that lacks it");
}

/// Every thread has a copy of `held` until it ends.
__global__ void throwAmongWaiting(std::shared_ptr<int> held, int thrower) {
  if (static_cast<int>(threadIdx.x) == thrower) throw std::runtime_error("thread " + std::to_string(*held));
  __syncthreads();
}

TEST(Emulation, passesAnExceptionOnAndEndsTheOtherThreads) {
  const auto held = std::make_shared<int>(7);
  for (const int thrower : {0, 7, 127}) {
    try {
      launch(throwAmongWaiting, dim3(1), dim3(128), 0, nullptr, held, thrower);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "thread 7");
    }
    EXPECT_EQ(held.use_count(), 1);
  }
  launch(throwAmongWaiting, dim3(1), dim3(128), 0, nullptr, held, 128);
}

TEST(Emulation, refusesWhatAGpuRefuses) {
  const auto start = [](dim3 grid, dim3 block, size_t sharedBytes) {
    return errorOf([&] { launch(leaveBeforeBarrier, grid, block, sharedBytes, nullptr, 0); });
  };
  expectMessage(start(dim3(1), dim3(1025), 0), "too many threads");
  expectMessage(start(dim3(1), dim3(32, 33), 0), "too many threads");
  expectMessage(start(dim3(1), dim3(1, 1, 65), 0), "too many threads");
  expectMessage(start(dim3(1), dim3(0), 0), "without threads");
  expectMessage(start(dim3(1, 65536), dim3(1), 0), "too many blocks");
  expectMessage(start(dim3(1, 1, 65536), dim3(1), 0), "too many blocks");
  expectMessage(start(dim3(1), dim3(1), 227 * 1024 + 1), "too much shared memory");
  launch(leaveBeforeBarrier, dim3(1), dim3(1024), 227 * 1024, nullptr, 0);
  launch(leaveBeforeBarrier, dim3(0), dim3(1024), 0, nullptr, 0);
}

TEST(Emulation, servesSeveralHostThreadsAtOnce) {
  std::vector<std::thread> hosts;
  for (int host = 0; host < 2; ++host) {
    hosts.emplace_back([] {
      const auto values = counted<float>(256);
      for (int round = 0; round < 50; ++round) {
        float sums[2] = {};
        launch(sumBlocks, dim3(2), dim3(128), 128 * sizeof(float), nullptr, values.data(), &sums[0]);
        EXPECT_EQ(sums[0] + sums[1], 256 * 257 / 2);
      }
    });
  }
  for (std::thread& host : hosts) host.join();
}

}  // namespace
}  // namespace espalier::test
