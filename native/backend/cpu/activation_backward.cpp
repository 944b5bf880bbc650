#include <vector>

#include "backend/cpu/operations.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

/// Columns a thread takes at a time: 2 KiB of a row and of its sums.
constexpr int64_t kColumns = 512;

/// Runs the kernel on columns [col, col + cols) of some rows.
void backwardBlock(const ActivationBackwardArgs& args, int64_t row, int64_t rows, int64_t col, int64_t cols,
                   float* maskSums) {
  const float* columnMask = floats(args.columnMask);
  cpuKernels().activationBackward({rows, cols, args.activation, constRowsOf(args.dy, row, col),
                                   constRowsOf(args.preActivation, row, col), columnMask ? columnMask + col : nullptr,
                                   rowsOf(args.dx, row, col), maskSums});
}

/// Each sequence's own sums first, in parallel; then they are added to the groups' rows in the order of the sequences.
void withMaskGradient(const ActivationBackwardArgs& args, int threads) {
  const int64_t cols = args.dy.cols, blocks = (cols + kColumns - 1) / kColumns;
  std::vector<float> sums(static_cast<size_t>(args.sequences * cols));
  parallelFor(threads, args.sequences * blocks, [&](int64_t index) {
    const int64_t sequence = index / blocks, col = index % blocks * kColumns;
    const int64_t row = args.offsets[sequence], rows = args.offsets[sequence + 1] - row;
    backwardBlock(args, row, rows, col, std::min(kColumns, cols - col),
                  &sums[static_cast<size_t>(sequence * cols + col)]);
  });
  forEachChunk(threads, cols, kColumns, [&](int64_t first, int64_t count) {
    for (int64_t sequence = 0; sequence < args.sequences; ++sequence) {
      float* gradient = args.maskGradient.row<float>(args.groups[sequence]);
      for (int64_t col = first; col < first + count; ++col) {
        gradient[col] += sums[static_cast<size_t>(sequence * cols + col)];
      }
    }
  });
}

}  // namespace

void activationBackward(const ActivationBackwardArgs& args, int threads) {
  if (args.maskGradient) return withMaskGradient(args, threads);
  if (!args.dx) return;
  forEachChunk(threads, args.dy.rows, rowsPerChunk(args.dy.cols),
               [&](int64_t first, int64_t rows) { backwardBlock(args, first, rows, 0, args.dy.cols, nullptr); });
}

}  // namespace espalier::cpu
