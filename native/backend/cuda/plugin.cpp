// The one symbol of the plugin that its users look up.

#include "backend/cuda/table.h"

extern "C" __attribute__((visibility("default"))) const espalier::BackendTable* espalierBackend(int abi,
                                                                                                const char** message) {
  if (abi == espalier::kBackendAbi) return espalier::cuda::backendTable();
  *message = "the CUDA plugin belongs to another version of espalier";
  return nullptr;
}
