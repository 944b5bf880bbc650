// Checks hopperLinear() against a plain kernel, then times it beside cuBLASLt. Needs a GPU of compute capability 9.0.
// Exit status: 0 all right, 1 wrong results, 2 a kernel hangs.

#include <cublasLt.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "backend/cuda/kernel.h"
#include "backend/cuda/kernels/activations.h"
#include "backend/cuda/kernels/hopper_linear.h"

using espalier::Activation;
using espalier::DType;
using namespace espalier::cuda;

namespace {

// --- A hanging kernel must not hold the GPU.

using Clock = std::chrono::steady_clock;
std::atomic<int64_t> lastProgress{0};

int64_t milliseconds() {
  static const Clock::time_point start = Clock::now();
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

void progress() { lastProgress = milliseconds(); }

void startWatchdog() {
  constexpr int64_t kLongestStep = 8000, kLongestRun = 25000;
  progress();
  std::thread([] {
    while (milliseconds() < kLongestRun && milliseconds() - lastProgress < kLongestStep) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    std::printf("\nstopped by the watchdog\n");
    std::fflush(stdout);
    _exit(2);
  }).detach();
}

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("\nCUDA: %s\n", cudaGetErrorString(error));
  std::fflush(stdout);
  _exit(1);
}

void check(cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  std::printf("\ncuBLASLt: status %d\n", static_cast<int>(status));
  std::fflush(stdout);
  _exit(1);
}

template <typename T>
T* allocate(int64_t count) {
  void* data = nullptr;
  check(cudaMalloc(&data, count * sizeof(T)));
  return static_cast<T*>(data);
}

dim3 blocksFor(int64_t count) { return dim3(static_cast<unsigned>((count + 255) / 256)); }

// --- Data.

/// Uniform in [-scale, scale); what lies between cols and the stride becomes NaN: nobody may read it.
template <typename T>
__global__ void fillRandom(T* data, int64_t rows, int64_t cols, int64_t stride, uint32_t seed, float scale) {
  const int64_t index = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (index >= rows * stride) return;
  uint32_t hash = static_cast<uint32_t>(index) * 2654435761u ^ seed * 0x9E3779B9u;
  hash = (hash ^ hash >> 16) * 0x85EBCA6Bu;
  hash = (hash ^ hash >> 13) * 0xC2B2AE35u;
  hash ^= hash >> 16;
  const float value = (static_cast<float>(hash >> 8) / 8388608.0f - 1.0f) * scale;
  data[index] = fromFloat<T>(index % stride < cols ? value : __int_as_float(0x7FC00000));
}

template <typename T>
void randomise(T* data, int64_t rows, int64_t cols, int64_t stride, uint32_t seed, float scale) {
  fillRandom<T><<<blocksFor(rows * stride), 256>>>(data, rows, cols, stride, seed, scale);
  check(cudaGetLastError());
}

/// product = x w' in f32, one thread an element.
template <typename T>
__global__ void plainProduct(const T* x, int64_t ldx, const T* w, int64_t ldw, float* product, int rows, int inputs,
                             int outputs) {
  __shared__ float xs[16][17], ws[16][17];
  const int row = blockIdx.y * 16 + threadIdx.y, col = blockIdx.x * 16 + threadIdx.x;
  const int wRow = blockIdx.x * 16 + threadIdx.y;
  float sum = 0;
  for (int first = 0; first < inputs; first += 16) {
    const int k = first + threadIdx.x;
    xs[threadIdx.y][threadIdx.x] = row < rows && k < inputs ? toFloat(x[row * ldx + k]) : 0.0f;
    ws[threadIdx.y][threadIdx.x] = wRow < outputs && k < inputs ? toFloat(w[wRow * ldw + k]) : 0.0f;
    __syncthreads();
    for (int k16 = 0; k16 < 16; ++k16) sum += xs[threadIdx.y][k16] * ws[threadIdx.x][k16];
    __syncthreads();
  }
  if (row < rows && col < outputs) product[row * int64_t{outputs} + col] = sum;
}

struct Verdict {
  unsigned long long wrong;    // elements beyond the tolerance or not written
  unsigned long long outside;  // elements changed outside y
  unsigned int worst;          // largest error by tolerance, as bits of a float
  unsigned long long first;    // index of the first wrong element
};

/// y and one row before and after it, against the epilogue of `product`; `poison` is what lay outside before.
template <typename T>
__global__ void compare(const T* guarded, HopperLinear call, const T* residual, const float* product, uint16_t poison,
                        Verdict* verdict) {
  const int64_t index = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (index >= (call.rows + 2) * call.ldy) return;
  const int64_t row = index / call.ldy - 1, col = index % call.ldy;
  const T found = guarded[index];
  if (row < 0 || row >= call.rows || col >= call.outputs) {
    if (*reinterpret_cast<const uint16_t*>(&found) != poison) atomicAdd(&verdict->outside, 1ull);
    return;
  }
  float wanted = product[row * call.outputs + col];
  if (call.bias != nullptr) wanted += toFloat(static_cast<const T*>(call.bias)[col]);
  wanted = activate(call.activation, wanted);
  if (call.columnMask != nullptr) wanted *= toFloat(static_cast<const T*>(call.columnMask)[col]);
  if (residual != nullptr) wanted += toFloat(residual[row * call.ldResidual + col]);
  const float ulp = sizeof(T) == 2 && toFloat(fromFloat<T>(1.0f + 1.0f / 1024)) > 1.0f ? 1.0f / 1024 : 1.0f / 128;
  const float error = fabsf(toFloat(found) - wanted) / (ulp * 0.75f * fabsf(wanted) + 1e-4f);
  atomicMax(&verdict->worst, __float_as_uint(error == error ? error : 1e30f));
  if (!(error <= 1.0f)) {
    atomicAdd(&verdict->wrong, 1ull);
    atomicMin(&verdict->first, static_cast<unsigned long long>(row * call.outputs + col));
  }
}

// --- The check.

int64_t roundUp(int64_t value) { return (value + 7) / 8 * 8; }

const char* nameOf(Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return "gelu";
    case Activation::geluTanh:
      return "geluTanh";
    case Activation::relu:
      return "relu";
    default:
      return "none";
  }
}

enum class Residual { none, apart, inPlace };

struct Case {
  Activation activation;
  bool bias, mask;
  Residual residual;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Activation activation : {Activation::gelu, Activation::none, Activation::geluTanh, Activation::relu}) {
    for (const Residual residual : {Residual::none, Residual::apart, Residual::inPlace}) {
      for (const bool bias : {true, false}) {
        for (const bool mask : {false, true}) all.push_back({activation, bias, mask, residual});
      }
    }
  }
  return all;
}

/// Every case (every fifth for many rows) of one shape. Prints one line; true when all are right.
template <typename T>
bool checkShape(int64_t rows, int64_t outputs, int64_t inputs, DType dtype) {
  constexpr uint16_t kPoison = 0xFBFB;
  std::printf("%-4s %5lld x %4lld x %4lld: ", dtype == DType::f16 ? "f16" : "bf16", static_cast<long long>(rows),
              static_cast<long long>(outputs), static_cast<long long>(inputs));
  std::fflush(stdout);
  HopperLinear call;
  call.dtype = dtype;
  call.rows = rows, call.inputs = inputs, call.outputs = outputs;
  call.ldx = roundUp(inputs) + 8, call.ldw = roundUp(inputs) + 16;
  call.ldy = outputs + 8, call.ldResidual = outputs + 8;
  const int64_t guardedCount = (rows + 2) * call.ldy;
  T* x = allocate<T>(rows * call.ldx);
  T* w = allocate<T>(outputs * call.ldw);
  T* bias = allocate<T>(outputs);
  T* mask = allocate<T>(outputs);
  T* residual = allocate<T>(rows * call.ldResidual);
  T* guarded = allocate<T>(guardedCount);
  float* product = allocate<float>(rows * outputs);
  Verdict* verdict = allocate<Verdict>(1);
  randomise(x, rows, inputs, call.ldx, 1, 1);
  randomise(w, outputs, inputs, call.ldw, 2, 4 / std::sqrt(static_cast<float>(inputs)));
  randomise(bias, 1, outputs, outputs, 3, 1);
  randomise(mask, 1, outputs, outputs, 4, 1);
  randomise(residual, rows, outputs, call.ldResidual, 5, 2);
  plainProduct<T>
      <<<dim3(static_cast<unsigned>((outputs + 15) / 16), static_cast<unsigned>((rows + 15) / 16)), dim3(16, 16)>>>(
          x, call.ldx, w, call.ldw, product, static_cast<int>(rows), static_cast<int>(inputs),
          static_cast<int>(outputs));
  check(cudaGetLastError());
  T* y = guarded + call.ldy;
  call.x = x, call.w = w, call.y = y;

  int failed = 0, run = 0;
  float worst = 0;
  std::string complaint;
  const std::vector<Case> all = cases();
  for (size_t i = 0; i < all.size() && failed<3; i += rows> 1000 ? 5 : 1) {
    const Case& one = all[i];
    call.activation = one.activation;
    call.bias = one.bias ? bias : nullptr;
    call.columnMask = one.mask ? mask : nullptr;
    call.residual = one.residual == Residual::none ? nullptr : one.residual == Residual::apart ? residual : y;
    check(cudaMemset(guarded, kPoison & 0xFF, guardedCount * sizeof(T)));
    if (one.residual == Residual::inPlace) {
      check(cudaMemcpy2D(y, call.ldy * sizeof(T), residual, call.ldResidual * sizeof(T), outputs * sizeof(T), rows,
                         cudaMemcpyDeviceToDevice));
    }
    const Verdict none{0, 0, 0, ~0ull};
    check(cudaMemcpy(verdict, &none, sizeof(none), cudaMemcpyHostToDevice));
    if (!hopperLinearSupports(call)) {
      std::printf("FAIL not supported\n");
      return false;
    }
    hopperLinear(call, nullptr);
    compare<T><<<blocksFor(guardedCount), 256>>>(guarded, call, call.residual == nullptr ? nullptr : residual, product,
                                                 kPoison, verdict);
    check(cudaGetLastError());
    Verdict found;
    check(cudaMemcpy(&found, verdict, sizeof(found), cudaMemcpyDeviceToHost));
    progress();
    ++run;
    float error;
    static_assert(sizeof(error) == sizeof(found.worst), "bits of a float");
    std::memcpy(&error, &found.worst, sizeof(error));
    worst = std::max(worst, error);
    if (found.wrong == 0 && found.outside == 0) continue;
    if (failed++ == 0) {
      complaint = std::string(nameOf(one.activation)) + (one.bias ? " bias" : "") + (one.mask ? " mask" : "") +
                  (one.residual == Residual::none ? "" : " residual") + ": " + std::to_string(found.wrong) +
                  " wrong, " + std::to_string(found.outside) + " outside";
      if (found.wrong > 0) {
        complaint +=
            ", first at row " + std::to_string(found.first / outputs) + " col " + std::to_string(found.first % outputs);
      }
    }
  }
  std::printf("%s %2d epilogues, worst error %.3g of the tolerance%s%s\n", failed == 0 ? "PASS" : "FAIL", run, worst,
              failed == 0 ? "" : "; ", complaint.c_str());
  std::fflush(stdout);
  for (void* data : std::initializer_list<void*>{x, w, bias, mask, residual, guarded, product, verdict}) {
    check(cudaFree(data));
  }
  return failed == 0;
}

/// Small shapes first: what hangs should hang early.
bool checkAll() {
  int failed = 0;
  for (const int64_t rows : {1, 7, 127, 129, 4097}) {
    for (const int64_t inputs : {8, 72, 100, 768, 3072}) {
      for (const int64_t outputs : {8, 136, 768, 1000, 3072}) {
        if (!checkShape<Bfloat16>(rows, outputs, inputs, DType::bf16)) ++failed;
        if (!checkShape<Half>(rows, outputs, inputs, DType::f16)) ++failed;
        if (failed >= 6) return false;
      }
    }
  }
  // Many tiles for each block.
  if (!checkShape<Bfloat16>(33000, 3072, 72, DType::bf16)) ++failed;
  if (!checkShape<Half>(70001, 200, 136, DType::f16)) ++failed;
  return failed == 0;
}

// --- Times.

/// cuBLASLt's first choice for y = x w' + bias, and what it calls GELU (the tanh form).
class LtLinear {
 public:
  LtLinear(cublasLtHandle_t handle, const HopperLinear& call, bool gelu) : handle_(handle), call_(call) {
    const cublasOperation_t transposed = CUBLAS_OP_T, plain = CUBLAS_OP_N;
    const cublasLtEpilogue_t epilogue = gelu ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
    check(cublasLtMatmulDescCreate(&operation_, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_TRANSA, transposed);
    set(CUBLASLT_MATMUL_DESC_TRANSB, plain);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, call.bias);
    const cudaDataType type = call.dtype == DType::f16 ? CUDA_R_16F : CUDA_R_16BF;
    set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type);
    check(cublasLtMatrixLayoutCreate(&w_, type, call.inputs, call.outputs, call.ldw));
    check(cublasLtMatrixLayoutCreate(&x_, type, call.inputs, call.rows, call.ldx));
    check(cublasLtMatrixLayoutCreate(&y_, type, call.outputs, call.rows, call.ldy));
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference));
    check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspaceBytes,
                                               sizeof(kWorkspaceBytes)));
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    check(cublasLtMatmulAlgoGetHeuristic(handle, operation_, w_, x_, y_, y_, preference, 1, &best, &found));
    check(found > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED);
    algorithm_ = best.algo;
    check(cublasLtMatmulPreferenceDestroy(preference));
    static void* const workspace = allocate<char>(kWorkspaceBytes);
    workspace_ = workspace;
  }
  ~LtLinear() {
    for (cublasLtMatrixLayout_t layout : {w_, x_, y_}) cublasLtMatrixLayoutDestroy(layout);
    cublasLtMatmulDescDestroy(operation_);
  }
  LtLinear(const LtLinear&) = delete;
  LtLinear& operator=(const LtLinear&) = delete;

  void run() const {
    const float one = 1, zero = 0;
    check(cublasLtMatmul(handle_, operation_, &one, call_.w, w_, call_.x, x_, &zero, call_.y, y_, call_.y, y_,
                         &algorithm_, workspace_, kWorkspaceBytes, nullptr));
  }

 private:
  static constexpr size_t kWorkspaceBytes = size_t{32} << 20;

  template <typename T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    check(cublasLtMatmulDescSetAttribute(operation_, attribute, &value, sizeof(value)));
  }

  cublasLtHandle_t handle_;
  HopperLinear call_;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t w_ = nullptr, x_ = nullptr, y_ = nullptr;
  cublasLtMatmulAlgo_t algorithm_{};
  void* workspace_ = nullptr;
};

/// What a backend without the fused epilogue runs after the product.
__global__ void geluInPlace(uint4* values, int64_t count) {
  const int64_t index = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (index >= count) return;
  uint4 eight = values[index];
  auto* value = reinterpret_cast<Bfloat16*>(&eight);
  for (int i = 0; i < 8; ++i) value[i] = fromFloat<Bfloat16>(activate(Activation::gelu, toFloat(value[i])));
  values[index] = eight;
}

/// Keeps the GPU busy while the host prepares what is timed.
__global__ void delay() {
  constexpr long long kCycles = 100000;
  const long long start = clock64();
  while (clock64() - start < kCycles) {
  }
}

/// Medians of 20 runs, in milliseconds; the contenders take turns.
std::vector<float> medians(const std::vector<std::function<void()>>& contenders) {
  constexpr int kWarmUps = 3, kRuns = 20;
  cudaEvent_t start, end;
  check(cudaEventCreate(&start));
  check(cudaEventCreate(&end));
  std::vector<std::vector<float>> times(contenders.size());
  for (int run = -kWarmUps; run < kRuns; ++run) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      delay<<<1, 1>>>();
      check(cudaEventRecord(start));
      contenders[i]();
      check(cudaEventRecord(end));
      check(cudaEventSynchronize(end));
      float time = 0;
      check(cudaEventElapsedTime(&time, start, end));
      if (run >= 0) times[i].push_back(time);
    }
    progress();
  }
  check(cudaEventDestroy(start));
  check(cudaEventDestroy(end));
  std::vector<float> result;
  for (std::vector<float>& each : times) {
    std::nth_element(each.begin(), each.begin() + kRuns / 2, each.end());
    result.push_back(each[kRuns / 2]);
  }
  return result;
}

void timeShape(cublasLtHandle_t handle, int64_t rows, int64_t outputs, int64_t inputs) {
  Bfloat16* x = allocate<Bfloat16>(rows * inputs);
  Bfloat16* w = allocate<Bfloat16>(outputs * inputs);
  Bfloat16* bias = allocate<Bfloat16>(outputs);
  Bfloat16* residual = allocate<Bfloat16>(rows * outputs);
  Bfloat16* y = allocate<Bfloat16>(rows * outputs);
  randomise(x, rows, inputs, inputs, 1, 1);
  randomise(w, outputs, inputs, inputs, 2, 4 / std::sqrt(static_cast<float>(inputs)));
  randomise(bias, 1, outputs, outputs, 3, 1);
  randomise(residual, rows, outputs, outputs, 4, 1);
  HopperLinear plain;
  plain.x = x, plain.ldx = inputs, plain.w = w, plain.ldw = inputs, plain.bias = bias, plain.y = y;
  plain.ldy = outputs, plain.ldResidual = outputs;
  plain.rows = rows, plain.inputs = inputs, plain.outputs = outputs;
  HopperLinear gelu = plain, added = plain;
  gelu.activation = Activation::gelu;
  added.residual = residual;
  const LtLinear ltBias(handle, plain, false), ltGelu(handle, plain, true);
  const std::vector<float> times =
      medians({[&] { hopperLinear(plain, nullptr); }, [&] { hopperLinear(gelu, nullptr); },
               [&] { hopperLinear(added, nullptr); }, [&] { ltBias.run(); }, [&] { ltGelu.run(); },
               [&] {
                 ltBias.run();
                 geluInPlace<<<blocksFor(rows * outputs / 8), 256>>>(reinterpret_cast<uint4*>(y), rows * outputs / 8);
               }});
  std::printf("%5lld x %4lld x %4lld:", static_cast<long long>(rows), static_cast<long long>(outputs),
              static_cast<long long>(inputs));
  for (const float time : times) {
    std::printf("  %7.1f us %4.0f TF", time * 1e3, 2e-9 * rows * outputs * inputs / time);
  }
  std::printf("\n");
  std::fflush(stdout);
  for (Bfloat16* data : {x, w, bias, residual, y}) check(cudaFree(data));
}

void timeAll() {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle));
  progress();
  std::printf("bf16, medians of 20\n%20s  %19s  %19s  %19s  %19s  %19s  %19s\n", "rows x outputs x in", "ours bias",
              "ours bias gelu", "ours bias residual", "Lt bias", "Lt bias gelu(tanh)", "Lt bias + GELU kernel");
  for (const int64_t rows : {32768, 8192}) {
    timeShape(handle, rows, 3072, 768);
    timeShape(handle, rows, 768, 3072);
    timeShape(handle, rows, 1536, 768);
    timeShape(handle, rows, 768, 768);
  }
  timeShape(handle, 32768, 2304, 768);
  timeShape(handle, 32768, 1000, 768);
  timeShape(handle, 8192, 8192, 8192);
  check(cublasLtDestroy(handle));
}

}  // namespace

int main() {
  cudaDeviceProp device;
  check(cudaGetDeviceProperties(&device, 0));
  if (10 * device.major + device.minor != espalier::cuda::kHopper) {
    std::printf("%s is not of compute capability 9.0\n", device.name);
    return 1;
  }
  check(cudaFree(nullptr));
  startWatchdog();
  std::printf("%s, %d multiprocessors\n", device.name, device.multiProcessorCount);
  const bool right = checkAll();
  std::printf("%s after %.1f s\n", right ? "ALL PASS" : "SOME FAIL", milliseconds() / 1e3);
  std::fflush(stdout);
  timeAll();
  std::printf("%.1f s\n", milliseconds() / 1e3);
  return right ? 0 : 1;
}
