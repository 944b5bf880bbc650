#include "core/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "core/cpu_quota.h"

namespace espalier {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::microseconds kSpin{30};

void pauseProcessor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

thread_local bool insideBody = false;

/// Calls from inside a body run on their own thread: the pool's workers are busy with its siblings.
class InsideBody {
 public:
  InsideBody() : before_(insideBody) { insideBody = true; }
  ~InsideBody() { insideBody = before_; }
  InsideBody(const InsideBody&) = delete;
  InsideBody& operator=(const InsideBody&) = delete;

 private:
  const bool before_;
};

/// One call of parallelFor(). It lives on its caller's stack; what the pool's mutex guards is marked.
struct Job {
  Job(int64_t count, const std::function<void(int64_t)>& body, int helpers)
      : count(count), body(body), wanted(helpers) {}

  /// Runs indices until none is left.
  void work() {
    const InsideBody mark;
    try {
      for (int64_t index = next++; index < count; index = next++) body(index);
    } catch (...) {
      next = count;
      if (!failed.exchange(true)) failure = std::current_exception();
    }
  }

  const int64_t count;
  const std::function<void(int64_t)>& body;
  std::atomic<int64_t> next{0};
  std::atomic<int> helpers{0};  // at work now
  std::atomic<bool> failed{false};
  std::exception_ptr failure;
  int wanted;                // helpers that may still join; guarded
  Job* following = nullptr;  // in the pool's list; guarded
};

class Pool {
 public:
  void run(Job& job) {
    open(job);
    job.work();
    close(job);
  }

 private:
  void open(Job& job) {
    const int helpers = job.wanted;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      while (workers_ < helpers && startWorker()) {
      }
      job.following = jobs_;
      jobs_ = &job;
      ++posted_;
    }
    for (int i = 0; i < helpers; ++i) workPosted_.notify_one();
  }

  /// Lets no one else join, and waits for those who did.
  void close(Job& job) {
    std::unique_lock<std::mutex> lock(mutex_);
    Job** link = &jobs_;
    while (*link != &job) link = &(*link)->following;
    *link = job.following;
    if (job.helpers == 0) return;
    lock.unlock();
    spinUntil([&] { return job.helpers == 0; });
    // Taken again even when the last helper was seen to leave: it lets go of the job under the mutex.
    lock.lock();
    helperLeft_.wait(lock, [&] { return job.helpers == 0; });
  }

  /// False where the system grants no further thread: the callers then do the work themselves.
  bool startWorker() {
    try {
      std::thread([this] { serve(); }).detach();
    } catch (const std::exception&) {
      return false;
    }
    ++workers_;
    return true;
  }

  [[noreturn]] void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      if (Job* job = joinable()) {
        --job->wanted;
        ++job->helpers;
        lock.unlock();
        job->work();
        lock.lock();
        if (--job->helpers == 0) helperLeft_.notify_all();
        continue;
      }
      const uint64_t seen = posted_;
      lock.unlock();
      spinUntil([&] { return posted_ != seen; });
      lock.lock();
      workPosted_.wait(lock, [&] { return posted_ != seen; });
    }
  }

  Job* joinable() const {
    Job* job = jobs_;
    while (job != nullptr && (job->wanted == 0 || job->next >= job->count)) job = job->following;
    return job;
  }

  /// Waits for `ready` without sleeping, for kSpin at most and not at all where threads would only take turns.
  template <typename Ready>
  void spinUntil(const Ready& ready) const {
    if (!spins_) return;
    const Clock::time_point end = Clock::now() + kSpin;
    while (!ready() && Clock::now() < end) {
      for (int i = 0; i < 16 && !ready(); ++i) pauseProcessor();
    }
  }

  const bool spins_ = availableThreads() > 1;
  std::mutex mutex_;
  std::condition_variable workPosted_, helperLeft_;
  std::atomic<uint64_t> posted_{0};  // jobs so far; written under the mutex
  Job* jobs_ = nullptr;
  int workers_ = 0;
};

std::atomic<Pool*> currentPool{nullptr};

/// Never destroyed: at exit its workers may still be asleep in it. A forked child has no workers and its copy of the
/// mutex may be locked, so it starts afresh.
Pool& pool() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { currentPool = nullptr; });
  static_cast<void>(registered);
  Pool* existing = currentPool;
  if (existing != nullptr) return *existing;
  Pool* fresh = new Pool;
  if (currentPool.compare_exchange_strong(existing, fresh)) return *fresh;
  delete fresh;
  return *existing;
}

}  // namespace

int availableThreads() {
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) threads = std::max(1, CPU_COUNT(&allowed));
#endif
  const int quota = cpuQuota("/proc/self/cgroup", "/sys/fs/cgroup");
  return quota == 0 ? threads : std::min(threads, quota);
}

void parallelFor(int threads, int64_t count, const std::function<void(int64_t index)>& body) {
  const auto helpers = static_cast<int>(std::min<int64_t>(threads, count) - 1);
  if (helpers <= 0 || insideBody) {
    const InsideBody mark;
    for (int64_t index = 0; index < count; ++index) body(index);
    return;
  }
  Job job(count, body, helpers);
  pool().run(job);
  if (job.failed) std::rethrow_exception(job.failure);
}

}  // namespace espalier
