#pragma once

#include <cstdint>
#include <functional>

namespace espalier {

/// Threads this process may use: the smaller of the affinity mask and the cgroup quota, at least 1.
int availableThreads();

/// Runs body(index) for every index in [0, count) on at most `threads` threads, the caller among them, and returns
/// when all are done. One pool serves the whole process: its workers spin for microseconds after a job, then sleep.
/// Indices are handed out dynamically, so a body must write only what its index owns; results then do not depend on
/// `threads`. The first exception thrown by a body is rethrown here after the others have finished. Safe to call from
/// several threads at once (callers share the workers) and from inside a body (it then runs on the calling thread).
void parallelFor(int threads, int64_t count, const std::function<void(int64_t index)>& body);

}  // namespace espalier
