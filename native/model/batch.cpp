#include "model/batch.h"

#include <algorithm>
#include <numeric>
#include <string>

namespace espalier {
namespace {

void checkRange(const std::vector<int32_t>& values, int32_t limit, const char* what) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] >= limit) {
      throw Error(ErrorCode::invalidArgument, std::string(what) + " " + std::to_string(values[i]) + " at token " +
                                                  std::to_string(i) + " is outside 0.." + std::to_string(limit - 1));
    }
  }
}

/// The position of every token, counted in each sequence from `padding` + 1.
std::vector<int32_t> countPositions(const std::vector<int32_t>& ids, const std::vector<int32_t>& offsets,
                                    int32_t padding) {
  std::vector<int32_t> positions;
  positions.reserve(ids.size());
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    int32_t last = padding;
    for (int32_t token = offsets[s]; token < offsets[s + 1]; ++token) {
      positions.push_back(ids[static_cast<size_t>(token)] == padding ? padding : ++last);
    }
  }
  return positions;
}

}  // namespace

void checkBatch(const PackedBatch& batch, const ModelSpec& spec) {
  require(batch.offsets.size() >= 2 && batch.offsets.front() == 0, "a batch needs offsets 0, ... and one sequence");
  require(static_cast<size_t>(batch.offsets.back()) == batch.ids.size(),
          "the last offset must be the number of tokens");
  require(batch.tokenTypes.size() == batch.ids.size(), "a batch needs one token type per token");
  for (size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
    const int64_t length = static_cast<int64_t>(batch.offsets[s + 1]) - batch.offsets[s];
    if (length < 1 || length > spec.longestSequence()) {
      throw Error(ErrorCode::invalidArgument, "sequence " + std::to_string(s) + " has " + std::to_string(length) +
                                                  " tokens; the model takes 1.." +
                                                  std::to_string(spec.longestSequence()));
    }
  }
  checkRange(batch.ids, spec.vocabularySize, "token id");
  if (spec.tokenTypes > 1) checkRange(batch.tokenTypes, spec.tokenTypes, "token type");
}

std::vector<MicroBatch> splitBatch(const PackedBatch& batch, int32_t tokens) {
  const int32_t count = std::max(1, (batch.tokens() + tokens - 1) / tokens);
  const int32_t evenShare = (batch.tokens() + count - 1) / count;
  std::vector<MicroBatch> parts;
  for (int32_t s = 0; s < batch.sequences(); ++s) {
    const int32_t length = batch.offsets[s + 1] - batch.offsets[s];
    if (parts.empty() || parts.back().tokens >= evenShare || parts.back().tokens + length > tokens) {
      parts.push_back({s, 0, batch.offsets[s], 0, 0});
    }
    MicroBatch& part = parts.back();
    ++part.sequences;
    part.tokens += length;
    part.longest = std::max(part.longest, length);
  }
  return parts;
}

DeviceBatch::DeviceBatch(Backend& backend, const ModelSpec& spec, const PackedBatch& batch, const MicroBatch& part)
    : part_(part) {
  const auto slice = [&](const std::vector<int32_t>& values) {
    const auto begin = values.begin() + part.firstToken;
    return std::vector<int32_t>(begin, begin + part.tokens);
  };
  const std::vector<int32_t> ids = slice(batch.ids);
  ids_ = backend.indices(ids);
  tokenTypes_ = backend.indices(spec.tokenTypes > 1 ? slice(batch.tokenTypes) : std::vector<int32_t>(ids.size(), 0));
  std::vector<int32_t> offsets(batch.offsets.begin() + part.firstSequence,
                               batch.offsets.begin() + part.firstSequence + part.sequences + 1);
  for (int32_t& offset : offsets) offset -= part.firstToken;
  positions_ = backend.indices(countPositions(ids, offsets, spec.positionPadding));
  offsets_ = backend.indices(offsets);
  std::iota(offsets.begin(), offsets.end(), 0);
  singleOffsets_ = backend.indices(offsets);
}

}  // namespace espalier
