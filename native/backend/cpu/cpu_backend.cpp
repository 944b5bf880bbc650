#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "backend/cpu/gemm.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/memory.h"
#include "backend/cpu/operations.h"
#include "backend/host_rows.h"
#include "backend/table.h"

namespace espalier::cpu {
namespace {

struct State {
  int threads;
  std::string description;
};

State& stateOf(BackendState* state) { return *reinterpret_cast<State*>(state); }

/// Keeps an exception's message until this thread's next failure.
Status failure(ErrorCode code, std::string message) {
  thread_local std::string kept;
  kept = std::move(message);
  return {code, kept.c_str()};
}

/// Runs body(); what it throws becomes the Status, as nothing thrown may cross the table.
template <typename Body>
Status guarded(const Body& body) {
  try {
    body();
    return {};
  } catch (const Error& error) {
    return failure(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return {ErrorCode::outOfMemory, "the cpu backend ran out of memory"};
  } catch (const std::exception& error) {
    return failure(ErrorCode::internal, error.what());
  }
}

/// The table's entry of one operation.
template <typename Args, void (*operation)(const Args&, int threads)>
Status run(BackendState* state, const Args* args) {
  return guarded([&] { operation(*args, stateOf(state).threads); });
}

// Activations of this many tokens stay in a thread's second-level cache.
constexpr int32_t kMicroBatchTokens = 256;
constexpr int64_t kAlignment = 16;

/// An odd number of alignments, so that the rows of a column do not all compete for the same few places of a cache.
int64_t rowStride(int64_t cols) { return ((cols + kAlignment - 1) / kAlignment | 1) * kAlignment; }

Status open(const BackendOptions* options, BackendState** state) {
  return guarded([&] {
    if (options->dtype != DType::f32 || options->products != Products::full) {
      throw Error(ErrorCode::unsupported,
                  "the cpu backend computes in fp32 only (other precisions need a GPU: give device cuda)");
    }
    auto* opened = new State{options->threads, isaName(activeIsa())};
    *state = reinterpret_cast<BackendState*>(opened);
  });
}

void close(BackendState* state) { delete &stateOf(state); }

const char* describe(BackendState* state) { return stateOf(state).description.c_str(); }

Status allocate(BackendState*, size_t bytes, void** data) {
  try {
    *data = allocateAligned(bytes);
    return {};
  } catch (const std::bad_alloc&) {
    return failure(ErrorCode::outOfMemory, "out of memory: " + std::to_string(bytes) + " bytes were asked for");
  }
}

void release(BackendState*, void* data) { releaseAligned(data); }

Status copyIn(BackendState*, void* device, size_t deviceStride, const void* host, size_t rowBytes, size_t rows) {
  copyHostRows(device, deviceStride, host, rowBytes, rowBytes, rows);
  return {};
}

Status copyOut(BackendState*, void* host, const void* device, size_t deviceStride, size_t rowBytes, size_t rows) {
  copyHostRows(host, rowBytes, device, deviceStride, rowBytes, rows);
  return {};
}

Status fillZero(BackendState*, void* data, size_t bytes) {
  std::memset(data, 0, bytes);
  return {};
}

Status pack(BackendState*, const PackArgs* args, PackedWeight** packed) {
  return guarded([&] { *packed = packWeight(*args); });
}

void releasePacked(BackendState*, PackedWeight* packed) { releaseWeight(packed); }

BackendTable makeTable() {
  BackendTable table{};
  table.abi = kBackendAbi;
  table.name = "cpu";
  table.rowStride = rowStride;
  table.microBatchTokens = table.backwardTokens = kMicroBatchTokens;
  table.onHost = true;
  table.open = open;
  table.close = close;
  table.describe = describe;
  table.allocate = allocate;
  table.release = release;
  table.copyIn = copyIn;
  table.copyOut = copyOut;
  table.fillZero = fillZero;
  table.packWeight = pack;
  table.releaseWeight = releasePacked;
  table.packedBytes = packedBytes;
  table.linear = run<LinearArgs, linear>;
  table.embed = run<EmbedArgs, embed>;
  table.embedBackward = run<EmbedBackwardArgs, embedBackward>;
  table.layerNorm = run<LayerNormArgs, layerNorm>;
  table.layerNormBackward = run<LayerNormBackwardArgs, layerNormBackward>;
  table.attention = run<AttentionArgs, attention>;
  table.attentionBackward = run<AttentionBackwardArgs, attentionBackward>;
  table.activationBackward = run<ActivationBackwardArgs, activationBackward>;
  table.gatherRows = run<GatherRowsArgs, gatherRows>;
  table.scatterRows = run<ScatterRowsArgs, scatterRows>;
  table.selectTokens = run<SelectTokensArgs, selectTokens>;
  table.softTokenMask = run<SoftTokenMaskArgs, softTokenMask>;
  table.softTokenMaskBackward = run<SoftTokenMaskBackwardArgs, softTokenMaskBackward>;
  table.transposedProduct = run<TransposedProductArgs, transposedProduct>;
  table.gram = run<GramArgs, gram>;
  table.columnSums = run<ColumnSumsArgs, columnSums>;
  table.subtract = run<SubtractArgs, subtract>;
  table.addScaled = run<AddScaledArgs, addScaled>;
  table.dropout = run<DropoutArgs, dropout>;
  table.adamW = run<AdamWArgs, adamW>;
  table.loss = run<LossArgs, loss>;
  return table;
}

}  // namespace
}  // namespace espalier::cpu

namespace espalier {

const BackendTable* cpuBackendTable() {
  static const BackendTable table = cpu::makeTable();
  return &table;
}

}  // namespace espalier
