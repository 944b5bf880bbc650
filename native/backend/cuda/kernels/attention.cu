#include "backend/cuda/kernels/attention.h"
#include "backend/cuda/kernels/attention_tile.h"

namespace espalier::cuda {

namespace {

template <typename T>
struct Forward {
  AttentionInputs<T> inputs;
  HeadMatrix<T> context;
  RowsOf<T> logSumExp;
  BlockPlan plan;
};

/// The softmax of a lane's two rows, as far as the keys have been seen.
struct RunningSoftmax {
  float largest[2] = {-INFINITY, -INFINITY};  // of the scaled scores
  float sum[2] = {0, 0};                      // of this lane's weights

  /// Scores of `columns` keys become weights relative to the largest score so far; what was added up with the weights
  /// before has to be multiplied by `corrections`.
  template <int kPieces>
  __device__ void take(Sums (&scores)[kPieces], float scale, int columns, float (&corrections)[2]) {
    const float before[2] = {largest[0], largest[1]};
    forEachSum<kPieces>(columns, [&](int piece, int half, int i) {
      float& score = scores[piece][half][i];
      score = columnOf(piece, half, i) < columns ? roundedProduct(score, scale) : -INFINITY;
      largest[i / 2] = fmaxf(largest[i / 2], score);
    });
    unrolled<2>([&](int row) {
      largest[row] = maxOfRow(largest[row]);
      corrections[row] = weightOf(before[row], largest[row]);
      sum[row] *= corrections[row];
    });
    forEachSum<kPieces>(columns, [&](int piece, int half, int i) {
      float& score = scores[piece][half][i];
      score = weightOf(score, largest[i / 2]);
      sum[i / 2] += score;
    });
  }
};

template <typename Policy, int kSize>
__global__ void __launch_bounds__(kMostWarps* kWarp) attentionKernel(Forward<typename Policy::Element> args) {
  using T = typename Policy::Element;
  using Layout = TileLayout<T, kSize>;
  constexpr int kColumns = kTileColumns<T>;
  const AttentionInputs<T>& inputs = args.inputs;
  const BlockPlan& plan = args.plan;
  const BlockPlace place(plan);
  const RowRange keys(inputs.offsets, place.sequence);
  const RowRange queries = RowRange(inputs.queryOffsets, place.sequence).part(place.firstRow, plan.rows);
  if (queries.count == 0) return;

  T* const queryTile = reinterpret_cast<T*>(sharedMemory());
  T* const keyTiles = queryTile + plan.rows * Layout::kStride;
  T* const valueTiles = keyTiles + plan.stages * plan.stageRows * Layout::kStride;
  const auto stageOf = [&](T* tiles, int tile) {
    return tiles + tile % plan.stages * plan.stageRows * Layout::kStride;
  };
  const auto startLoading = [&](int tile) {  // two groups of copies
    const RowRange part = keys.part(tile * kColumns, kColumns);
    loadTile<kSize>(stageOf(keyTiles, tile), inputs.k, part, place.head, inputs.headSize);
    commitCopies();
    loadTile<kSize>(stageOf(valueTiles, tile), inputs.v, part, place.head, inputs.headSize);
    commitCopies();
  };

  const RowRange mine = queries.part(warpIndex() * kPiece, kPiece);
  T* const myQueries = queryTile + warpIndex() * kPiece * Layout::kStride;
  Sums context[kSize / kPiece];
  setZero(context);
  RunningSoftmax softmax;

  if (keys.count > 0) {
    loadTile<kSize>(queryTile, inputs.q, queries, place.head, inputs.headSize);
    startLoading(0);
  }
  for (int tile = 0; tile * kColumns < keys.count; ++tile) {
    const int columns = min(kColumns, keys.count - tile * kColumns);
    Sums scores[kColumns / kPiece];
    waitForCopies<1>();
    __syncthreads();  // keys are there, and nobody needs the tile before this one any more
    if ((tile + 1) * kColumns < keys.count) {
      startLoading(tile + 1);
    } else {
      commitCopies();
      commitCopies();
    }
    if (mine.count > 0) {
      float corrections[2];
      multiplyTransposed<Policy, kSize>(scores, myQueries, stageOf(keyTiles, tile), columns);
      softmax.take(scores, inputs.scale, columns, corrections);
      scaleRows(context, corrections);
    }
    waitForCopies<2>();
    __syncthreads();  // values are there
    if (mine.count > 0) multiplyAdd<Policy, kSize>(context, scores, stageOf(valueTiles, tile), columns);
  }

  float factors[2];
  for (int row = 0; row < 2; ++row) {
    const float sum = sumOfRow(softmax.sum[row]);
    factors[row] = keys.count > 0 ? inputs.mask(place.head) / sum : 0.0f;
    const int query = laneIndex() / 4 + row * 8;
    if (args.logSumExp.data && laneIndex() % 4 == 0 && query < mine.count) {
      args.logSumExp.row(mine.first + query)[place.head] = fromFloat<T>(softmax.largest[row] + logf(sum));
    }
  }
  scaleRows(context, factors);
  storeSums<kSize>(context, myQueries, args.context, mine, place.head, inputs.headSize);
}

template <typename Policy, int kSize>
void launchAttention(const AttentionArgs& args, Stream stream) {
  using T = typename Policy::Element;
  using Layout = TileLayout<T, kSize>;
  const BlockPlan plan(args, kTileColumns<T>);
  const Forward<T> forward{AttentionInputs<T>(args), HeadMatrix<T>(args.context, args.headSize), args.logSumExp, plan};
  const size_t bytes = Layout::bytes(plan.rows) + 2 * Layout::bytes(plan.stages * plan.stageRows);
  launch(&attentionKernel<Policy, kSize>, plan.grid(args.sequences), plan.block(), bytes, stream, forward);
}

}  // namespace

template <typename T>
void attention(const AttentionArgs& args, Products products, Stream stream) {
  withKernelFor<T>(args.headSize, products, [&](auto kind) {
    using Kind = decltype(kind);
    launchAttention<typename Kind::Products, Kind::kHeadSize>(args, stream);
  });
}

template void attention<float>(const AttentionArgs&, Products, Stream);
template void attention<Half>(const AttentionArgs&, Products, Stream);
template void attention<Bfloat16>(const AttentionArgs&, Products, Stream);

}  // namespace espalier::cuda
