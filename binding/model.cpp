#include "binding/objects.h"
#include "core/convert.h"
#include "model/token_record.h"

namespace espalier::binding {
namespace {

using ReadLock = std::shared_lock<std::shared_mutex>;

Napi::Value toJs(Napi::Env env, std::vector<float>& values) { return toTypedArray(env, std::move(values)); }

Napi::Value toJs(Napi::Env env, MaskGradients& gradients) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("losses", toTypedArray(env, std::move(gradients.losses)));
  object.Set("heads", toTypedArray(env, std::move(gradients.heads)));
  object.Set("neurons", toTypedArray(env, std::move(gradients.neurons)));
  return object;
}

/// A forward with what became of the tokens.
struct TracedTokens {
  std::vector<float> logits;
  TokenRecord record;
};

Napi::Value toJs(Napi::Env env, TracedTokens& traced) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("logits", toTypedArray(env, std::move(traced.logits)));
  object.Set("depths", toTypedArray(env, std::move(traced.record.depths)));
  object.Set("importance", toTypedArray(env, std::move(traced.record.importance)));
  return object;
}

Napi::Value toJs(Napi::Env env, std::shared_ptr<SharedTraining>& training) {
  return TrainingObject::wrap(env, training);
}

Napi::Value toJs(Napi::Env env, std::unique_ptr<Model>& model) { return ModelObject::wrap(env, std::move(model)); }

Napi::Value toJs(Napi::Env env, std::shared_ptr<SharedMoments>& moments) {
  return GradientMomentsObject::wrap(env, moments);
}

Napi::Value toJs(Napi::Env env, std::shared_ptr<SharedHiddenStates>& states) {
  return HiddenStatesObject::wrap(env, states);
}

/// A tensor in the dtype it is to be stored in.
struct ConvertedTensor {
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0;
  std::vector<uint8_t> bytes;
};

Napi::Value toJs(Napi::Env env, ConvertedTensor& tensor) {
  Napi::Object object = Napi::Object::New(env);
  Napi::Array shape = Napi::Array::New(env, 2);
  shape.Set(0u, static_cast<double>(tensor.rows));
  shape.Set(1u, static_cast<double>(tensor.cols));
  object.Set("dtype", dtypeName(tensor.dtype));
  object.Set("shape", shape);
  object.Set("data", Napi::Buffer<uint8_t>::Copy(env, tensor.bytes.data(), tensor.bytes.size()));
  return object;
}

/// Starts a job that may run beside others on the same model.
template <typename Result, typename Work>
Napi::Value startReading(Napi::Env env, const std::shared_ptr<SharedModel>& shared, Work work) {
  return AsyncJob<Result>::start(
      env,
      [shared, work = std::move(work)]() -> Result {
        const ReadLock lock(shared->mutex);
        return work(shared->model);
      },
      [](Napi::Env e, Result& result) { return toJs(e, result); });
}

/// Starts a job that changes the model: it waits for those that read it, and they for it.
template <typename Change>
Napi::Value startChanging(Napi::Env env, const std::shared_ptr<SharedModel>& shared, Change change) {
  return AsyncJob<Nothing>::start(
      env,
      [shared, change = std::move(change)] {
        const std::unique_lock<std::shared_mutex> lock(shared->mutex);
        change(*shared->model);
        return Nothing{};
      },
      toUndefined);
}

}  // namespace

Napi::Function ModelObject::define(Napi::Env env) {
  return DefineClass(
      env, kClass,
      {InstanceAccessor("spec", &ModelObject::spec, nullptr), InstanceAccessor("bytes", &ModelObject::bytes, nullptr),
       InstanceMethod("forward", &ModelObject::forward), InstanceMethod("traceTokens", &ModelObject::traceTokens),
       InstanceMethod("maskGradients", &ModelObject::maskGradients),
       InstanceMethod("startTraining", &ModelObject::startTraining),
       InstanceMethod("gradientMoments", &ModelObject::gradientMoments), InstanceMethod("select", &ModelObject::select),
       InstanceMethod("scaleUnits", &ModelObject::scaleUnits), InstanceMethod("replace", &ModelObject::replace),
       InstanceMethod("weight", &ModelObject::weight), InstanceMethod("embed", &ModelObject::embed),
       InstanceMethod("dispose", &ModelObject::dispose)});
}

ModelObject::ModelObject(const Napi::CallbackInfo& info) : ArgumentObject(info) {
  guarded(info.Env(), [&] {
    require(info[0].IsExternal(), "models are made by Engine.createModel()");
    auto* model = info[0].As<Napi::External<std::unique_ptr<Model>>>().Data();
    const size_t bytes = (*model)->bytes();
    model_.set(std::make_shared<SharedModel>(std::move(*model)), bytes);
  });
}

Napi::Value ModelObject::wrap(Napi::Env env, std::unique_ptr<Model> model) {
  return env.GetInstanceData<AddonData>()->model.New({Napi::External<std::unique_ptr<Model>>::New(env, &model)});
}

Napi::Value ModelObject::spec(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return fromSpec(info.Env(), model_.get()->model->spec()); });
}

Napi::Value ModelObject::bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(model_.bytes()));
}

std::shared_ptr<SharedModel> ModelObject::model(const Napi::Value& value, const char* name) {
  if (isAbsent(value)) return nullptr;
  return unwrap(value, name).model_.get();
}

Napi::Value ModelObject::forward(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto batch = std::make_shared<PackedBatch>(toBatch(info[0]));
    const auto mask = toMask(info[1]);
    const bool ownPruning = info[2].IsUndefined();
    const TokenPruning pruning = toTokenPruning(info[2]);
    const auto cancel = CancelTokenObject::token(info[3]);
    return startReading<std::vector<float>>(info.Env(), model_.get(), [=](const std::shared_ptr<Model>& model) {
      return model->forward(*batch, {mask.get(), ownPruning ? nullptr : &pruning}, *cancel);
    });
  });
}

Napi::Value ModelObject::traceTokens(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto batch = std::make_shared<PackedBatch>(toBatch(info[0]));
    const bool ownPruning = info[1].IsUndefined();
    const TokenPruning pruning = toTokenPruning(info[1]);
    const auto cancel = CancelTokenObject::token(info[2]);
    return startReading<TracedTokens>(info.Env(), model_.get(), [=](const std::shared_ptr<Model>& model) {
      TracedTokens traced;
      traced.logits = model->forward(*batch, {nullptr, ownPruning ? nullptr : &pruning, &traced.record}, *cancel);
      return traced;
    });
  });
}

Napi::Value ModelObject::startTraining(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return startReading<std::shared_ptr<SharedTraining>>(info.Env(), model_.get(),
                                                         [](const std::shared_ptr<Model>& model) {
                                                           auto shared = std::make_shared<SharedTraining>();
                                                           shared->training = std::make_unique<Training>(*model);
                                                           return shared;
                                                         });
  });
}

Napi::Value ModelObject::maskGradients(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto batch = std::make_shared<PackedBatch>(toBatch(info[0]));
    const auto labels = std::make_shared<Labels>(toLabels(info[1], info[2]));
    const std::vector<int32_t> groups = toInt32s(info[3], "groups");
    const auto mask = toMask(info[4]);
    const std::shared_ptr<SharedMoments> moments = GradientMomentsObject::moments(info[5]);
    const auto cancel = CancelTokenObject::token(info[6]);
    return startReading<MaskGradients>(info.Env(), model_.get(), [=](const std::shared_ptr<Model>& model) {
      if (!moments) return model->maskGradients(*batch, *labels, groups, mask.get(), nullptr, *cancel);
      const std::lock_guard<std::mutex> lock(moments->mutex);
      return model->maskGradients(*batch, *labels, groups, mask.get(), moments->moments.get(), *cancel);
    });
  });
}

Napi::Value ModelObject::select(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const KeptUnits kept = toKeptUnits(info[0]);
    const Mode mode = toMode(info[1]);
    return startReading<std::unique_ptr<Model>>(
        info.Env(), model_.get(), [=](const std::shared_ptr<Model>& model) { return model->select(kept, mode); });
  });
}

Napi::Value ModelObject::gradientMoments(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return startReading<std::shared_ptr<SharedMoments>>(info.Env(), model_.get(),
                                                        [](const std::shared_ptr<Model>& model) {
                                                          auto shared = std::make_shared<SharedMoments>();
                                                          shared->moments = std::make_unique<GradientMoments>(model);
                                                          return shared;
                                                        });
  });
}

Napi::Value ModelObject::scaleUnits(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const int32_t layer = toInt32(info[0], "layer");
    const Sublayer sublayer = toSublayer(info[1]);
    const std::vector<double> scales = toDoubles(info[2], "scales");
    return startChanging(info.Env(), model_.get(),
                         [=](Model& model) { model.scaleUnits(static_cast<size_t>(layer), sublayer, scales); });
  });
}

Napi::Value ModelObject::replace(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Napi::Object object = toObject(info[0], "weights");
    std::map<std::string, std::vector<float>> weights;
    const Napi::Array roles = object.GetPropertyNames();
    for (uint32_t i = 0; i < roles.Length(); ++i) {
      const std::string role = roles.Get(i).ToString().Utf8Value();
      weights[role] = toFloats(object.Get(role), role.c_str());
    }
    return startChanging(info.Env(), model_.get(),
                         [weights = std::move(weights)](Model& model) { model.replace(weights); });
  });
}

Napi::Value ModelObject::weight(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    require(info[0].IsString(), "role must be a string");
    const std::string role = info[0].As<Napi::String>().Utf8Value();
    const DType dtype = toDType(info[1]);
    return startReading<ConvertedTensor>(info.Env(), model_.get(), [=](const std::shared_ptr<Model>& model) {
      const HostTensor host = model->weight(role);
      ConvertedTensor result{dtype, host.rows, host.cols, {}};
      result.bytes.resize(host.values.size() * dtypeBytes(dtype));
      fromFloat(host.values.data(), static_cast<int64_t>(host.values.size()), dtype, result.bytes.data());
      return result;
    });
  });
}

Napi::Value ModelObject::embed(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto batch = std::make_shared<PackedBatch>(toBatch(info[0]));
    const std::shared_ptr<SharedModel> targetsOnly = model(info[1], "targetsOnly");
    HiddenStatesOptions options;
    if (targetsOnly) options.targetsOnly = targetsOnly->model;
    options.everyToken = info[2].ToBoolean();
    options.pruning = toTokenPruning(info[3]);
    options.firstTokenWeight = toInt32(info[4], "firstTokenWeight");
    const auto cancel = CancelTokenObject::token(info[5]);
    const std::shared_ptr<SharedModel> owner = model_.get();
    return startReading<std::shared_ptr<SharedHiddenStates>>(
        info.Env(), owner, [=](const std::shared_ptr<Model>& model) {
          auto shared = std::make_shared<SharedHiddenStates>();
          shared->owner = owner;
          shared->targetsOnly = targetsOnly;
          shared->states = std::make_unique<HiddenStates>(model, *batch, options, *cancel);
          return shared;
        });
  });
}

}  // namespace espalier::binding
