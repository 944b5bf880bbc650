#include "binding/objects.h"

namespace espalier::binding {

Napi::Function GradientMomentsObject::define(Napi::Env env) {
  return DefineClass(env, kClass,
                     {InstanceMethod("read", &GradientMomentsObject::read),
                      InstanceMethod("dispose", &GradientMomentsObject::dispose)});
}

GradientMomentsObject::GradientMomentsObject(const Napi::CallbackInfo& info) : ArgumentObject(info) {
  guarded(info.Env(), [&] {
    require(info[0].IsExternal(), "gradient moments are made by Model.gradientMoments()");
    const auto& moments = *info[0].As<Napi::External<std::shared_ptr<SharedMoments>>>().Data();
    moments_.set(moments, moments->moments->bytes());
  });
}

Napi::Value GradientMomentsObject::wrap(Napi::Env env, std::shared_ptr<SharedMoments> moments) {
  return env.GetInstanceData<AddonData>()->gradientMoments.New(
      {Napi::External<std::shared_ptr<SharedMoments>>::New(env, &moments)});
}

std::shared_ptr<SharedMoments> GradientMomentsObject::moments(const Napi::Value& value) {
  if (isAbsent(value)) return nullptr;
  return unwrap(value, "moments").moments_.get();
}

Napi::Value GradientMomentsObject::read(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const int32_t layer = toInt32(info[0], "layer");
    const Sublayer sublayer = toSublayer(info[1]);
    const std::shared_ptr<SharedMoments> shared = moments_.get();
    return AsyncJob<std::vector<double>>::start(
        info.Env(),
        [=] {
          const std::lock_guard<std::mutex> lock(shared->mutex);
          return shared->moments->read(static_cast<size_t>(layer), sublayer);
        },
        [](Napi::Env env, std::vector<double>& values) { return toTypedArray(env, std::move(values)); });
  });
}

}  // namespace espalier::binding
