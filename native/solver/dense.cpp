#include "solver/dense.h"

#include "backend/cpu/isa.h"

namespace espalier {

extern const DenseKernels kDensePortable;
#if defined(ESPALIER_DENSE_AVX2)
extern const DenseKernels kDenseAvx2;

const DenseKernels& denseKernels() { return activeIsa() == CpuIsa::portable ? kDensePortable : kDenseAvx2; }
#else

const DenseKernels& denseKernels() { return kDensePortable; }
#endif

}  // namespace espalier
