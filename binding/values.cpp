#include "binding/values.h"

#include <cmath>
#include <cstdint>

namespace espalier::binding {
namespace {

[[noreturn]] void refuse(const char* name, const char* expected) {
  throw Error(ErrorCode::invalidArgument, std::string(name) + " must be " + expected);
}

template <typename T>
Borrowed<T> borrow(const Napi::Value& value, napi_typedarray_type type, const char* name, const char* expected) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) refuse(name, expected);
  return Borrowed<T>(value.As<Napi::TypedArrayOf<T>>());
}

template <typename T>
std::vector<T> copied(const Borrowed<T>& values) {
  return std::vector<T>(values.data(), values.data() + values.size());
}

template <typename Array, typename T>
Napi::Value adopt(Napi::Env env, std::vector<T>&& values) {
  if (values.empty()) return Array::New(env, 0);  // around no memory it would count as detached
  auto* owner = new std::vector<T>(std::move(values));
  const size_t count = owner->size();
  const auto memory = Napi::ArrayBuffer::New(
      env, owner->data(), count * sizeof(T), [](Napi::Env, void*, std::vector<T>* kept) { delete kept; }, owner);
  return Array::New(env, count, memory, 0);
}

Napi::Array toArray(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) refuse(name, "an array");
  return value.As<Napi::Array>();
}

/// A count: an integer from `least` up.
int32_t count(const Napi::Object& object, const char* name, int32_t least) {
  const int32_t result = toInt32(object.Get(name), name);
  if (result < least) refuse(name, "larger");
  return result;
}

template <typename T>
struct Word {
  const char* word;
  T meaning;
};

template <typename T, size_t n>
T choose(const Napi::Value& value, const Word<T> (&words)[n], const char* name) {
  const std::string given = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  for (const Word<T>& candidate : words) {
    if (given == candidate.word) return candidate.meaning;
  }
  refuse(name, "one of the documented words");
}

template <typename T, size_t n>
const char* spell(T meaning, const Word<T> (&words)[n]) {
  for (const Word<T>& candidate : words) {
    if (candidate.meaning == meaning) return candidate.word;
  }
  return "";
}

constexpr Word<DType> kDTypes[] = {{"f32", DType::f32}, {"f16", DType::f16}, {"bf16", DType::bf16}};
constexpr Word<Activation> kActivations[] = {
    {"gelu", Activation::gelu}, {"gelu_new", Activation::geluTanh}, {"relu", Activation::relu}};
constexpr Word<HeadKind> kHeads[] = {{"sequence", HeadKind::sequence}, {"span", HeadKind::span}};
constexpr Word<Activation> kHeadActivations[] = {{"tanh", Activation::tanh}, {"relu", Activation::relu}};
constexpr Word<Mode> kModes[] = {{"inference", Mode::inference}, {"gradients", Mode::gradients}};
constexpr Word<Sublayer> kSublayers[] = {{"attention", Sublayer::attention}, {"ffn", Sublayer::ffn}};
constexpr Word<LossKind> kLosses[] = {
    {"crossEntropy", LossKind::crossEntropy}, {"meanSquared", LossKind::meanSquared}, {"span", LossKind::span}};

constexpr Word<TokenPruning::Rule> kRules[] = {{"threshold", TokenPruning::Rule::threshold},
                                               {"keepRate", TokenPruning::Rule::keepRate}};

std::vector<double> toNumbers(const Napi::Value& value, const char* name) {
  const Napi::Array array = toArray(value, name);
  std::vector<double> numbers;
  for (uint32_t i = 0; i < array.Length(); ++i) numbers.push_back(toNumber(array.Get(i), name));
  return numbers;
}

Napi::Object fromTokenPruning(Napi::Env env, const TokenPruning& pruning) {
  Napi::Object object = Napi::Object::New(env);
  Napi::Array values = Napi::Array::New(env, pruning.values.size());
  for (uint32_t l = 0; l < pruning.values.size(); ++l) values.Set(l, pruning.values[l]);
  object.Set("rule", spell(pruning.rule, kRules));
  object.Set("values", values);
  if (pruning.paddedLength > 0) object.Set("paddedLength", pruning.paddedLength);
  return object;
}

}  // namespace

std::vector<int32_t> toInt32s(const Napi::Value& value, const char* name) {
  return copied(borrow<int32_t>(value, napi_int32_array, name, "an Int32Array"));
}

std::vector<float> toFloats(const Napi::Value& value, const char* name) { return copied(borrowFloats(value, name)); }

std::vector<double> toDoubles(const Napi::Value& value, const char* name) { return copied(borrowDoubles(value, name)); }

Borrowed<float> borrowFloats(const Napi::Value& value, const char* name) {
  return borrow<float>(value, napi_float32_array, name, "a Float32Array");
}

Borrowed<double> borrowDoubles(const Napi::Value& value, const char* name) {
  return borrow<double>(value, napi_float64_array, name, "a Float64Array");
}

Napi::Value toTypedArray(Napi::Env env, std::vector<float>&& values) {
  return adopt<Napi::Float32Array>(env, std::move(values));
}

Napi::Value toTypedArray(Napi::Env env, std::vector<int32_t>&& values) {
  return adopt<Napi::Int32Array>(env, std::move(values));
}

Napi::Value toTypedArray(Napi::Env env, std::vector<double>&& values) {
  return adopt<Napi::Float64Array>(env, std::move(values));
}

Napi::Object toObject(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) refuse(name, "an object");
  return value.As<Napi::Object>();
}

double toNumber(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) refuse(name, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

int32_t toInt32(const Napi::Value& value, const char* name) {
  const double number = toNumber(value, name);
  if (!(number >= INT32_MIN && number <= INT32_MAX) || number != std::trunc(number)) refuse(name, "a 32-bit integer");
  return static_cast<int32_t>(number);
}

int64_t toCount(const Napi::Value& value, const char* name) {
  constexpr double kMost = 9007199254740991;  // Number.MAX_SAFE_INTEGER
  const double number = toNumber(value, name);
  if (!(number >= 0 && number <= kMost) || number != std::trunc(number)) refuse(name, "a whole number of 0 or more");
  return static_cast<int64_t>(number);
}

DType toDType(const Napi::Value& value) { return choose(value, kDTypes, "dtype"); }
const char* dtypeName(DType dtype) { return spell(dtype, kDTypes); }
Mode toMode(const Napi::Value& value) { return choose(value, kModes, "mode"); }
Sublayer toSublayer(const Napi::Value& value) { return choose(value, kSublayers, "sublayer"); }

ModelSpec toSpec(const Napi::Value& value) {
  const Napi::Object object = toObject(value, "spec");
  ModelSpec spec;
  spec.hiddenSize = count(object, "hiddenSize", 1);
  spec.headSize = count(object, "headSize", 1);
  spec.vocabularySize = count(object, "vocabularySize", 1);
  spec.maxPositions = count(object, "maxPositions", 1);
  spec.tokenTypes = count(object, "tokenTypes", 0);
  spec.layerNormEpsilon = toNumber(object.Get("layerNormEpsilon"), "layerNormEpsilon");
  spec.activation = choose(object.Get("activation"), kActivations, "activation");
  spec.head = choose(object.Get("head"), kHeads, "head");
  spec.headActivation = choose(object.Get("headActivation"), kHeadActivations, "headActivation");
  spec.positionPadding = count(object, "positionPadding", -1);
  spec.labels = count(object, "labels", 1);
  const Napi::Array layers = toArray(object.Get("layers"), "layers");
  for (uint32_t l = 0; l < layers.Length(); ++l) {
    const Napi::Object layer = toObject(layers.Get(l), "a layer");
    spec.layers.push_back({count(layer, "heads", 0), count(layer, "neurons", 0)});
  }
  spec.tokenPruning = toTokenPruning(object.Get("tokenPruning"));
  checkSpec(spec);
  return spec;
}

/// 0 where there is none.
int32_t toPaddedLength(const Napi::Object& object) {
  return isAbsent(object.Get("paddedLength")) ? 0 : count(object, "paddedLength", 1);
}

TokenPruning toTokenPruning(const Napi::Value& value) {
  TokenPruning pruning;
  if (isAbsent(value)) return pruning;
  const Napi::Object object = toObject(value, "tokenPruning");
  pruning.rule = choose(object.Get("rule"), kRules, "tokenPruning.rule");
  pruning.values = toNumbers(object.Get("values"), "tokenPruning.values");
  pruning.paddedLength = toPaddedLength(object);
  return pruning;
}

SoftThresholds toSoftThresholds(const Napi::Value& value) {
  const Napi::Object object = toObject(value, "soft");
  return {toNumber(object.Get("temperature"), "soft.temperature"), toNumbers(object.Get("values"), "soft.values"),
          toNumbers(object.Get("sparsity"), "soft.sparsity"), toPaddedLength(object)};
}

Napi::Value fromSpec(Napi::Env env, const ModelSpec& spec) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("hiddenSize", spec.hiddenSize);
  object.Set("headSize", spec.headSize);
  object.Set("vocabularySize", spec.vocabularySize);
  object.Set("maxPositions", spec.maxPositions);
  object.Set("tokenTypes", spec.tokenTypes);
  object.Set("layerNormEpsilon", spec.layerNormEpsilon);
  object.Set("activation", spell(spec.activation, kActivations));
  Napi::Array layers = Napi::Array::New(env, spec.layers.size());
  for (uint32_t l = 0; l < spec.layers.size(); ++l) {
    Napi::Object layer = Napi::Object::New(env);
    layer.Set("heads", spec.layers[l].heads);
    layer.Set("neurons", spec.layers[l].neurons);
    layers.Set(l, layer);
  }
  object.Set("layers", layers);
  object.Set("head", spell(spec.head, kHeads));
  object.Set("headActivation", spell(spec.headActivation, kHeadActivations));
  object.Set("positionPadding", spec.positionPadding);
  object.Set("labels", spec.labels);
  if (!spec.tokenPruning.values.empty()) object.Set("tokenPruning", fromTokenPruning(env, spec.tokenPruning));
  return object;
}

PackedBatch toBatch(const Napi::Value& value) {
  const Napi::Object object = toObject(value, "batch");
  return {toInt32s(object.Get("ids"), "batch.ids"), toInt32s(object.Get("tokenTypes"), "batch.tokenTypes"),
          toInt32s(object.Get("offsets"), "batch.offsets")};
}

std::shared_ptr<Mask> toMask(const Napi::Value& value) {
  if (isAbsent(value)) return nullptr;
  const Napi::Object object = toObject(value, "mask");
  auto mask = std::make_shared<Mask>();
  mask->heads = toFloats(object.Get("heads"), "mask.heads");
  mask->neurons = toFloats(object.Get("neurons"), "mask.neurons");
  return mask;
}

Labels toLabels(const Napi::Value& labels, const Napi::Value& loss) {
  Labels result;
  if (loss.IsString() && loss.As<Napi::String>().Utf8Value() == "given") {
    result.logitGradients = toFloats(labels, "labels");
    return result;
  }
  result.loss = choose(loss, kLosses, "loss");
  if (result.loss == LossKind::meanSquared) {
    result.values = toFloats(labels, "labels");
  } else {
    result.classes = toInt32s(labels, "labels");
  }
  return result;
}

KeptUnits toKeptUnits(const Napi::Value& value) {
  const Napi::Object object = toObject(value, "kept");
  const auto perLayer = [&](const char* name) {
    std::vector<std::vector<int32_t>> layers;
    const Napi::Array outer = toArray(object.Get(name), name);
    for (uint32_t l = 0; l < outer.Length(); ++l) {
      const Napi::Array inner = toArray(outer.Get(l), name);
      std::vector<int32_t> units;
      for (uint32_t i = 0; i < inner.Length(); ++i) units.push_back(toInt32(inner.Get(i), name));
      layers.push_back(std::move(units));
    }
    return layers;
  };
  return {perLayer("heads"), perLayer("neurons")};
}

Napi::Value fromStatistics(Napi::Env env, SublayerStatistics& statistics) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("rows", static_cast<double>(statistics.rows));
  object.Set("gram", toTypedArray(env, std::move(statistics.gram)));
  object.Set("cross", toTypedArray(env, std::move(statistics.cross)));
  object.Set("inputSums", toTypedArray(env, std::move(statistics.inputSums)));
  object.Set("targetSums", toTypedArray(env, std::move(statistics.targetSums)));
  object.Set("targetSquares", statistics.targetSquares);
  return object;
}

StoredTensor toStoredTensor(const Napi::Value& value) {
  const Napi::Object object = toObject(value, "a weight");
  return {toDType(object.Get("dtype")),
          borrow<uint8_t>(object.Get("data"), napi_uint8_array, "a weight's data", "a Uint8Array")};
}

}  // namespace espalier::binding
