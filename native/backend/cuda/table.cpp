#include "backend/cuda/table.h"

#include <exception>
#include <memory>
#include <new>
#include <string>

#include "backend/cuda/kernels/attention.h"
#include "backend/cuda/kernels/operations.h"
#include "backend/cuda/linear.h"
#include "backend/cuda/solver/solver_entries.h"

namespace espalier::cuda {
namespace {

// For BERT-base in 16 bits the activations of one layer then take 0.7 GB, and in f32 those that a backward pass keeps
// of all layers 6 GB.
constexpr int32_t kMicroBatchTokens = 65536;
constexpr int32_t kBackwardTokens = 16384;

/// What a BackendState of this backend really is.
struct State {
  DType dtype;
  Products products;
  Runtime runtime;
  Multiplier multiplier;

  explicit State(const BackendOptions& options)
      : dtype(options.dtype),
        products(options.products),
        runtime(options.device),
        multiplier(runtime, options.products) {}
};

State& stateOf(BackendState* state) { return *reinterpret_cast<State*>(state); }

/// Runs body(); what it throws becomes the Status, as nothing thrown may cross the table.
template <typename Body>
Status guarded(const Body& body) {
  thread_local std::string message;
  try {
    body();
    return {};
  } catch (const Error& error) {
    message = error.what();
    return {error.code(), message.c_str()};
  } catch (const std::bad_alloc&) {
    return {ErrorCode::outOfMemory, "the host ran out of memory"};
  } catch (const std::exception& error) {
    message = error.what();
    return {ErrorCode::internal, message.c_str()};
  }
}

/// As guarded(), with the state's device made this thread's own.
template <typename Body>
Status onDevice(BackendState* state, const Body& body) {
  return guarded([&] {
    stateOf(state).runtime.bind();
    body(stateOf(state));
  });
}

template <typename Args>
using Operation = void (*)(State&, const Args&);

/// The table's entry of an operation that every element type has.
template <typename Args, Operation<Args> kFloat, Operation<Args> kHalf, Operation<Args> kBfloat16>
Status run(BackendState* opened, const Args* args) {
  return onDevice(opened, [&](State& state) {
    if (state.dtype == DType::f32) return kFloat(state, *args);
    state.dtype == DType::f16 ? kHalf(state, *args) : kBfloat16(state, *args);
  });
}

/// The table's entry of an operation for f32 only: what gradients, sums and their like need.
template <typename Args, Operation<Args> kFloat>
Status runInFloat(BackendState* opened, const Args* args) {
  return onDevice(opened, [&](State& state) {
    if (state.dtype != DType::f32) {
      throw Error(ErrorCode::unsupported, "in half precision a model can be run, but neither trained nor pruned");
    }
    kFloat(state, *args);
  });
}

template <typename T>
void runLinear(State& state, const LinearArgs& args) {
  linear<T>(args, state.runtime, state.multiplier);
}

template <typename T>
void runAttention(State& state, const AttentionArgs& args) {
  const auto run = [&](void* scratch) { attention<T>(args, state.products, scratch, state.runtime.stream()); };
  if (!args.columnSums) return run(nullptr);
  const DeviceArray<char> scratch(state.runtime, attentionScratch(args) + 1);
  run(scratch.data());
}

void runAttentionBackward(State& state, const AttentionBackwardArgs& args) {
  const DeviceArray<char> scratch(state.runtime, attentionBackwardScratch(args) + 1);
  attentionBackward<float>(args, state.products, scratch.data(), state.runtime.stream());
}

Status runSelectTokens(BackendState* opened, const SelectTokensArgs* args) {
  return onDevice(opened, [&](State& state) { selectTokens(*args, state.runtime); });
}

void runTransposedProduct(State& state, const TransposedProductArgs& args) {
  transposedProduct(args, state.runtime, state.multiplier);
}

void runGram(State& state, const GramArgs& args) {
  runTransposedProduct(state, {args.x, args.x, args.c, args.accumulate});
}

/// An operation that needs the stream alone.
template <typename Args, void (*kOperation)(const Args&, Stream)>
void onStream(State& state, const Args& args) {
  kOperation(args, state.runtime.stream());
}

template <typename Args, void (*kOperation)(const Args&, Runtime&)>
void onRuntime(State& state, const Args& args) {
  kOperation(args, state.runtime);
}

Status open(const BackendOptions* options, BackendState** state) {
  if (options->dtype != DType::f32 && options->dtype != DType::f16 && options->dtype != DType::bf16) {
    return {ErrorCode::unsupported, "the CUDA backend computes in f32, f16 or bf16"};
  }
  return guarded([&] {
    try {
      *state = reinterpret_cast<BackendState*>(new State(*options));
    } catch (const Error& error) {
      // Whatever is missing, be it memory that others hold: nothing can be run there.
      throw Error(ErrorCode::noDevice, error.what());
    }
  });
}

void close(BackendState* opened) {
  const std::unique_ptr<State> state(&stateOf(opened));
  guarded([&] { state->runtime.bind(); });
}

const char* describe(BackendState* state) { return stateOf(state).runtime.describe(); }

Status peakBytes(BackendState* opened, size_t* bytes) {
  return onDevice(opened, [&](State& state) { *bytes = state.runtime.peakBytes(); });
}

Status allocate(BackendState* opened, size_t bytes, void** data) {
  return onDevice(opened, [&](State& state) { *data = state.runtime.allocate(bytes); });
}

void release(BackendState* opened, void* data) {
  onDevice(opened, [&](State& state) { state.runtime.release(data); });
}

Status copyIn(BackendState* opened, void* device, size_t deviceStride, const void* host, size_t rowBytes, size_t rows) {
  return onDevice(opened, [&](State& state) { state.runtime.copyRowsIn(device, deviceStride, host, rowBytes, rows); });
}

Status copyOut(BackendState* opened, void* host, const void* device, size_t deviceStride, size_t rowBytes,
               size_t rows) {
  return onDevice(opened, [&](State& state) { state.runtime.copyRowsOut(host, device, deviceStride, rowBytes, rows); });
}

Status fillZero(BackendState* opened, void* device, size_t bytes) {
  return onDevice(opened, [&](State& state) { state.runtime.fillZero(device, bytes); });
}

Status packWeight(BackendState* opened, const PackArgs* args, PackedWeight** packed) {
  return onDevice(opened, [&](State& state) {
    const int64_t outputs = args->transposed ? args->weight.cols : args->weight.rows;
    const int64_t inputs = args->transposed ? args->weight.rows : args->weight.cols;
    auto weight = std::make_unique<Weight>(state.runtime, state.dtype, outputs, inputs);
    if (state.dtype == DType::f32) pack<float>(*args, *weight);
    if (state.dtype == DType::f16) pack<Half>(*args, *weight);
    if (state.dtype == DType::bf16) pack<Bfloat16>(*args, *weight);
    *packed = reinterpret_cast<PackedWeight*>(weight.release());
  });
}

void releaseWeight(BackendState* opened, PackedWeight* packed) {
  onDevice(opened, [&](State&) { delete reinterpret_cast<Weight*>(packed); });
}

size_t packedBytes(const PackedWeight* packed) { return reinterpret_cast<const Weight*>(packed)->bytes; }

Status beginRecording(BackendState* opened) {
  return onDevice(opened, [](State& state) { state.runtime.beginRecording(); });
}

Status endRecording(BackendState* opened, RecordedWork** work) {
  return onDevice(opened, [&](State& state) {
    if (work == nullptr) return state.runtime.abandonRecording();
    *work = reinterpret_cast<RecordedWork*>(state.runtime.endRecording().release());
  });
}

Status replay(BackendState* opened, const RecordedWork* work) {
  return onDevice(opened, [&](State&) { reinterpret_cast<const Recording*>(work)->replay(); });
}

void releaseRecording(BackendState* opened, RecordedWork* work) {
  onDevice(opened, [&](State&) { delete reinterpret_cast<Recording*>(work); });
}

template <typename Args, void (*kFloat)(const Args&, Stream), void (*kHalf)(const Args&, Stream),
          void (*kBfloat16)(const Args&, Stream)>
constexpr auto kEveryType = run<Args, onStream<Args, kFloat>, onStream<Args, kHalf>, onStream<Args, kBfloat16>>;

Status onRuntime(BackendState* opened, const std::function<void(Runtime&)>& body) {
  return onDevice(opened, [&](State& state) { body(state.runtime); });
}

BackendTable makeTable() {
  BackendTable table{};
  table.abi = kBackendAbi;
  table.name = "cuda";
  table.rowStride = rowStride;
  table.microBatchTokens = kMicroBatchTokens;
  table.backwardTokens = kBackwardTokens;
  table.onHost = false;
  table.open = open;
  table.close = close;
  table.describe = describe;
  table.peakBytes = peakBytes;
  table.allocate = allocate;
  table.release = release;
  table.copyIn = copyIn;
  table.copyOut = copyOut;
  table.fillZero = fillZero;
  table.packWeight = packWeight;
  table.releaseWeight = releaseWeight;
  table.packedBytes = packedBytes;
  table.linear = run<LinearArgs, runLinear<float>, runLinear<Half>, runLinear<Bfloat16>>;
  table.embed = kEveryType<EmbedArgs, embed<float>, embed<Half>, embed<Bfloat16>>;
  table.embedBackward = runInFloat<EmbedBackwardArgs, onStream<EmbedBackwardArgs, embedBackward<float>>>;
  table.layerNorm = kEveryType<LayerNormArgs, layerNorm<float>, layerNorm<Half>, layerNorm<Bfloat16>>;
  table.layerNormBackward =
      runInFloat<LayerNormBackwardArgs, onRuntime<LayerNormBackwardArgs, layerNormBackward<float>>>;
  table.attention = run<AttentionArgs, runAttention<float>, runAttention<Half>, runAttention<Bfloat16>>;
  table.attentionBackward = runInFloat<AttentionBackwardArgs, runAttentionBackward>;
  table.activationBackward =
      runInFloat<ActivationBackwardArgs, onRuntime<ActivationBackwardArgs, activationBackward<float>>>;
  table.gatherRows = kEveryType<GatherRowsArgs, gatherRows<float>, gatherRows<Half>, gatherRows<Bfloat16>>;
  table.scatterRows = kEveryType<ScatterRowsArgs, scatterRows<float>, scatterRows<Half>, scatterRows<Bfloat16>>;
  table.selectTokens = runSelectTokens;
  table.softTokenMask = runInFloat<SoftTokenMaskArgs, onStream<SoftTokenMaskArgs, softTokenMask<float>>>;
  table.softTokenMaskBackward =
      runInFloat<SoftTokenMaskBackwardArgs, onRuntime<SoftTokenMaskBackwardArgs, softTokenMaskBackward<float>>>;
  table.transposedProduct = runInFloat<TransposedProductArgs, runTransposedProduct>;
  table.gram = runInFloat<GramArgs, runGram>;
  table.columnSums = runInFloat<ColumnSumsArgs, onRuntime<ColumnSumsArgs, columnSums<float>>>;
  table.subtract = runInFloat<SubtractArgs, onStream<SubtractArgs, subtract<float>>>;
  table.addScaled = runInFloat<AddScaledArgs, onStream<AddScaledArgs, addScaled<float>>>;
  table.dropout = runInFloat<DropoutArgs, onStream<DropoutArgs, dropout<float>>>;
  table.adamW = runInFloat<AdamWArgs, onStream<AdamWArgs, adamW<float>>>;
  table.loss = runInFloat<LossArgs, onStream<LossArgs, loss<float>>>;
  table.beginRecording = beginRecording;
  table.endRecording = endRecording;
  table.replay = replay;
  table.releaseRecording = releaseRecording;
  table.solver = &SolverEntries<onRuntime>::kTable;
  return table;
}

}  // namespace

const BackendTable* backendTable() {
  static const BackendTable table = makeTable();
  return &table;
}

}  // namespace espalier::cuda
