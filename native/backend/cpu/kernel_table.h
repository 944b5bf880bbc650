#pragma once

// Included once per instruction set: everything below is compiled anew for each, in anonymous namespaces.

#include "backend/cpu/activation_backward_kernel.h"
#include "backend/cpu/adamw_kernel.h"
#include "backend/cpu/attention_backward_kernel.h"
#include "backend/cpu/attention_kernel.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/layer_norm_kernel.h"

namespace espalier {
namespace {

constexpr CpuKernels kKernels = {layerNormKernel, layerNormBackwardKernel, activationBackwardKernel,
                                 attentionKernel, attentionBackwardKernel, adamWKernel};

}  // namespace
}  // namespace espalier
