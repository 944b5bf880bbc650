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
    const int32_t tokens = args.offsets[sequence + 1] - args.offsets[sequence];
    const int32_t end = args.queryOffsets[sequence + 1];
    int32_t query = args.queryOffsets[sequence];
    do {
      const int32_t queries = std::min(block, end - query);
      tasks.push_back({sequence, tokens, query, queries});
      query += queries;
    } while (query < end);
  }
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const AttentionTask& a, const AttentionTask& b) { return a.tokens > b.tokens; });
  return tasks;
}

void attention(const AttentionArgs& args, int threads) {
  const std::vector<AttentionTask> tasks = attentionTasks(args, kQueryBlock);
  const float* headMask = floats(args.headMask);
  parallelFor(threads, static_cast<int64_t>(tasks.size()) * args.heads, [&](int64_t index) {
    const AttentionTask& task = tasks[static_cast<size_t>(index / args.heads)];
    const int64_t head = index % args.heads, column = head * args.headSize;
    const int64_t query = task.firstQuery, token = args.offsets[task.sequence];
    AttentionKernelArgs block;
    block.queries = task.queries;
    block.keys = task.tokens;
    block.headSize = args.headSize;
    block.headStride = headStride(args.headSize);
    block.q = constRowsOf(args.q, query, column);
    block.k = constRowsOf(args.k, token, column);
    block.v = constRowsOf(args.v, token, column);
    block.scale = static_cast<float>(args.scale);
    block.headMask = headMask ? headMask[head] : 1.0f;
    block.context = rowsOf(args.context, query, column);
    block.logSumExp = rowsOf(args.logSumExp, query, head);
    cpuKernels().attention(block, threadScratch(scratchFloats(task.tokens, args.headSize)));
  });
}

}  // namespace espalier::cpu
