#include <limits>

#include "backend/cpu/attention_tasks.h"
#include "backend/cpu/operations.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

/// Floats of scratch attentionBackwardKernel carves up.
size_t scratchFloats(int keys, int headSize) {
  const size_t scoreRows = 2 * (static_cast<size_t>(headSize) + keys);
  const size_t headRows = 3 * (static_cast<size_t>(keys) + kQueryBlock);
  return scoreRows * kScoreStride + headRows * headStride(headSize);
}

/// headMaskGradient row groups[s] += row s of `gradients`, in the order of the sequences.
void addToGroups(const AttentionBackwardArgs& args, const std::vector<float>& gradients) {
  const float* gradient = gradients.data();
  for (int32_t sequence = 0; sequence < args.forward.sequences; ++sequence) {
    float* sums = args.headMaskGradient.row<float>(args.groups[sequence]);
    for (int32_t head = 0; head < args.forward.heads; ++head) sums[head] += *gradient++;
  }
}

}  // namespace

void attentionBackward(const AttentionBackwardArgs& args, int threads) {
  const AttentionArgs& forward = args.forward;
  const std::vector<AttentionTask> tasks = attentionTasks(forward, std::numeric_limits<int32_t>::max());
  const float* headMask = floats(forward.headMask);
  std::vector<float> maskGradients(static_cast<size_t>(forward.sequences) * forward.heads);
  parallelFor(threads, static_cast<int64_t>(tasks.size()) * forward.heads, [&](int64_t index) {
    const AttentionTask& task = tasks[static_cast<size_t>(index / forward.heads)];
    const int64_t head = index % forward.heads, column = head * forward.headSize;
    const int64_t query = task.firstQuery, token = forward.offsets[task.sequence];
    AttentionBackwardKernelArgs block;
    block.queries = task.queries;
    block.keys = task.tokens;
    block.headSize = forward.headSize;
    block.headStride = headStride(forward.headSize);
    block.q = constRowsOf(forward.q, query, column);
    block.k = constRowsOf(forward.k, token, column);
    block.v = constRowsOf(forward.v, token, column);
    block.dContext = constRowsOf(args.dContext, query, column);
    block.logSumExp = constRowsOf(forward.logSumExp, query, head);
    block.scale = static_cast<float>(forward.scale);
    block.headMask = headMask ? headMask[head] : 1.0f;
    block.dq = rowsOf(args.dq, query, column);
    block.dk = rowsOf(args.dk, token, column);
    block.dv = rowsOf(args.dv, token, column);
    block.headMaskGradient = &maskGradients[static_cast<size_t>(task.sequence * forward.heads + head)];
    cpuKernels().attentionBackward(block, threadScratch(scratchFloats(task.tokens, forward.headSize)));
  });
  if (args.headMaskGradient) addToGroups(args, maskGradients);
}

}  // namespace espalier::cpu
