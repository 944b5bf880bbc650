#include <limits>

#include "backend/cpu/attention_tasks.h"
#include "backend/cpu/operations.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

/// Floats of scratch attentionBackwardKernel carves up.
size_t scratchFloats(int keys, int headSize) {
  const size_t scoreRows = 2 * static_cast<size_t>(headSize) + 3 * static_cast<size_t>(keys);
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
  std::vector<float> maskGradients(static_cast<size_t>(forward.sequences) * forward.heads);
  parallelFor(threads, static_cast<int64_t>(tasks.size()) * forward.heads, [&](int64_t index) {
    const AttentionTask& task = tasks[static_cast<size_t>(index / forward.heads)];
    const int64_t head = index % forward.heads, column = head * forward.headSize;
    const int64_t query = task.firstQuery, token = task.firstToken;
    cpuKernels().attentionBackward(
        {headOf(forward, task, head), constRowsOf(args.dContext, query, column),
         constRowsOf(forward.logSumExp, query, head), constRowsOf(args.dColumnSums, token),
         rowsOf(args.dq, query, column), rowsOf(args.dk, token, column), rowsOf(args.dv, token, column),
         &maskGradients[static_cast<size_t>(task.sequence * forward.heads + head)]},
        threadScratch(scratchFloats(task.tokens, forward.headSize)));
  });
  if (args.headMaskGradient) addToGroups(args, maskGradients);
}

}  // namespace espalier::cpu
