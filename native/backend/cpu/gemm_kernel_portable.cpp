#include "backend/cpu/gemm_kernel.h"

namespace espalier::cpu {

const GemmKernels* portableGemmKernels() { return &kGemmKernels; }

}  // namespace espalier::cpu
