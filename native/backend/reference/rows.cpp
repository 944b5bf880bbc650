#include "backend/dropout.h"
#include "backend/reference/operations.h"

namespace espalier::reference {

template <typename T>
void gatherRows(const GatherRowsArgs& args) {
  for (int64_t r = 0; r < args.y.rows; ++r) {
    for (int64_t c = 0; c < args.y.cols; ++c) args.y.row<T>(r)[c] = args.x.row<T>(args.rows[r])[c];
  }
}

template <typename T>
void scatterRows(const ScatterRowsArgs& args) {
  for (int64_t r = 0; r < args.x.rows; ++r) {
    const T* x = args.x.row<T>(r);
    T* y = args.y.row<T>(args.rows[r]);
    for (int64_t c = 0; c < args.x.cols; ++c) y[c] = args.accumulate ? y[c] + x[c] : x[c];
  }
}

template <typename T>
void embedBackward(const EmbedBackwardArgs& args) {
  for (int32_t entry = 0; entry < args.entries; ++entry) {
    T* gradient = args.gradient.row<T>(args.ids[entry]);
    for (int64_t c = 0; c < args.dy.cols; ++c) {
      for (int32_t i = args.offsets[entry]; i < args.offsets[entry + 1]; ++i) {
        gradient[c] += args.dy.row<T>(args.rows[i])[c];
      }
    }
  }
}

template <typename T>
void selectTokens(const SelectTokensArgs& args) {
  int32_t kept = 0;
  args.newOffsets[0] = 0;
  for (int32_t s = 0; s < args.sequences; ++s) {
    const T least = static_cast<T>(args.threshold) * static_cast<T>(args.lengths[s]);
    for (int32_t token = args.offsets[s]; token < args.offsets[s + 1]; ++token) {
      if (token == args.offsets[s] || *args.scores.row<T>(token) >= least) args.rows[kept++] = token;
    }
    args.newOffsets[s + 1] = kept;
  }
}

template <typename T>
void subtract(const SubtractArgs& args) {
  const T* bias = vectorOf<T>(args.bias);
  for (int64_t r = 0; r < args.y.rows; ++r) {
    for (int64_t c = 0; c < args.y.cols; ++c) {
      args.y.row<T>(r)[c] = args.x.row<T>(r)[c] - args.z.row<T>(r)[c] - (bias ? bias[c] : T(0));
    }
  }
}

template <typename T>
void addScaled(const AddScaledArgs& args) {
  for (int64_t r = 0; r < args.y.rows; ++r) {
    for (int64_t c = 0; c < args.y.cols; ++c) args.y.row<T>(r)[c] += static_cast<T>(args.factor) * args.x.row<T>(r)[c];
  }
}

template <typename T>
void dropout(const DropoutArgs& args) {
  const DropoutFactors<T> factors(args.rate, args.key);
  for (int64_t r = 0; r < args.y.rows; ++r) {
    for (int64_t c = 0; c < args.y.cols; ++c) {
      const T residual = args.residual ? args.residual.row<T>(r)[c] : T(0);
      args.y.row<T>(r)[c] = residual + args.x.row<T>(r)[c] * factors.of(r * args.y.cols + c);
    }
  }
}

template void gatherRows<float>(const GatherRowsArgs&);
template void gatherRows<double>(const GatherRowsArgs&);
template void scatterRows<float>(const ScatterRowsArgs&);
template void scatterRows<double>(const ScatterRowsArgs&);
template void embedBackward<float>(const EmbedBackwardArgs&);
template void embedBackward<double>(const EmbedBackwardArgs&);
template void selectTokens<float>(const SelectTokensArgs&);
template void selectTokens<double>(const SelectTokensArgs&);
template void subtract<float>(const SubtractArgs&);
template void subtract<double>(const SubtractArgs&);
template void addScaled<float>(const AddScaledArgs&);
template void addScaled<double>(const AddScaledArgs&);
template void dropout<float>(const DropoutArgs&);
template void dropout<double>(const DropoutArgs&);

}  // namespace espalier::reference
