#include "backend/cpu/gemm_kernel.h"

namespace espalier::cpu {

const GemmKernels* avx512GemmKernels() { return &kGemmKernels; }

}  // namespace espalier::cpu
