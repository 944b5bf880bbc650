// A plugin of a version that never was.

#include "backend/table.h"

extern "C" __attribute__((visibility("default"))) const espalier::BackendTable* espalierBackend(int,
                                                                                                const char** message) {
  *message = "it is of version 0";
  return nullptr;
}
