#include <algorithm>

#include "backend/cpu/attention_tasks.h"
#include "backend/cpu/operations.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

/// Floats of scratch attentionKernel carves up.
size_t scratchFloats(int keys, int headSize) {
  const size_t scoreRows = static_cast<size_t>(headSize) + keys;
  const size_t headRows = static_cast<size_t>(keys) + kQueryBlock;
  return scoreRows * kScoreStride + headRows * headStride(headSize);
}

/// What each head gives to each token, a block of queries at a time: [blocks * heads, tokens] for every sequence.
class ColumnSums {
 public:
  explicit ColumnSums(const AttentionArgs& args) : args_(args) {
    if (!args.columnSums) return;
    for (int32_t sequence = 0; sequence < args.sequences; ++sequence) {
      starts_.push_back(starts_.back() + static_cast<size_t>(rowsOf(sequence) * tokensOf(sequence)));
    }
    parts_.resize(starts_.back());
  }

  /// Where a head of a task puts its sums; null where they are not wanted.
  float* part(const AttentionTask& task, int64_t head) {
    if (!args_.columnSums) return nullptr;
    const int64_t block = (task.firstQuery - args_.queryOffsets[task.sequence]) / kQueryBlock;
    return parts_.data() + starts_[static_cast<size_t>(task.sequence)] + (block * args_.heads + head) * task.tokens;
  }

  /// Adds the parts up in their order.
  void write(int threads) const {
    if (!args_.columnSums) return;
    parallelFor(threads, args_.sequences, [&](int64_t sequence) {
      const float* parts = parts_.data() + starts_[static_cast<size_t>(sequence)];
      const int64_t rows = rowsOf(sequence), tokens = tokensOf(sequence);
      for (int64_t token = 0; token < tokens; ++token) {
        float sum = 0;
        for (int64_t row = 0; row < rows; ++row) sum += parts[row * tokens + token];
        *args_.columnSums.row<float>(args_.offsets[sequence] + token) = sum;
      }
    });
  }

 private:
  int64_t tokensOf(int64_t sequence) const { return args_.offsets[sequence + 1] - args_.offsets[sequence]; }
  /// Parts of a sequence: a block without queries, where a sequence has none, is one too.
  int64_t rowsOf(int64_t sequence) const {
    const int64_t queries = args_.queryOffsets[sequence + 1] - args_.queryOffsets[sequence];
    return std::max<int64_t>(1, (queries + kQueryBlock - 1) / kQueryBlock) * args_.heads;
  }

  const AttentionArgs& args_;
  std::vector<size_t> starts_{0};  // of each sequence in parts_
  std::vector<float> parts_;
};

DroppedOut droppedOutOf(const AttentionArgs& args, const AttentionTask& task, int64_t head) {
  const int64_t first = (task.firstQuery * int64_t{args.heads} + head) * args.longest;
  return {DropoutFactors<float>(args.dropoutRate, args.dropoutKey), static_cast<uint32_t>(first),
          static_cast<uint32_t>(args.heads * args.longest), args.dropoutRate > 0};
}

}  // namespace

std::vector<AttentionTask> attentionTasks(const AttentionArgs& args, int32_t block) {
  std::vector<AttentionTask> tasks;
  for (int32_t sequence = 0; sequence < args.sequences; ++sequence) {
    const int32_t token = args.offsets[sequence], tokens = args.offsets[sequence + 1] - token;
    const int32_t end = args.queryOffsets[sequence + 1];
    int32_t query = args.queryOffsets[sequence];
    do {
      const int32_t queries = std::min(block, end - query);
      tasks.push_back({sequence, token, tokens, query, queries});
      query += queries;
    } while (query < end);
  }
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const AttentionTask& a, const AttentionTask& b) { return a.tokens > b.tokens; });
  return tasks;
}

AttentionHead headOf(const AttentionArgs& args, const AttentionTask& task, int64_t head) {
  const int64_t column = head * args.headSize;
  return {task.queries,
          task.tokens,
          args.headSize,
          headStride(args.headSize),
          constRowsOf(args.q, task.firstQuery, column),
          constRowsOf(args.k, task.firstToken, column),
          constRowsOf(args.v, task.firstToken, column),
          static_cast<float>(args.scale),
          args.headMask ? floats(args.headMask)[head] : 1.0f,
          droppedOutOf(args, task, head)};
}

void attention(const AttentionArgs& args, int threads) {
  const std::vector<AttentionTask> tasks = attentionTasks(args, kQueryBlock);
  ColumnSums columnSums(args);
  parallelFor(threads, static_cast<int64_t>(tasks.size()) * args.heads, [&](int64_t index) {
    const AttentionTask& task = tasks[static_cast<size_t>(index / args.heads)];
    const int64_t head = index % args.heads;
    cpuKernels().attention({headOf(args, task, head), rowsOf(args.context, task.firstQuery, head * args.headSize),
                            rowsOf(args.logSumExp, task.firstQuery, head), columnSums.part(task, head)},
                           threadScratch(scratchFloats(task.tokens, args.headSize)));
  });
  columnSums.write(threads);
}

}  // namespace espalier::cpu
