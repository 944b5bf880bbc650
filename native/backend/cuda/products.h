#pragma once

#include <memory>

#include "backend/cuda/runtime.h"
#include "backend/table.h"

namespace espalier::cuda {

/// How a factor of a product lies in memory.
enum class Side { plain, transposed };

/// y = a b (+ bias, + residual) with rows of a and y as `rows`: a [rows, inner], b [inner, cols]; `transposed` factors
/// are stored the other way round. Sums are f32; y has its own element type.
struct Product {
  Matrix a;
  Side aSide = Side::plain;
  Matrix b;
  Side bSide = Side::plain;
  Matrix y;
  const void* bias = nullptr;  // [cols], of y's type
  bool geluTanh = false;       // after the bias; not together with a residual
  Matrix residual = {};        // [rows, cols], of y's type; may be y
  bool exact = false;          // factors of f32 are not rounded, whatever Products the backend was opened with
};

/// Matrix products by the vendor's library (in the emulation: plain loops). One for each backend.
class Multiplier {
 public:
  Multiplier(Runtime& runtime, Products products);
  ~Multiplier();
  Multiplier(const Multiplier&) = delete;
  Multiplier& operator=(const Multiplier&) = delete;

  void multiply(const Product& product);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier::cuda
