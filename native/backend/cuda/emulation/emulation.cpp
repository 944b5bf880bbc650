#include "backend/cuda/emulation/emulation.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cuda/emulation/fibres.h"
#include "core/error.h"

namespace espalier::cuda::emulation {
namespace {

constexpr std::align_val_t kSharedAlignment{128};

/// Ends the waiting threads of a block that failed.
struct Abandoned {};

struct Worker;

/// One warp operation, from the first lane's arrival until no lane needs its values any more.
struct Gathering {
  std::string_view operation;
  unsigned mask = 0;
  size_t bytes = 0;
  unsigned arrived = 0;
  unsigned readers = 0;
  std::vector<Worker*> waiting;
  alignas(kMaxDeposit) char values[kLanes * kMaxDeposit];
};

/// A fibre and the emulated thread that it runs at present.
struct Worker {
  Fibre fibre;
  unsigned thread = 0;
  uint3 index{};
  std::string_view waitsAt;
  /// Has the values that this thread got last.
  Gathering* gathering = nullptr;
};

/// Runs the threads of one block, each for as long as it need not wait for others.
class Block {
 public:
  Block(const std::function<void()>& kernel, std::deque<Worker>& workers);

  void run();
  void sync();
  const void* gather(std::string_view operation, unsigned mask, const void* mine, size_t bytes);
  unsigned lane() const { return running_->thread % kLanes; }

 private:
  void runThreads(Worker& worker);
  void beginThread(Worker& worker);
  void wait(std::string_view operation);
  void wake(std::vector<Worker*>& waiting);
  Gathering& join(std::string_view operation, unsigned mask, size_t bytes);
  void leave(Worker& worker);
  void abandonWaiting();
  std::string describeWaiting() const;

  const std::function<void()>& kernel_;
  std::deque<Worker>& workers_;
  const unsigned threads_;
  unsigned begun_ = 0;
  size_t workersUsed_ = 0;
  Worker* running_ = nullptr;
  std::deque<Worker*> ready_;
  std::vector<Worker*> atBarrier_;
  /// Of each warp, the operations that some lanes have yet to reach.
  std::vector<std::vector<Gathering*>> open_;
  std::deque<Gathering> gatherings_;
  std::vector<Gathering*> unused_;
  std::exception_ptr failure_;
};

thread_local Block* current = nullptr;

std::string text(const uint3& index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
}

Block::Block(const std::function<void()>& kernel, std::deque<Worker>& workers)
    : kernel_(kernel),
      workers_(workers),
      threads_(blockDim.x * blockDim.y * blockDim.z),
      open_((threads_ + kLanes - 1) / kLanes) {
  while (workers_.size() < threads_) workers_.emplace_back();
}

void Block::run() {
  while (!failure_ && (!ready_.empty() || begun_ < threads_)) {
    if (ready_.empty()) {
      running_ = &workers_[workersUsed_++];
      running_->fibre.start([this] { runThreads(*running_); });
    } else {
      running_ = ready_.front();
      ready_.pop_front();
      running_->fibre.resume();
    }
  }
  const std::string waiting = describeWaiting();
  if (!failure_ && !waiting.empty()) {
    const std::string where = "a CUDA kernel hangs: of the " + std::to_string(threads_) + " threads of block ";
    failure_ = std::make_exception_ptr(Error(ErrorCode::internal, where + text(blockIdx) + waiting));
  }
  if (failure_) {
    abandonWaiting();
    std::rethrow_exception(failure_);
  }
}

/// A worker whose thread ends takes the next, so that threads that never wait share one fibre.
void Block::runThreads(Worker& worker) {
  try {
    while (!failure_ && begun_ < threads_) {
      beginThread(worker);
      kernel_();
    }
  } catch (const Abandoned&) {
  } catch (...) {
    failure_ = std::current_exception();
  }
  leave(worker);
}

void Block::beginThread(Worker& worker) {
  // Every other block goes backwards: one of two orders shows a barrier that is missing.
  const bool backwards = (blockIdx.x + blockIdx.y + blockIdx.z) % 2 != 0;
  worker.thread = backwards ? threads_ - 1 - begun_ : begun_;
  ++begun_;
  const unsigned row = worker.thread / blockDim.x;
  worker.index = {worker.thread % blockDim.x, row % blockDim.y, row / blockDim.y};
  threadIdx = worker.index;
}

void Block::wait(std::string_view operation) {
  Worker& self = *running_;
  self.waitsAt = operation;
  self.fibre.suspend();
  self.waitsAt = {};
  if (failure_) throw Abandoned();
  threadIdx = self.index;
}

void Block::wake(std::vector<Worker*>& waiting) {
  ready_.insert(ready_.end(), waiting.begin(), waiting.end());
  waiting.clear();
}

void Block::sync() {
  if (atBarrier_.size() + 1 == threads_) return wake(atBarrier_);
  atBarrier_.push_back(running_);
  wait("__syncthreads");
}

const void* Block::gather(std::string_view operation, unsigned mask, const void* mine, size_t bytes) {
  const unsigned lanes = std::min(kLanes, threads_ - running_->thread / kLanes * kLanes);
  const unsigned expected = mask & (~0u >> (kLanes - lanes));
  const unsigned self = 1u << lane();
  if ((mask & self) == 0) {
    throw Error(ErrorCode::internal, "a lane calls " + std::string(operation) + " with a mask that lacks it");
  }
  leave(*running_);
  Gathering& gathering = join(operation, mask, bytes);
  std::memcpy(gathering.values + lane() * bytes, mine, bytes);
  gathering.arrived |= self;
  if (gathering.arrived == expected) {
    auto& open = open_[running_->thread / kLanes];
    open.erase(std::find(open.begin(), open.end(), &gathering));
    wake(gathering.waiting);
  } else {
    gathering.waiting.push_back(running_);
    wait(operation);
  }
  return gathering.values;
}

/// The one that other lanes have begun, or a new one.
Gathering& Block::join(std::string_view operation, unsigned mask, size_t bytes) {
  auto& open = open_[running_->thread / kLanes];
  const auto found = std::find_if(open.begin(), open.end(), [&](const Gathering* gathering) {
    return gathering->mask == mask && gathering->bytes == bytes && gathering->operation == operation;
  });
  if (found != open.end()) {
    running_->gathering = *found;
  } else {
    if (unused_.empty()) unused_.push_back(&gatherings_.emplace_back());
    running_->gathering = open.emplace_back(unused_.back());
    unused_.pop_back();
    Gathering& begun = *running_->gathering;
    begun.operation = operation;
    begun.mask = mask;
    begun.bytes = bytes;
    begun.arrived = 0;
    std::memset(begun.values, 0, kLanes * bytes);
  }
  ++running_->gathering->readers;
  return *running_->gathering;
}

void Block::leave(Worker& worker) {
  if (worker.gathering != nullptr && --worker.gathering->readers == 0) unused_.push_back(worker.gathering);
  worker.gathering = nullptr;
}

void Block::abandonWaiting() {
  for (size_t i = 0; i < workersUsed_; ++i) {
    running_ = &workers_[i];
    if (!running_->waitsAt.empty()) running_->fibre.resume();
  }
}

/// Empty if none wait.
std::string Block::describeWaiting() const {
  std::map<std::string_view, std::vector<const Worker*>> waiting;
  for (size_t i = 0; i < workersUsed_; ++i) {
    if (!workers_[i].waitsAt.empty()) waiting[workers_[i].waitsAt].push_back(&workers_[i]);
  }
  std::string result;
  for (const auto& [operation, workers] : waiting) {
    result += (result.empty() ? " " : ", ") + std::to_string(workers.size()) + " wait at " + std::string(operation) +
              ", such as " + text(workers.front()->index);
  }
  return result;
}

void refuseIf(bool refused, const char* what) {
  if (refused) throw Error(ErrorCode::internal, std::string("a CUDA kernel could not be started: ") + what);
}

void checkLaunch(dim3 grid, dim3 block, size_t sharedBytes) {
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  refuseIf(block.x == 0 || block.y == 0 || block.z == 0, "a block without threads");
  refuseIf(block.x > 1024 || block.y > 1024 || block.z > 64 || threads > 1024, "too many threads in a block");
  refuseIf(grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535, "too many blocks in a grid");
  refuseIf(sharedBytes > sharedMemoryLimit(), "too much shared memory");
}

void runBlock(size_t sharedBytes, const std::function<void()>& thread, std::deque<Worker>& workers) {
  const auto release = [](char* memory) { ::operator delete(memory, kSharedAlignment); };
  const std::unique_ptr<char, decltype(release)> memory(
      static_cast<char*>(::operator new(sharedBytes, kSharedAlignment)), release);
  std::memset(memory.get(), 0xff, sharedBytes);
  shared = memory.get();
  Block block(thread, workers);
  current = &block;
  block.run();
}

}  // namespace

unsigned lane() { return current->lane(); }

void syncBlock() { current->sync(); }

const void* gather(std::string_view operation, unsigned mask, const void* mine, size_t bytes) {
  return current->gather(operation, mask, mine, bytes);
}

void runGrid(dim3 grid, dim3 block, size_t sharedBytes, const std::function<void()>& thread) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  checkLaunch(grid, block, sharedBytes);
  thread_local std::deque<Worker> workers;
  gridDim = grid;
  blockDim = block;
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z) {
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) runBlock(sharedBytes, thread, workers);
    }
  }
}

}  // namespace espalier::cuda::emulation
