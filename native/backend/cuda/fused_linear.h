#pragma once

#include "backend/cuda/runtime.h"
#include "backend/ops.h"

namespace espalier::cuda {

/// linear() of ops.h with its whole epilogue in one kernel, weight being [outputs, inputs]. Returns false, having done
/// nothing, where there is no such kernel: for other types than f16 and bf16, on devices before Hopper, for few rows.
bool fusedLinear(const LinearArgs& args, const Matrix& weight, Runtime& runtime);

}  // namespace espalier::cuda
