#include "backend/cuda/kernels/attention.h"
#include "backend/cuda/kernels/attention_tile.h"

namespace espalier::cuda {

namespace {

// With p the probabilities of a query, f what dropout multiplies them with, dp = f (dContext v') and D = sum p dp,
// which is the gradient of the query's (unmasked) context times the context itself:
//   dScore = p (dp - D);  dq = mask scale dScore k;  dk = mask scale dScore' q;  dv = mask (f p)' dContext.
// Where the probabilities' sums c over queries have a gradient of their own, with E = mask D + sum p dc,
//   dScore = p (mask dp + dc - E);  dq = scale dScore k;  dk = scale dScore' q.
// One kernel goes over tiles of queries for D and dq, another one over tiles of keys for dk and dv; neither adds to
// what another block writes.

/// Whether there is what only training has. Without dq and dk nothing flows from columnSums.
bool isTraining(const AttentionBackwardArgs& args) {
  return (args.dColumnSums && args.dq) || args.forward.dropoutRate > 0;
}

/// attentionBackward()'s parts of its memory.
struct BackwardScratch {
  float* contextProducts;
  float* rowProducts;
  float* sequenceSums;  // [sequences, heads]

  BackwardScratch(const AttentionBackwardArgs& args, void* memory) {
    contextProducts = static_cast<float*>(memory);
    rowProducts = contextProducts + (isTraining(args) ? productCount(args) : 0);
    sequenceSums = rowProducts + productCount(args);
  }

  static size_t bytes(const AttentionBackwardArgs& args) {
    const auto sequenceSums = static_cast<size_t>(args.forward.sequences) * static_cast<size_t>(args.forward.heads);
    return (productCount(args) * (isTraining(args) ? 2 : 1) + sequenceSums) * sizeof(float);
  }

 private:
  static size_t productCount(const AttentionBackwardArgs& args) {
    return static_cast<size_t>(args.forward.q.rows) * static_cast<size_t>(args.forward.heads);
  }
};

/// What nvcc is told of the blocks of a multiprocessor: left to itself (0), it spills registers in training with full
/// products.
template <typename Policy, bool kTraining>
constexpr int kLeastBlocks = kTraining&& std::is_same_v<Policy, FullProducts> ? 2 : 0;

/// kTraining: whether dColumnSums may be there and probabilities may be dropped out.
template <typename T, bool kTraining>
struct Backward {
  AttentionInputs<T> inputs;
  HeadMatrix<const T> dContext;
  RowsOf<const T> logSumExp;
  HeadMatrix<T> dq, dk, dv;
  float* contextProducts;  // [queries, heads], D
  BlockPlan plan;
  RowsOf<const float> dColumnSums;  // a column
  float* rowProducts;               // [queries, heads], E in training

  Backward(const AttentionBackwardArgs& args, const BlockPlan& blocks, const BackwardScratch& scratch)
      : inputs(args.forward),
        dContext(args.dContext, args.forward.headSize),
        logSumExp(args.forward.logSumExp),
        dq(args.dq, args.forward.headSize),
        dk(args.dk, args.forward.headSize),
        dv(args.dv, args.forward.headSize),
        contextProducts(scratch.contextProducts),
        plan(blocks),
        dColumnSums(args.dColumnSums),
        rowProducts(scratch.rowProducts) {}

  __device__ float& contextProduct(int64_t query, int head) const {
    return contextProducts[query * inputs.heads + head];
  }
  __device__ float& rowProduct(int64_t query, int head) const {
    return (kTraining ? rowProducts : contextProducts)[query * inputs.heads + head];
  }
  /// What is left to be multiplied with the products of dScore.
  __device__ float scoreFactor(float mask) const { return kTraining ? inputs.scale : mask * inputs.scale; }
};

/// Shared memory of a backward kernel: two left tiles and two right ones, the latter in stages.
template <typename T, int kSize>
struct BackwardTiles {
  static constexpr int kStride = TileLayout<T, kSize>::kStride;

  T* left[2];
  T* right[2];
  float* columnValues[2];  // of a right tile's rows
  const BlockPlan& plan;

  __device__ explicit BackwardTiles(const BlockPlan& blocks) : plan(blocks) {
    const int stageRows = plan.stages * plan.stageRows;
    left[0] = reinterpret_cast<T*>(sharedMemory());
    left[1] = left[0] + plan.rows * kStride;
    right[0] = left[1] + plan.rows * kStride;
    right[1] = right[0] + stageRows * kStride;
    columnValues[0] = reinterpret_cast<float*>(right[1] + stageRows * kStride);
    columnValues[1] = columnValues[0] + stageRows;
  }

  static size_t bytes(const BlockPlan& plan) {
    const int stageRows = plan.stages * plan.stageRows;
    return 2 * (TileLayout<T, kSize>::bytes(plan.rows) + TileLayout<T, kSize>::bytes(stageRows) +
                sizeof(float) * stageRows);
  }

  __device__ T* rowsOfWarp(int which) const { return left[which] + warpIndex() * kPiece * kStride; }
  __device__ T* rightTile(int which, int step) const { return right[which] + firstRow(step) * kStride; }
  __device__ float* valuesOfColumns(int which, int step) const { return columnValues[which] + firstRow(step); }

 private:
  __device__ int firstRow(int step) const { return step % plan.stages * plan.stageRows; }
};

/// D and, where wanted, dq of a tile of queries. The keys pass by twice, first forwards for D and then backwards: the
/// last tile of the first pass is the first of the second and needs to be multiplied only once.
template <typename Policy, int kSize, bool kTraining>
__global__ void __launch_bounds__(kMostWarps* kWarp, kLeastBlocks<Policy, kTraining>)
    queryGradientKernel(Backward<typename Policy::Element, kTraining> args) {
  using T = typename Policy::Element;
  constexpr int kColumns = kTileColumns<T>;
  constexpr int kPieces = kColumns / kPiece;
  const AttentionInputs<T>& inputs = args.inputs;
  const BlockPlace place(args.plan);
  const int head = place.head;
  const RowRange keys(inputs.offsets, place.sequence);
  const RowRange queries = RowRange(inputs.queryOffsets, place.sequence).part(place.firstRow, args.plan.rows);
  if (queries.count == 0) return;

  const BackwardTiles<T, kSize> shared(args.plan);
  const int tiles = (keys.count + kColumns - 1) / kColumns;
  const int steps = args.dq.rows.data && tiles > 0 ? 2 * tiles - 1 : tiles;
  const auto keysOfStep = [&](int step) {
    return keys.part((step < tiles ? step : 2 * tiles - 2 - step) * kColumns, kColumns);
  };
  const auto startLoading = [&](int step) {
    loadTile<kSize>(shared.rightTile(0, step), inputs.k, keysOfStep(step), head, inputs.headSize);
    loadTile<kSize>(shared.rightTile(1, step), inputs.v, keysOfStep(step), head, inputs.headSize);
    if (kTraining && args.dColumnSums.data) {
      const RowRange part = keysOfStep(step);
      for (int i = static_cast<int>(threadIdx.x); i < part.count; i += static_cast<int>(blockDim.x)) {
        copyAsync4(shared.valuesOfColumns(0, step) + i, args.dColumnSums.row(part.first + i), true);
      }
    }
    commitCopies();
  };

  const RowRange mine = queries.part(warpIndex() * kPiece, kPiece);
  float logSumExp[2], contextProduct[2] = {0, 0}, columnProduct[2] = {0, 0};
  const float(&rowProduct)[2] = kTraining ? columnProduct : contextProduct;
  for (int row = 0; row < 2; ++row) {
    const int query = laneIndex() / 4 + row * 8;
    logSumExp[row] = query < mine.count ? toFloat(args.logSumExp.row(mine.first + query)[head]) : 0.0f;
  }
  Sums dq[kSize / kPiece];
  setZero(dq);

  if (steps > 0) {
    loadTile<kSize>(shared.left[0], inputs.q, queries, head, inputs.headSize);
    loadTile<kSize>(shared.left[1], args.dContext, queries, head, inputs.headSize);
    startLoading(0);
  }
  for (int step = 0; step < steps; ++step) {
    waitForCopies<0>();
    __syncthreads();  // this step's keys are there, and nobody needs those before them any more
    if (step + 1 < steps) startLoading(step + 1);
    if (mine.count == 0) continue;
    const int columns = keysOfStep(step).count;
    Sums weights[kPieces], products[kPieces];
    multiplyTransposed<Policy, kSize>(weights, shared.rowsOfWarp(0), shared.rightTile(0, step), columns);
    multiplyTransposed<Policy, kSize>(products, shared.rowsOfWarp(1), shared.rightTile(1, step), columns);
    const int firstKey = static_cast<int>(keysOfStep(step).first - keys.first);
    forEachSum<kPieces>(columns, [&](int piece, int half, int i) {
      float &weight = weights[piece][half][i], &product = products[piece][half][i];
      const int column = columnOf(piece, half, i);
      const bool inside = column < columns;
      const int64_t query = mine.first + laneIndex() / 4 + i / 2 * 8;
      if constexpr (kTraining) product = inputs.droppedOut.of(product, query, head, firstKey + column);
      weight = inside ? weightOf(roundedProduct(weight, inputs.scale), logSumExp[i / 2]) : 0.0f;
      if (step < tiles) contextProduct[i / 2] += weight * product;
      if constexpr (kTraining) {
        const float* columnGradients = shared.valuesOfColumns(0, step);
        const float added = inside && args.dColumnSums.data ? columnGradients[column] : 0.0f;
        product = inputs.mask(head) * product + added;
        if (step < tiles) columnProduct[i / 2] += weight * added;
      }
    });
    if (step < tiles - 1) continue;
    if (step == tiles - 1) {
      for (int row = 0; row < 2; ++row) {
        contextProduct[row] = sumOfRow(contextProduct[row]);
        if (kTraining) {
          columnProduct[row] = inputs.mask(head) * contextProduct[row] + sumOfRow(columnProduct[row]);
        }
      }
    }
    if (!args.dq.rows.data) continue;
    forEachSum<kPieces>(columns, [&](int piece, int half, int i) {
      weights[piece][half][i] *= products[piece][half][i] - rowProduct[i / 2];
    });
    multiplyAdd<Policy, kSize>(dq, weights, shared.rightTile(0, step), columns);
  }

  for (int row = 0; row < 2; ++row) {
    const int query = laneIndex() / 4 + row * 8;
    if (laneIndex() % 4 == 0 && query < mine.count) {
      args.contextProduct(mine.first + query, head) = contextProduct[row];
      if (kTraining) args.rowProduct(mine.first + query, head) = rowProduct[row];
    }
  }
  if (args.dq.rows.data) {
    scale(dq, args.scoreFactor(inputs.mask(head)));
    storeSums<kSize>(dq, shared.rowsOfWarp(0), args.dq, mine, head, inputs.headSize);
  }
}

/// dk and dv of a tile of keys. The scores are computed transposed: a row a key, a column a query.
template <typename Policy, int kSize, bool kTraining>
__global__ void __launch_bounds__(kMostWarps* kWarp, kLeastBlocks<Policy, kTraining>)
    keyGradientKernel(Backward<typename Policy::Element, kTraining> args) {
  using T = typename Policy::Element;
  constexpr int kColumns = kTileColumns<T>;
  constexpr int kPieces = kColumns / kPiece;
  const AttentionInputs<T>& inputs = args.inputs;
  const BlockPlace place(args.plan);
  const int head = place.head;
  const RowRange queries(inputs.queryOffsets, place.sequence);
  const RowRange keys = RowRange(inputs.offsets, place.sequence).part(place.firstRow, args.plan.rows);
  if (keys.count == 0) return;

  const BackwardTiles<T, kSize> shared(args.plan);
  const int steps = (queries.count + kColumns - 1) / kColumns;
  const auto startLoading = [&](int step) {
    const RowRange part = queries.part(step * kColumns, kColumns);
    loadTile<kSize>(shared.rightTile(0, step), inputs.q, part, head, inputs.headSize);
    loadTile<kSize>(shared.rightTile(1, step), args.dContext, part, head, inputs.headSize);
    for (int i = static_cast<int>(threadIdx.x); i < part.count; i += static_cast<int>(blockDim.x)) {
      const int64_t query = part.first + i;
      copyAsync4(shared.valuesOfColumns(0, step) + i, args.logSumExp.row(query) + head, true);
      copyAsync4(shared.valuesOfColumns(1, step) + i, &args.rowProduct(query, head), true);
    }
    commitCopies();
  };

  const RowRange mine = keys.part(warpIndex() * kPiece, kPiece);
  float columnGradient[2] = {0, 0};
  for (int row = 0; row < 2; ++row) {
    const int key = laneIndex() / 4 + row * 8;
    if (kTraining && args.dColumnSums.data && key < mine.count)
      columnGradient[row] = *args.dColumnSums.row(mine.first + key);
  }
  Sums dk[kSize / kPiece], dv[kSize / kPiece];
  setZero(dk);
  setZero(dv);

  if (steps > 0) {
    loadTile<kSize>(shared.left[0], inputs.k, keys, head, inputs.headSize);
    loadTile<kSize>(shared.left[1], inputs.v, keys, head, inputs.headSize);
    startLoading(0);
  }
  for (int step = 0; step < steps; ++step) {
    waitForCopies<0>();
    __syncthreads();  // this step's queries are there, and nobody needs those before them any more
    if (step + 1 < steps) startLoading(step + 1);
    if (mine.count == 0) continue;
    const int columns = min(kColumns, queries.count - step * kColumns);
    const float* logSumExp = shared.valuesOfColumns(0, step);
    const float* rowProduct = shared.valuesOfColumns(1, step);
    Sums weights[kPieces], products[kPieces];
    multiplyTransposed<Policy, kSize>(weights, shared.rowsOfWarp(0), shared.rightTile(0, step), columns);
    forEachSum<kPieces>(columns, [&](int piece, int half, int i) {
      float& weight = weights[piece][half][i];
      const int column = columnOf(piece, half, i);
      weight = column < columns ? weightOf(roundedProduct(weight, inputs.scale), logSumExp[column]) : 0.0f;
    });
    const auto dropOut = [&](const Sums(&from)[kPieces]) {  // to products
      forEachSum<kPieces>(columns, [&](int piece, int half, int i) {
        const int64_t query = queries.first + step * kColumns + columnOf(piece, half, i);
        const int key = static_cast<int>(mine.first - keys.first) + place.firstRow + laneIndex() / 4 + i / 2 * 8;
        products[piece][half][i] = inputs.droppedOut.of(from[piece][half][i], query, head, key);
      });
    };
    if constexpr (kTraining) dropOut(weights);
    multiplyAdd<Policy, kSize>(dv, kTraining ? products : weights, shared.rightTile(1, step), columns);
    multiplyTransposed<Policy, kSize>(products, shared.rowsOfWarp(1), shared.rightTile(1, step), columns);
    if constexpr (kTraining) dropOut(products);
    forEachSum<kPieces>(columns, [&](int piece, int half, int i) {
      const int column = columnOf(piece, half, i);
      if constexpr (kTraining) {
        products[piece][half][i] = inputs.mask(head) * products[piece][half][i] + columnGradient[i / 2];
      }
      if (column < columns) weights[piece][half][i] *= products[piece][half][i] - rowProduct[column];
    });
    multiplyAdd<Policy, kSize>(dk, weights, shared.rightTile(0, step), columns);
  }

  const float mask = inputs.mask(head);
  scale(dk, args.scoreFactor(mask));
  scale(dv, mask);
  storeSums<kSize>(dk, shared.rowsOfWarp(0), args.dk, mine, head, inputs.headSize);
  storeSums<kSize>(dv, shared.rowsOfWarp(1), args.dv, mine, head, inputs.headSize);
}

/// Sums of the rows of each sequence: a warp for each head and sequence.
__global__ void sumSequencesKernel(const float* values, const int32_t* offsets, int64_t sequences, int heads,
                                   float* sums) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * (blockDim.x / kWarp) + warpIndex();
  if (index >= sequences * heads) return;
  const int64_t sequence = index / heads;
  float sum = 0;
  for (int64_t row = offsets[sequence] + laneIndex(); row < offsets[sequence + 1]; row += kWarp) {
    sum += values[row * heads + index % heads];
  }
  sum = warpSum(sum);
  if (laneIndex() == 0) sums[index] = sum;
}

/// The first sequence of `group` or of a later one.
__device__ int64_t firstOfGroup(const int32_t* groups, int64_t sequences, int64_t group) {
  int64_t first = 0, end = sequences;
  while (first < end) {
    const int64_t middle = (first + end) / 2;
    if (groups[middle] < group) {
      first = middle + 1;
    } else {
      end = middle;
    }
  }
  return first;
}

/// gradient row `group` += the sums of its sequences: a warp for each head and group.
__global__ void addGroupsKernel(const float* sums, const int32_t* groups, int64_t sequences, int heads, int64_t rows,
                                RowsOf<float> gradient) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * (blockDim.x / kWarp) + warpIndex();
  if (index >= rows * heads) return;
  const int64_t group = index / heads, head = index % heads;
  const int64_t end = firstOfGroup(groups, sequences, group + 1);
  float sum = 0;
  for (int64_t sequence = firstOfGroup(groups, sequences, group) + laneIndex(); sequence < end; sequence += kWarp) {
    sum += sums[sequence * heads + head];
  }
  sum = warpSum(sum);
  if (laneIndex() == 0) gradient.row(group)[head] += sum;
}

void addHeadMaskGradient(const AttentionBackwardArgs& args, const float* contextProducts, float* sums, Stream stream) {
  const AttentionArgs& forward = args.forward;
  const int64_t sequences = forward.sequences, groups = args.headMaskGradient.rows;
  launch(&sumSequencesKernel, blocksFor(sequences * forward.heads * kWarp), dim3(kThreads), 0, stream, contextProducts,
         forward.queryOffsets, sequences, forward.heads, sums);
  launch(&addGroupsKernel, blocksFor(groups * forward.heads * kWarp), dim3(kThreads), 0, stream,
         static_cast<const float*>(sums), args.groups, sequences, forward.heads, groups,
         RowsOf<float>(args.headMaskGradient));
}

template <typename Policy, int kSize, bool kTraining>
void launchBackward(const AttentionBackwardArgs& args, const BackwardScratch& scratch, Stream stream) {
  using T = typename Policy::Element;
  const BlockPlan plan(args.forward, kTileColumns<T>);
  const Backward<T, kTraining> backward(args, plan, scratch);
  const dim3 grid = plan.grid(args.forward.sequences);
  const size_t bytes = BackwardTiles<T, kSize>::bytes(plan);
  launch(&queryGradientKernel<Policy, kSize, kTraining>, grid, plan.block(), bytes, stream, backward);
  if (args.dq) {
    launch(&keyGradientKernel<Policy, kSize, kTraining>, grid, plan.block(), bytes, stream, backward);
  }
}

}  // namespace

size_t attentionBackwardScratch(const AttentionBackwardArgs& args) { return BackwardScratch::bytes(args); }

template <typename T>
void attentionBackward(const AttentionBackwardArgs& args, Products products, void* memory, Stream stream) {
  const BackwardScratch scratch(args, memory);
  withKernelFor<T>(args.forward.headSize, products, [&](auto kind) {
    using Kind = decltype(kind);
    using KindProducts = typename Kind::Products;
    isTraining(args) ? launchBackward<KindProducts, Kind::kHeadSize, true>(args, scratch, stream)
                     : launchBackward<KindProducts, Kind::kHeadSize, false>(args, scratch, stream);
  });
  if (args.headMaskGradient) addHeadMaskGradient(args, scratch.contextProducts, scratch.sequenceSums, stream);
}

template void attentionBackward<float>(const AttentionBackwardArgs&, Products, void*, Stream);

}  // namespace espalier::cuda
