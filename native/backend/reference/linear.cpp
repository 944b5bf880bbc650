#include "backend/reference/operations.h"

namespace espalier::reference {

template <typename T>
void pack(const PackArgs& args, Weight& weight) {
  weight.outputs = args.transposed ? args.weight.cols : args.weight.rows;
  weight.inputs = args.transposed ? args.weight.rows : args.weight.cols;
  weight.values.resize(static_cast<size_t>(weight.outputs * weight.inputs) * sizeof(T));
  T* value = reinterpret_cast<T*>(weight.values.data());
  for (int64_t o = 0; o < weight.outputs; ++o) {
    for (int64_t i = 0; i < weight.inputs; ++i) {
      *value++ = args.transposed ? args.weight.row<T>(i)[o] : args.weight.row<T>(o)[i];
    }
  }
}

template <typename T>
void linear(const LinearArgs& args) {
  const Weight& weight = *reinterpret_cast<const Weight*>(args.weight);
  const T* values = reinterpret_cast<const T*>(weight.values.data());
  const Epilogue& epilogue = args.epilogue;
  const T* bias = vectorOf<T>(epilogue.bias);
  const T* columnMask = vectorOf<T>(epilogue.columnMask);
  for (int64_t r = 0; r < args.y.rows; ++r) {
    for (int64_t o = 0; o < weight.outputs; ++o) {
      T value = 0;
      for (int64_t i = 0; i < weight.inputs; ++i) value += args.x.row<T>(r)[i] * values[o * weight.inputs + i];
      if (bias) value += bias[o];
      if (epilogue.preActivation) epilogue.preActivation.row<T>(r)[o] = value;
      value = activate(epilogue.activation, value);
      if (columnMask) value *= columnMask[o];
      if (epilogue.residual) value += epilogue.residual.row<T>(r)[o];
      args.y.row<T>(r)[o] = value;
    }
  }
}

template void pack<float>(const PackArgs&, Weight&);
template void pack<double>(const PackArgs&, Weight&);
template void linear<float>(const LinearArgs&);
template void linear<double>(const LinearArgs&);

}  // namespace espalier::reference
