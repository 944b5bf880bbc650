#include "backend/cuda/kernels/attention.h"
#include "backend/cuda/kernels/attention_tile.h"

namespace espalier::cuda {

namespace {

template <typename T>
struct ColumnSums {
  AttentionInputs<T> inputs;
  const float* logSumExp;  // [queries, heads]
  float* headSums;         // [heads, tokens]
  int64_t tokens;
  BlockPlan plan;
};

/// Shared memory of a block: a tile of keys; tiles of queries in stages, and the logSumExp of their rows.
template <typename T, int kSize>
struct ColumnSumTiles {
  static constexpr int kStride = TileLayout<T, kSize>::kStride;

  T* keys;
  T* queries;
  float* logSumExp;
  const BlockPlan& plan;

  __device__ explicit ColumnSumTiles(const BlockPlan& blocks) : plan(blocks) {
    keys = reinterpret_cast<T*>(sharedMemory());
    queries = keys + plan.rows * kStride;
    logSumExp = reinterpret_cast<float*>(queries + plan.stages * plan.stageRows * kStride);
  }

  static size_t bytes(const BlockPlan& plan) {
    const int stageRows = plan.stages * plan.stageRows;
    return TileLayout<T, kSize>::bytes(plan.rows + stageRows) + sizeof(float) * stageRows;
  }

  __device__ T* keysOfWarp() const { return keys + warpIndex() * kPiece * kStride; }
  __device__ T* queriesOf(int step) const { return queries + firstRow(step) * kStride; }
  __device__ float* logSumExpOf(int step) const { return logSumExp + firstRow(step); }

 private:
  __device__ int firstRow(int step) const { return step % plan.stages * plan.stageRows; }
};

/// One head's sums for a tile of keys. The scores are computed transposed, a row a key and a column a query, so that a
/// block sees all that its keys receive.
template <typename Policy, int kSize>
__global__ void __launch_bounds__(kMostWarps* kWarp, 4) headSumsKernel(ColumnSums<typename Policy::Element> args) {
  using T = typename Policy::Element;
  constexpr int kColumns = kTileColumns<T>;
  constexpr int kPieces = kColumns / kPiece;
  const AttentionInputs<T>& inputs = args.inputs;
  const BlockPlace place(args.plan);
  const int head = place.head;
  const RowRange queries(inputs.queryOffsets, place.sequence);
  const RowRange keys = RowRange(inputs.offsets, place.sequence).part(place.firstRow, args.plan.rows);
  if (keys.count == 0) return;

  const ColumnSumTiles<T, kSize> shared(args.plan);
  const int steps = (queries.count + kColumns - 1) / kColumns;
  const auto startLoading = [&](int step) {
    const RowRange part = queries.part(step * kColumns, kColumns);
    loadTile<kSize>(shared.queriesOf(step), inputs.q, part, head, inputs.headSize);
    for (int i = static_cast<int>(threadIdx.x); i < part.count; i += static_cast<int>(blockDim.x)) {
      copyAsync4(shared.logSumExpOf(step) + i, args.logSumExp + (part.first + i) * inputs.heads + head, true);
    }
    commitCopies();
  };

  const RowRange mine = keys.part(warpIndex() * kPiece, kPiece);
  float sums[2] = {0, 0};
  if (steps > 0) {
    loadTile<kSize>(shared.keys, inputs.k, keys, head, inputs.headSize);
    startLoading(0);
  }
  for (int step = 0; step < steps; ++step) {
    waitForCopies<0>();
    __syncthreads();  // this step's queries are there, and nobody needs those before them any more
    if (step + 1 < steps) startLoading(step + 1);
    if (mine.count == 0) continue;
    const int columns = min(kColumns, queries.count - step * kColumns);
    const float* logSumExp = shared.logSumExpOf(step);
    Sums weights[kPieces];
    multiplyTransposed<Policy, kSize>(weights, shared.keysOfWarp(), shared.queriesOf(step), columns);
    forEachSum<kPieces>(columns, [&](int piece, int half, int i) {
      const int column = columnOf(piece, half, i);
      if (column >= columns) return;
      sums[i / 2] += weightOf(roundedProduct(weights[piece][half][i], inputs.scale), logSumExp[column]);
    });
  }
  for (int row = 0; row < 2; ++row) {
    const float sum = sumOfRow(sums[row]);
    const int key = laneIndex() / 4 + row * 8;
    if (laneIndex() % 4 == 0 && key < mine.count) args.headSums[head * args.tokens + mine.first + key] = sum;
  }
}

/// columnSums = the heads' sums, added in order: a thread a token.
__global__ void addHeadsKernel(const float* headSums, int heads, int64_t tokens, RowsOf<float> columnSums) {
  const int64_t token = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (token >= tokens) return;
  float sum = 0;
  for (int head = 0; head < heads; ++head) sum += headSums[head * tokens + token];
  *columnSums.row(token) = sum;
}

template <typename Policy, int kSize>
void launchHeadSums(const AttentionArgs& args, const float* logSumExp, float* headSums, Stream stream) {
  using T = typename Policy::Element;
  const BlockPlan plan(args, kTileColumns<T>);
  const ColumnSums<T> sums{AttentionInputs<T>(args), logSumExp, headSums, args.k.rows, plan};
  const size_t bytes = ColumnSumTiles<T, kSize>::bytes(plan);
  launch(&headSumsKernel<Policy, kSize>, plan.grid(args.sequences), plan.block(), bytes, stream, sums);
}

}  // namespace

template <typename T>
void attentionHeadSums(const AttentionArgs& args, Products products, const float* logSumExp, float* headSums,
                       Stream stream) {
  withKernelFor<T>(args.headSize, products, [&](auto kind) {
    using Kind = decltype(kind);
    launchHeadSums<typename Kind::Products, Kind::kHeadSize>(args, logSumExp, headSums, stream);
  });
}

void addHeads(const AttentionArgs& args, const float* headSums, Stream stream) {
  launch(&addHeadsKernel, blocksFor(args.k.rows), dim3(kThreads), 0, stream, headSums, static_cast<int>(args.heads),
         args.k.rows, RowsOf<float>(args.columnSums));
}

template void attentionHeadSums<float>(const AttentionArgs&, Products, const float*, float*, Stream);
template void attentionHeadSums<Half>(const AttentionArgs&, Products, const float*, float*, Stream);
template void attentionHeadSums<Bfloat16>(const AttentionArgs&, Products, const float*, float*, Stream);

}  // namespace espalier::cuda
