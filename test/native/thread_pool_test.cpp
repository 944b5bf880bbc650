#include "core/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/cpu_quota.h"

namespace espalier::test {
namespace {

constexpr int kThreads = 4;

/// How often each index of one parallelFor() ran.
std::vector<int> timesRun(int threads, int64_t count) {
  std::vector<int> times(static_cast<size_t>(count));
  parallelFor(threads, count, [&](int64_t index) { ++times[static_cast<size_t>(index)]; });
  return times;
}

TEST(ThreadPool, runsEveryIndexOnce) {
  for (const int threads : {0, 1, 2, kThreads, 100}) {
    for (const int64_t count : {0, 1, 2, 3, 1000}) {
      EXPECT_EQ(timesRun(threads, count), std::vector<int>(static_cast<size_t>(count), 1)) << threads << " x " << count;
    }
  }
}

TEST(ThreadPool, usesSeveralThreadsAtOnce) {
  // Each index waits until another has begun: one thread alone would wait for ever.
  std::atomic<int> begun{0};
  parallelFor(2, 2, [&](int64_t) {
    ++begun;
    while (begun < 2) std::this_thread::yield();
  });
  EXPECT_EQ(begun, 2);
}

TEST(ThreadPool, usesNoMoreThreadsThanAsked) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> running{0}, most{0};
    parallelFor(3, 40, [&](int64_t) {
      const int now = ++running;
      for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::yield();
      --running;
    });
    EXPECT_LE(most, 3);
  }
}

TEST(ThreadPool, findsItsWorkersAgainAfterTheySlept) {
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(timesRun(kThreads, 8), std::vector<int>(8, 1));
    std::this_thread::sleep_for(std::chrono::milliseconds(round % 2 == 0 ? 2 : 0));
  }
}

TEST(ThreadPool, survivesManyShortJobs) {
  int64_t total = 0;
  for (int round = 0; round < 20000; ++round) {
    int parts[3] = {};
    parallelFor(3, 3, [&](int64_t index) { parts[index] = 1; });
    total += parts[0] + parts[1] + parts[2];
  }
  EXPECT_EQ(total, 60000);
}

TEST(ThreadPool, runsACallFromInsideABodyOnThatThread) {
  for (const int threads : {1, kThreads}) {
    parallelFor(threads, 8, [&](int64_t) {
      const auto self = std::this_thread::get_id();
      int64_t sum = 0;
      parallelFor(kThreads, 100, [&](int64_t index) {
        EXPECT_EQ(std::this_thread::get_id(), self);
        sum += index;
      });
      EXPECT_EQ(sum, 4950);
    });
  }
}

TEST(ThreadPool, servesSeveralCallersAtOnce) {
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller) {
    callers.emplace_back([] {
      for (int round = 0; round < 300; ++round) EXPECT_EQ(timesRun(kThreads, 17), std::vector<int>(17, 1));
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST(ThreadPool, rethrowsWhatABodyThrewAndWorksOn) {
  for (const int threads : {1, kThreads}) {
    const auto failing = [&](int64_t index) {
      if (index == 5) throw std::runtime_error("five");
    };
    try {
      parallelFor(threads, 100, failing);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "five");
    }
    EXPECT_EQ(timesRun(threads, 50), std::vector<int>(50, 1));
  }
}

TEST(ThreadPool, returnsOnlyWhenNoBodyRunsAnyMore) {
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> running{0};
    try {
      parallelFor(kThreads, 16, [&](int64_t index) {
        ++running;
        if (index % 3 == 0) std::this_thread::yield();
        --running;
        if (index == 1) throw std::runtime_error("one");
      });
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(running, 0);
  }
}

TEST(ThreadPool, worksInAForkedChild) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer allows no threads in a forked child";
#endif
  EXPECT_EQ(timesRun(kThreads, 8), std::vector<int>(8, 1));
  const pid_t child = fork();
  if (child == 0) _exit(timesRun(kThreads, 8) == std::vector<int>(8, 1) ? 0 : 1);
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(ThreadPool, availableThreadsIsWithinTheMachine) {
  EXPECT_GE(availableThreads(), 1);
  EXPECT_LE(availableThreads(), sysconf(_SC_NPROCESSORS_CONF));
}

/// A copy of the files that say which control groups a process is in and what they grant.
class CpuQuota : public testing::Test {
 protected:
  CpuQuota() { std::filesystem::remove_all(root_); }
  ~CpuQuota() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  int quota() { return cpuQuota((root_ / "cgroup").string(), (root_ / "mount").string()); }

 private:
  const std::filesystem::path root_ =
      std::filesystem::path(testing::TempDir()) / ("espalier-cpu-quota-" + std::to_string(getpid()));
};

TEST_F(CpuQuota, isNoneWithoutControlGroups) { EXPECT_EQ(quota(), 0); }

TEST_F(CpuQuota, isNoneWhereTheGroupIsUnlimited) {
  write("cgroup", "0::/a\n");
  write("mount/a/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 0);
}

TEST_F(CpuQuota, isTheTightestOfTheGroupAndItsParents) {
  write("cgroup", "0::/a/b\n");
  write("mount/cpu.max", "800000 100000\n");
  write("mount/a/cpu.max", "250000 100000\n");
  write("mount/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 3);
}

TEST_F(CpuQuota, readsTheRootWhereTheGroupIsNotMounted) {
  write("cgroup", "0::/outside/of/this/container\n");
  write("mount/cpu.max", "20000 100000\n");
  EXPECT_EQ(quota(), 1);
}

TEST_F(CpuQuota, readsVersionOne) {
  write("cgroup", "5:cpuset:/a\n4:cpu,cpuacct:/a\n");
  write("mount/cpu,cpuacct/a/cpu.cfs_quota_us", "200000\n");
  write("mount/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 2);
  write("mount/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(quota(), 0);
}

TEST_F(CpuQuota, ignoresNonsense) {
  write("cgroup", "nonsense\n\n0:\n::\n0::relative\n0::/a\n");
  write("mount/cpu.max", "lots and lots\n");
  EXPECT_EQ(quota(), 0);
  write("mount/a/cpu.max", "100000 50000\n");
  EXPECT_EQ(quota(), 2);
}

}  // namespace
}  // namespace espalier::test
