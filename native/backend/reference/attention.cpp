#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/dropout.h"
#include "backend/reference/operations.h"

namespace espalier::reference {

namespace {

template <typename T>
T dot(const T* a, const T* b, int64_t count) {
  T sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

/// Calls body(sequence, query row, head) in the order of the rows.
template <typename Body>
void forEachQuery(const AttentionArgs& args, const Body& body) {
  for (int32_t s = 0; s < args.sequences; ++s) {
    for (int64_t query = args.queryOffsets[s]; query < args.queryOffsets[s + 1]; ++query) {
      for (int64_t head = 0; head < args.heads; ++head) body(s, query, head);
    }
  }
}

/// What dropout multiplies the probability of each key with.
template <typename T>
class DroppedOut {
 public:
  explicit DroppedOut(const AttentionArgs& args) : args_(args), factors_(args.dropoutRate, args.dropoutKey) {}

  T of(int64_t query, int64_t head, int64_t key) const {
    return factors_.of((query * args_.heads + head) * args_.longest + key);
  }

 private:
  const AttentionArgs& args_;
  DropoutFactors<T> factors_;
};

}  // namespace

template <typename T>
void attention(const AttentionArgs& args) {
  const int64_t size = args.headSize;
  const T* headMask = vectorOf<T>(args.headMask);
  const DroppedOut<T> droppedOut(args);
  std::vector<T> probability(static_cast<size_t>(args.longest));
  for (int64_t t = 0; t < args.columnSums.rows; ++t) *args.columnSums.row<T>(t) = 0;
  forEachQuery(args, [&](int32_t s, int64_t query, int64_t head) {
    const int64_t first = args.offsets[s];
    const int64_t tokens = args.offsets[s + 1] - first;
    const T* q = args.q.row<T>(query) + head * size;
    T largest = -std::numeric_limits<T>::infinity();
    for (int64_t t = 0; t < tokens; ++t) {
      probability[t] = static_cast<T>(args.scale) * dot(q, args.k.row<T>(first + t) + head * size, size);
      largest = std::max(largest, probability[t]);
    }
    T sum = 0;
    for (int64_t t = 0; t < tokens; ++t) {
      probability[t] = std::exp(probability[t] - largest);
      sum += probability[t];
    }
    for (int64_t d = 0; d < size; ++d) {
      T value = 0;
      for (int64_t t = 0; t < tokens; ++t) {
        value += probability[t] * droppedOut.of(query, head, t) * args.v.row<T>(first + t)[head * size + d];
      }
      args.context.row<T>(query)[head * size + d] = value / sum * (headMask ? headMask[head] : T(1));
    }
    if (args.columnSums) {
      for (int64_t t = 0; t < tokens; ++t) *args.columnSums.row<T>(first + t) += probability[t] / sum;
    }
    if (args.logSumExp) args.logSumExp.row<T>(query)[head] = largest + std::log(sum);
  });
}

// With p the probabilities of one query, f what dropout multiplies them with, and dp[t] = f[t] dContext . v[t]:
//   headMaskGradient = dContext . (unmasked context) = sum p dp;  dv[t] += mask f[t] p[t] dContext
//   g[t] = mask dp[t] + dColumnSums[t];  dScore[t] = p[t] (g[t] - sum p g);  dq = scale sum dScore[t] k[t];  dk[t] +=
//   scale dScore[t] q
template <typename T>
void attentionBackward(const AttentionBackwardArgs& args) {
  const AttentionArgs& forward = args.forward;
  const int64_t size = forward.headSize;
  const T scale = static_cast<T>(forward.scale);
  const T* headMask = vectorOf<T>(forward.headMask);
  if (args.dq) {
    for (int64_t r = 0; r < args.dq.rows; ++r) std::fill_n(args.dq.row<T>(r), args.dq.cols, T(0));
    for (int64_t r = 0; r < args.dk.rows; ++r) {
      std::fill_n(args.dk.row<T>(r), args.dk.cols, T(0));
      std::fill_n(args.dv.row<T>(r), args.dv.cols, T(0));
    }
  }
  const DroppedOut<T> droppedOut(forward);
  std::vector<T> probability(static_cast<size_t>(forward.longest));
  std::vector<T> dProbability(static_cast<size_t>(forward.longest));
  forEachQuery(forward, [&](int32_t s, int64_t query, int64_t head) {
    const int64_t first = forward.offsets[s];
    const int64_t tokens = forward.offsets[s + 1] - first;
    const int64_t column = head * size;
    const T* q = forward.q.row<T>(query) + column;
    const T* dContext = args.dContext.row<T>(query) + column;
    T dMask = 0;
    for (int64_t t = 0; t < tokens; ++t) {
      const T score = scale * dot(q, forward.k.row<T>(first + t) + column, size);
      probability[t] = std::exp(score - forward.logSumExp.row<T>(query)[head]);
      dProbability[t] = droppedOut.of(query, head, t) * dot(dContext, forward.v.row<T>(first + t) + column, size);
      dMask += probability[t] * dProbability[t];
    }
    if (args.headMaskGradient) args.headMaskGradient.row<T>(args.groups[s])[head] += dMask;
    if (!args.dq) return;
    const T mask = headMask ? headMask[head] : T(1);
    T weighted = 0;
    for (int64_t t = 0; t < tokens; ++t) {
      dProbability[t] *= mask;
      if (args.dColumnSums) dProbability[t] += *args.dColumnSums.row<T>(first + t);
      weighted += probability[t] * dProbability[t];
    }
    for (int64_t t = 0; t < tokens; ++t) {
      const T dScore = probability[t] * (dProbability[t] - weighted);
      const T weight = mask * probability[t] * droppedOut.of(query, head, t);
      for (int64_t d = 0; d < size; ++d) {
        args.dq.row<T>(query)[column + d] += scale * dScore * forward.k.row<T>(first + t)[column + d];
        args.dk.row<T>(first + t)[column + d] += scale * dScore * q[d];
        args.dv.row<T>(first + t)[column + d] += weight * dContext[d];
      }
    }
  });
}

template void attention<float>(const AttentionArgs&);
template void attention<double>(const AttentionArgs&);
template void attentionBackward<float>(const AttentionBackwardArgs&);
template void attentionBackward<double>(const AttentionBackwardArgs&);

}  // namespace espalier::reference
