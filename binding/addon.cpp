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
  const auto report = [&](const std::string& name, bool available, const std::string& detail) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", name);
    entry.Set("available", available);
    entry.Set("detail", detail);
    reports.Set(reports.Length(), entry);
  };
  for (const char* name : {"cpu", "reference", "cuda"}) {
    BackendOptions options;
    // Whatever failure ends the search, at least one device is reported.
    for (bool first = true, found = true; found; first = false, ++options.device) {
      const std::string index = first ? "" : ":" + std::to_string(options.device);
      try {
        report(name + index, true, Backend::open(name, options)->describe());
        found = name == std::string("cuda");
      } catch (const Error& error) {
        found = false;
        if (first) report(name, false, error.what());
      }
    }
  }
  return reports;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* data =
      new AddonData{Napi::Persistent(ModelObject::define(env)), Napi::Persistent(GradientMomentsObject::define(env)),
                    Napi::Persistent(HiddenStatesObject::define(env)), Napi::Persistent(TrainingObject::define(env))};
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
