#include "backend/cuda/emulation/fibres.h"

#include <sys/mman.h>

#include <cstdint>
#include <utility>

#include "core/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__)
// swapcontext() has the kernel swap signal masks, which makes every switch some ten times slower.
extern "C" void espalierSwitchStack(void** from, void* to);
asm(R"(
.text
.globl espalierSwitchStack
.hidden espalierSwitchStack
.type espalierSwitchStack, @function
espalierSwitchStack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size espalierSwitchStack, . - espalierSwitchStack
)");
#endif

namespace espalier::cuda::emulation {
namespace {

// Room for a sanitizer's frames and reports; only what is touched takes memory.
constexpr size_t kStackBytes = 256 * 1024;
constexpr size_t kGuardBytes = 4096;

/// Whose enter() is about to begin.
thread_local Fibre* entering = nullptr;

#if defined(__x86_64__)
void prepare(void*& context, char* bottom, void (*entry)()) {
  auto* top = reinterpret_cast<uintptr_t*>(bottom + kStackBytes);
  // As espalierSwitchStack() leaves a stack: six registers, where to return to; and then no caller.
  for (int word = 1; word <= 8; ++word) top[-word] = 0;
  top[-2] = reinterpret_cast<uintptr_t>(entry);
  context = top - 8;
}

void change(void*& from, void*& to) { espalierSwitchStack(&from, to); }
#else
void prepare(ucontext_t& context, char* bottom, void (*entry)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = bottom;
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, entry, 0);
}

void change(ucontext_t& from, ucontext_t& to) { swapcontext(&from, &to); }
#endif

#if defined(__SANITIZE_ADDRESS__)
void leaveStack(void** fake, const void* nextBottom, size_t nextBytes) {
  __sanitizer_start_switch_fiber(fake, nextBottom, nextBytes);
}
void enterStack(void* fake, const void** lastBottom, size_t* lastBytes) {
  __sanitizer_finish_switch_fiber(fake, lastBottom, lastBytes);
}
#else
void leaveStack(void**, const void*, size_t) {}
void enterStack(void*, const void**, size_t*) {}
#endif

}  // namespace

Fibre::Fibre() {
  void* memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) throw Error(ErrorCode::outOfMemory, "no memory for the stack of an emulated thread");
  mprotect(memory, kGuardBytes, PROT_NONE);
  memory_ = static_cast<char*>(memory);
  stack_.bottom = memory_ + kGuardBytes;
  stack_.bytes = kStackBytes;
  prepare(context_, memory_ + kGuardBytes, enter);
}

Fibre::~Fibre() {
  // Without a body, runBodies() ends and the sanitizer forgets the stack.
  start(nullptr);
  munmap(memory_, kGuardBytes + kStackBytes);
}

void Fibre::start(std::function<void()> body) {
  body_ = std::move(body);
  entering = this;
  resume();
}

void Fibre::resume() {
  leaveStack(&callerStack_.fake, stack_.bottom, stack_.bytes);
  change(caller_, context_);
  enterStack(callerStack_.fake, nullptr, nullptr);
}

void Fibre::suspend() {
  leaveStack(body_ ? &stack_.fake : nullptr, callerStack_.bottom, callerStack_.bytes);
  change(context_, caller_);
  enterStack(stack_.fake, &callerStack_.bottom, &callerStack_.bytes);
}

void Fibre::enter() { entering->runBodies(); }

void Fibre::runBodies() {
  enterStack(nullptr, &callerStack_.bottom, &callerStack_.bytes);
  while (body_) {
    body_();
    suspend();
  }
  suspend();
}

}  // namespace espalier::cuda::emulation
