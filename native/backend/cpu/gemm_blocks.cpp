#include "backend/cpu/gemm_blocks.h"

#include <algorithm>
#include <cstdlib>

#include "backend/cpu/isa.h"

namespace espalier::cpu {

namespace {
int64_t env(const char* n, int64_t d) { const char* v = getenv(n); return v ? atoll(v) : d; }
}  // namespace

const GemmKernels& gemmKernels() {
#if defined(__x86_64__)
  if (activeIsa() == CpuIsa::avx512) return *avx512GemmKernels();
  if (activeIsa() == CpuIsa::avx2) return *avx2GemmKernels();
#endif
  return *portableGemmKernels();
}

Blocks shareOut(const GemmKernels& kernels, int64_t rows, int64_t cols, int threads) {
  static const int64_t mostRows = env("MC", 252), mostCols = env("NC", 3072);
  int64_t rowBlocks = ceilDivide(rows, mostRows), colBlocks = ceilDivide(cols, mostCols);
  const int64_t wanted = threads > 1 ? 4 * threads : 1;
  if (rowBlocks * colBlocks < wanted) {
    const int64_t colsLimit = std::max<int64_t>(1, cols / (4 * kernels.cols));
    colBlocks = std::min(colsLimit, ceilDivide(wanted, rowBlocks));
    const int64_t rowsLimit = std::max<int64_t>(1, rows / (4 * kernels.rows));
    rowBlocks = std::max(rowBlocks, std::min(rowsLimit, ceilDivide(wanted, colBlocks)));
  }
  return {{rows, roundUp(ceilDivide(rows, rowBlocks), kernels.rows)},
          {cols, roundUp(ceilDivide(cols, colBlocks), kernels.cols)}};
}

}  // namespace espalier::cpu
