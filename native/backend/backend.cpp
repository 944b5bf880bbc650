#include "backend/backend.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "backend/arguments.h"
#include "backend/plugin.h"
#include "core/convert.h"

namespace espalier {

namespace {

const BackendTable& findTable(const std::string& name) {
  for (const BackendTable* table : {cpuBackendTable(), referenceBackendTable()}) {
    if (name == table->name) return *table;
  }
  if (name == "cuda") return loadPlugin("cuda");
  throw Error(ErrorCode::invalidArgument, "there is no backend '" + name + "'; choose cpu, cuda or reference");
}

bool isEmpty(const Matrix& view) { return view.rows == 0 || view.cols == 0; }

/// Host copies of stored elements as T, and back.
template <typename Stored, typename T>
void convert(const Stored* from, int64_t count, T* to) {
  std::transform(from, from + count, to, [](Stored value) { return static_cast<T>(value); });
}

template <typename T>
void decode(DType dtype, const void* stored, int64_t count, T* values) {
  if (dtype == DType::f64) return convert(static_cast<const double*>(stored), count, values);
  std::vector<float> floats(static_cast<size_t>(count));
  toFloat(dtype, stored, count, floats.data());
  convert(floats.data(), count, values);
}

template <typename T>
void encode(const T* values, int64_t count, DType dtype, void* stored) {
  if (dtype == DType::f64) return convert(values, count, static_cast<double*>(stored));
  std::vector<float> floats(static_cast<size_t>(count));
  convert(values, count, floats.data());
  fromFloat(floats.data(), count, dtype, stored);
}

/// Whether a T is what is stored.
template <typename T>
bool isStoredAs(DType dtype) {
  return dtype == (std::is_same_v<T, double> ? DType::f64 : DType::f32);
}

template <typename T>
void readView(const BackendTable& table, BackendState* state, const Matrix& view, T* values) {
  Arguments("read", view.dtype).shape({"view", view}, view.rows, view.cols);
  if (isEmpty(view)) return;
  const size_t size = dtypeBytes(view.dtype);
  const auto copy = [&](void* to) {
    check(table.copyOut(state, to, view.data, static_cast<size_t>(view.stride) * size,
                        static_cast<size_t>(view.cols) * size, static_cast<size_t>(view.rows)));
  };
  if (isStoredAs<T>(view.dtype)) return copy(values);
  std::vector<char> stored(static_cast<size_t>(view.rows * view.cols) * size);
  copy(stored.data());
  decode(view.dtype, stored.data(), view.rows * view.cols, values);
}

template <typename T>
void writeView(const BackendTable& table, BackendState* state, const T* values, const Matrix& view) {
  if (isEmpty(view)) return;
  const size_t size = dtypeBytes(view.dtype);
  const auto copy = [&](const void* from) {
    check(table.copyIn(state, view.data, static_cast<size_t>(view.stride) * size, from,
                       static_cast<size_t>(view.cols) * size, static_cast<size_t>(view.rows)));
  };
  if (isStoredAs<T>(view.dtype)) return copy(values);
  std::vector<char> stored(static_cast<size_t>(view.rows * view.cols) * size);
  encode(values, view.rows * view.cols, view.dtype, stored.data());
  copy(stored.data());
}

}  // namespace

void check(const Status& status) {
  if (status.code != ErrorCode::ok) throw Error(status.code, status.message ? status.message : "a backend failed");
}

Buffer::Buffer(std::shared_ptr<Backend> backend, size_t bytes) : backend_(std::move(backend)), bytes_(bytes) {
  // At least one byte: an empty matrix still needs an address, null means "not given".
  const size_t allocated = std::max<size_t>(bytes, 1);
  check(backend_->table_->allocate(backend_->state_, allocated, &data_));
  const Status status = backend_->table_->fillZero(backend_->state_, data_, allocated);
  if (status.code != ErrorCode::ok) {
    backend_->table_->release(backend_->state_, data_);
    check(status);
  }
}

Buffer::~Buffer() { backend_->table_->release(backend_->state_, data_); }

Weight::Weight(std::shared_ptr<Backend> backend, const PackArgs& args)
    : backend_(std::move(backend)),
      outputs_(args.transposed ? args.weight.cols : args.weight.rows),
      inputs_(args.transposed ? args.weight.rows : args.weight.cols) {
  Arguments("pack", backend_->dtype()).shape({"weight", args.weight}, args.weight.rows, args.weight.cols);
  check(backend_->table_->packWeight(backend_->state_, &args, &packed_));
}

Weight::~Weight() { backend_->table_->releaseWeight(backend_->state_, packed_); }

size_t Weight::bytes() const { return backend_->table_->packedBytes(packed_); }

Recording::~Recording() { backend_->table_->releaseRecording(backend_->state_, work_); }

void Recording::replay() const { check(backend_->table_->replay(backend_->state_, work_)); }

std::shared_ptr<Backend> Backend::open(const std::string& name, const BackendOptions& options) {
  return open(findTable(name), options);
}

std::shared_ptr<Backend> Backend::open(const BackendTable& table, const BackendOptions& options) {
  if (options.threads < 1) throw Error(ErrorCode::invalidArgument, "threads must be at least 1");
  if (options.device < 0) throw Error(ErrorCode::invalidArgument, "device must not be negative");
  return std::shared_ptr<Backend>(new Backend(&table, options));
}

Backend::Backend(const BackendTable* table, const BackendOptions& options) : table_(table), options_(options) {
  check(table_->open(&options_, &state_));
}

Backend::~Backend() { table_->close(state_); }

size_t Backend::peakBytes() const {
  size_t bytes = 0;
  if (table_->peakBytes != nullptr) check(table_->peakBytes(state_, &bytes));
  return bytes;
}

Tensor Backend::tensor(int64_t rows, int64_t cols, DType dtype) {
  const Arguments arguments("tensor", dtype);
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 64;  // bytes, alignment included, stay countable
  arguments.require(rows >= 0 && cols >= 0, "rows and columns must not be negative");
  arguments.require(cols <= kMost, "too many columns");
  const int64_t padded = stride(cols);
  arguments.require(rows <= kMost / padded, "too many elements");
  auto buffer = std::make_shared<Buffer>(shared_from_this(), static_cast<size_t>(rows * padded) * dtypeBytes(dtype));
  const Matrix view{buffer->data(), dtype, rows, cols, padded};
  return {std::move(buffer), view};
}

Tensor Backend::tensorFrom(int64_t rows, int64_t cols, const float* values) {
  Tensor result = tensor(rows, cols);
  writeView(*table_, state_, values, result.view);
  return result;
}

Tensor Backend::tensorFrom(int64_t rows, int64_t cols, const double* values, DType dtype) {
  Tensor result = tensor(rows, cols, dtype);
  writeView(*table_, state_, values, result.view);
  return result;
}

void Backend::read(const Matrix& view, float* values) { readView(*table_, state_, view, values); }

void Backend::read(const Matrix& view, double* values) { readView(*table_, state_, view, values); }

std::vector<double> Backend::readDoubles(const Matrix& view) {
  std::vector<double> values(static_cast<size_t>(view.rows * view.cols));
  read(view, values.data());
  return values;
}

void Backend::write(const Matrix& view, const float* values) { writeView(*table_, state_, values, view); }

void Backend::write(const Matrix& view, const double* values) { writeView(*table_, state_, values, view); }

std::shared_ptr<Buffer> Backend::indices(const std::vector<int32_t>& values) {
  auto buffer = std::make_shared<Buffer>(shared_from_this(), values.size() * sizeof(int32_t));
  writeIndices(values, static_cast<int32_t*>(buffer->data()));
  return buffer;
}

void Backend::writeIndices(const std::vector<int32_t>& values, int32_t* to) {
  if (!values.empty()) check(table_->copyIn(state_, to, 0, values.data(), values.size() * sizeof(int32_t), 1));
}

std::vector<int32_t> Backend::readIndices(const int32_t* from, int64_t count) {
  std::vector<int32_t> values(static_cast<size_t>(count));
  const size_t bytes = values.size() * sizeof(int32_t);
  if (!values.empty()) check(table_->copyOut(state_, values.data(), from, bytes, bytes, 1));
  return values;
}

void Backend::fillZero(const Matrix& view) {
  Arguments("fillZero", view.dtype).shape({"view", view}, view.rows, view.cols);
  if (isEmpty(view)) return;
  const size_t rowBytes = static_cast<size_t>(view.cols) * dtypeBytes(view.dtype);
  if (view.stride == view.cols) {
    check(table_->fillZero(state_, view.data, static_cast<size_t>(view.rows) * rowBytes));
    return;
  }
  for (int64_t r = 0; r < view.rows; ++r) {
    check(table_->fillZero(state_, view.rowRange(r, 1).data, rowBytes));
  }
}

std::shared_ptr<Weight> Backend::pack(const Matrix& weight, bool transposed) {
  return std::make_shared<Weight>(shared_from_this(), PackArgs{weight, transposed});
}

std::unique_ptr<Recording> Backend::record(const std::function<void()>& body) {
  check(table_->beginRecording(state_));
  try {
    body();
  } catch (...) {
    table_->endRecording(state_, nullptr);
    throw;
  }
  RecordedWork* work = nullptr;
  check(table_->endRecording(state_, &work));
  return std::make_unique<Recording>(shared_from_this(), work);
}

}  // namespace espalier
