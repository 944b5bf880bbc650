#include "core/cpu_quota.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

namespace espalier {

namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

double processors(double quota, double period) { return quota > 0 && period > 0 ? quota / period : kUnlimited; }

/// Version 2: "QUOTA PERIOD" in one file, or "max PERIOD".
double unifiedLimit(const std::string& group) {
  double quota = 0, period = 0;
  std::ifstream(group + "/cpu.max") >> quota >> period;
  return processors(quota, period);
}

/// Version 1: one file each, quota -1 for none.
double controllerLimit(const std::string& group) {
  double quota = 0, period = 0;
  std::ifstream(group + "/cpu.cfs_quota_us") >> quota;
  std::ifstream(group + "/cpu.cfs_period_us") >> period;
  return processors(quota, period);
}

/// The tightest limit of `group` and its parents. In a container the group may lie outside what is mounted: directories
/// that do not exist limit nothing, and the mount's root is the container's own group.
double tightest(double (*limitOf)(const std::string&), const std::string& mount, std::string group) {
  double limit = limitOf(mount);
  while (group.size() > 1) {
    limit = std::min(limit, limitOf(mount + group));
    group.erase(group.rfind('/'));
  }
  return limit;
}

bool names(const std::string& controllers, const std::string& controller) {
  return ("," + controllers + ",").find("," + controller + ",") != std::string::npos;
}

}  // namespace

int cpuQuota(const std::string& processGroups, const std::string& mount) {
  std::ifstream groups(processGroups);
  double limit = kUnlimited;
  // Each line is "hierarchy:controllers:/group"; version 2 leaves the controllers out.
  for (std::string line; std::getline(groups, line);) {
    const size_t controllersAt = line.find(':') + 1, groupAt = line.find(':', controllersAt) + 1;
    if (controllersAt == 0 || groupAt == 0 || line[groupAt] != '/') continue;
    const std::string controllers = line.substr(controllersAt, groupAt - 1 - controllersAt);
    const std::string group = line.substr(groupAt);
    if (controllers.empty()) limit = std::min(limit, tightest(unifiedLimit, mount, group));
    if (!names(controllers, "cpu")) continue;
    for (const std::string& directory : {std::string("cpu"), controllers}) {
      limit = std::min(limit, tightest(controllerLimit, mount + "/" + directory, group));
    }
  }
  return std::isinf(limit) ? 0 : std::max(1, static_cast<int>(std::ceil(std::min(limit, 1e6))));
}

}  // namespace espalier
