#pragma once

// The JavaScript classes of the addon. Each holds a shared handle; jobs hold it too, so that dispose() and the garbage
// collector never pull memory from under running work.

#include <napi.h>

#include <memory>
#include <shared_mutex>

#include "binding/async.h"
#include "binding/values.h"

namespace espalier::binding {

/// One addon instance: the main thread and every worker have their own.
struct AddonData {
  Napi::FunctionReference model, gradientMoments, hiddenStates, training;
};

/// A handle that dispose() empties, or else the collector with the object around it; its bytes are reported to V8,
/// which then knows when to collect.
template <typename T>
class Handle {
 public:
  explicit Handle(Napi::Env env) : env_(env) {}
  ~Handle() { dispose(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  void set(std::shared_ptr<T> value, size_t bytes) {
    value_ = std::move(value);
    report(bytes);
  }
  /// Throws when disposed.
  const std::shared_ptr<T>& get() const {
    if (!value_) throw Error(ErrorCode::invalidArgument, "this object was disposed");
    return value_;
  }
  void dispose() {
    value_.reset();
    report(0);
  }
  size_t bytes() const { return reported_; }

 private:
  void report(size_t bytes) {
    Napi::MemoryManagement::AdjustExternalMemory(env_, static_cast<int64_t>(bytes) - static_cast<int64_t>(reported_));
    reported_ = bytes;
  }

  Napi::Env env_;
  std::shared_ptr<T> value_;
  size_t reported_ = 0;
};

/// A Model and the lock that keeps scaleUnits() and replace() away from running jobs.
struct SharedModel {
  explicit SharedModel(std::unique_ptr<Model> model) : model(std::move(model)) {}
  std::shared_ptr<Model> model;
  std::shared_mutex mutex;
};

struct SharedMoments {
  std::unique_ptr<GradientMoments> moments;
  std::mutex mutex;  // they grow while gradients are computed
};

struct SharedTraining {
  std::unique_ptr<Training> training;
  std::mutex mutex;  // it changes with every call
};

struct SharedHiddenStates {
  std::shared_ptr<SharedModel> owner;
  std::shared_ptr<SharedModel> targetsOnly;  // may be null
  std::unique_ptr<HiddenStates> states;
  std::mutex mutex;  // states change while they advance
};

/// A class whose objects come as arguments: a tag tells them from those of others, whose memory they would be taken
/// for.
template <typename T>
class ArgumentObject : public Napi::ObjectWrap<T> {
 protected:
  explicit ArgumentObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {
    this->Value().TypeTag(&T::kTag);
  }
  /// Throws invalidArgument on anything else; `name` is used in the message.
  static T& unwrap(const Napi::Value& value, const char* name) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&T::kTag)) {
      throw Error(ErrorCode::invalidArgument, std::string(name) + " must be of the addon's class " + T::kClass);
    }
    return *Napi::ObjectWrap<T>::Unwrap(value.As<Napi::Object>());
  }
};

/// What all tags of the addon begin with: a random number.
constexpr uint64_t kAddonTag = 0x8d2f4c61b7a3e95c;

class CancelTokenObject : public ArgumentObject<CancelTokenObject> {
 public:
  static constexpr const char* kClass = "CancelToken";
  static constexpr napi_type_tag kTag = {kAddonTag, 1};
  static Napi::Function define(Napi::Env env);
  explicit CancelTokenObject(const Napi::CallbackInfo& info) : ArgumentObject(info) {}
  static std::shared_ptr<CancelToken> token(const Napi::Value& value);

 private:
  void cancel(const Napi::CallbackInfo&) { token_->cancel(); }
  std::shared_ptr<CancelToken> token_ = std::make_shared<CancelToken>();
};

class EngineObject : public ArgumentObject<EngineObject> {
 public:
  static constexpr const char* kClass = "Engine";
  static constexpr napi_type_tag kTag = {kAddonTag, 2};
  static Napi::Function define(Napi::Env env);
  explicit EngineObject(const Napi::CallbackInfo& info);
  static std::shared_ptr<Backend> backend(const Napi::Value& value);

 private:
  Napi::Value createModel(const Napi::CallbackInfo& info);
  Napi::Value detail(const Napi::CallbackInfo& info);
  Napi::Value peakBytes(const Napi::CallbackInfo& info);
  Napi::Value threads(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo&) { backend_.dispose(); }

  Handle<Backend> backend_{Env()};
};

class ModelObject : public ArgumentObject<ModelObject> {
 public:
  static constexpr const char* kClass = "Model";
  static constexpr napi_type_tag kTag = {kAddonTag, 3};
  static Napi::Function define(Napi::Env env);
  explicit ModelObject(const Napi::CallbackInfo& info);
  static Napi::Value wrap(Napi::Env env, std::unique_ptr<Model> model);
  /// Null when `value` is null or undefined; `name` is used in the message.
  static std::shared_ptr<SharedModel> model(const Napi::Value& value, const char* name);

 private:
  Napi::Value spec(const Napi::CallbackInfo& info);
  Napi::Value bytes(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value traceTokens(const Napi::CallbackInfo& info);
  Napi::Value startTraining(const Napi::CallbackInfo& info);
  Napi::Value maskGradients(const Napi::CallbackInfo& info);
  Napi::Value select(const Napi::CallbackInfo& info);
  Napi::Value gradientMoments(const Napi::CallbackInfo& info);
  Napi::Value scaleUnits(const Napi::CallbackInfo& info);
  Napi::Value replace(const Napi::CallbackInfo& info);
  Napi::Value weight(const Napi::CallbackInfo& info);
  Napi::Value embed(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo&) { model_.dispose(); }

  Handle<SharedModel> model_{Env()};
};

class GradientMomentsObject : public ArgumentObject<GradientMomentsObject> {
 public:
  static constexpr const char* kClass = "GradientMoments";
  static constexpr napi_type_tag kTag = {kAddonTag, 4};
  static Napi::Function define(Napi::Env env);
  explicit GradientMomentsObject(const Napi::CallbackInfo& info);
  static Napi::Value wrap(Napi::Env env, std::shared_ptr<SharedMoments> moments);
  /// Null when `value` is null or undefined.
  static std::shared_ptr<SharedMoments> moments(const Napi::Value& value);

 private:
  Napi::Value read(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo&) { moments_.dispose(); }

  Handle<SharedMoments> moments_{Env()};
};

class TrainingObject : public Napi::ObjectWrap<TrainingObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit TrainingObject(const Napi::CallbackInfo& info);
  static Napi::Value wrap(Napi::Env env, std::shared_ptr<SharedTraining> training);

 private:
  Napi::Value accumulate(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value snapshot(const Napi::CallbackInfo& info);
  Napi::Value state(const Napi::CallbackInfo& info);
  Napi::Value restore(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo&) { training_.dispose(); }

  Handle<SharedTraining> training_{Env()};
};

class HiddenStatesObject : public ArgumentObject<HiddenStatesObject> {
 public:
  static constexpr const char* kClass = "HiddenStates";
  static constexpr napi_type_tag kTag = {kAddonTag, 5};
  static Napi::Function define(Napi::Env env);
  explicit HiddenStatesObject(const Napi::CallbackInfo& info);
  static Napi::Value wrap(Napi::Env env, std::shared_ptr<SharedHiddenStates> states);

 private:
  Napi::Value bytes(const Napi::CallbackInfo& info);
  Napi::Value advance(const Napi::CallbackInfo& info);
  Napi::Value collectInputs(const Napi::CallbackInfo& info);
  Napi::Value collectDrift(const Napi::CallbackInfo& info);
  Napi::Value collect(const Napi::CallbackInfo& info);
  static std::shared_ptr<SharedHiddenStates> states(const Napi::Value& value);
  void dispose(const Napi::CallbackInfo&) { states_.dispose(); }

  Handle<SharedHiddenStates> states_{Env()};
};

/// Adds the functions of the Solver.
void defineSolver(Napi::Env env, Napi::Object exports);

}  // namespace espalier::binding
