#pragma once

#include <string>

namespace espalier {

/// Processors' worth of time that control groups grant a process, rounded up, or 0 where nothing limits it.
/// processGroups: the file that names the process's groups (/proc/self/cgroup); mount: where the groups' file systems
/// are (/sys/fs/cgroup). Versions 1 and 2; the tightest limit on the way from the group to the root counts.
int cpuQuota(const std::string& processGroups, const std::string& mount);

}  // namespace espalier
