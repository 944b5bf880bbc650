#include "backend/cpu/kernels.h"

#include "backend/cpu/isa.h"

namespace espalier {

const CpuKernels& cpuKernels() {
#if defined(__x86_64__)
  if (activeIsa() == CpuIsa::avx512) return *avx512Kernels();
  if (activeIsa() == CpuIsa::avx2) return *avx2Kernels();
#endif
  return *portableKernels();
}

}  // namespace espalier
