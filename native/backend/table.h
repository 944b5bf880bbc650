#pragma once

// A backend is one table of operations. It is plain C so that a backend can live in a library of its own: no exceptions
// and no STL types cross it. Model code uses the Backend class (backend.h), which checks arguments and throws.

#include <cstddef>

#include "backend/ops.h"
#include "core/error.h"

namespace espalier {

/// Grows by one with every incompatible change of this file or ops.h.
constexpr int kBackendAbi = 2;

/// What an operation returns; `message` is static or owned by the backend's state until the next call on this thread.
struct Status {
  ErrorCode code = ErrorCode::ok;
  const char* message = nullptr;
};

/// How a backend is opened.
struct BackendOptions {
  DType dtype = DType::f32;  // f64 only on `reference`
  int32_t threads = 1;       // CPU threads used by each operation
  int32_t device = 0;        // index, for backends with several
};

struct BackendState;  // each backend's own

struct BackendTable {
  int abi;
  const char* name;         // "reference", "cpu", "cuda"
  int64_t columnAlignment;  // rows of activations start at multiples of this many elements

  /// Whether it can run here; the message of a failure names the missing piece.
  Status (*probe)();
  Status (*open)(const BackendOptions* options, BackendState** state);
  void (*close)(BackendState* state);
  /// One line for people: the instruction set or the device's name. Owned by the state.
  const char* (*describe)(BackendState* state);

  Status (*allocate)(BackendState*, size_t bytes, void** data);
  void (*release)(BackendState*, void* data);
  Status (*copyIn)(BackendState*, void* device, const void* host, size_t bytes);
  Status (*copyOut)(BackendState*, void* host, const void* device, size_t bytes);
  Status (*fillZero)(BackendState*, void* device, size_t bytes);

  Status (*packWeight)(BackendState*, const PackArgs*, PackedWeight** packed);
  void (*releaseWeight)(BackendState*, PackedWeight* packed);
  size_t (*packedBytes)(const PackedWeight* packed);

  Status (*linear)(BackendState*, const LinearArgs*);
  Status (*embed)(BackendState*, const EmbedArgs*);
  Status (*layerNorm)(BackendState*, const LayerNormArgs*);
  Status (*layerNormBackward)(BackendState*, const LayerNormBackwardArgs*);
  Status (*attention)(BackendState*, const AttentionArgs*);
  Status (*attentionBackward)(BackendState*, const AttentionBackwardArgs*);
  Status (*activationBackward)(BackendState*, const ActivationBackwardArgs*);
  Status (*gatherRows)(BackendState*, const GatherRowsArgs*);
  Status (*scatterAddRows)(BackendState*, const ScatterAddRowsArgs*);
  Status (*transposedProduct)(BackendState*, const TransposedProductArgs*);
  Status (*gram)(BackendState*, const GramArgs*);
  Status (*columnSums)(BackendState*, const ColumnSumsArgs*);
  Status (*subtract)(BackendState*, const SubtractArgs*);
  Status (*loss)(BackendState*, const LossArgs*);
};

/// The built-in tables; a plugin exports one function returning its own.
const BackendTable* referenceBackendTable();
const BackendTable* cpuBackendTable();

}  // namespace espalier
