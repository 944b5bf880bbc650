#include "backend/cpu/kernel_table.h"

namespace espalier {

const CpuKernels* avx2Kernels() { return &kKernels; }

}  // namespace espalier
