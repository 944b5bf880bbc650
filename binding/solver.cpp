#include "solver/solver.h"

#include "binding/objects.h"

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

/// scaleSystem(statistics, weight, unitSize, ones, threads)
Napi::Value scaleSystemJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object object = toObject(info[0], "statistics");
    const Doubles gram = toDoublesView(object, "gram"), cross = toDoublesView(object, "cross");
    const Doubles inputSums = toDoublesView(object, "inputSums"), targetSums = toDoublesView(object, "targetSums");
    const Floats weight =
        toView<Napi::Float32Array, float>(info[1], napi_float32_array, "weight must be a Float32Array");
    const int64_t inputs = inputSums.size, hidden = targetSums.size;
    require(gram.size == inputs * inputs && cross.size == inputs * hidden && weight.size == inputs * hidden,
            "statistics and weight have different sizes");
    const auto rows = static_cast<int64_t>(toNumber(object.Get("rows"), "rows"));
    const int32_t unitSize = toInt32(info[2], "unitSize");
    const bool ones = info[3].ToBoolean();
    const int32_t threads = toInt32(info[4], "threads");
    return AsyncJob<ScaleSystem>::start(
        info.Env(),
        [=] {
          return scaleSystem(
              {rows, inputs, hidden, gram.data, cross.data, inputSums.data, targetSums.data, weight.data}, unitSize,
              ones, threads);
        },
        fromSystem);
  });
}

/// solveFiltered(system, threads)
Napi::Value solveFilteredJob(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object object = toObject(info[0], "system");
    ScaleSystem system{toDoubles(object.Get("matrix"), "matrix"), toDoubles(object.Get("rhs"), "rhs")};
    const int32_t threads = toInt32(info[1], "threads");
    require(system.matrix.size() == system.rhs.size() * system.rhs.size(), "matrix and rhs have different sizes");
    return AsyncJob<std::vector<double>>::start(
        info.Env(), [system = std::move(system), threads] { return solveFiltered(system, threads); },
        [](Napi::Env env, std::vector<double>& scales) { return toTypedArray(env, std::move(scales)); });
  });
}

}  // namespace

void defineSolver(Napi::Env env, Napi::Object exports) {
  exports.Set("scaleSystem", Napi::Function::New(env, scaleSystemJob));
  exports.Set("solveFiltered", Napi::Function::New(env, solveFilteredJob));
}

}  // namespace espalier::binding
