#include "backend/table.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "backend/host_rows.h"
#include "backend/reference/operations.h"

namespace espalier {

namespace reference {

namespace {

/// What a BackendState of this backend really is: the element type its operations run in.
struct State {
  DType dtype;
};

DType dtypeOf(BackendState* state) { return reinterpret_cast<State*>(state)->dtype; }

/// Runs body(); nothing thrown crosses the table.
template <typename Body>
Status guarded(const Body& body) {
  try {
    body();
    return {};
  } catch (const std::bad_alloc&) {
    return {ErrorCode::outOfMemory, "the reference backend ran out of memory"};
  } catch (const std::exception&) {
    return {ErrorCode::internal, "the reference backend failed"};
  }
}

/// The table's entry of one operation: runs it in the state's element type.
template <typename Args, void (*InFloat)(const Args&), void (*InDouble)(const Args&)>
Status run(BackendState* state, const Args* args) {
  return guarded([&] { dtypeOf(state) == DType::f64 ? InDouble(*args) : InFloat(*args); });
}

Status open(const BackendOptions* options, BackendState** state) {
  if ((options->dtype != DType::f32 && options->dtype != DType::f64) || options->products != Products::full) {
    return {ErrorCode::unsupported, "the reference backend computes in full f32 or f64 only"};
  }
  return guarded([&] { *state = reinterpret_cast<BackendState*>(new State{options->dtype}); });
}

void close(BackendState* state) { delete reinterpret_cast<State*>(state); }

const char* describe(BackendState* state) {
  return dtypeOf(state) == DType::f64 ? "plain loops in double" : "plain loops in float";
}

Status allocate(BackendState*, size_t bytes, void** data) {
  *data = std::malloc(bytes);
  return *data ? Status{} : Status{ErrorCode::outOfMemory, "the reference backend ran out of memory"};
}

void release(BackendState*, void* data) { std::free(data); }

Status copyIn(BackendState*, void* device, size_t deviceStride, const void* host, size_t rowBytes, size_t rows) {
  copyHostRows(device, deviceStride, host, rowBytes, rowBytes, rows);
  return {};
}

Status copyOut(BackendState*, void* host, const void* device, size_t deviceStride, size_t rowBytes, size_t rows) {
  copyHostRows(host, rowBytes, device, deviceStride, rowBytes, rows);
  return {};
}

Status fillZero(BackendState*, void* device, size_t bytes) {
  std::memset(device, 0, bytes);
  return {};
}

Status packWeight(BackendState* state, const PackArgs* args, PackedWeight** packed) {
  return guarded([&] {
    auto weight = std::make_unique<Weight>();
    dtypeOf(state) == DType::f64 ? pack<double>(*args, *weight) : pack<float>(*args, *weight);
    *packed = reinterpret_cast<PackedWeight*>(weight.release());
  });
}

void releaseWeight(BackendState*, PackedWeight* packed) { delete reinterpret_cast<Weight*>(packed); }

size_t packedBytes(const PackedWeight* packed) { return reinterpret_cast<const Weight*>(packed)->values.size(); }

BackendTable makeTable() {
  BackendTable table{};
  table.abi = kBackendAbi;
  table.name = "reference";
  table.rowStride = [](int64_t cols) { return std::max<int64_t>(1, cols); };
  table.microBatchTokens = table.backwardTokens = 256;
  table.onHost = true;
  table.open = open;
  table.close = close;
  table.describe = describe;
  table.allocate = allocate;
  table.release = release;
  table.copyIn = copyIn;
  table.copyOut = copyOut;
  table.fillZero = fillZero;
  table.packWeight = packWeight;
  table.releaseWeight = releaseWeight;
  table.packedBytes = packedBytes;
  table.linear = run<LinearArgs, linear<float>, linear<double>>;
  table.embed = run<EmbedArgs, embed<float>, embed<double>>;
  table.embedBackward = run<EmbedBackwardArgs, embedBackward<float>, embedBackward<double>>;
  table.layerNorm = run<LayerNormArgs, layerNorm<float>, layerNorm<double>>;
  table.layerNormBackward = run<LayerNormBackwardArgs, layerNormBackward<float>, layerNormBackward<double>>;
  table.attention = run<AttentionArgs, attention<float>, attention<double>>;
  table.attentionBackward = run<AttentionBackwardArgs, attentionBackward<float>, attentionBackward<double>>;
  table.activationBackward = run<ActivationBackwardArgs, activationBackward<float>, activationBackward<double>>;
  table.gatherRows = run<GatherRowsArgs, gatherRows<float>, gatherRows<double>>;
  table.scatterRows = run<ScatterRowsArgs, scatterRows<float>, scatterRows<double>>;
  table.selectTokens = run<SelectTokensArgs, selectTokens<float>, selectTokens<double>>;
  table.softTokenMask = run<SoftTokenMaskArgs, softTokenMask<float>, softTokenMask<double>>;
  table.softTokenMaskBackward =
      run<SoftTokenMaskBackwardArgs, softTokenMaskBackward<float>, softTokenMaskBackward<double>>;
  table.transposedProduct = run<TransposedProductArgs, transposedProduct<float>, transposedProduct<double>>;
  table.gram = run<GramArgs, gram<float>, gram<double>>;
  table.columnSums = run<ColumnSumsArgs, columnSums<float>, columnSums<double>>;
  table.subtract = run<SubtractArgs, subtract<float>, subtract<double>>;
  table.addScaled = run<AddScaledArgs, addScaled<float>, addScaled<double>>;
  table.dropout = run<DropoutArgs, dropout<float>, dropout<double>>;
  table.adamW = run<AdamWArgs, adamW<float>, adamW<double>>;
  table.loss = run<LossArgs, loss<float>, loss<double>>;
  return table;
}

}  // namespace

}  // namespace reference

const BackendTable* referenceBackendTable() {
  static const BackendTable table = reference::makeTable();
  return &table;
}

}  // namespace espalier
