#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>

#include <string>

#include "core/error.h"

namespace espalier::cuda {

/// Throws what a failed call of the CUDA runtime means: outOfMemory, or `otherwise`. `doing` says what was under way.
inline void check(cudaError_t error, const char* doing, ErrorCode otherwise = ErrorCode::internal) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // errors that do not break the device must not show up in the next call
  const bool memory = error == cudaErrorMemoryAllocation;
  throw Error(memory ? ErrorCode::outOfMemory : otherwise,
              memory ? std::string("the CUDA device ran out of memory")
                     : std::string("CUDA failed while ") + doing + ": " + cudaGetErrorString(error));
}

inline void check(cublasStatus_t status, const char* doing) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorCode::outOfMemory : ErrorCode::internal,
              std::string("cuBLAS failed while ") + doing + ": " + cublasGetStatusString(status));
}

inline void check(cusolverStatus_t status, const char* doing) {
  if (status == CUSOLVER_STATUS_SUCCESS) return;
  throw Error(status == CUSOLVER_STATUS_ALLOC_FAILED ? ErrorCode::outOfMemory : ErrorCode::internal,
              std::string("cuSOLVER failed while ") + doing + ": status " + std::to_string(status));
}

}  // namespace espalier::cuda
