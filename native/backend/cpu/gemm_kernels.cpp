#include "backend/cpu/gemm_kernels.h"

#include "backend/cpu/isa.h"

namespace espalier::cpu {

const GemmKernels& gemmKernels() {
#if defined(__x86_64__)
  if (activeIsa() == CpuIsa::avx512) return *avx512GemmKernels();
  if (activeIsa() == CpuIsa::avx2) return *avx2GemmKernels();
#endif
  return *portableGemmKernels();
}

}  // namespace espalier::cpu
