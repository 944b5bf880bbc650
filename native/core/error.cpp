#include "core/error.h"

namespace espalier {

const char* errorCodeName(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::ok:
      return "OK";
    case ErrorCode::invalidArgument:
      return "ERR_INVALID_ARGUMENT";
    case ErrorCode::outOfMemory:
      return "ERR_OUT_OF_MEMORY";
    case ErrorCode::cancelled:
      return "ERR_CANCELLED";
    case ErrorCode::unsupported:
      return "ERR_UNSUPPORTED";
    case ErrorCode::nonFinite:
      return "ERR_NON_FINITE";
    case ErrorCode::notPositiveDefinite:
      return "ERR_NOT_POSITIVE_DEFINITE";
    case ErrorCode::noDevice:
      return "ERR_NO_DEVICE";
    case ErrorCode::internal:
      return "ERR_INTERNAL";
  }
  return "ERR_INTERNAL";
}

}  // namespace espalier
