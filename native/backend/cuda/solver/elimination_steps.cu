#include "backend/cuda/kernel.h"
#include "backend/cuda/kernels/vectors.h"
#include "backend/cuda/solver/elimination_steps.h"

namespace espalier::cuda {
namespace {

// A removal of one input is a launch of microseconds, all of it latency: each block has few inputs, and the threads of
// an input share the removals that wait in the panels.
constexpr int kBlockInputs = 32;
constexpr int kSlices = kThreads / kBlockInputs;

constexpr Candidate kNobody = {0, -1};

/// The cheaper of two, the first unit of equal ones.
__device__ Candidate cheaper(const Candidate& one, const Candidate& other) {
  if (one.unit < 0) return other;
  if (other.unit < 0 || one.cost < other.cost) return one;
  if (other.cost < one.cost) return other;
  return one.unit < other.unit ? one : other;
}

/// The cheapest of all threads', on every one of them; `shared` [kThreads].
__device__ Candidate cheapestOfBlock(const Candidate& mine, Candidate* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  shared[thread] = mine;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (thread < half) shared[thread] = cheaper(shared[thread], shared[thread + half]);
    __syncthreads();
  }
  return shared[0];
}

/// The removal of `chosen` as the index-th, by one thread of the grid.
__device__ void record(const Removals& removals, const Candidate& chosen, int32_t index) {
  removals.order[index] = chosen.unit;
  removals.errors[index] = (index > 0 ? removals.errors[index - 1] : 0) + chosen.cost;
}

/// The shared memory of a block of removeNeuronKernel.
struct NeuronScratch {
  Candidate candidates[kThreads];
  double c[kNeuronPanel], b[kNeuronPanel];  // the removed input's in the panels
  double cSums[kThreads], bSums[kThreads];
};

__device__ Candidate neuronCandidate(const NeuronStep& step, int64_t input) {
  return {step.productDiagonal[input] / step.inverseDiagonal[input], static_cast<int32_t>(input)};
}

/// The blocks' candidates of the step of this index.
__device__ Candidate* candidatesOf(const NeuronStep& step, int32_t index) {
  return step.candidates + index % 2 * static_cast<int64_t>(gridDim.x);
}

__global__ void startNeuronsKernel(NeuronStep step) {
  const int64_t input = static_cast<int64_t>(blockIdx.x) * kBlockInputs + threadIdx.x;
  Candidate mine = kNobody;
  if (threadIdx.x < kBlockInputs && input < step.inputs) {
    step.inverseDiagonal[input] = step.inverse[input * step.inputs + input];
    step.productDiagonal[input] = step.products[input * step.inputs + input];
    mine = neuronCandidate(step, input);
  }
  const Candidate cheapest = cheapestOfBlock(mine, reinterpret_cast<Candidate*>(sharedMemory()));
  if (threadIdx.x == 0) candidatesOf(step, 0)[blockIdx.x] = cheapest;
}

/// The cheapest of every block's candidates: each block finds it for itself, which saves a launch.
__device__ Candidate chooseNeuron(const NeuronStep& step, int32_t index, NeuronScratch& scratch) {
  const Candidate* candidates = candidatesOf(step, index);
  Candidate mine = kNobody;
  for (unsigned block = threadIdx.x; block < gridDim.x; block += kThreads) mine = cheaper(mine, candidates[block]);
  return cheapestOfBlock(mine, scratch.candidates);
}

__global__ void removeNeuronKernel(NeuronStep step, int32_t index, int32_t pending) {
  auto& scratch = *reinterpret_cast<NeuronScratch*>(sharedMemory());
  const int thread = static_cast<int>(threadIdx.x), place = thread % kBlockInputs, slice = thread / kBlockInputs;
  const int64_t n = step.inputs, input = static_cast<int64_t>(blockIdx.x) * kBlockInputs + place;
  const bool present = input < n;
  const Candidate chosen = chooseNeuron(step, index, scratch);

  // Loads that do not depend on one another go out together.
  const bool first = slice == 0 && present;
  double c = first ? step.inverse[chosen.unit * n + input] : 0;
  double b = first ? step.products[chosen.unit * n + input] : 0;
  if (thread < pending) {
    scratch.c[thread] = step.c[thread * n + chosen.unit];
    scratch.b[thread] = step.b[thread * n + chosen.unit];
  }
  __syncthreads();
  double cSum = 0, bSum = 0;
#pragma unroll 8
  for (int k = slice; present && k < pending; k += kSlices) {
    const double waiting = step.c[k * n + input];
    cSum += waiting * scratch.c[k];
    bSum += waiting * scratch.b[k] + step.b[k * n + input] * scratch.c[k];
  }
  scratch.cSums[thread] = cSum;
  scratch.bSums[thread] = bSum;
  __syncthreads();

  Candidate mine = kNobody;
  if (first) {
    for (int other = 0; other < kSlices; ++other) {
      c -= scratch.cSums[other * kBlockInputs + place];
      b -= scratch.bSums[other * kBlockInputs + place];
    }
    const double l = sqrt(step.inverseDiagonal[chosen.unit]);
    c /= l;
    b = b / l - c * chosen.cost / 2;  // m is the cost
    step.c[pending * n + input] = c;
    step.b[pending * n + input] = b;
    // Other blocks read the chosen input's diagonals: they stay as they are.
    if (input == chosen.unit) {
      step.removals.removed[input] = 1;
      if (step.inverseDiagonal[input] <= 0) *step.removals.failed = 1;
      record(step.removals, chosen, index);
    } else if (step.removals.removed[input] == 0) {
      step.inverseDiagonal[input] -= c * c;
      step.productDiagonal[input] -= 2 * c * b;
      mine = neuronCandidate(step, input);
    }
  }
  const Candidate cheapest = cheapestOfBlock(mine, scratch.candidates);
  if (thread == 0) candidatesOf(step, index + 1)[blockIdx.x] = cheapest;
}

/// Column `column` of x [size, stride] becomes that of l^-1 x, l [size, size] being lower triangular.
__device__ void substitute(const double* l, int size, double* x, int64_t stride, int64_t column) {
  for (int i = 0; i < size; ++i) {
    double value = x[i * stride + column];
    for (int k = 0; k < i; ++k) value -= l[i * size + k] * x[k * stride + column];
    x[i * stride + column] = value / l[i * size + i];
  }
}

/// By a whole block: the lower triangle of a [size, size] becomes its Cholesky factor. False when a is not positive
/// definite.
__device__ bool factorByBlock(double* a, int size) {
  for (int j = 0; j < size; ++j) {
    const double pivot = a[j * size + j];
    __syncthreads();
    if (pivot <= 0) return false;
    const double root = sqrt(pivot);
    for (int i = j + static_cast<int>(threadIdx.x); i < size; i += kThreads) {
      a[i * size + j] = i == j ? root : a[i * size + j] / root;
    }
    __syncthreads();
    const int left = size - j - 1;
    for (int index = static_cast<int>(threadIdx.x); index < left * left; index += kThreads) {
      const int i = j + 1 + index / left, k = j + 1 + index % left;
      if (k <= i) a[i * size + k] -= a[i * size + j] * a[k * size + j];
    }
    __syncthreads();
  }
  return true;
}

/// By a whole block: x = l^-1 x, then x = x'; both [size, size].
__device__ void substituteAndTranspose(const double* l, int size, double* x) {
  for (int column = static_cast<int>(threadIdx.x); column < size; column += kThreads) {
    substitute(l, size, x, size, column);
  }
  __syncthreads();
  for (int index = static_cast<int>(threadIdx.x); index < size * size; index += kThreads) {
    const int i = index / size, j = index % size;
    if (j >= i) continue;
    const double value = x[i * size + j];
    x[i * size + j] = x[j * size + i];
    x[j * size + i] = value;
  }
  __syncthreads();
}

/// One block for each unit: its factor, middle and cost.
__global__ void weighUnitsKernel(UnitStep step) {
  const int size = step.unitSize;
  const int64_t unit = blockIdx.x, first = unit * size;
  if (step.removals.removed[unit] != 0) return;
  double* factor = step.factors + unit * size * size;
  double* middle = step.middles + unit * size * size;
  for (int index = static_cast<int>(threadIdx.x); index < size * size; index += kThreads) {
    const int64_t from = (first + index / size) * step.inputs + first + index % size;
    factor[index] = step.inverse[from];
    middle[index] = step.products[from];
  }
  __syncthreads();
  if (!factorByBlock(factor, size)) {
    if (threadIdx.x == 0) {
      step.costs[unit] = 0;
      *step.removals.failed = 1;
    }
    return;
  }
  substituteAndTranspose(factor, size, middle);
  substituteAndTranspose(factor, size, middle);
  if (threadIdx.x == 0) {
    double trace = 0;
    for (int i = 0; i < size; ++i) trace += middle[i * size + i];
    step.costs[unit] = trace;
  }
}

/// One block.
__global__ void chooseUnitKernel(UnitStep step, int32_t index) {
  const auto units = static_cast<int32_t>(step.inputs / step.unitSize);
  Candidate mine = kNobody;
  for (auto unit = static_cast<int32_t>(threadIdx.x); unit < units; unit += kThreads) {
    if (step.removals.removed[unit] == 0) mine = cheaper(mine, {step.costs[unit], unit});
  }
  const Candidate chosen = cheapestOfBlock(mine, reinterpret_cast<Candidate*>(sharedMemory()));
  if (threadIdx.x == 0) {
    record(step.removals, chosen, index);
    step.removals.removed[chosen.unit] = 1;
  }
}

/// A thread for each input i: column i of c' = l^-1 h_u: and b' = l^-1 t_u: - m c' / 2.
__global__ void unitColumnsKernel(UnitStep step, int32_t index) {
  const int64_t n = step.inputs;
  const int size = step.unitSize;
  const int64_t input = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (input >= n) return;
  const int64_t unit = step.removals.order[index], first = unit * size;
  const double* factor = step.factors + unit * size * size;
  const double* middle = step.middles + unit * size * size;
  for (int j = 0; j < size; ++j) {
    step.c[j * n + input] = step.inverse[(first + j) * n + input];
    step.b[j * n + input] = step.products[(first + j) * n + input];
  }
  substitute(factor, size, step.c, n, input);
  substitute(factor, size, step.b, n, input);
  for (int j = 0; j < size; ++j) {
    double sum = 0;
    for (int k = 0; k < size; ++k) sum += middle[j * size + k] * step.c[k * n + input];
    step.b[j * n + input] -= sum / 2;
  }
}

}  // namespace

int64_t neuronBlocks(int64_t inputs) { return (inputs + kBlockInputs - 1) / kBlockInputs; }

void startNeurons(Runtime& runtime, const NeuronStep& step) {
  launch(startNeuronsKernel, blocksFor(step.inputs, kBlockInputs), dim3(kThreads), kThreads * sizeof(Candidate),
         runtime.stream(), step);
}

void removeNeuron(Runtime& runtime, const NeuronStep& step, int32_t index, int32_t pending) {
  launch(removeNeuronKernel, blocksFor(step.inputs, kBlockInputs), dim3(kThreads), sizeof(NeuronScratch),
         runtime.stream(), step, index, pending);
}

void removeUnit(Runtime& runtime, const UnitStep& step, int32_t index) {
  const auto units = static_cast<unsigned>(step.inputs / step.unitSize);
  launch(weighUnitsKernel, dim3(units), dim3(kThreads), 0, runtime.stream(), step);
  launch(chooseUnitKernel, dim3(1), dim3(kThreads), kThreads * sizeof(Candidate), runtime.stream(), step, index);
  launch(unitColumnsKernel, blocksFor(step.inputs, kWarp), dim3(kWarp), 0, runtime.stream(), step, index);
}

}  // namespace espalier::cuda
