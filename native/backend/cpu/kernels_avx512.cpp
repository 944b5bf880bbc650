#include "backend/cpu/kernel_table.h"

namespace espalier {

const CpuKernels* avx512Kernels() { return &kKernels; }

}  // namespace espalier
