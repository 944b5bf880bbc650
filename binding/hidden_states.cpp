#include "binding/objects.h"

namespace espalier::binding {

Napi::Function HiddenStatesObject::define(Napi::Env env) {
  return DefineClass(env, "HiddenStates",
                     {InstanceAccessor("bytes", &HiddenStatesObject::bytes, nullptr),
                      InstanceMethod("advance", &HiddenStatesObject::advance),
                      InstanceMethod("collectInputs", &HiddenStatesObject::collectInputs),
                      InstanceMethod("collect", &HiddenStatesObject::collect),
                      InstanceMethod("dispose", &HiddenStatesObject::dispose)});
}

HiddenStatesObject::HiddenStatesObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  guarded(info.Env(), [&] {
    require(info[0].IsExternal(), "hidden states are made by Model.embed()");
    const auto& states = *info[0].As<Napi::External<std::shared_ptr<SharedHiddenStates>>>().Data();
    states_.set(info.Env(), states, states->states->bytes());
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

Napi::Value HiddenStatesObject::collect(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    require(info[0].IsObject(), "teacher must be hidden states");
    const std::shared_ptr<SharedHiddenStates> teacher = Unwrap(info[0].As<Napi::Object>())->states_.get();
    const int32_t layer = toInt32(info[1], "layer");
    const Sublayer sublayer = toSublayer(info[2]);
    const auto cancel = CancelTokenObject::token(info[3]);
    const std::shared_ptr<SharedHiddenStates> student = states_.get();
    require(student != teacher, "teacher and student must be different states");
    return AsyncJob<SublayerStatistics>::start(
        info.Env(),
        [=] {
          const std::shared_lock<std::shared_mutex> studentModel(student->owner->mutex);
          std::shared_lock<std::shared_mutex> teacherModel(teacher->owner->mutex, std::defer_lock);
          if (teacher->owner != student->owner) teacherModel.lock();
          std::shared_lock<std::shared_mutex> targetsModel;
          if (teacher->targetsOnly) targetsModel = std::shared_lock(teacher->targetsOnly->mutex);
          const std::scoped_lock lock(student->mutex, teacher->mutex);
          return student->states->collect(*teacher->states, static_cast<size_t>(layer), sublayer, *cancel);
        },
        fromStatistics);
  });
}

}  // namespace espalier::binding
