#include "binding/objects.h"

namespace espalier::binding {

Napi::Function CancelTokenObject::define(Napi::Env env) {
  return DefineClass(env, kClass, {InstanceMethod("cancel", &CancelTokenObject::cancel)});
}

std::shared_ptr<CancelToken> CancelTokenObject::token(const Napi::Value& value) {
  return unwrap(value, "cancel").token_;
}

}  // namespace espalier::binding
