#include "binding/objects.h"
#include "solver/backend_solver.h"

namespace espalier::binding {
namespace {

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

/// What a JavaScript SublayerStatistics and a weight say.
struct Statistics {
  double rows = 0;
  Borrowed<double> gram, cross, inputSums, targetSums;
  Borrowed<float> weight;

  size_t inputs() const { return inputSums.size(); }
  size_t hidden() const { return inputs() == 0 ? 0 : weight.size() / inputs(); }
  ProjectionStatistics view() const {
    return {rows,
            static_cast<int64_t>(inputs()),
            static_cast<int64_t>(hidden()),
            gram.data(),
            cross.data(),
            inputSums.data(),
            targetSums.data(),
            weight.data()};
  }
};

Statistics toStatistics(const Napi::Value& value, const Napi::Value& weight) {
  const Napi::Object object = toObject(value, "statistics");
  const auto doubles = [&](const char* name) { return borrowDoubles(object.Get(name), name); };
  Statistics statistics{toNumber(object.Get("rows"), "rows"),
                        doubles("gram"),
                        doubles("cross"),
                        doubles("inputSums"),
                        doubles("targetSums"),
                        borrowFloats(weight, "weight")};
  const size_t inputs = statistics.inputs();
  require(statistics.gram.size() == inputs * inputs && statistics.weight.size() == inputs * statistics.hidden(),
          "statistics and weight have different sizes");
  return statistics;
}

/// As toStatistics(), for what needs targets.
Statistics toStatisticsWithTargets(const Napi::Value& value, const Napi::Value& weight) {
  Statistics statistics = toStatistics(value, weight);
  const size_t hidden = statistics.hidden();
  require(statistics.cross.size() == statistics.inputs() * hidden && statistics.targetSums.size() == hidden,
          "statistics and weight have different sizes");
  return statistics;
}

/// scaleSystem(statistics, weight, unitSize, ones, engine)
Napi::Value scaleSystemJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Statistics statistics = toStatisticsWithTargets(info[0], info[1]);
    const int32_t unitSize = toInt32(info[2], "unitSize");
    const bool ones = info[3].ToBoolean();
    const Solver solver(EngineObject::backend(info[4]));
    return AsyncJob<ScaleSystem>::start(
        info.Env(), [=] { return solver.scaleSystem(statistics.view(), unitSize, ones); }, fromSystem);
  });
}

/// eliminationOrder(statistics, weight, outputMoments, unitSize, ridge, engine)
Napi::Value eliminationOrderJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Statistics statistics = toStatistics(info[0], info[1]);
    const Borrowed<double> moments = borrowDoubles(info[2], "outputMoments");
    const size_t hidden = statistics.hidden();
    require(moments.size() == hidden * hidden, "outputMoments must be [hidden, hidden]");
    const int32_t unitSize = toInt32(info[3], "unitSize");
    const double ridge = toNumber(info[4], "ridge");
    const Solver solver(EngineObject::backend(info[5]));
    return AsyncJob<Elimination>::start(
        info.Env(), [=] { return solver.eliminationOrder(statistics.view(), moments.data(), unitSize, ridge); },
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
    const Statistics statistics = toStatisticsWithTargets(info[0], info[1]);
    const double ridge = toNumber(info[2], "ridge");
    const Solver solver(EngineObject::backend(info[3]));
    return AsyncJob<ProjectionFit>::start(
        info.Env(), [=] { return solver.solveProjection(statistics.view(), ridge); }, fromFit);
  });
}

/// bestRidge(fit, heldOut, weight, ridges, engine)
Napi::Value bestRidgeJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Statistics fit = toStatisticsWithTargets(info[0], info[2]);
    const Statistics heldOut = toStatisticsWithTargets(info[1], info[2]);
    const std::vector<double> ridges = toDoubles(info[3], "ridges");
    const Solver solver(EngineObject::backend(info[4]));
    return AsyncJob<double>::start(
        info.Env(), [=] { return solver.bestRidge(fit.view(), heldOut.view(), ridges); },
        [](Napi::Env env, double& ridge) { return Napi::Number::New(env, ridge); });
  });
}

/// composeProjection(weight, map, engine)
Napi::Value composeProjectionJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Borrowed<float> weight = borrowFloats(info[0], "weight");
    const Napi::Object object = toObject(info[1], "map");
    const auto map = std::make_shared<ProjectionFit>(
        ProjectionFit{toFloats(object.Get("weight"), "weight"), toFloats(object.Get("biasShift"), "biasShift")});
    const size_t inputs = map->biasShift.size();
    require(inputs > 0 && weight.size() % inputs == 0, "weight and map have different sizes");
    const auto outputs = static_cast<int64_t>(weight.size() / inputs);
    const Solver solver(EngineObject::backend(info[2]));
    return AsyncJob<ProjectionFit>::start(
        info.Env(), [=] { return solver.composeProjection(weight.data(), outputs, *map); }, fromFit);
  });
}

/// solveFiltered(system, engine)
Napi::Value solveFilteredJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object object = toObject(info[0], "system");
    const Borrowed<double> matrix = borrowDoubles(object.Get("matrix"), "matrix");
    const std::vector<double> rhs = toDoubles(object.Get("rhs"), "rhs");
    const Solver solver(EngineObject::backend(info[1]));
    require(matrix.size() == rhs.size() * rhs.size(), "matrix and rhs have different sizes");
    return AsyncJob<std::vector<double>>::start(
        info.Env(), [=] { return solver.solveFiltered(matrix.data(), rhs); },
        [](Napi::Env env, std::vector<double>& scales) { return toTypedArray(env, std::move(scales)); });
  });
}

/// shortestSum(vectors, length, first, candidates, count): of the columns from `first` on
Napi::Value shortestSumJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Borrowed<float> vectors = borrowFloats(info[0], "vectors");
    const int64_t length = toCount(info[1], "length"), first = toCount(info[2], "first");
    const int64_t candidates = toCount(info[3], "candidates"), count = toCount(info[4], "count");
    const auto size = static_cast<int64_t>(vectors.size());
    require(length > 0 && size % length == 0, "vectors must be [length, any]");
    const int64_t stride = size / length;
    require(first + candidates <= stride, "there are not so many vectors");
    return AsyncJob<std::vector<int32_t>>::start(
        info.Env(), [=] { return shortestSum(vectors.data() + first, length, stride, candidates, count); },
        [](Napi::Env env, std::vector<int32_t>& columns) { return toTypedArray(env, std::move(columns)); });
  });
}

}  // namespace

void defineSolver(Napi::Env env, Napi::Object exports) {
  exports.Set("scaleSystem", Napi::Function::New(env, scaleSystemJob));
  exports.Set("shortestSum", Napi::Function::New(env, shortestSumJob));
  exports.Set("solveFiltered", Napi::Function::New(env, solveFilteredJob));
  exports.Set("eliminationOrder", Napi::Function::New(env, eliminationOrderJob));
  exports.Set("solveProjection", Napi::Function::New(env, solveProjectionJob));
  exports.Set("bestRidge", Napi::Function::New(env, bestRidgeJob));
  exports.Set("composeProjection", Napi::Function::New(env, composeProjectionJob));
}

}  // namespace espalier::binding
