#include "model/token_record.h"

#include <numeric>

namespace espalier {

PartRecord::PartRecord(TokenRecord& record, Backend& backend, const MicroBatch& part, const TokenRows& rows)
    : record_(record), backend_(backend), tokens_(static_cast<size_t>(part.tokens)), firstToken_(part.firstToken) {
  std::iota(tokens_.begin(), tokens_.end(), part.firstToken);
  const std::vector<int32_t> offsets = backend.readIndices(rows.offsets, rows.sequences + 1);
  const std::vector<int32_t> lengths = backend.readIndices(rows.lengths, rows.sequences);
  for (size_t s = 0; s < lengths.size(); ++s) {
    lengths_.insert(lengths_.end(), static_cast<size_t>(offsets[s + 1] - offsets[s]), lengths[s]);
  }
}

void PartRecord::passed(size_t layer, int32_t heads, const Matrix& columnSums, const KeptTokens& kept) {
  if (columnSums) {
    std::vector<float> sums(tokens_.size());
    backend_.read(columnSums, sums.data());
    float* const importance = record_.importance.data() + layer * record_.depths.size();
    for (size_t i = 0; i < sums.size(); ++i) {
      const int32_t token = tokens_[i];
      // A length that users chose times the heads need not fit 32 bits.
      const auto length = static_cast<float>(lengths_[static_cast<size_t>(token - firstToken_)]);
      importance[token] = sums[i] / (static_cast<float>(heads) * length);
    }
  }
  if (kept.rows != nullptr) {
    std::vector<int32_t> survivors;
    for (int32_t row : backend_.readIndices(kept.rows, kept.remaining.tokens)) {
      survivors.push_back(tokens_[static_cast<size_t>(row)]);
    }
    tokens_ = std::move(survivors);
  }
  for (int32_t token : tokens_) record_.depths[static_cast<size_t>(token)] = static_cast<int32_t>(layer) + 1;
}

}  // namespace espalier
