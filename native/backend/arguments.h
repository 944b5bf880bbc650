#pragma once

#include <initializer_list>
#include <string>

#include "core/matrix.h"

namespace espalier {

/// A view with the name an operation gives it.
struct NamedMatrix {
  const char* name;
  const Matrix& view;
};

/// Checks the arguments of one operation; each check throws invalidArgument with a message that begins with its name.
/// What lies in device memory (ids, offsets, groups) cannot be looked at here: callers answer for it.
class Arguments {
 public:
  Arguments(const char* operation, DType dtype) : operation_(operation), dtype_(dtype) {}

  /// Throws with `problem` unless `condition` holds.
  void require(bool condition, const char* problem) const {
    if (!condition) fail(problem);
  }

  /// `matrix` is given, has this shape and element type (the backend's unless said), and rows that do not overlap.
  void shape(const NamedMatrix& matrix, int64_t rows, int64_t cols) const { shape(matrix, rows, cols, dtype_); }
  void shape(const NamedMatrix& matrix, int64_t rows, int64_t cols, DType dtype) const;
  /// As shape(), for a view that may be left out.
  void optionalShape(const NamedMatrix& matrix, int64_t rows, int64_t cols) const {
    if (matrix.view) shape(matrix, rows, cols);
  }

  /// `output` shares no element with any of `others`.
  void separate(const NamedMatrix& output, std::initializer_list<NamedMatrix> others) const;
  /// `output` is the very same view as `input`, or shares no element with it.
  void sameOrSeparate(const NamedMatrix& output, const NamedMatrix& input) const;

 private:
  [[noreturn]] void fail(const std::string& problem) const;

  const char* operation_;
  DType dtype_;
};

}  // namespace espalier
