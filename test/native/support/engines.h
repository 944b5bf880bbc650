#pragma once

#include <memory>

#include "backend/backend.h"
#include "backend/cuda/table.h"

namespace espalier::test {

/// The oracle: the reference backend in double.
inline std::shared_ptr<Backend> openOracle() { return Backend::open("reference", {DType::f64, 1, 0}); }

/// The plainest computation in float: how exact a backend's float can be expected to be.
inline std::shared_ptr<Backend> openYardstick() { return Backend::open("reference", {DType::f32, 1, 0}); }

/// A backend under test, or null and the reason when it cannot run on this machine.
struct Candidate {
  std::shared_ptr<Backend> backend;
  std::string reason;
};

/// name: of a backend, or "emulation" for the kernels of "cuda" on the host.
inline Candidate openCandidate(const std::string& name, const BackendOptions& options) {
  try {
    return {name == "emulation" ? Backend::open(*cuda::backendTable(), options) : Backend::open(name, options), ""};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported && error.code() != ErrorCode::noDevice) throw;
    return {nullptr, error.what()};
  }
}

inline Candidate openCandidate(const std::string& name, int32_t threads) {
  return openCandidate(name, {DType::f32, threads, 0});
}

}  // namespace espalier::test
