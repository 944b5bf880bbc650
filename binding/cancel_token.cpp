#include "binding/objects.h"

namespace espalier::binding {

Napi::Function CancelTokenObject::define(Napi::Env env) {
  return DefineClass(env, "CancelToken", {InstanceMethod("cancel", &CancelTokenObject::cancel)});
}

std::shared_ptr<CancelToken> CancelTokenObject::token(const Napi::Value& value) {
  require(value.IsObject(), "a cancel token is needed");
  return Unwrap(value.As<Napi::Object>())->token_;
}

}  // namespace espalier::binding
