#include "model/embedding_gradient.h"

#include <algorithm>
#include <numeric>

namespace espalier {
namespace {

/// entries: of each row of dSum, the row of the table that it took.
void addTableGradient(Backend& backend, const std::vector<int32_t>& entries, const Matrix& dSum,
                      const Tensor& gradient) {
  std::vector<int32_t> rows(entries.size());
  std::iota(rows.begin(), rows.end(), 0);
  const auto entryOf = [&](int32_t row) { return entries[static_cast<size_t>(row)]; };
  std::stable_sort(rows.begin(), rows.end(), [&](int32_t a, int32_t b) { return entryOf(a) < entryOf(b); });
  std::vector<int32_t> ids, offsets;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0 && entryOf(rows[i]) == ids.back()) continue;
    ids.push_back(entryOf(rows[i]));
    offsets.push_back(static_cast<int32_t>(i));
  }
  offsets.push_back(static_cast<int32_t>(rows.size()));
  const auto count = static_cast<int32_t>(ids.size());
  rows.insert(rows.end(), offsets.begin(), offsets.end());
  rows.insert(rows.end(), ids.begin(), ids.end());
  const auto arrays = backend.indices(rows);
  const auto* first = static_cast<const int32_t*>(arrays->data());
  const int32_t* const bounds = first + entries.size();
  backend.embedBackward({dSum, first, bounds, bounds + count + 1, count, gradient.view});
}

}  // namespace

void addEmbeddingGradient(Backend& backend, const ModelSpec& spec, const PackedBatch& batch, const MicroBatch& part,
                          const Matrix& dSum, const Weights& gradients) {
  const auto tokensOf = [&](const std::vector<int32_t>& values) {
    const auto begin = values.begin() + part.firstToken;
    return std::vector<int32_t>(begin, begin + part.tokens);
  };
  addTableGradient(backend, tokensOf(batch.ids), dSum, gradients.word);
  addTableGradient(backend, positionsOf(batch, part, spec.positionPadding), dSum, gradients.position);
  if (spec.tokenTypes == 0) return;
  const std::vector<int32_t> onlyType(static_cast<size_t>(part.tokens), 0);
  addTableGradient(backend, spec.tokenTypes > 1 ? tokensOf(batch.tokenTypes) : onlyType, dSum, gradients.tokenType);
}

}  // namespace espalier
