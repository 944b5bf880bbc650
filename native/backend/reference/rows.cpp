#include "backend/reference/operations.h"

namespace espalier::reference {

template <typename T>
void gatherRows(const GatherRowsArgs& args) {
  for (int64_t r = 0; r < args.y.rows; ++r) {
    for (int64_t c = 0; c < args.y.cols; ++c) args.y.row<T>(r)[c] = args.x.row<T>(args.rows[r])[c];
  }
}

template <typename T>
void scatterAddRows(const ScatterAddRowsArgs& args) {
  for (int64_t r = 0; r < args.x.rows; ++r) {
    for (int64_t c = 0; c < args.x.cols; ++c) args.y.row<T>(args.rows[r])[c] += args.x.row<T>(r)[c];
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

template void gatherRows<float>(const GatherRowsArgs&);
template void gatherRows<double>(const GatherRowsArgs&);
template void scatterAddRows<float>(const ScatterAddRowsArgs&);
template void scatterAddRows<double>(const ScatterAddRowsArgs&);
template void embedBackward<float>(const EmbedBackwardArgs&);
template void embedBackward<double>(const EmbedBackwardArgs&);
template void selectTokens<float>(const SelectTokensArgs&);
template void selectTokens<double>(const SelectTokensArgs&);
template void subtract<float>(const SubtractArgs&);
template void subtract<double>(const SubtractArgs&);

}  // namespace espalier::reference
