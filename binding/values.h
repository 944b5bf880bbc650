#pragma once

// Between JavaScript values and the engine's plain structs. Everything here runs on the JavaScript thread.

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "core/cancel.h"
#include "model/gradient_moments.h"
#include "model/hidden_states.h"
#include "model/model.h"
#include "model/training.h"

namespace espalier::binding {

inline bool isAbsent(const Napi::Value& value) { return value.IsNull() || value.IsUndefined(); }

/// Copies of typed arrays. Throw invalidArgument on another type; `name` is used in the message.
std::vector<int32_t> toInt32s(const Napi::Value& value, const char* name);
std::vector<float> toFloats(const Napi::Value& value, const char* name);
std::vector<double> toDoubles(const Napi::Value& value, const char* name);

/// The elements of a typed array where they are, in JavaScript's memory, which stays there as long as this does. Nobody
/// may change them meanwhile; to be let go of on the JavaScript thread.
template <typename T>
class Borrowed {
 public:
  Borrowed() = default;
  explicit Borrowed(const Napi::TypedArrayOf<T>& array)
      : data_(array.Data()),
        size_(array.ElementLength()),
        owner_(std::make_shared<Napi::Reference<Napi::TypedArray>>(Napi::Persistent<Napi::TypedArray>(array))) {}

  const T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const T* data_ = nullptr;
  size_t size_ = 0;
  std::shared_ptr<Napi::Reference<Napi::TypedArray>> owner_;
};

/// For what is too large to copy. Throw as the copies do.
Borrowed<float> borrowFloats(const Napi::Value& value, const char* name);
Borrowed<double> borrowDoubles(const Napi::Value& value, const char* name);

/// Typed arrays that take over the vector's memory.
Napi::Value toTypedArray(Napi::Env env, std::vector<int32_t>&& values);
Napi::Value toTypedArray(Napi::Env env, std::vector<float>&& values);
Napi::Value toTypedArray(Napi::Env env, std::vector<double>&& values);

Napi::Object toObject(const Napi::Value& value, const char* name);
double toNumber(const Napi::Value& value, const char* name);
int32_t toInt32(const Napi::Value& value, const char* name);
/// At least 0, and as large as a number may be without losing a unit.
int64_t toCount(const Napi::Value& value, const char* name);
DType toDType(const Napi::Value& value);
const char* dtypeName(DType dtype);
Mode toMode(const Napi::Value& value);
Sublayer toSublayer(const Napi::Value& value);
ModelSpec toSpec(const Napi::Value& value);
Napi::Value fromSpec(Napi::Env env, const ModelSpec& spec);
PackedBatch toBatch(const Napi::Value& value);
/// Null or undefined gives a null pointer.
std::shared_ptr<Mask> toMask(const Napi::Value& value);
/// No values where it is null or undefined.
TokenPruning toTokenPruning(const Napi::Value& value);
SoftThresholds toSoftThresholds(const Napi::Value& value);
Labels toLabels(const Napi::Value& labels, const Napi::Value& loss);
KeptUnits toKeptUnits(const Napi::Value& value);
Napi::Value fromStatistics(Napi::Env env, SublayerStatistics& statistics);

struct StoredTensor {
  DType dtype = DType::f32;
  Borrowed<uint8_t> bytes;
};
StoredTensor toStoredTensor(const Napi::Value& value);

}  // namespace espalier::binding
