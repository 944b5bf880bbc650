#pragma once

#include <ucontext.h>

#include <cstddef>
#include <functional>

namespace espalier::cuda::emulation {

/// A stack on which functions run that can stop in their midst. To be used by one thread only.
class Fibre {
 public:
  Fibre();
  ~Fibre();
  Fibre(const Fibre&) = delete;
  Fibre& operator=(const Fibre&) = delete;

  /// Calls `body`, which must not throw; comes back when it suspends or returns.
  void start(std::function<void()> body);
  /// Goes on with a suspended body; comes back likewise.
  void resume();
  /// From inside the body: goes back to who called start() or resume().
  void suspend();

 private:
#if defined(__x86_64__)
  using Context = void*;
#else
  using Context = ucontext_t;
#endif

  /// What AddressSanitizer wants to know of a stack.
  struct Stack {
    const void* bottom = nullptr;
    size_t bytes = 0;
    void* fake = nullptr;
  };

  static void enter();
  void runBodies();

  char* memory_;
  Context context_, caller_;
  Stack stack_, callerStack_;
  std::function<void()> body_;
};

}  // namespace espalier::cuda::emulation
