#include "backend/cpu/gemm.h"

#include <cstring>
#include <memory>
#include <new>

#include "backend/cpu/gemm_blocks.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"
#include "core/thread_pool.h"

namespace espalier::cpu {

namespace {

constexpr std::align_val_t kAlignment{64};

struct AlignedDelete {
  void operator()(float* data) const { ::operator delete(data, kAlignment); }
};

/// What PackedWeight is here: panels one after another, each with all k.
struct Panels {
  int64_t outputs;
  int64_t inputs;
  size_t bytes;
  std::unique_ptr<float, AlignedDelete> data;
};

const Panels& panelsOf(const PackedWeight* packed) { return *reinterpret_cast<const Panels*>(packed); }

/// Panels of a matrix whose rows are what panels call columns.
void packTransposed(const Matrix& weight, int64_t width, float* to) {
  constexpr int64_t kStep = 16;  // floats of a cache line
  for (int64_t first = 0; first < weight.rows; first += width, to += width * weight.cols) {
    for (int64_t k = 0; k < weight.cols; k += kStep) {
      const int64_t steps = std::min(kStep, weight.cols - k);
      for (int64_t i = 0; i < width; ++i) {
        const float* from = first + i < weight.rows ? weight.row<float>(first + i) + k : nullptr;
        for (int64_t step = 0; step < steps; ++step) to[(k + step) * width + i] = from ? from[step] : 0.0f;
      }
    }
  }
}

/// Blocks of k of nearly equal depth.
Split splitDepth(const GemmKernels& kernels, int64_t depth) {
  const int64_t blocks = std::max<int64_t>(1, ceilDivide(depth, kernels.depth));
  return {depth, std::max<int64_t>(1, ceilDivide(depth, blocks))};
}

class Linear {
 public:
  Linear(const LinearArgs& args, int threads)
      : args_(args),
        kernels_(gemmKernels()),
        weight_(panelsOf(args.weight)),
        blocks_(shareOut(kernels_, args.y.rows, weight_.outputs, threads)),
        depths_(splitDepth(kernels_, weight_.inputs)) {}

  int64_t tasks() const { return blocks_.rows.count() * blocks_.cols.count(); }

  void run(int64_t task) const {
    const int64_t rowBlock = task / blocks_.cols.count(), colBlock = task % blocks_.cols.count();
    const int64_t rows = blocks_.rows.size(rowBlock), firstRow = blocks_.rows.first(rowBlock);
    const int64_t cols = blocks_.cols.size(colBlock), firstCol = blocks_.cols.first(colBlock);
    const int64_t paddedRows = roundUp(rows, kernels_.rows);
    const int64_t depthBlocks = std::max<int64_t>(1, depths_.count());
    const int64_t blockSize = paddedRows * kernels_.depth, tilesSize = paddedRows * kernels_.cols;
    float* a = threadScratch(depthBlocks * blockSize + tilesSize * ceilDivide(cols, kernels_.cols));
    float* tiles = a + depthBlocks * blockSize;
    for (int64_t block = 0; block < depths_.count(); ++block) packRows(firstRow, rows, block, a + block * blockSize);

    for (int64_t block = 0; block < depthBlocks; ++block) {
      const bool last = block + 1 == depthBlocks;
      float* tilesOfPanel = tiles;
      for (int64_t col = 0; col < cols; col += kernels_.cols, tilesOfPanel += tilesSize) {
        const float* b = weight_.data.get() + (firstCol + col) * weight_.inputs + depths_.first(block) * kernels_.cols;
        const PanelEpilogue epilogue = epilogueAt(firstRow, firstCol + col);
        kernels_.multiply({PanelLayout::byRow, rows, depths_.count() == 0 ? 0 : depths_.size(block), a + block * blockSize, b, block > 0,
                           depthBlocks > 1 ? tilesOfPanel : nullptr, nullptr, last ? &epilogue : nullptr});
      }
    }
  }

 private:
  void packRows(int64_t firstRow, int64_t rows, int64_t block, float* to) const {
    const int64_t depth = depths_.size(block);
    for (int64_t row = 0; row < rows; ++row, to += kernels_.depth) {
      std::memcpy(to, args_.x.row<float>(firstRow + row) + depths_.first(block), depth * sizeof(float));
    }
  }

  PanelEpilogue epilogueAt(int64_t row, int64_t col) const {
    const auto vectorAt = [&](const void* vector) {
      return vector == nullptr ? nullptr : static_cast<const float*>(vector) + col;
    };
    const auto matrixAt = [&](const Matrix& matrix) { return matrix ? matrix.row<float>(row) + col : nullptr; };
    const Epilogue& epilogue = args_.epilogue;
    return {std::min<int64_t>(kernels_.cols, weight_.outputs - col),
            vectorAt(epilogue.bias),
            matrixAt(epilogue.preActivation),
            epilogue.preActivation.stride,
            epilogue.activation,
            vectorAt(epilogue.columnMask),
            matrixAt(epilogue.residual),
            epilogue.residual.stride,
            matrixAt(args_.y),
            args_.y.stride};
  }

  const LinearArgs& args_;
  const GemmKernels& kernels_;
  const Panels& weight_;
  const Blocks blocks_;
  const Split depths_;
};

}  // namespace

PackedWeight* packWeight(const PackArgs& args) {
  const GemmKernels& kernels = gemmKernels();
  const Matrix& weight = args.weight;
  auto panels = std::make_unique<Panels>();
  panels->outputs = args.transposed ? weight.cols : weight.rows;
  panels->inputs = args.transposed ? weight.rows : weight.cols;
  if (__builtin_mul_overflow(roundUp(panels->outputs, kernels.cols) * sizeof(float), panels->inputs, &panels->bytes)) {
    throw Error(ErrorCode::outOfMemory, "a weight is too large to be packed");
  }
  panels->data.reset(static_cast<float*>(::operator new(panels->bytes, kAlignment)));
  if (args.transposed) {
    kernels.packB(weight.row<float>(0), weight.stride, weight.cols, weight.rows, panels->data.get());
  } else {
    packTransposed(weight, kernels.cols, panels->data.get());
  }
  return reinterpret_cast<PackedWeight*>(panels.release());
}

void releaseWeight(PackedWeight* packed) noexcept { delete reinterpret_cast<Panels*>(packed); }

size_t packedBytes(const PackedWeight* packed) noexcept { return panelsOf(packed).bytes; }

void linear(const LinearArgs& args, int threads) {
  if (args.y.rows == 0 || args.y.cols == 0) return;
  const Linear product(args, threads);
  parallelFor(threads, product.tasks(), [&](int64_t task) { product.run(task); });
}

}  // namespace espalier::cpu
