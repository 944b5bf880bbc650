#pragma once

#include <napi.h>

#include <exception>
#include <functional>
#include <new>
#include <string>
#include <utility>

#include "core/error.h"

namespace espalier::binding {

/// A JavaScript error with `code`; src/native turns it into an EspalierError.
Napi::Error makeError(Napi::Env env, ErrorCode code, const std::string& message);

/// Runs `body`; a native failure becomes a JavaScript exception.
template <typename Body>
auto guarded(Napi::Env env, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Error& error) {
    throw makeError(env, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    throw makeError(env, ErrorCode::outOfMemory, "out of memory");
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw makeError(env, ErrorCode::internal, error.what());
  }
}

/// Computes a Result off the event loop and settles a promise with what `convert` makes of it.
template <typename Result>
class AsyncJob final : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result()>;
  using Convert = std::function<Napi::Value(Napi::Env, Result&)>;

  static Napi::Promise start(Napi::Env env, Work work, Convert convert) {
    auto* job = new AsyncJob(env, std::move(work), std::move(convert));
    const Napi::Promise promise = job->deferred_.Promise();
    job->Queue();
    return promise;
  }

 private:
  AsyncJob(Napi::Env env, Work work, Convert convert)
      : Napi::AsyncWorker(env, "espalier"),
        deferred_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        convert_(std::move(convert)) {}

  void Execute() override {
    try {
      result_ = work_();
    } catch (const Error& error) {
      fail(error.code(), error.what());
    } catch (const std::bad_alloc&) {
      fail(ErrorCode::outOfMemory, "out of memory");
    } catch (const std::exception& error) {
      fail(ErrorCode::internal, error.what());
    }
  }

  void OnOK() override {
    settle([&] {
      try {
        deferred_.Resolve(guarded(Env(), [&] { return convert_(Env(), result_); }));
      } catch (const Napi::Error& error) {
        deferred_.Reject(error.Value());
      }
    });
  }

  void OnError(const Napi::Error&) override {
    settle([&] { deferred_.Reject(makeError(Env(), code_, message_).Value()); });
  }

  /// In a worker that is being ended no JavaScript value can be made any more, and nobody waits for one.
  template <typename Body>
  static void settle(const Body& body) {
    try {
      body();
    } catch (const Napi::Error&) {
    }
  }

  void fail(ErrorCode code, const char* message) {
    code_ = code;
    message_ = message;
    SetError(message_);
  }

  Napi::Promise::Deferred deferred_;
  Work work_;
  Convert convert_;
  Result result_{};
  ErrorCode code_ = ErrorCode::internal;
  std::string message_;
};

/// For work without a result.
struct Nothing {};
inline Napi::Value toUndefined(Napi::Env env, Nothing&) { return env.Undefined(); }

}  // namespace espalier::binding
