#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/table.h"
#include "core/matrix.h"

namespace espalier {

class Backend;

/// Device memory of one Backend, zero-filled when made, freed with the last reference.
class Buffer {
 public:
  Buffer(std::shared_ptr<Backend> backend, size_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Backend& backend() const { return *backend_; }

 private:
  std::shared_ptr<Backend> backend_;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

/// A Matrix that keeps its Buffer alive. Copies share the memory.
struct Tensor {
  std::shared_ptr<Buffer> buffer;
  Matrix view;
};

/// Owns a PackedWeight.
class Weight {
 public:
  Weight(std::shared_ptr<Backend> backend, const PackArgs& args);
  ~Weight();
  Weight(const Weight&) = delete;
  Weight& operator=(const Weight&) = delete;

  const PackedWeight* packed() const { return packed_; }
  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return inputs_; }
  size_t bytes() const;

 private:
  std::shared_ptr<Backend> backend_;
  PackedWeight* packed_ = nullptr;
  int64_t outputs_ = 0;
  int64_t inputs_ = 0;
};

/// Operations that a Backend was asked for once, to be run again for the price of asking for one.
class Recording {
 public:
  Recording(std::shared_ptr<Backend> backend, RecordedWork* work) : backend_(std::move(backend)), work_(work) {}
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  /// On what lies at the recorded addresses now. Not on several threads at once.
  void replay() const;

 private:
  std::shared_ptr<Backend> backend_;
  RecordedWork* work_;
};

/// An opened backend: checks the arguments of each operation, calls the table, turns a failed Status into an Error.
class Backend : public std::enable_shared_from_this<Backend> {
 public:
  /// name: "reference", "cpu" or "cuda". Throws noDevice, or unsupported for a forced instruction set, when it
  /// cannot run here, with the reason.
  static std::shared_ptr<Backend> open(const std::string& name, const BackendOptions& options);
  static std::shared_ptr<Backend> open(const BackendTable& table, const BackendOptions& options);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  const char* name() const { return table_->name; }
  const char* describe() const { return table_->describe(state_); }
  /// The most bytes that this process has had on the device at once; 0 where its memory is the host's.
  size_t peakBytes() const;
  DType dtype() const { return options_.dtype; }
  /// Whether an operation is done when it returns.
  bool onHost() const { return table_->onHost; }
  /// Host threads that share an operation.
  int threads() const { return onHost() ? options_.threads : 1; }
  int64_t stride(int64_t cols) const { return table_->rowStride(cols); }
  int32_t microBatchTokens() const { return table_->microBatchTokens; }
  int32_t backwardTokens() const { return table_->backwardTokens; }

  /// A zero-filled [rows, cols] tensor whose stride is padded to the backend's alignment (0 columns are allowed).
  Tensor tensor(int64_t rows, int64_t cols, DType dtype);
  Tensor tensor(int64_t rows, int64_t cols) { return tensor(rows, cols, dtype()); }
  /// As tensor(), but from host values in f32 or f64, converted to the tensor's type, rows * cols of them.
  Tensor tensorFrom(int64_t rows, int64_t cols, const float* values);
  Tensor tensorFrom(int64_t rows, int64_t cols, const double* values, DType dtype);
  /// Host copy of a tensor's values, rows * cols of them, as f32 or f64.
  void read(const Matrix& view, float* values);
  void read(const Matrix& view, double* values);
  std::vector<double> readDoubles(const Matrix& view);
  /// Puts host values in the place of a tensor's, rows * cols of them.
  void write(const Matrix& view, const float* values);
  void write(const Matrix& view, const double* values);
  /// A contiguous device copy of host integers.
  std::shared_ptr<Buffer> indices(const std::vector<int32_t>& values);
  /// Puts host integers at a place in device memory.
  void writeIndices(const std::vector<int32_t>& values, int32_t* to);
  /// A host copy of `count` device integers.
  std::vector<int32_t> readIndices(const int32_t* from, int64_t count);
  void fillZero(const Matrix& view);

  std::shared_ptr<Weight> pack(const Matrix& weight, bool transposed);

  /// Whether it can record().
  bool records() const { return table_->beginRecording != nullptr; }
  /// What `body` asks for on this thread, recorded instead of run. It can neither make tensors nor read or write them:
  /// that throws internal. Throws what `body` throws, having recorded nothing.
  std::unique_ptr<Recording> record(const std::function<void()>& body);

  /// What a solver of the backend's own is called with; null where the host solves.
  const SolverTable* solverTable() const { return table_->solver; }
  BackendState* state() const { return state_; }

  void linear(const Matrix& x, const Weight& weight, const Epilogue& epilogue, const Matrix& y);
  void embed(const EmbedArgs& args);
  void embedBackward(const EmbedBackwardArgs& args);
  void layerNorm(const LayerNormArgs& args);
  void layerNormBackward(const LayerNormBackwardArgs& args);
  void attention(const AttentionArgs& args);
  void attentionBackward(const AttentionBackwardArgs& args);
  void activationBackward(const ActivationBackwardArgs& args);
  void gatherRows(const GatherRowsArgs& args);
  void scatterRows(const ScatterRowsArgs& args);
  void selectTokens(const SelectTokensArgs& args);
  void softTokenMask(const SoftTokenMaskArgs& args);
  void softTokenMaskBackward(const SoftTokenMaskBackwardArgs& args);
  void transposedProduct(const TransposedProductArgs& args);
  void gram(const GramArgs& args);
  void columnSums(const ColumnSumsArgs& args);
  void subtract(const SubtractArgs& args);
  void addScaled(const AddScaledArgs& args);
  void dropout(const DropoutArgs& args);
  void adamW(const AdamWArgs& args);
  void loss(const LossArgs& args);

 private:
  friend class Buffer;
  friend class Recording;
  friend class Weight;
  Backend(const BackendTable* table, const BackendOptions& options);

  const BackendTable* table_;
  BackendState* state_ = nullptr;
  BackendOptions options_;
};

/// Throws the Error a failed status describes.
void check(const Status& status);

}  // namespace espalier
