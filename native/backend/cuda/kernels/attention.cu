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
  int64_t tokens;
  // What column sums are made of: one of them, or none.
  float* exactLogSumExp;  // [queries, heads], for attentionHeadSums()
  float* headSums;        // [heads, tokens]
};

/// Keys that are still in shared memory when a block has seen them all.
template <typename T>
constexpr int kKeysAtHand = 2 * kTileColumns<T>;

/// What a block does for the column sums.
enum class ColumnSums {
  none,
  later,  // leaves the logSumExp of its rows to attentionHeadSums()
  here,   // all of its head's: it has every query, and the keys' tiles stay in shared memory
};

/// Warps of a block at most: the more, the fewer blocks load the same keys and values.
template <typename Policy, int kSize>
constexpr int kWarps = sizeof(typename Policy::Element) == 2 && kSize <= 64 ? 8 : kMostWarps;

/// Warps that a multiprocessor's registers shall have room for: as many as need no spills.
template <typename Policy, int kSize>
constexpr int residentWarps(ColumnSums columnSums) {
  if (kSize > 64) return 8;
  if (std::is_same_v<Policy, FullProducts>) return 16;
  if (kSize <= 32) return columnSums == ColumnSums::here && kWarps<Policy, kSize> > kMostWarps ? 16 : 24;
  return std::is_same_v<Policy, Tf32Products> ? 20 : 16;
}

/// The softmax of a lane's two rows, as far as the keys have been seen.
struct RunningSoftmax {
  float largest[2] = {-INFINITY, -INFINITY};  // of the scores
  float sum[2] = {0, 0};                      // of this lane's weights

  /// Scores of `columns` keys become weights, 2 to the power of `scale` times what they are above the largest so far;
  /// what was added up with the weights before has to be multiplied by `corrections`.
  template <int kPieces>
  __device__ void take(Sums (&scores)[kPieces], float scale, int columns, float (&corrections)[2]) {
    const float before[2] = {largest[0], largest[1]};
    withNeededPieces<kPieces>(columns, [&](auto count) {
      constexpr int kCount = decltype(count)::value, kLast = kCount - 1;
      unrolled<8>([&](int element) {
        const int half = element / 4, i = element % 4;
        if (columnOf(kLast, half, i) >= columns) scores[kLast][half][i] = -INFINITY;
      });
      forEachSum<kPieces>(kCount * kPiece, [&](int piece, int half, int i) {
        largest[i / 2] = fmaxf(largest[i / 2], scores[piece][half][i]);
      });
      float offsets[2];
      unrolled<2>([&](int row) {
        largest[row] = maxOfRow(largest[row]);
        offsets[row] = largest[row] * scale;
        corrections[row] = powerOfTwo(before[row] * scale - offsets[row]);
        sum[row] *= corrections[row];
      });
      forEachSum<kPieces>(kCount * kPiece, [&](int piece, int half, int i) {
        float& score = scores[piece][half][i];
        score = powerOfTwo(score * scale - offsets[i / 2]);
        sum[i / 2] += score;
      });
    });
  }
};

/// What a warp's rows, each times its factor, add up to in the first `columns` columns.
template <int kPieces>
__device__ void addUpRows(const Sums (&weights)[kPieces], const float (&factors)[2], int columns, float* sums) {
  const int group = laneIndex() / 4;  // lanes of a group share rows, those of a column are one of each group
  const bool second = group & 4, odd = group & 2;
  const auto exchange = [](bool keepsSecond, float first, float other, int distance) {
    const float kept = keepsSecond ? other : first, sent = keepsSecond ? first : other;
    return kept + __shfl_xor_sync(kAllLanes, sent, distance);
  };
  unrolled<kPieces>([&](int piece) {
    if (piece * kPiece >= columns) return;
    float ofHalf[2];
    unrolled<2>([&](int i) {
      const auto ofColumn = [&](int half) {
        return weights[piece][half][i] * factors[0] + weights[piece][half][2 + i] * factors[1];
      };
      ofHalf[i] = exchange(second, ofColumn(0), ofColumn(1), 16);
    });
    float sum = exchange(odd, ofHalf[0], ofHalf[1], 8);
    sum += __shfl_xor_sync(kAllLanes, sum, 4);
    if (group % 2 == 0) sums[columnOf(piece, second, odd)] = sum;
  });
}

/// kDropsOut: of floats only, whose column sums are then left to later.
template <typename Policy, int kSize, ColumnSums kColumnSums, bool kDropsOut = false>
__global__ void __launch_bounds__(kWarps<Policy, kSize>* kWarp,
                                  residentWarps<Policy, kSize>(kColumnSums) / kWarps<Policy, kSize>)
    attentionKernel(Forward<typename Policy::Element> args) {
  using T = typename Policy::Element;
  using Layout = TileLayout<T, kSize>;
  constexpr int kColumns = kTileColumns<T>;
  const AttentionInputs<T>& inputs = args.inputs;
  const BlockPlan& plan = args.plan;
  const BlockPlace place(plan);
  const float mask = inputs.mask(place.head);
  const RowRange keys(inputs.offsets, place.sequence);
  const RowRange queries = RowRange(inputs.queryOffsets, place.sequence).part(place.firstRow, plan.rows);
  // Not left at once without queries: the compiler would wait for their offsets before it loads those of the keys.
  const int tiles = queries.count > 0 ? (keys.count + kColumns - 1) / kColumns : 0;

  T* const queryTile = reinterpret_cast<T*>(sharedMemory());
  T* const keyTiles = queryTile + plan.rows * Layout::kStride;
  T* const valueTiles = keyTiles + plan.stages * plan.stageRows * Layout::kStride;
  // Without a second stage there is one tile only.
  const auto stageOf = [&](T* stages, int tile) { return stages + tile % 2 * plan.stageRows * Layout::kStride; };
  const auto startLoading = [&](int tile) {  // two groups of copies
    const RowRange part = keys.part(tile * kColumns, kColumns);
    loadTile<kSize>(stageOf(keyTiles, tile), inputs.k, part, place.head, inputs.headSize);
    commitCopies();
    loadTile<kSize>(stageOf(valueTiles, tile), inputs.v, part, place.head, inputs.headSize);
    commitCopies();
  };

  const RowRange mine = queries.part(warpIndex() * kPiece, kPiece);
  T* const myQueries = queryTile + warpIndex() * kPiece * Layout::kStride;
  const float scale = inputs.scale * kLog2E;
  Sums context[kSize / kPiece], weights[kColumns / kPiece];
  setZero(context);
  RunningSoftmax softmax;

  if (tiles > 0) {
    loadTile<kSize>(queryTile, inputs.q, queries, place.head, inputs.headSize);
    startLoading(0);
  }
  for (int tile = 0; tile < tiles; ++tile) {
    const int columns = min(kColumns, keys.count - tile * kColumns);
    if (tile + 1 < tiles) {
      if (tile > 0) __syncthreads();  // nobody needs the tile before this one any more
      startLoading(tile + 1);
    } else {
      commitCopies();
      commitCopies();
    }
    waitForCopies<3>();
    __syncthreads();  // keys are there
    if (mine.count > 0) {
      float corrections[2];
      multiplyTransposed<Policy, kSize>(weights, myQueries, stageOf(keyTiles, tile), columns);
      softmax.take(weights, scale, columns, corrections);
      if (tile > 0) scaleRows(context, corrections);
      if constexpr (kDropsOut) {
        forEachSum<kColumns / kPiece>(columns, [&](int piece, int half, int i) {
          const int64_t query = mine.first + laneIndex() / 4 + i / 2 * 8;
          const int key = tile * kColumns + columnOf(piece, half, i);
          float& weight = weights[piece][half][i];
          weight = inputs.droppedOut.of(weight, query, place.head, key);
        });
      }
    }
    waitForCopies<2>();
    __syncthreads();  // values are there
    if (mine.count > 0) multiplyAdd<Policy, kSize>(context, weights, stageOf(valueTiles, tile), columns);
  }
  if constexpr (kColumnSums == ColumnSums::here) {
    float* const warpSums = reinterpret_cast<float*>(valueTiles + plan.stages * plan.stageRows * Layout::kStride);
    if (mine.count > 0 && tiles > 0) {
      float shares[2];  // added up again below: there are no registers to keep the sums in
      for (int row = 0; row < 2; ++row) {
        const float sum = sumOfRow(softmax.sum[row]);
        shares[row] = laneIndex() / 4 + row * 8 < mine.count ? 1 / sum : 0.0f;
      }
      float* const own = warpSums + warpIndex() * kKeysAtHand<T>;
      addUpRows(weights, shares, keys.count - (tiles - 1) * kColumns, own + (tiles - 1) * kColumns);
      if (tiles > 1) {
        multiplyTransposed<Policy, kSize>(weights, myQueries, keyTiles, kColumns);
        forEachSum<kColumns / kPiece>(kColumns, [&](int piece, int half, int i) {
          float& weight = weights[piece][half][i];
          weight = powerOfTwo(weight * scale - softmax.largest[i / 2] * scale);
        });
        addUpRows(weights, shares, kColumns, own);
      }
    }
    __syncthreads();
    const int warps = (queries.count + kPiece - 1) / kPiece;
    for (int column = static_cast<int>(threadIdx.x); column < keys.count; column += static_cast<int>(blockDim.x)) {
      float sum = 0;
      for (int warp = 0; warp < warps; ++warp) sum += warpSums[warp * kKeysAtHand<T> + column];
      args.headSums[place.head * args.tokens + keys.first + column] = sum;
    }
  }
  if (mine.count == 0) return;

  float factors[2];
  for (int row = 0; row < 2; ++row) {
    const float sum = sumOfRow(softmax.sum[row]);
    const int query = laneIndex() / 4 + row * 8;
    factors[row] = keys.count > 0 ? mask / sum : 0.0f;
    if ((kColumnSums == ColumnSums::later || args.logSumExp.data) && laneIndex() % 4 == 0 && query < mine.count) {
      const float logSumExp = roundedProduct(softmax.largest[row], inputs.scale) + logf(sum);
      if (kColumnSums == ColumnSums::later) {
        args.exactLogSumExp[(mine.first + query) * inputs.heads + place.head] = logSumExp;
      }
      if (args.logSumExp.data) args.logSumExp.row(mine.first + query)[place.head] = fromFloat<T>(logSumExp);
    }
  }
  scaleRows(context, factors);
  storeSums<kSize>(context, myQueries, args.context, mine, place.head, inputs.headSize);
}

/// Returns whether the head sums are there, not only exactLogSumExp. Both are null without column sums.
template <typename Policy, int kSize>
bool launchAttention(const AttentionArgs& args, float* exactLogSumExp, float* headSums, Stream stream) {
  using T = typename Policy::Element;
  using Layout = TileLayout<T, kSize>;
  require(args.scale > 0, "attention on CUDA takes a positive scale: the largest score has the largest weight");
  const BlockPlan plan(args, kTileColumns<T>, kWarps<Policy, kSize>);
  const bool dropsOut = args.dropoutRate > 0;
  const size_t bytes = Layout::bytes(plan.rows) + 2 * Layout::bytes(plan.stages * plan.stageRows);
  const size_t sumsBytes = sizeof(float) * static_cast<size_t>(plan.rows / kPiece * kKeysAtHand<T>);
  const bool here = headSums != nullptr && !dropsOut && plan.tiles == 1 && args.longest <= kKeysAtHand<T> &&
                    bytes + sumsBytes <= sharedMemoryLimit();
  const Forward<T> forward{AttentionInputs<T>(args),
                           HeadMatrix<T>(args.context, args.headSize),
                           args.logSumExp,
                           plan,
                           args.k.rows,
                           exactLogSumExp,
                           headSums};
  auto kernel = here                        ? &attentionKernel<Policy, kSize, ColumnSums::here>
                : exactLogSumExp != nullptr ? &attentionKernel<Policy, kSize, ColumnSums::later>
                                            : &attentionKernel<Policy, kSize, ColumnSums::none>;
  if constexpr (std::is_same_v<T, float>) {
    if (dropsOut) {
      kernel = exactLogSumExp != nullptr ? &attentionKernel<Policy, kSize, ColumnSums::later, true>
                                         : &attentionKernel<Policy, kSize, ColumnSums::none, true>;
    }
  } else if (dropsOut) {
    throw Error(ErrorCode::unsupported, "attention in 16 bits on CUDA has no dropout");
  }
  launch(kernel, plan.grid(args.sequences), plan.block(), here ? bytes + sumsBytes : bytes, stream, forward);
  return here;
}

}  // namespace

size_t attentionScratch(const AttentionArgs& args) {
  if (!args.columnSums) return 0;
  const auto heads = static_cast<size_t>(args.heads);
  return (static_cast<size_t>(args.q.rows) + static_cast<size_t>(args.k.rows)) * heads * sizeof(float);
}

template <typename T>
void attention(const AttentionArgs& args, Products products, void* scratch, Stream stream) {
  float* const logSumExp = args.columnSums ? static_cast<float*>(scratch) : nullptr;
  float* const headSums = args.columnSums ? logSumExp + args.q.rows * args.heads : nullptr;
  bool summed = false;
  withKernelFor<T>(args.headSize, products, [&](auto kind) {
    using Kind = decltype(kind);
    summed = launchAttention<typename Kind::Products, Kind::kHeadSize>(args, logSumExp, headSums, stream);
  });
  if (!args.columnSums) return;
  if (!summed) attentionHeadSums<T>(args, products, logSumExp, headSums, stream);
  addHeads(args, headSums, stream);
}

template void attention<float>(const AttentionArgs&, Products, void*, Stream);
template void attention<Half>(const AttentionArgs&, Products, void*, Stream);
template void attention<Bfloat16>(const AttentionArgs&, Products, void*, Stream);

}  // namespace espalier::cuda
