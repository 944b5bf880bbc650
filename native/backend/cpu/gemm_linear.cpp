#include <algorithm>
#include <cstring>
#include <memory>

#include "backend/cpu/gemm.h"
#include "backend/cpu/gemm_blocks.h"
#include "backend/cpu/memory.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/split.h"
#include "core/error.h"

namespace espalier::cpu {

namespace {

constexpr int64_t kFloat = sizeof(float);
constexpr int64_t kFloatsOfLine = 16;
/// Floats of x that a thread packs at a time, at most.
constexpr int64_t kMostPacked = 2 << 20;

/// What PackedWeight is here: the kernels' panels of columns one after another, each with all k.
struct Panels {
  int64_t outputs;
  int64_t inputs;
  size_t bytes;
  AlignedFloats data;
};

const Panels& panelsOf(const PackedWeight* packed) { return *reinterpret_cast<const Panels*>(packed); }

/// Panels, `width` wide, whose columns are the rows of `weight`.
void packTransposed(const Matrix& weight, int64_t width, float* to) {
  for (int64_t first = 0; first < weight.rows; first += width, to += width * weight.cols) {
    for (int64_t k = 0; k < weight.cols; k += kFloatsOfLine) {
      const int64_t steps = std::min(kFloatsOfLine, weight.cols - k);
      for (int64_t col = 0; col < width; ++col) {
        const float* from = first + col < weight.rows ? weight.row<float>(first + col) + k : nullptr;
        for (int64_t step = 0; step < steps; ++step) to[(k + step) * width + col] = from ? from[step] : 0.0f;
      }
    }
  }
}

/// Blocks of k of nearly equal depth.
Split splitDepth(const GemmKernels& kernels, int64_t depth) {
  const int64_t blocks = std::max<int64_t>(1, ceilDivide(depth, kernels.depth));
  return {depth, ceilDivide(depth, blocks)};
}

/// Rows at an odd number of cache lines from each other spread over all sets of a cache: a panel of them can be read
/// where it lies.
bool spreadsOverSets(const Matrix& x) { return x.stride % kFloatsOfLine == 0 && x.stride / kFloatsOfLine % 2 == 1; }

/// One linear(). A thread takes a few panels of the weight at a time through all k of its rows of x, so that their
/// unfinished tiles stay in the second-level cache. Rows of several blocks of k, or at an unfortunate stride, are
/// packed once before.
class Linear {
 public:
  Linear(const LinearArgs& args, int threads)
      : args_(args),
        kernels_(gemmKernels()),
        weight_(panelsOf(args.weight)),
        depths_(splitDepth(kernels_, weight_.inputs)),
        inPlace_(depths_.count() == 1 && spreadsOverSets(args.x)),
        blocks_(
            shareOut(kernels_, {args.y.rows, weight_.outputs, weight_.inputs, mostRows(), weight_.outputs}, threads)) {}

  int64_t blocks() const { return blocks_.count(); }

  void run(int64_t index) const {
    const Block block = blocks_[index];
    const int64_t paddedRows = roundUp(block.rows, kernels_.rows);
    const int64_t tilesOfPanel = paddedRows * kernels_.cols;
    const int64_t panels = std::max<int64_t>(1, secondLevelCache() / 4 / (tilesOfPanel * kFloat));
    const Split groups{block.cols, std::min(panels * kernels_.cols, roundUp(block.cols, kernels_.cols))};
    const int64_t packedSize = inPlace_ ? 0 : depths_.count() * paddedRows * kernels_.depth;
    float* packed = threadScratch(packedSize + paddedRows * groups.length);
    if (!inPlace_) packRows(block, paddedRows, packed);
    const ConstRows x = inPlace_ ? constRowsOf(args_.x, block.firstRow) : ConstRows{packed, kernels_.depth};
    for (int64_t group = 0; group < groups.count(); ++group) {
      const int64_t firstCol = block.firstCol + groups.first(group);
      multiply({block.firstRow, block.rows, firstCol, groups.size(group)}, x, packed + packedSize);
    }
  }

 private:
  int64_t mostRows() const {
    const int64_t packable = kMostPacked / std::max<int64_t>(1, weight_.inputs);
    return std::clamp<int64_t>(packable, kernels_.rows, cachedRows(kernels_, kernels_.depth));
  }

  /// Panels of rows, byRow, of one block of k after another.
  void packRows(const Block& block, int64_t paddedRows, float* packed) const {
    for (int64_t part = 0; part < depths_.count(); ++part, packed += paddedRows * kernels_.depth) {
      for (int64_t row = 0; row < block.rows; ++row) {
        const float* x = args_.x.row<float>(block.firstRow + row) + depths_.first(part);
        std::memcpy(packed + row * kernels_.depth, x, depths_.size(part) * sizeof(float));
      }
    }
  }

  void multiply(const Block& group, ConstRows x, float* tiles) const {
    const int64_t paddedRows = roundUp(group.rows, kernels_.rows);
    const int64_t parts = depths_.count();
    PanelProduct product{};
    product.layout = PanelLayout::byRow;
    product.rows = group.rows;
    product.aStride = x.stride;
    for (int64_t part = 0; part < parts; ++part) {
      product.depth = depths_.size(part);
      product.a = x.data + part * paddedRows * x.stride;
      product.accumulate = part > 0;
      for (int64_t col = 0; col < group.cols; col += kernels_.cols) {
        const PanelEpilogue epilogue = epilogueAt(group.firstRow, group.firstCol + col);
        product.cols = std::min<int64_t>(kernels_.cols, weight_.outputs - group.firstCol - col);
        product.b = weight_.data.get() + (group.firstCol + col) * weight_.inputs + depths_.first(part) * kernels_.cols;
        product.tiles = parts > 1 ? tiles + col * paddedRows : nullptr;
        product.epilogue = part + 1 == parts ? &epilogue : nullptr;
        product.nextB = product.b + kernels_.cols * weight_.inputs;
        kernels_.multiply(product);
      }
    }
  }

  PanelEpilogue epilogueAt(int64_t row, int64_t col) const {
    const Epilogue& epilogue = args_.epilogue;
    const auto from = [col](const void* vector) { return vector == nullptr ? nullptr : floats(vector) + col; };
    return {from(epilogue.bias),       rowsOf(epilogue.preActivation, row, col), epilogue.activation,
            from(epilogue.columnMask), constRowsOf(epilogue.residual, row, col), rowsOf(args_.y, row, col)};
  }

  const LinearArgs& args_;
  const GemmKernels& kernels_;
  const Panels& weight_;
  const Split depths_;
  const bool inPlace_;
  const Blocks blocks_;
};

}  // namespace

PackedWeight* packWeight(const PackArgs& args) {
  const GemmKernels& kernels = gemmKernels();
  const Matrix& weight = args.weight;
  auto panels = std::make_unique<Panels>();
  panels->outputs = args.transposed ? weight.cols : weight.rows;
  panels->inputs = args.transposed ? weight.rows : weight.cols;
  int64_t count = 0, bytes = 0;
  if (__builtin_mul_overflow(roundUp(panels->outputs, kernels.cols), panels->inputs, &count) ||
      __builtin_mul_overflow(count, kFloat, &bytes)) {
    throw Error(ErrorCode::outOfMemory, "a weight is too large to be packed");
  }
  panels->bytes = static_cast<size_t>(bytes);
  panels->data.reset(static_cast<float*>(allocateAligned(panels->bytes)));
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
  parallelFor(threads, product.blocks(), [&product](int64_t block) { product.run(block); });
}

}  // namespace espalier::cpu
