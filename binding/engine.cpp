#include <map>

#include "binding/objects.h"
#include "core/convert.h"

namespace espalier::binding {
namespace {

BackendOptions toOptions(const std::string& device, int32_t threads) {
  require(threads >= 1, "threads must be at least 1");
  BackendOptions options;
  options.threads = threads;
  // The reference backend is there to be right, so it computes in double.
  options.dtype = device == "reference" ? DType::f64 : DType::f32;
  return options;
}

using StoredWeights = std::map<std::string, StoredTensor>;

StoredWeights toStoredWeights(const Napi::Value& value) {
  require(value.IsObject(), "weights must be an object");
  const auto object = value.As<Napi::Object>();
  const Napi::Array roles = object.GetPropertyNames();
  StoredWeights stored;
  for (uint32_t i = 0; i < roles.Length(); ++i) {
    const Napi::Value role = roles.Get(i);
    stored[role.As<Napi::String>().Utf8Value()] = toStoredTensor(object.Get(role));
  }
  return stored;
}

std::vector<float> toValues(const StoredWeights& stored, const std::string& role) {
  const auto found = stored.find(role);
  if (found == stored.end()) throw Error(ErrorCode::invalidArgument, "the weight " + role + " is missing");
  const StoredTensor& tensor = found->second;
  std::vector<float> values(tensor.bytes / dtypeBytes(tensor.dtype));
  toFloat(tensor.dtype, tensor.data, static_cast<int64_t>(values.size()), values.data());
  return values;
}

}  // namespace

Napi::Function EngineObject::define(Napi::Env env) {
  return DefineClass(
      env, "Engine",
      {InstanceMethod("createModel", &EngineObject::createModel), InstanceMethod("dispose", &EngineObject::dispose),
       InstanceAccessor("device", &EngineObject::device, nullptr),
       InstanceAccessor("detail", &EngineObject::detail, nullptr),
       InstanceAccessor("threads", &EngineObject::threads, nullptr)});
}

EngineObject::EngineObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  guarded(info.Env(), [&] {
    require(info[0].IsString(), "device must be a string");
    const std::string device = info[0].As<Napi::String>().Utf8Value();
    backend_.set(info.Env(), Backend::open(device, toOptions(device, toInt32(info[1], "threads"))), 0);
  });
}

Napi::Value EngineObject::createModel(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const ModelSpec spec = toSpec(info[0]);
    auto stored = std::make_shared<StoredWeights>(toStoredWeights(info[1]));
    const Mode mode = toMode(info[2]);
    const std::shared_ptr<Backend> backend = backend_.get();
    return AsyncJob<std::unique_ptr<Model>>::start(
        info.Env(),
        [=] {
          Weights weights =
              loadWeights(*backend, spec, [&](const std::string& role) { return toValues(*stored, role); });
          return std::make_unique<Model>(backend, spec, std::move(weights), mode);
        },
        [](Napi::Env env, std::unique_ptr<Model>& model) { return ModelObject::wrap(env, std::move(model)); });
  });
}

Napi::Value EngineObject::device(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::String::New(info.Env(), backend_.get()->name()); });
}

Napi::Value EngineObject::detail(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::String::New(info.Env(), backend_.get()->describe()); });
}

Napi::Value EngineObject::threads(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::Number::New(info.Env(), backend_.get()->threads()); });
}

}  // namespace espalier::binding
