#pragma once

#include <vector>

#include "backend/cpu/kernels.h"

namespace espalier::cpu {

/// Some queries of one sequence; a head of it is what one thread takes at a time.
struct AttentionTask {
  int32_t sequence;
  int32_t firstToken;  // row of k and v
  int32_t tokens;      // of the sequence
  int32_t firstQuery;  // row of q
  int32_t queries;
};

/// The sequences in blocks of at most `block` queries, at least one each, the ones with most tokens first so that no
/// thread is left with a long one at the end.
std::vector<AttentionTask> attentionTasks(const AttentionArgs& args, int32_t block);

/// headSize rounded up to what every instruction set's vectors divide.
inline int headStride(int headSize) { return (headSize + 15) / 16 * 16; }

/// One head of a task as the kernels take it.
AttentionHead headOf(const AttentionArgs& args, const AttentionTask& task, int64_t head);

}  // namespace espalier::cpu
