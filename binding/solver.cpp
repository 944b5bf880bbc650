#include "binding/objects.h"
#include "solver/backend_solver.h"

namespace espalier::binding {
namespace {

/// A typed array read where it lies: these hold millions of values. `owner` keeps it alive.
template <typename Array, typename T>
struct View {
  const T* data = nullptr;
  int64_t size = 0;
  std::shared_ptr<Napi::Reference<Array>> owner;
};
using Doubles = View<Napi::Float64Array, double>;
using Floats = View<Napi::Float32Array, float>;

template <typename Array, typename T>
View<Array, T> toView(const Napi::Value& value, napi_typedarray_type type, const char* problem) {
  require(value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type, problem);
  const auto array = value.As<Array>();
  return {array.Data(), static_cast<int64_t>(array.ElementLength()),
          std::make_shared<Napi::Reference<Array>>(Napi::Persistent(array))};
}

Doubles toDoublesView(const Napi::Object& object, const char* name) {
  return toView<Napi::Float64Array, double>(object.Get(name), napi_float64_array,
                                            "statistics and systems hold Float64Arrays");
}

Napi::Value fromSystem(Napi::Env env, ScaleSystem& system) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("matrix", toTypedArray(env, std::move(system.matrix)));
  object.Set("rhs", toTypedArray(env, std::move(system.rhs)));
  return object;
}

Napi::Value fromFit(Napi::Env env, ProjectionFit& fit) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("weight", toTypedArray(env, std::move(fit.weight)));
  object.Set("biasShift", toTypedArray(env, std::move(fit.biasShift)));
  return object;
}

/// What a JavaScript SublayerStatistics and a weight say, and what keeps their memory.
struct StatisticsView {
  double rows = 0;
  Doubles gram, cross, inputSums, targetSums;
  Floats weight;

  ProjectionStatistics statistics() const {
    const int64_t hidden = inputSums.size == 0 ? 0 : weight.size / inputSums.size;
    return {rows, inputSums.size, hidden, gram.data, cross.data, inputSums.data, targetSums.data, weight.data};
  }
};

StatisticsView toStatistics(const Napi::Value& value, const Napi::Value& weight) {
  const Napi::Object object = toObject(value, "statistics");
  StatisticsView view;
  view.rows = toNumber(object.Get("rows"), "rows");
  view.gram = toDoublesView(object, "gram");
  view.cross = toDoublesView(object, "cross");
  view.inputSums = toDoublesView(object, "inputSums");
  view.targetSums = toDoublesView(object, "targetSums");
  view.weight = toView<Napi::Float32Array, float>(weight, napi_float32_array, "weight must be a Float32Array");
  const ProjectionStatistics sizes = view.statistics();
  require(view.gram.size == sizes.inputs * sizes.inputs && view.weight.size == sizes.inputs * sizes.hidden,
          "statistics and weight have different sizes");
  return view;
}

/// As toStatistics(), for what needs targets.
StatisticsView toStatisticsWithTargets(const Napi::Value& value, const Napi::Value& weight) {
  StatisticsView view = toStatistics(value, weight);
  const ProjectionStatistics sizes = view.statistics();
  require(view.cross.size == sizes.inputs * sizes.hidden && view.targetSums.size == sizes.hidden,
          "statistics and weight have different sizes");
  return view;
}

/// scaleSystem(statistics, weight, unitSize, ones, engine)
Napi::Value scaleSystemJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const StatisticsView view = toStatisticsWithTargets(info[0], info[1]);
    const int32_t unitSize = toInt32(info[2], "unitSize");
    const bool ones = info[3].ToBoolean();
    const Solver solver(EngineObject::backend(info[4]));
    return AsyncJob<ScaleSystem>::start(
        info.Env(), [=] { return solver.scaleSystem(view.statistics(), unitSize, ones); }, fromSystem);
  });
}

/// eliminationOrder(statistics, weight, outputMoments, unitSize, ridge, engine)
Napi::Value eliminationOrderJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const StatisticsView view = toStatistics(info[0], info[1]);
    const Doubles moments =
        toView<Napi::Float64Array, double>(info[2], napi_float64_array, "outputMoments must be a Float64Array");
    const int64_t hidden = view.statistics().hidden;
    require(moments.size == hidden * hidden, "outputMoments must be [hidden, hidden]");
    const int32_t unitSize = toInt32(info[3], "unitSize");
    const double ridge = toNumber(info[4], "ridge");
    const Solver solver(EngineObject::backend(info[5]));
    return AsyncJob<Elimination>::start(
        info.Env(), [=] { return solver.eliminationOrder(view.statistics(), moments.data, unitSize, ridge); },
        [](Napi::Env env, Elimination& elimination) {
          Napi::Object object = Napi::Object::New(env);
          object.Set("order", toTypedArray(env, std::move(elimination.order)));
          object.Set("errors", toTypedArray(env, std::move(elimination.errors)));
          return object;
        });
  });
}

/// solveProjection(statistics, weight, ridge, engine)
Napi::Value solveProjectionJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const StatisticsView view = toStatisticsWithTargets(info[0], info[1]);
    const double ridge = toNumber(info[2], "ridge");
    const Solver solver(EngineObject::backend(info[3]));
    return AsyncJob<ProjectionFit>::start(
        info.Env(), [=] { return solver.solveProjection(view.statistics(), ridge); }, fromFit);
  });
}

/// bestRidge(fit, heldOut, weight, ridges, engine)
Napi::Value bestRidgeJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const StatisticsView fit = toStatisticsWithTargets(info[0], info[2]);
    const StatisticsView heldOut = toStatisticsWithTargets(info[1], info[2]);
    const std::vector<double> ridges = toDoubles(info[3], "ridges");
    const Solver solver(EngineObject::backend(info[4]));
    return AsyncJob<double>::start(
        info.Env(), [=] { return solver.bestRidge(fit.statistics(), heldOut.statistics(), ridges); },
        [](Napi::Env env, double& ridge) { return Napi::Number::New(env, ridge); });
  });
}

/// composeProjection(weight, map, engine)
Napi::Value composeProjectionJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Floats weight =
        toView<Napi::Float32Array, float>(info[0], napi_float32_array, "weight must be a Float32Array");
    const Napi::Object object = toObject(info[1], "map");
    const auto map = std::make_shared<ProjectionFit>(
        ProjectionFit{toFloats(object.Get("weight"), "weight"), toFloats(object.Get("biasShift"), "biasShift")});
    const auto inputs = static_cast<int64_t>(map->biasShift.size());
    require(inputs > 0 && weight.size % inputs == 0, "weight and map have different sizes");
    const Solver solver(EngineObject::backend(info[2]));
    return AsyncJob<ProjectionFit>::start(
        info.Env(), [=] { return solver.composeProjection(weight.data, weight.size / inputs, *map); }, fromFit);
  });
}

/// solveFiltered(system, engine)
Napi::Value solveFilteredJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object object = toObject(info[0], "system");
    ScaleSystem system{toDoubles(object.Get("matrix"), "matrix"), toDoubles(object.Get("rhs"), "rhs")};
    const Solver solver(EngineObject::backend(info[1]));
    require(system.matrix.size() == system.rhs.size() * system.rhs.size(), "matrix and rhs have different sizes");
    return AsyncJob<std::vector<double>>::start(
        info.Env(), [system = std::move(system), solver] { return solver.solveFiltered(system); },
        [](Napi::Env env, std::vector<double>& scales) { return toTypedArray(env, std::move(scales)); });
  });
}

}  // namespace

void defineSolver(Napi::Env env, Napi::Object exports) {
  exports.Set("scaleSystem", Napi::Function::New(env, scaleSystemJob));
  exports.Set("solveFiltered", Napi::Function::New(env, solveFilteredJob));
  exports.Set("eliminationOrder", Napi::Function::New(env, eliminationOrderJob));
  exports.Set("solveProjection", Napi::Function::New(env, solveProjectionJob));
  exports.Set("bestRidge", Napi::Function::New(env, bestRidgeJob));
  exports.Set("composeProjection", Napi::Function::New(env, composeProjectionJob));
}

}  // namespace espalier::binding
