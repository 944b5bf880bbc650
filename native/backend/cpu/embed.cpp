#include "backend/cpu/operations.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

/// The summed embedding of one token.
void sumEmbeddings(const EmbedArgs& args, int64_t token, float* sum) {
  const int64_t cols = args.y.cols;
  const float* word = args.word.row<float>(args.ids[token]);
  const float* position = args.position.row<float>(args.positions[token]);
  for (int64_t col = 0; col < cols; ++col) sum[col] = word[col] + position[col];
  if (args.tokenTypes == nullptr) return;
  const float* tokenType = args.tokenType.row<float>(args.tokenTypes[token]);
  for (int64_t col = 0; col < cols; ++col) sum[col] += tokenType[col];
}

}  // namespace

void embed(const EmbedArgs& args, int threads) {
  const int64_t cols = args.y.cols;
  const Matrix& sum = args.sum ? args.sum : args.y;
  forEachChunk(threads, args.y.rows, rowsPerChunk(cols), [&](int64_t first, int64_t rows) {
    for (int64_t token = first; token < first + rows; ++token) sumEmbeddings(args, token, sum.row<float>(token));
    cpuKernels().layerNorm({rows, cols, constRowsOf(sum, first), floats(args.gamma), floats(args.beta),
                            static_cast<float>(args.epsilon), rowsOf(args.y, first), rowsOf(args.statistics, first)});
  });
}

void embedBackward(const EmbedBackwardArgs& args, int threads) {
  const int64_t cols = args.dy.cols, blocks = (cols + kSumColumns - 1) / kSumColumns;
  parallelFor(threads, args.entries * blocks, [&](int64_t index) {
    const int64_t entry = index / blocks, first = index % blocks * kSumColumns;
    const int64_t count = std::min(kSumColumns, cols - first);
    float sums[kSumColumns] = {};
    for (int32_t i = args.offsets[entry]; i < args.offsets[entry + 1]; ++i) {
      const float* dy = args.dy.row<float>(args.rows[i]) + first;
      for (int64_t col = 0; col < count; ++col) sums[col] += dy[col];
    }
    float* gradient = args.gradient.row<float>(args.ids[entry]) + first;
    for (int64_t col = 0; col < count; ++col) gradient[col] += sums[col];
  });
}

}  // namespace espalier::cpu
