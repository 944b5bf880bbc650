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
          args.headMask ? floats(args.headMask)[head] : 1.0f};
}

void attention(const AttentionArgs& args, int threads) {
  const std::vector<AttentionTask> tasks = attentionTasks(args, kQueryBlock);
  parallelFor(threads, static_cast<int64_t>(tasks.size()) * args.heads, [&](int64_t index) {
    const AttentionTask& task = tasks[static_cast<size_t>(index / args.heads)];
    const int64_t head = index % args.heads;
    cpuKernels().attention({headOf(args, task, head), rowsOf(args.context, task.firstQuery, head * args.headSize),
                            rowsOf(args.logSumExp, task.firstQuery, head)},
                           threadScratch(scratchFloats(task.tokens, args.headSize)));
  });
}

}  // namespace espalier::cpu
