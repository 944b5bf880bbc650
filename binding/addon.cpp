#include <napi.h>

#include "binding/objects.h"
#include "core/thread_pool.h"

namespace espalier::binding {

Napi::Error makeError(Napi::Env env, ErrorCode code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, errorCodeName(code)));
  return error;
}

namespace {

/// What can run here: opening a backend is the test.
Napi::Value devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array reports = Napi::Array::New(env);
  for (const char* name : {"cpu", "reference"}) {
    Napi::Object report = Napi::Object::New(env);
    report.Set("name", name);
    try {
      BackendOptions options;
      const auto backend = Backend::open(name, options);
      report.Set("available", true);
      report.Set("detail", backend->describe());
    } catch (const Error& error) {
      report.Set("available", false);
      report.Set("detail", error.what());
    }
    reports.Set(reports.Length(), report);
  }
  return reports;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* data =
      new AddonData{Napi::Persistent(ModelObject::define(env)), Napi::Persistent(GradientMomentsObject::define(env)),
                    Napi::Persistent(HiddenStatesObject::define(env))};
  env.SetInstanceData(data);
  exports.Set("Engine", EngineObject::define(env));
  exports.Set("CancelToken", CancelTokenObject::define(env));
  exports.Set("availableThreads", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                return Napi::Number::New(info.Env(), availableThreads());
              }));
  exports.Set("devices", Napi::Function::New(env, devices));
  defineSolver(env, exports);
  return exports;
}

NODE_API_MODULE(espalier, initialize)

}  // namespace
}  // namespace espalier::binding
