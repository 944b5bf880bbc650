#include <map>
#include <tuple>
#include <utility>

#include "binding/objects.h"
#include "core/convert.h"

namespace espalier::binding {
namespace {

/// Arithmetic by the name that users know it by.
const std::map<std::string, std::pair<DType, Products>> kPrecisions = {
    {"fp32", {DType::f32, Products::full}},          {"tf32", {DType::f32, Products::tf32}},
    {"bf16-products", {DType::f32, Products::bf16}}, {"bf16", {DType::bf16, Products::full}},
    {"fp16", {DType::f16, Products::full}},
};

BackendOptions toOptions(const std::string& device, int32_t index, int32_t threads, const std::string& precision) {
  require(threads >= 1, "threads must be at least 1");
  const auto arithmetic = kPrecisions.find(precision);
  require(arithmetic != kPrecisions.end(), "there is no such precision");
  BackendOptions options;
  options.threads = threads;
  options.device = index;
  std::tie(options.dtype, options.products) = arithmetic->second;
  // The reference backend is there to be right, so it computes in double.
  if (device == "reference" && precision == "fp32") options.dtype = DType::f64;
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
  std::vector<float> values(tensor.bytes.size() / dtypeBytes(tensor.dtype));
  toFloat(tensor.dtype, tensor.bytes.data(), static_cast<int64_t>(values.size()), values.data());
  return values;
}

}  // namespace

Napi::Function EngineObject::define(Napi::Env env) {
  return DefineClass(
      env, kClass,
      {InstanceMethod("createModel", &EngineObject::createModel), InstanceMethod("dispose", &EngineObject::dispose),
       InstanceAccessor("detail", &EngineObject::detail, nullptr),
       InstanceAccessor("peakBytes", &EngineObject::peakBytes, nullptr),
       InstanceAccessor("threads", &EngineObject::threads, nullptr)});
}

EngineObject::EngineObject(const Napi::CallbackInfo& info) : ArgumentObject(info) {
  guarded(info.Env(), [&] {
    require(info[0].IsString(), "device must be a string");
    require(info[3].IsString(), "precision must be a string");
    const std::string device = info[0].As<Napi::String>().Utf8Value();
    const std::string precision = info[3].As<Napi::String>().Utf8Value();
    const BackendOptions options = toOptions(device, toInt32(info[1], "index"), toInt32(info[2], "threads"), precision);
    backend_.set(Backend::open(device, options), 0);
  });
}

std::shared_ptr<Backend> EngineObject::backend(const Napi::Value& value) {
  return unwrap(value, "engine").backend_.get();
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

Napi::Value EngineObject::detail(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::String::New(info.Env(), backend_.get()->describe()); });
}

Napi::Value EngineObject::peakBytes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(),
                 [&] { return Napi::Number::New(info.Env(), static_cast<double>(backend_.get()->peakBytes())); });
}

Napi::Value EngineObject::threads(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::Number::New(info.Env(), backend_.get()->threads()); });
}

}  // namespace espalier::binding
