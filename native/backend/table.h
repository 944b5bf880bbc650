#pragma once

// A backend is one table of operations. It is plain C so that a backend can live in a library of its own: no exceptions
// and no STL types cross it. Model code uses the Backend class (backend.h), which checks arguments and throws.

#include <cstddef>

#include "backend/ops.h"
#include "core/error.h"

namespace espalier {

/// Grows by one with every incompatible change of this file or ops.h.
constexpr int kBackendAbi = 7;

/// What an operation returns; `message` is static or owned by the backend's state until the next call on this thread.
struct Status {
  ErrorCode code = ErrorCode::ok;
  const char* message = nullptr;
};

/// How exactly the products of f32 matrices are computed. Sums are f32 in every case.
enum class Products : int32_t {
  full = 0,
  tf32 = 1,  // factors rounded to 10 bits of mantissa
  bf16 = 2,  // factors rounded to 7 bits of mantissa
};

/// How a backend is opened.
struct BackendOptions {
  DType dtype = DType::f32;            // f64 only on `reference`, f16 and bf16 only on `cuda`
  int32_t threads = 1;                 // CPU threads used by each operation
  int32_t device = 0;                  // index, for backends with several
  Products products = Products::full;  // others on `cuda` only
};

struct BackendState;  // each backend's own
struct RecordedWork;  // likewise
struct SolverTable;   // solver/solver_table.h

struct BackendTable {
  int abi;
  const char* name;  // "reference", "cpu", "cuda"
  /// Distance between the rows of a matrix of `cols` columns, in elements; never 0.
  int64_t (*rowStride)(int64_t cols);
  /// Tokens that keep one thread of it busy and stay within its fast memory: what models split their batches by. Fewer
  /// go through a backward pass at once where the activations of all layers must fit in its memory.
  int32_t microBatchTokens, backwardTokens;
  /// Whether it computes on the host: operations are done when they return, by as many threads as it was opened with.
  /// Elsewhere they are only queued, and whoever reads a result waits.
  bool onHost;

  /// Fails where it cannot run, with a message that names the missing piece.
  Status (*open)(const BackendOptions* options, BackendState** state);
  void (*close)(BackendState* state);
  /// One line for people: the instruction set or the device's name. Owned by the state.
  const char* (*describe)(BackendState* state);
  /// The most bytes that this process has had on the state's device at once. Null where its memory is the host's.
  Status (*peakBytes)(BackendState* state, size_t* bytes);

  Status (*allocate)(BackendState*, size_t bytes, void** data);
  void (*release)(BackendState*, void* data);
  /// `rows` runs of rowBytes each, which lie deviceStride bytes apart on the device and without gaps on the host. Both
  /// are done with the host's memory when they return.
  Status (*copyIn)(BackendState*, void* device, size_t deviceStride, const void* host, size_t rowBytes, size_t rows);
  Status (*copyOut)(BackendState*, void* host, const void* device, size_t deviceStride, size_t rowBytes, size_t rows);
  Status (*fillZero)(BackendState*, void* device, size_t bytes);

  Status (*packWeight)(BackendState*, const PackArgs*, PackedWeight** packed);
  void (*releaseWeight)(BackendState*, PackedWeight* packed);
  size_t (*packedBytes)(const PackedWeight* packed);

  Status (*linear)(BackendState*, const LinearArgs*);
  Status (*embed)(BackendState*, const EmbedArgs*);
  Status (*embedBackward)(BackendState*, const EmbedBackwardArgs*);
  Status (*layerNorm)(BackendState*, const LayerNormArgs*);
  Status (*layerNormBackward)(BackendState*, const LayerNormBackwardArgs*);
  Status (*attention)(BackendState*, const AttentionArgs*);
  Status (*attentionBackward)(BackendState*, const AttentionBackwardArgs*);
  Status (*activationBackward)(BackendState*, const ActivationBackwardArgs*);
  Status (*gatherRows)(BackendState*, const GatherRowsArgs*);
  Status (*scatterRows)(BackendState*, const ScatterRowsArgs*);
  Status (*selectTokens)(BackendState*, const SelectTokensArgs*);
  Status (*softTokenMask)(BackendState*, const SoftTokenMaskArgs*);
  Status (*softTokenMaskBackward)(BackendState*, const SoftTokenMaskBackwardArgs*);
  Status (*transposedProduct)(BackendState*, const TransposedProductArgs*);
  Status (*gram)(BackendState*, const GramArgs*);
  Status (*columnSums)(BackendState*, const ColumnSumsArgs*);
  Status (*subtract)(BackendState*, const SubtractArgs*);
  Status (*addScaled)(BackendState*, const AddScaledArgs*);
  Status (*dropout)(BackendState*, const DropoutArgs*);
  Status (*adamW)(BackendState*, const AdamWArgs*);
  Status (*loss)(BackendState*, const LossArgs*);

  /// From beginRecording() on, what this thread asks for is recorded instead of run, until endRecording(), which
  /// forgets it where `work` is null. Asking for memory or a copy fails meanwhile. All four are null where operations
  /// are done when they return.
  Status (*beginRecording)(BackendState*);
  Status (*endRecording)(BackendState*, RecordedWork** work);
  Status (*replay)(BackendState*, const RecordedWork* work);
  void (*releaseRecording)(BackendState*, RecordedWork* work);

  /// Null where the host solves.
  const SolverTable* solver;
};

/// The built-in tables.
const BackendTable* referenceBackendTable();
const BackendTable* cpuBackendTable();

/// The one symbol a plugin exports: "espalierBackend". Null, with a static message, when `abi` is not its own.
using PluginEntry = const BackendTable* (*)(int abi, const char** message);
constexpr const char* kPluginEntry = "espalierBackend";

}  // namespace espalier
