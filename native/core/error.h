#pragma once

#include <stdexcept>
#include <string>

namespace espalier {

/// Stable reasons of failure; errorCodeName() gives the string users see.
enum class ErrorCode : int {
  ok = 0,
  invalidArgument,
  outOfMemory,
  cancelled,
  unsupported,
  nonFinite,
  notPositiveDefinite,
  noDevice,
  internal,
};

/// "ERR_OUT_OF_MEMORY" and the like: what JavaScript errors carry as `code`.
const char* errorCodeName(ErrorCode code) noexcept;

/// The one exception type of native code; binding/ turns it into a JavaScript error.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// Throws invalidArgument with `message` unless `condition` holds.
inline void require(bool condition, const char* message) {
  if (!condition) throw Error(ErrorCode::invalidArgument, message);
}

}  // namespace espalier
