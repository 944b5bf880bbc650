// cuBLASLt counts in columns: a row-major y = a b is its y' = b' a'.

#include <cublasLt.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>

#include "backend/cuda/check.h"
#include "backend/cuda/products.h"

namespace espalier::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;

cudaDataType typeOf(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::f64:
      return CUDA_R_64F;
    case DType::f16:
      return CUDA_R_16F;
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::i32:
      break;
  }
  throw Error(ErrorCode::internal, "products of whole numbers are not computed");
}

cublasComputeType_t computeType(DType dtype, Products products) {
  if (dtype != DType::f32 || products == Products::full) return CUBLAS_COMPUTE_32F;
  return products == Products::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F_FAST_16BF;
}

/// The largest power of two, at most 256, that an address is a multiple of.
uint32_t alignmentOf(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data) | 256;
  return static_cast<uint32_t>(address & (~address + 1));
}

/// Batches differ in their number of rows by little; the choice of an algorithm may be the same within an eighth.
int64_t bucketOf(int64_t rows) {
  int64_t step = 1;
  while (step * 16 <= rows) step *= 2;
  return (rows + step - 1) / step * step;
}

/// What cuBLASLt is told of one product, freed with it.
class Description {
 public:
  Description(const Product& product, int64_t rows, Products products) {
    const cudaDataType outputs = typeOf(product.y.dtype);
    check(cublasLtMatmulDescCreate(&operation_, computeType(product.a.dtype, products), CUDA_R_32F), kDoing);
    set(CUBLASLT_MATMUL_DESC_TRANSA, operationOf(product.bSide));
    set(CUBLASLT_MATMUL_DESC_TRANSB, operationOf(product.aSide));
    if (product.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, product.geluTanh ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, product.bias);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, outputs);
    } else if (product.geluTanh) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_GELU);
    }
    const Matrix& a = product.a;
    const bool flipped = product.aSide == Side::transposed;
    layout(a_, typeOf(product.b.dtype), product.b.cols, product.b.rows, product.b.stride);
    layout(b_, typeOf(a.dtype), flipped ? rows : a.cols, flipped ? a.rows : rows, a.stride);
    layout(y_, outputs, product.y.cols, rows, product.y.stride);
    const int64_t residualStride = product.residual ? product.residual.stride : product.y.stride;
    layout(c_, outputs, product.y.cols, rows, residualStride);
  }
  ~Description() {
    for (cublasLtMatrixLayout_t layout : {a_, b_, c_, y_}) cublasLtMatrixLayoutDestroy(layout);
    cublasLtMatmulDescDestroy(operation_);
  }
  Description(const Description&) = delete;
  Description& operator=(const Description&) = delete;

  cublasLtMatmulDesc_t operation() const { return operation_; }
  cublasLtMatrixLayout_t a() const { return a_; }
  cublasLtMatrixLayout_t b() const { return b_; }
  cublasLtMatrixLayout_t c() const { return c_; }
  cublasLtMatrixLayout_t y() const { return y_; }

 private:
  static constexpr const char* kDoing = "describing a product";

  // Seen as columns, a row-major matrix is its transpose already.
  static cublasOperation_t operationOf(Side side) { return side == Side::transposed ? CUBLAS_OP_T : CUBLAS_OP_N; }

  template <typename T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    check(cublasLtMatmulDescSetAttribute(operation_, attribute, &value, sizeof(value)), kDoing);
  }

  static void layout(cublasLtMatrixLayout_t& result, cudaDataType type, int64_t rows, int64_t cols, int64_t stride) {
    check(cublasLtMatrixLayoutCreate(&result, type, rows, cols, stride), kDoing);
  }

  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t a_ = nullptr, b_ = nullptr, c_ = nullptr, y_ = nullptr;
};

/// Everything that decides which algorithm is best, but rows only roughly.
using Key = std::tuple<int64_t, int64_t, int64_t, Side, Side, DType, DType, int64_t, int64_t, int64_t, int64_t,
                       uint32_t, int32_t>;

Key keyOf(const Product& product) {
  const bool flipped = product.aSide == Side::transposed;
  const int64_t inner = flipped ? product.a.rows : product.a.cols;
  const int64_t residualStride = product.residual ? product.residual.stride : 0;
  const uint32_t alignments = std::min({alignmentOf(product.a.data), alignmentOf(product.b.data),
                                        alignmentOf(product.y.data), alignmentOf(product.residual.data)});
  const int32_t epilogue =
      (product.bias ? 1 : 0) + (product.geluTanh ? 2 : 0) + (product.bias && alignmentOf(product.bias) < 16 ? 4 : 0);
  return {bucketOf(product.y.rows),
          product.y.cols,
          inner,
          product.aSide,
          product.bSide,
          product.a.dtype,
          product.y.dtype,
          product.a.stride,
          product.b.stride,
          product.y.stride,
          residualStride,
          alignments,
          epilogue};
}

}  // namespace

struct Multiplier::State {
  Runtime& runtime;
  Products products;
  cublasLtHandle_t handle = nullptr;
  void* workspace = nullptr;
  std::mutex mutex;
  std::map<Key, cublasLtMatmulAlgo_t> algorithms;

  State(Runtime& runtime, Products products) : runtime(runtime), products(products) {
    check(cublasLtCreate(&handle), "opening cuBLAS");
    workspace = runtime.allocate(kWorkspaceBytes);
  }
  ~State() {
    if (workspace != nullptr) runtime.release(workspace);
    if (handle != nullptr) cublasLtDestroy(handle);
  }

  /// The best algorithm for the product with `rows` rows.
  cublasLtMatmulAlgo_t search(const Product& product, const Description& description) {
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "choosing an algorithm");
    const std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, cublasStatus_t (*)(cublasLtMatmulPreference_t)> owner(
        preference, cublasLtMatmulPreferenceDestroy);
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
            "choosing an algorithm");
    };
    const void* c = product.residual ? product.residual.data : product.y.data;
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignmentOf(product.b.data));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignmentOf(product.a.data));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignmentOf(c));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignmentOf(product.y.data));
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    check(cublasLtMatmulAlgoGetHeuristic(handle, description.operation(), description.a(), description.b(),
                                         description.c(), description.y(), preference, 1, &best, &found),
          "choosing an algorithm");
    if (found == 0) throw Error(ErrorCode::internal, "cuBLAS knows no algorithm for a product");
    return best.algo;
  }

  cublasLtMatmulAlgo_t algorithm(const Product& product) {
    const Key key = keyOf(product);
    const std::lock_guard<std::mutex> lock(mutex);
    auto known = algorithms.find(key);
    if (known == algorithms.end()) {
      known = algorithms.emplace(key, search(product, Description(product, std::get<0>(key), products))).first;
    }
    return known->second;
  }

  cublasStatus_t run(const Product& product, const Description& description, const cublasLtMatmulAlgo_t& algo) {
    const float one = 1, beta = product.residual ? 1 : 0;
    const void* c = product.residual ? product.residual.data : product.y.data;
    return cublasLtMatmul(handle, description.operation(), &one, product.b.data, description.a(), product.a.data,
                          description.b(), &beta, c, description.c(), product.y.data, description.y(), &algo, workspace,
                          kWorkspaceBytes, runtime.stream());
  }
};

Multiplier::Multiplier(Runtime& runtime, Products products) : state_(std::make_unique<State>(runtime, products)) {}

Multiplier::~Multiplier() = default;

void Multiplier::multiply(const Product& product) {
  const Description description(product, product.y.rows, state_->products);
  if (state_->run(product, description, state_->algorithm(product)) == CUBLAS_STATUS_SUCCESS) return;
  // What suits the bucket may not suit this very number of rows.
  check(state_->run(product, description, state_->search(product, description)), "multiplying");
}

}  // namespace espalier::cuda
