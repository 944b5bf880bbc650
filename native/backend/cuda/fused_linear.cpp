#include "backend/cuda/fused_linear.h"

#include "backend/cuda/kernels/hopper_linear.h"

namespace espalier::cuda {
namespace {

// Blocks of the kernel work in pairs on 256 rows.
constexpr int64_t kFewRows = 128;

}  // namespace

bool fusedLinear(const LinearArgs& args, const Matrix& weight, Runtime& runtime) {
  const Epilogue& epilogue = args.epilogue;
  if (runtime.architecture() != kHopper || epilogue.preActivation || args.y.rows <= kFewRows) return false;
  HopperLinear product;
  product.x = args.x.data;
  product.ldx = args.x.stride;
  product.w = weight.data;
  product.ldw = weight.stride;
  product.bias = epilogue.bias;
  product.activation = epilogue.activation;
  product.columnMask = epilogue.columnMask;
  product.residual = epilogue.residual.data;
  product.ldResidual = epilogue.residual.stride;
  product.y = args.y.data;
  product.ldy = args.y.stride;
  product.rows = args.y.rows;
  product.inputs = args.x.cols;
  product.outputs = args.y.cols;
  product.dtype = args.y.dtype;
  if (!hopperLinearSupports(product)) return false;
  hopperLinear(product, runtime.stream());
  return true;
}

}  // namespace espalier::cuda
