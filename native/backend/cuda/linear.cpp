#include "backend/cuda/linear.h"

#include <algorithm>
#include <optional>

#include "backend/cuda/fused_linear.h"
#include "backend/cuda/kernels/operations.h"

namespace espalier::cuda {
namespace {

// Rows that are summed in f32 before they are added to a sum in double.
constexpr int64_t kChunkRows = 1024;

/// Whether a product by the library is all there is to do.
bool isPlain(const Epilogue& epilogue) {
  return epilogue.activation == Activation::none && epilogue.columnMask == nullptr && !epilogue.preActivation;
}

/// Whether the library's own activation, the tanh form to about 16 bits, is the one that is asked for, with nothing
/// after it.
bool isLibraryGelu(const Epilogue& epilogue, DType dtype) {
  return dtype != DType::f32 && epilogue.activation == Activation::geluTanh && epilogue.columnMask == nullptr &&
         !epilogue.preActivation && !epilogue.residual;
}

}  // namespace

int64_t rowStride(int64_t cols) { return std::max<int64_t>(8, (cols + 7) / 8 * 8); }

Weight::Weight(Runtime& runtime, DType dtype, int64_t outputs, int64_t inputs)
    : runtime(runtime),
      bytes(static_cast<size_t>(std::max<int64_t>(outputs, 1) * rowStride(inputs)) * dtypeBytes(dtype)) {
  values = {runtime.allocate(bytes), dtype, outputs, inputs, rowStride(inputs)};
}

Weight::~Weight() { runtime.release(values.data); }

template <typename T>
void pack(const PackArgs& args, const Weight& weight) {
  if (args.transposed) {
    transpose<T>(args.weight, weight.values, weight.runtime.stream());
  } else {
    copyRows<T>(args.weight, weight.values, weight.runtime.stream());
  }
}

template <typename T>
void linear(const LinearArgs& args, Runtime& runtime, Multiplier& multiplier) {
  const Matrix& weight = reinterpret_cast<const Weight*>(args.weight)->values;
  Epilogue epilogue = args.epilogue;
  const Stream stream = runtime.stream();
  if (args.y.rows == 0 || args.y.cols == 0) return;
  if (args.x.cols == 0) {
    if (epilogue.preActivation) {
      Epilogue saved;
      saved.bias = epilogue.bias;
      applyEpilogue<T>({}, saved, epilogue.preActivation, stream);
    }
    return applyEpilogue<T>({}, epilogue, args.y, stream);
  }
  if (fusedLinear(args, weight, runtime)) return;
  Product product{args.x, Side::plain, weight, Side::transposed, args.y, epilogue.bias};
  if (isPlain(epilogue)) {
    product.residual = epilogue.residual;
    return multiplier.multiply(product);
  }
  if (isLibraryGelu(epilogue, args.y.dtype)) {
    product.geluTanh = true;
    return multiplier.multiply(product);
  }
  // y may be the residual, and must then wait for its turn.
  std::optional<DeviceArray<T>> place;
  if (epilogue.preActivation) {
    product.y = epilogue.preActivation;
  } else if (epilogue.residual) {
    const int64_t stride = rowStride(args.y.cols);
    place.emplace(runtime, static_cast<size_t>(args.y.rows * stride));
    product.y = {place->data(), args.y.dtype, args.y.rows, args.y.cols, stride};
  }
  multiplier.multiply(product);
  epilogue.bias = nullptr;
  applyEpilogue<T>(product.y, epilogue, args.y, stream);
}

void transposedProduct(const TransposedProductArgs& args, Runtime& runtime, Multiplier& multiplier) {
  const auto multiply = [&](int64_t first, int64_t rows, const Matrix& y, const Matrix& residual) {
    Product product{args.a.rowRange(first, rows), Side::transposed, args.b.rowRange(first, rows), Side::plain, y};
    product.residual = residual;
    // Least squares, which asks for f64, of rounded sums may not even be positive definite.
    product.exact = args.c.dtype == DType::f64;
    multiplier.multiply(product);
  };
  if (args.c.rows == 0 || args.c.cols == 0) return;
  if (args.a.rows == 0) {
    const size_t bytes = static_cast<size_t>(args.c.cols) * dtypeBytes(args.c.dtype);
    for (int64_t row = 0; !args.accumulate && row < args.c.rows; ++row) {
      runtime.fillZero(args.c.rowRange(row, 1).data, bytes);
    }
    return;
  }
  if (args.c.dtype != DType::f64) return multiply(0, args.a.rows, args.c, args.accumulate ? args.c : Matrix{});
  const int64_t stride = rowStride(args.c.cols);
  const DeviceArray<float> place(runtime, static_cast<size_t>(args.c.rows * stride));
  const Matrix part{place.data(), DType::f32, args.c.rows, args.c.cols, stride};
  for (int64_t first = 0; first < args.a.rows; first += kChunkRows) {
    multiply(first, std::min(kChunkRows, args.a.rows - first), part, {});
    addToDouble(part, args.accumulate || first > 0, args.c, runtime.stream());
  }
}

template void pack<float>(const PackArgs&, const Weight&);
template void pack<Half>(const PackArgs&, const Weight&);
template void pack<Bfloat16>(const PackArgs&, const Weight&);
template void linear<float>(const LinearArgs&, Runtime&, Multiplier&);
template void linear<Half>(const LinearArgs&, Runtime&, Multiplier&);
template void linear<Bfloat16>(const LinearArgs&, Runtime&, Multiplier&);

}  // namespace espalier::cuda
