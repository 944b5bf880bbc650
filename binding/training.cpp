#include "binding/objects.h"

namespace espalier::binding {
namespace {

/// Starts a job that has the training for itself.
template <typename Result, typename Work, typename Convert>
Napi::Value start(Napi::Env env, const std::shared_ptr<SharedTraining>& shared, Work work, Convert convert) {
  return AsyncJob<Result>::start(
      env,
      [shared, work = std::move(work)]() -> Result {
        const std::lock_guard<std::mutex> lock(shared->mutex);
        return work(*shared->training);
      },
      convert);
}

/// Options of a pass with what they point to.
struct Pass {
  TokenPruning pruning;
  SoftThresholds soft;
  std::shared_ptr<SharedModel> teacher;
  PassOptions options;
};

std::shared_ptr<Pass> toPass(const Napi::Value& value) {
  const Napi::Object object = toObject(value, "options");
  auto pass = std::make_shared<Pass>();
  pass->pruning = toTokenPruning(object.Get("pruning"));
  if (!pass->pruning.values.empty()) pass->options.pruning = &pass->pruning;
  if (object.Get("soft").IsObject()) {
    pass->soft = toSoftThresholds(object.Get("soft"));
    pass->options.soft = &pass->soft;
  }
  pass->options.dropout = toNumber(object.Get("dropout"), "dropout");
  pass->options.seed = static_cast<uint64_t>(toCount(object.Get("seed"), "seed"));
  pass->teacher = ModelObject::model(object.Get("teacher"), "teacher");
  if (!pass->teacher) return pass;
  const Napi::Object weights = toObject(object.Get("distillation"), "distillation");
  Distillation& distillation = pass->options.distillation;
  distillation.teacher = pass->teacher->model.get();
  distillation.labels = toNumber(weights.Get("labels"), "distillation.labels");
  distillation.logits = toNumber(weights.Get("logits"), "distillation.logits");
  distillation.temperature = toNumber(weights.Get("temperature"), "distillation.temperature");
  distillation.hidden = toNumber(weights.Get("hidden"), "distillation.hidden");
  return pass;
}

Napi::Value fromPassResult(Napi::Env env, PassResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("losses", toTypedArray(env, std::move(result.losses)));
  object.Set("tokens", toTypedArray(env, std::vector<double>(result.tokens.begin(), result.tokens.end())));
  object.Set("meanMasks", toTypedArray(env, std::move(result.meanMasks)));
  object.Set("thresholdGradients", toTypedArray(env, std::move(result.thresholdGradients)));
  return object;
}

Napi::Value fromState(Napi::Env env, Training::State& state) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("parameter", toTypedArray(env, std::move(state.parameter.values)));
  object.Set("firstMoment", toTypedArray(env, std::move(state.firstMoment.values)));
  object.Set("secondMoment", toTypedArray(env, std::move(state.secondMoment.values)));
  return object;
}

}  // namespace

Napi::Function TrainingObject::define(Napi::Env env) {
  return DefineClass(
      env, "Training",
      {InstanceMethod("accumulate", &TrainingObject::accumulate), InstanceMethod("step", &TrainingObject::step),
       InstanceMethod("snapshot", &TrainingObject::snapshot), InstanceMethod("state", &TrainingObject::state),
       InstanceMethod("restore", &TrainingObject::restore), InstanceMethod("dispose", &TrainingObject::dispose)});
}

TrainingObject::TrainingObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  guarded(info.Env(), [&] {
    require(info[0].IsExternal(), "trainings are made by Model.startTraining()");
    const auto& training = *info[0].As<Napi::External<std::shared_ptr<SharedTraining>>>().Data();
    training_.set(training, training->training->bytes());
  });
}

Napi::Value TrainingObject::wrap(Napi::Env env, std::shared_ptr<SharedTraining> training) {
  return env.GetInstanceData<AddonData>()->training.New(
      {Napi::External<std::shared_ptr<SharedTraining>>::New(env, &training)});
}

Napi::Value TrainingObject::accumulate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto batch = std::make_shared<PackedBatch>(toBatch(info[0]));
    const auto labels = std::make_shared<Labels>(toLabels(info[1], info[2]));
    const auto pass = toPass(info[3]);
    const auto cancel = CancelTokenObject::token(info[4]);
    return start<PassResult>(
        info.Env(), training_.get(),
        [=](Training& training) {
          std::shared_lock<std::shared_mutex> teacher;
          if (pass->teacher) teacher = std::shared_lock(pass->teacher->mutex);
          return training.accumulate(*batch, *labels, pass->options, *cancel);
        },
        fromPassResult);
  });
}

Napi::Value TrainingObject::step(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Napi::Object object = toObject(info[0], "options");
    OptimizerStep options;
    options.learningRate = toNumber(object.Get("learningRate"), "learningRate");
    options.weightDecay = toNumber(object.Get("weightDecay"), "weightDecay");
    options.gradientScale = toNumber(object.Get("gradientScale"), "gradientScale");
    options.maxGradientNorm = toNumber(object.Get("maxGradientNorm"), "maxGradientNorm");
    return start<double>(
        info.Env(), training_.get(), [=](Training& training) { return training.step(options); },
        [](Napi::Env env, double& norm) { return Napi::Number::New(env, norm); });
  });
}

Napi::Value TrainingObject::snapshot(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Mode mode = toMode(info[0]);
    return start<std::unique_ptr<Model>>(
        info.Env(), training_.get(), [=](Training& training) { return training.snapshot(mode); },
        [](Napi::Env env, std::unique_ptr<Model>& model) { return ModelObject::wrap(env, std::move(model)); });
  });
}

Napi::Value TrainingObject::state(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    require(info[0].IsString(), "role must be a string");
    const std::string role = info[0].As<Napi::String>().Utf8Value();
    return start<Training::State>(
        info.Env(), training_.get(), [=](Training& training) { return training.state(role); }, fromState);
  });
}

Napi::Value TrainingObject::restore(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Napi::Object object = toObject(info[0], "states");
    std::map<std::string, Training::State> states;
    const Napi::Array roles = object.GetPropertyNames();
    for (uint32_t i = 0; i < roles.Length(); ++i) {
      const std::string role = roles.Get(i).ToString().Utf8Value();
      const Napi::Object state = toObject(object.Get(role), role.c_str());
      const auto values = [&](const char* name) { return HostTensor{0, 0, toFloats(state.Get(name), name)}; };
      states[role] = {values("parameter"), values("firstMoment"), values("secondMoment")};
    }
    const int64_t steps = toCount(info[1], "steps");
    return start<Nothing>(
        info.Env(), training_.get(),
        [states = std::move(states), steps](Training& training) {
          training.restore(states, steps);
          return Nothing{};
        },
        toUndefined);
  });
}

}  // namespace espalier::binding
