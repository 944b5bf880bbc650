#include "binding/objects.h"

namespace espalier::binding {

Napi::Function HiddenStatesObject::define(Napi::Env env) {
  return DefineClass(env, kClass,
                     {InstanceAccessor("bytes", &HiddenStatesObject::bytes, nullptr),
                      InstanceMethod("advance", &HiddenStatesObject::advance),
                      InstanceMethod("collectInputs", &HiddenStatesObject::collectInputs),
                      InstanceMethod("collectDrift", &HiddenStatesObject::collectDrift),
                      InstanceMethod("collect", &HiddenStatesObject::collect),
                      InstanceMethod("dispose", &HiddenStatesObject::dispose)});
}

HiddenStatesObject::HiddenStatesObject(const Napi::CallbackInfo& info) : ArgumentObject(info) {
  guarded(info.Env(), [&] {
    require(info[0].IsExternal(), "hidden states are made by Model.embed()");
    const auto& states = *info[0].As<Napi::External<std::shared_ptr<SharedHiddenStates>>>().Data();
    states_.set(states, states->states->bytes());
  });
}

Napi::Value HiddenStatesObject::wrap(Napi::Env env, std::shared_ptr<SharedHiddenStates> states) {
  return env.GetInstanceData<AddonData>()->hiddenStates.New(
      {Napi::External<std::shared_ptr<SharedHiddenStates>>::New(env, &states)});
}

Napi::Value HiddenStatesObject::bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(states_.bytes()));
}

Napi::Value HiddenStatesObject::advance(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const int32_t layer = toInt32(info[0], "layer");
    const Sublayer sublayer = toSublayer(info[1]);
    const auto cancel = CancelTokenObject::token(info[2]);
    const std::shared_ptr<SharedHiddenStates> shared = states_.get();
    return AsyncJob<Nothing>::start(
        info.Env(),
        [=] {
          const std::shared_lock<std::shared_mutex> modelLock(shared->owner->mutex);
          const std::lock_guard<std::mutex> lock(shared->mutex);
          shared->states->advance(static_cast<size_t>(layer), sublayer, *cancel);
          return Nothing{};
        },
        toUndefined);
  });
}

Napi::Value HiddenStatesObject::collectInputs(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const int32_t layer = toInt32(info[0], "layer");
    const Sublayer sublayer = toSublayer(info[1]);
    const auto cancel = CancelTokenObject::token(info[2]);
    const std::shared_ptr<SharedHiddenStates> shared = states_.get();
    return AsyncJob<SublayerStatistics>::start(
        info.Env(),
        [=] {
          const std::shared_lock<std::shared_mutex> modelLock(shared->owner->mutex);
          const std::lock_guard<std::mutex> lock(shared->mutex);
          return shared->states->collectInputs(static_cast<size_t>(layer), sublayer, *cancel);
        },
        fromStatistics);
  });
}

namespace {

/// Starts work on a student's and a teacher's states, both models being read meanwhile.
template <typename Work>
Napi::Value startComparing(Napi::Env env, const std::shared_ptr<SharedHiddenStates>& student,
                           const std::shared_ptr<SharedHiddenStates>& teacher, Work work) {
  require(student != teacher, "teacher and student must be different states");
  return AsyncJob<SublayerStatistics>::start(
      env,
      [=] {
        const std::shared_lock<std::shared_mutex> studentModel(student->owner->mutex);
        std::shared_lock<std::shared_mutex> teacherModel(teacher->owner->mutex, std::defer_lock);
        if (teacher->owner != student->owner) teacherModel.lock();
        std::shared_lock<std::shared_mutex> targetsModel;
        const auto& targets = teacher->targetsOnly;  // a thread must not lock a mutex twice
        if (targets && targets != student->owner && targets != teacher->owner) {
          targetsModel = std::shared_lock(targets->mutex);
        }
        const std::scoped_lock lock(student->mutex, teacher->mutex);
        return work(*student->states, *teacher->states);
      },
      fromStatistics);
}

}  // namespace

std::shared_ptr<SharedHiddenStates> HiddenStatesObject::states(const Napi::Value& value) {
  return unwrap(value, "teacher").states_.get();
}

Napi::Value HiddenStatesObject::collectDrift(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto cancel = CancelTokenObject::token(info[1]);
    return startComparing(
        info.Env(), states_.get(), states(info[0]),
        [=](const HiddenStates& student, HiddenStates& teacher) { return student.collectDrift(teacher, *cancel); });
  });
}

Napi::Value HiddenStatesObject::collect(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const int32_t layer = toInt32(info[1], "layer");
    const Sublayer sublayer = toSublayer(info[2]);
    const auto cancel = CancelTokenObject::token(info[3]);
    return startComparing(info.Env(), states_.get(), states(info[0]),
                          [=](const HiddenStates& student, HiddenStates& teacher) {
                            return student.collect(teacher, static_cast<size_t>(layer), sublayer, *cancel);
                          });
  });
}

}  // namespace espalier::binding
