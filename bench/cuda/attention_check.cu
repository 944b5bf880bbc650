// Checks attention() against a plain kernel, then times it, and its backward where there is one. Needs a GPU. Exit
// status: 0 all right, 1 wrong results.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "backend/cuda/kernel.h"
#include "backend/cuda/kernels/attention.h"
#include "backend/cuda/kernels/vectors.h"

using espalier::AttentionArgs;
using espalier::AttentionBackwardArgs;
using espalier::DType;
using espalier::Matrix;
using espalier::Products;
using namespace espalier::cuda;

namespace {

constexpr int kHeads = 12;
constexpr int kLargestHead = 64;

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("\nCUDA: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

/// Device memory of one shape.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    for (void* block : blocks_) cudaFree(block);
  }

  void* allocate(size_t bytes) {
    void* block = nullptr;
    check(cudaMalloc(&block, bytes));
    blocks_.push_back(block);
    return block;
  }

 private:
  std::vector<void*> blocks_;
};

template <typename T>
constexpr DType kType = std::is_same_v<T, float>  ? DType::f32
                        : std::is_same_v<T, Half> ? DType::f16
                                                  : DType::bf16;

constexpr int kThreads = 256;

dim3 blocksFor(int64_t count) { return dim3(static_cast<unsigned>((count + kThreads - 1) / kThreads)); }

/// Uniform in [-2, 2).
template <typename T>
__global__ void fillRandom(T* data, int64_t count, uint32_t seed) {
  const int64_t index = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (index >= count) return;
  uint32_t hash = static_cast<uint32_t>(index) * 2654435761u ^ seed * 0x9E3779B9u;
  hash = (hash ^ hash >> 16) * 0x85EBCA6Bu;
  hash = (hash ^ hash >> 13) * 0xC2B2AE35u;
  hash ^= hash >> 16;
  data[index] = fromFloat<T>(static_cast<float>(hash >> 8) / 4194304.0f - 2.0f);
}

template <typename T>
Matrix randomMatrix(Memory& memory, int64_t rows, int64_t cols, uint32_t seed) {
  T* data = static_cast<T*>(memory.allocate(rows * cols * sizeof(T)));
  fillRandom<T><<<blocksFor(rows * cols), kThreads>>>(data, rows * cols, seed);
  check(cudaGetLastError());
  return {data, kType<T>, rows, cols, cols};
}

template <typename T>
struct Rows {
  RowsOf<const T> q, k, v, context;
};

/// The largest difference, as the bits of a float, between what attention() wrote and what one thread a query and head
/// computes.
template <typename T>
__global__ void compare(Rows<T> rows, AttentionArgs args, unsigned* worst) {
  const int64_t index = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  const int64_t query = index % args.q.rows, head = index / args.q.rows;
  if (head >= args.heads) return;
  int sequence = 0;
  while (args.offsets[sequence + 1] <= query) ++sequence;
  const int64_t column = head * args.headSize;
  const auto score = [&](int64_t key) {
    float sum = 0;
    for (int i = 0; i < args.headSize; ++i) {
      sum += toFloat(rows.q.row(query)[column + i]) * toFloat(rows.k.row(key)[column + i]);
    }
    return sum * static_cast<float>(args.scale);
  };
  float largest = -INFINITY, sum = 0, context[kLargestHead] = {};
  for (int64_t key = args.offsets[sequence]; key < args.offsets[sequence + 1]; ++key) {
    largest = fmaxf(largest, score(key));
  }
  for (int64_t key = args.offsets[sequence]; key < args.offsets[sequence + 1]; ++key) {
    const float weight = expf(score(key) - largest);
    for (int i = 0; i < args.headSize; ++i) context[i] += weight * toFloat(rows.v.row(key)[column + i]);
    sum += weight;
  }
  float largestError = 0;
  for (int i = 0; i < args.headSize; ++i) {
    const float error = fabsf(toFloat(rows.context.row(query)[column + i]) - context[i] / sum);
    largestError = fmaxf(largestError, error == error ? error : 1e30f);
  }
  atomicMax(worst, __float_as_uint(largestError));
}

template <typename T>
float worstError(Memory& memory, const AttentionArgs& args) {
  auto* const worst = static_cast<unsigned*>(memory.allocate(sizeof(unsigned)));
  check(cudaMemset(worst, 0, sizeof(*worst)));
  compare<T>
      <<<blocksFor(args.q.rows * args.heads), kThreads>>>(Rows<T>{args.q, args.k, args.v, args.context}, args, worst);
  check(cudaGetLastError());
  float error = 0;
  static_assert(sizeof(error) == sizeof(*worst), "bits of a float");
  check(cudaMemcpy(&error, worst, sizeof(error), cudaMemcpyDeviceToHost));
  return error;
}

/// Keeps the GPU busy while the host prepares what is timed.
__global__ void delay() {
  constexpr long long kCycles = 100000;
  const long long start = clock64();
  while (clock64() - start < kCycles) {
  }
}

/// The median of 20 runs, in microseconds.
double median(const std::function<void()>& run) {
  constexpr int kWarmUps = 3, kRuns = 20;
  cudaEvent_t start, end;
  check(cudaEventCreate(&start));
  check(cudaEventCreate(&end));
  std::vector<float> times;
  for (int i = -kWarmUps; i < kRuns; ++i) {
    delay<<<1, 1>>>();
    check(cudaEventRecord(start));
    run();
    check(cudaEventRecord(end));
    check(cudaEventSynchronize(end));
    float time = 0;
    check(cudaEventElapsedTime(&time, start, end));
    if (i >= 0) times.push_back(time * 1e3f);
  }
  check(cudaEventDestroy(start));
  check(cudaEventDestroy(end));
  std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
  return times[kRuns / 2];
}

struct Shape {
  const char* name;
  std::vector<int> lengths;
};

std::vector<Shape> shapes() {
  std::vector<int> sentences;  // 5 to 55 tokens, about 26 on average
  uint32_t random = 1;
  for (int i = 0; i < 256; ++i) {
    random = random * 1664525u + 1013904223u;
    sentences.push_back(i % 32 == 0 ? 55 : 5 + static_cast<int>((random >> 8) % 21 + (random >> 20) % 21));
  }
  return {{"128 x 128", std::vector<int>(128, 128)},
          {"256 x 5..55", sentences},
          {"32 x 384", std::vector<int>(32, 384)},
          {"8 x 512", std::vector<int>(8, 512)}};
}

struct Kind {
  const char* name;
  Products products;
  float tolerance;
};

/// Prints one line; true when the results are right.
template <typename T>
bool runShape(const Kind& kind, const Shape& shape, int headSize) {
  Memory memory;
  std::vector<int32_t> offsets{0};
  double pairs = 0;
  for (const int length : shape.lengths) {
    offsets.push_back(offsets.back() + length);
    pairs += static_cast<double>(length) * length;
  }
  const size_t offsetBytes = offsets.size() * sizeof(int32_t);
  auto* const onDevice = static_cast<int32_t*>(memory.allocate(offsetBytes));
  check(cudaMemcpy(onDevice, offsets.data(), offsetBytes, cudaMemcpyHostToDevice));

  const int64_t tokens = offsets.back(), width = int64_t{kHeads} * headSize;
  const Matrix inputs = randomMatrix<T>(memory, tokens, 3 * width, 1);
  AttentionBackwardArgs backward;
  AttentionArgs& args = backward.forward;
  args.q = inputs.columns(0, width);
  args.k = inputs.columns(width, width);
  args.v = inputs.columns(2 * width, width);
  args.queryOffsets = args.offsets = onDevice;
  args.sequences = static_cast<int32_t>(shape.lengths.size());
  args.longest = *std::max_element(shape.lengths.begin(), shape.lengths.end());
  args.heads = kHeads, args.headSize = headSize;
  args.scale = 1 / std::sqrt(static_cast<double>(headSize));
  args.context = randomMatrix<T>(memory, tokens, width, 2);

  const double time = median([&] { attention<T>(args, kind.products, nullptr, nullptr); });
  const float error = worstError<T>(memory, args);
  const bool right = error <= kind.tolerance;
  const double flops = 4 * pairs * static_cast<double>(width);
  const double bytes = 4.0 * static_cast<double>(tokens * width) * sizeof(T);
  std::printf("%-4s heads of %2d  %-11s %6.1f us  %6.1f TFLOP/s  %5.0f GB/s  error %.1e %s", kind.name, headSize,
              shape.name, time, flops / time * 1e-6, bytes / time * 1e-3, error, right ? "PASS" : "FAIL");
  if constexpr (std::is_same_v<T, float>) {
    args.logSumExp = randomMatrix<T>(memory, tokens, kHeads, 3);
    attention<T>(args, kind.products, nullptr, nullptr);
    backward.dContext = randomMatrix<T>(memory, tokens, width, 4);
    const Matrix gradients = randomMatrix<T>(memory, tokens, 3 * width, 5);
    backward.dq = gradients.columns(0, width);
    backward.dk = gradients.columns(width, width);
    backward.dv = gradients.columns(2 * width, width);
    void* const scratch = memory.allocate(attentionBackwardScratch(backward));
    const double backwardTime = median([&] { attentionBackward<T>(backward, kind.products, scratch, nullptr); });
    std::printf("  backward %7.1f us", backwardTime);
  }
  std::printf("\n");
  std::fflush(stdout);
  return right;
}

template <typename T>
bool runKind(const Kind& kind) {
  bool right = true;
  for (const int headSize : {64, 32}) {
    for (const Shape& shape : shapes()) right &= runShape<T>(kind, shape, headSize);
  }
  return right;
}

}  // namespace

int main() {
  cudaDeviceProp device;
  check(cudaGetDeviceProperties(&device, 0));
  std::printf("%s, %d multiprocessors; medians of 20\n", device.name, device.multiProcessorCount);
  bool right = runKind<Bfloat16>({"bf16", Products::full, 2e-2f});
  right &= runKind<Half>({"f16", Products::full, 3e-3f});
  right &= runKind<float>({"tf32", Products::tf32, 4e-3f});
  right &= runKind<float>({"f32", Products::full, 1e-5f});
  return right ? 0 : 1;
}
