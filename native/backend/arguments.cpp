#include "backend/arguments.h"

#include "core/error.h"

namespace espalier {

namespace {

std::string describe(int64_t rows, int64_t cols) {
  return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

const char* dtypeName(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
  }
  return "unknown";
}

bool isEmpty(const Matrix& view) { return !view || view.rows == 0 || view.cols == 0; }

/// One past the last byte of a view that is not empty.
uintptr_t endOf(const Matrix& view) {
  const int64_t elements = (view.rows - 1) * view.stride + view.cols;
  return reinterpret_cast<uintptr_t>(view.data) + static_cast<uintptr_t>(elements) * dtypeBytes(view.dtype);
}

/// Whether two views share an element. Column ranges of one matrix interleave without sharing any; other views count
/// as sharing when their spans of memory meet.
bool overlap(const Matrix& a, const Matrix& b) {
  if (isEmpty(a) || isEmpty(b)) return false;
  const auto beginA = reinterpret_cast<uintptr_t>(a.data);
  const auto beginB = reinterpret_cast<uintptr_t>(b.data);
  if (endOf(a) <= beginB || endOf(b) <= beginA) return false;
  if (a.stride != b.stride || a.dtype != b.dtype) return true;
  const auto size = static_cast<int64_t>(dtypeBytes(a.dtype));
  const int64_t bytes = static_cast<int64_t>(beginB) - static_cast<int64_t>(beginA);
  if (bytes % size != 0) return true;
  const int64_t shift = ((bytes / size) % a.stride + a.stride) % a.stride;  // columns from a's first to b's first
  return shift < a.cols || shift + b.cols > a.stride;
}

bool sameView(const Matrix& a, const Matrix& b) {
  return a.data == b.data && a.rows == b.rows && a.cols == b.cols && a.stride == b.stride && a.dtype == b.dtype;
}

}  // namespace

void Arguments::fail(const std::string& problem) const {
  throw Error(ErrorCode::invalidArgument, std::string(operation_) + ": " + problem);
}

void Arguments::shape(const NamedMatrix& matrix, int64_t rows, int64_t cols, DType dtype) const {
  const std::string name = matrix.name;
  const Matrix& view = matrix.view;
  if (rows < 0 || cols < 0) fail(name + " cannot have the shape " + describe(rows, cols));
  if (view.rows != rows || view.cols != cols) {
    fail(name + " is " + describe(view.rows, view.cols) + ", must be " + describe(rows, cols));
  }
  if (rows == 0 || cols == 0) return;
  if (!view) fail(name + " is missing");
  if (view.dtype != dtype) fail(name + " is " + dtypeName(view.dtype) + ", must be " + dtypeName(dtype));
  if (view.stride < cols) {
    fail(name + " has stride " + std::to_string(view.stride) + ", must be at least its " + std::to_string(cols) +
         " columns");
  }
}

void Arguments::separate(const NamedMatrix& output, std::initializer_list<NamedMatrix> others) const {
  for (const NamedMatrix& other : others) {
    if (overlap(output.view, other.view)) {
      fail(std::string(output.name) + " shares memory with " + other.name);
    }
  }
}

void Arguments::sameOrSeparate(const NamedMatrix& output, const NamedMatrix& input) const {
  if (!sameView(output.view, input.view)) separate(output, {input});
}

}  // namespace espalier
