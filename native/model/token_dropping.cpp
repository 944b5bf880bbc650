#include "model/token_dropping.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace espalier {
namespace {

/// How many of a sequence's tokens, as many as `length` when it came in, go on.
int32_t tokensToKeep(double keepRate, int32_t length) {
  // 0.14 * 50 comes out above 7: a product's rounding error, which is smaller than this, keeps no further token.
  constexpr double kRounding = 1e-9;
  return std::max(1, static_cast<int32_t>(std::ceil(keepRate * length - kRounding)));
}

/// The rows of the first and of the most important others among `count` tokens from `first` on, ascending.
void keepBest(const std::vector<float>& scores, int32_t first, int32_t count, int32_t kept,
              std::vector<int32_t>& rows) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), first);
  kept = std::min(kept, count);
  std::stable_sort(order.begin() + 1, order.end(), [&](int32_t a, int32_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  std::sort(order.begin(), order.begin() + kept);
  rows.insert(rows.end(), order.begin(), order.begin() + kept);
}

/// From host arrays: `offsets` of the sequences in `rows`, which are some of those before.
KeptTokens owned(Backend& backend, const TokenRows& before, std::vector<int32_t> offsets,
                 const std::vector<int32_t>& rows) {
  offsets.insert(offsets.end(), rows.begin(), rows.end());
  KeptTokens kept;
  kept.owner = backend.indices(offsets);
  kept.remaining = before;
  kept.remaining.tokens = static_cast<int32_t>(rows.size());
  kept.remaining.offsets = static_cast<const int32_t*>(kept.owner->data());
  kept.rows = kept.remaining.offsets + before.sequences + 1;
  return kept;
}

/// On the host: a baseline to compare thresholds with, not a way to be fast.
KeptTokens keepShare(Backend& backend, double keepRate, const TokenRows& before, const Matrix& columnSums) {
  const size_t sequences = static_cast<size_t>(before.sequences);
  const std::vector<int32_t> offsets = backend.readIndices(before.offsets, before.sequences + 1);
  const std::vector<int32_t> lengths = backend.readIndices(before.lengths, before.sequences);
  std::vector<float> scores(static_cast<size_t>(before.tokens));
  backend.read(columnSums, scores.data());
  std::vector<int32_t> rows, newOffsets{0};
  for (size_t s = 0; s < sequences; ++s) {
    keepBest(scores, offsets[s], offsets[s + 1] - offsets[s], tokensToKeep(keepRate, lengths[s]), rows);
    newOffsets.push_back(static_cast<int32_t>(rows.size()));
  }
  return owned(backend, before, newOffsets, rows);
}

}  // namespace

KeptTokens dropTokens(Backend& backend, const TokenPruning& pruning, size_t layer, int32_t heads,
                      const TokenRows& before, const Matrix& columnSums, int32_t* room) {
  const double value = pruning.values[layer];
  if (pruning.rule == TokenPruning::Rule::keepRate) return keepShare(backend, value, before, columnSums);
  int32_t* const offsets = room;
  int32_t* const rows = offsets + before.sequences + 1;
  backend.selectTokens({columnSums, before.offsets, before.lengths, before.sequences, heads * value, rows, offsets});
  // Products take their sizes from the host: the one thing that it has to wait for.
  const int32_t tokens = backend.readIndices(offsets + before.sequences, 1).front();
  KeptTokens kept{nullptr, before, nullptr};
  if (tokens == before.tokens) return kept;  // no rows to move
  kept.rows = rows;
  kept.remaining.offsets = offsets;
  kept.remaining.tokens = tokens;
  return kept;
}

KeptTokens keptOfAll(Backend& backend, const KeptTokens& before, const KeptTokens& kept) {
  if (kept.rows == nullptr) return before;
  std::vector<int32_t> rows = backend.readIndices(kept.rows, kept.remaining.tokens);
  if (before.rows != nullptr) {
    const std::vector<int32_t> tokens = backend.readIndices(before.rows, before.remaining.tokens);
    for (int32_t& row : rows) row = tokens[static_cast<size_t>(row)];
  }
  return owned(backend, kept.remaining, backend.readIndices(kept.remaining.offsets, kept.remaining.sequences + 1),
               rows);
}

Matrix keptRows(Backend& backend, Workspace& workspace, const Matrix& all, const KeptTokens& kept) {
  if (kept.rows == nullptr) return all;
  const Matrix rows = workspace.matrix(kept.remaining.tokens, all.cols);
  backend.gatherRows({all, kept.rows, rows});
  return rows;
}

Matrix LastStates::restore(Backend& backend, Workspace* copies, Matrix hidden) const {
  for (auto layer = dropped_.rbegin(); layer != dropped_.rend(); ++layer) {
    Matrix all = layer->before;
    if (copies != nullptr) {
      all = copies->matrix(all.rows, all.cols);
      backend.fillZero(all);
      backend.addScaled({layer->before, 1, all});
    }
    backend.scatterRows({hidden, layer->kept.rows, all});
    hidden = all;
  }
  return hidden;
}

Matrix LastStates::restoreBackward(Backend& backend, Workspace& workspace, Matrix gradient) {
  for (Dropped& layer : dropped_) {
    const Matrix survivors = keptRows(backend, workspace, gradient, layer.kept);
    const Matrix none = workspace.matrix(survivors.rows, survivors.cols);
    backend.fillZero(none);
    backend.scatterRows({none, layer.kept.rows, gradient});
    layer.gradient = gradient;
    gradient = survivors;
  }
  return gradient;
}

void LastStates::addDropped(Backend& backend, size_t layer, const Matrix& gradient) const {
  for (const Dropped& dropped : dropped_) {
    if (dropped.layer == layer && dropped.gradient) backend.addScaled({dropped.gradient, 1, gradient});
  }
}

}  // namespace espalier
