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

cublasComputeType_t computeType(const Product& product, Products products) {
  if (product.a.dtype != DType::f32 || product.exact || products == Products::full) return CUBLAS_COMPUTE_32F;
  return products == Products::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F_FAST_16BF;
}

/// The largest power of two, at most 256, that an address is a multiple of.
uint32_t alignmentOf(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data) | 256;
  return static_cast<uint32_t>(address & (~address + 1));
}

/// Batches differ in their number of rows by little; the choice of an algorithm may be the same within an eighth.
int64_t bucketOf(const Product& product) {
  // The rows of a transposed factor lie beside each other: there they are bounded by its stride.
  const int64_t rows = product.y.rows;
  if (product.aSide == Side::transposed) return rows;
  int64_t step = 1;
  while (step * 16 <= rows) step *= 2;
  return (rows + step - 1) / step * step;
}

/// What cuBLASLt is told of one product, freed with it.
class Description {
 public:
  Description(const Product& product, int64_t rows, Products products) {
    const cudaDataType outputs = typeOf(product.y.dtype);
    check(cublasLtMatmulDescCreate(&operation_, computeType(product, products), CUDA_R_32F), kDoing);
    set(CUBLASLT_MATMUL_DESC_TRANSA, operationOf(product.bSide));
    set(CUBLASLT_MATMUL_DESC_TRANSB, operationOf(product.aSide));
    if (product.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, product.geluTanh ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, outputs);
      setBias(product.bias);
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

  /// The one thing of a described product that may change.
  void setBias(const void* bias) {
    if (bias != nullptr) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }

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

/// Everything about a product but its addresses.
using Key = std::tuple<int64_t, int64_t, int64_t, Side, Side, DType, DType, int64_t, int64_t, int64_t, int64_t,
                       uint32_t, int32_t>;

Key keyOf(const Product& product, int64_t rows) {
  const bool flipped = product.aSide == Side::transposed;
  const int64_t inner = flipped ? product.a.rows : product.a.cols;
  const int64_t residualStride = product.residual ? product.residual.stride : 0;
  const uint32_t alignments = std::min({alignmentOf(product.a.data), alignmentOf(product.b.data),
                                        alignmentOf(product.y.data), alignmentOf(product.residual.data)});
  const int32_t epilogue = (product.bias ? 1 : 0) + (product.geluTanh ? 2 : 0) +
                           (product.bias && alignmentOf(product.bias) < 16 ? 4 : 0) + (product.exact ? 8 : 0);
  return {rows,
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

/// A product as cuBLASLt knows it, and how to compute it.
struct Plan {
  Plan(const Product& product, int64_t rows, Products products) : description(product, rows, products) {}

  Description description;
  cublasLtMatmulAlgo_t algorithm{};
};

// Lengths of batches differ without end; a plan is made anew in about 20 microseconds.
constexpr size_t kMostPlans = 4096;

}  // namespace

struct Multiplier::State {
  Runtime& runtime;
  Products products;
  cublasLtHandle_t handle = nullptr;
  void* workspace = nullptr;
  std::mutex mutex;
  std::map<Key, std::unique_ptr<Plan>> plans;
  std::map<Key, cublasLtMatmulAlgo_t> algorithms;  // by buckets of rows

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
    // Sums of parts, too, are 32 bits.
    if (product.y.dtype != DType::f32) {
      set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    }
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

  /// That of the bucket where it suits this very number of rows.
  cublasLtMatmulAlgo_t algorithmFor(const Product& product, const Description& description) {
    const int64_t rows = bucketOf(product);
    const Key key = keyOf(product, rows);
    auto known = algorithms.find(key);
    if (known == algorithms.end()) {
      known = algorithms.emplace(key, search(product, Description(product, rows, products))).first;
    }
    cublasLtMatmulHeuristicResult_t checked{};
    const cublasStatus_t status =
        cublasLtMatmulAlgoCheck(handle, description.operation(), description.a(), description.b(), description.c(),
                                description.y(), &known->second, &checked);
    const bool suits = status == CUBLAS_STATUS_SUCCESS && checked.workspaceSize <= kWorkspaceBytes;
    return suits ? known->second : search(product, description);
  }

  Plan& planFor(const Product& product) {
    const Key key = keyOf(product, product.y.rows);
    const auto known = plans.find(key);
    if (known != plans.end()) return *known->second;
    if (plans.size() >= kMostPlans) plans.clear();
    auto plan = std::make_unique<Plan>(product, product.y.rows, products);
    plan->algorithm = algorithmFor(product, plan->description);
    return *plans.emplace(key, std::move(plan)).first->second;
  }

  void multiply(const Product& product) {
    const std::lock_guard<std::mutex> lock(mutex);
    Plan& plan = planFor(product);
    Description& description = plan.description;
    description.setBias(product.bias);
    const float one = 1, beta = product.residual ? 1 : 0;
    const void* c = product.residual ? product.residual.data : product.y.data;
    check(cublasLtMatmul(handle, description.operation(), &one, product.b.data, description.a(), product.a.data,
                         description.b(), &beta, c, description.c(), product.y.data, description.y(), &plan.algorithm,
                         workspace, kWorkspaceBytes, runtime.stream()),
          "multiplying");
  }
};

Multiplier::Multiplier(Runtime& runtime, Products products) : state_(std::make_unique<State>(runtime, products)) {}

Multiplier::~Multiplier() = default;

void Multiplier::multiply(const Product& product) { state_->multiply(product); }

}  // namespace espalier::cuda
