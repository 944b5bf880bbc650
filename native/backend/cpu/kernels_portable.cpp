#include "backend/cpu/kernel_table.h"

namespace espalier {

const CpuKernels* portableKernels() { return &kKernels; }

}  // namespace espalier
