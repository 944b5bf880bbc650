#include "model/batch.h"

#include <algorithm>
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

std::vector<int32_t> positionsOf(const PackedBatch& batch, const MicroBatch& part, int32_t padding) {
  std::vector<int32_t> positions;
  for (int32_t s = part.firstSequence; s < part.firstSequence + part.sequences; ++s) {
    int32_t last = padding;
    for (int32_t token = batch.offsets[static_cast<size_t>(s)]; token < batch.offsets[static_cast<size_t>(s) + 1];
         ++token) {
      positions.push_back(batch.ids[static_cast<size_t>(token)] == padding ? padding : ++last);
    }
  }
  return positions;
}

std::vector<MicroBatch> splitBatch(const PackedBatch& batch, int32_t tokens, int32_t takers) {
  const int32_t each = std::max(1, (batch.tokens() + tokens * takers - 1) / (tokens * takers));
  const int32_t count = each * takers;
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

DeviceBatch::DeviceBatch(Backend& backend, const ModelSpec& spec, const PackedBatch& batch, const MicroBatch& part,
                         int32_t paddedLength, int32_t* place)
    : part_(part), arrays_(place) {
  std::vector<int32_t> arrays;
  arrays.reserve(static_cast<size_t>(indexCount(part)));
  const auto append = [&](const std::vector<int32_t>& values, int32_t first, int32_t count) {
    arrays.insert(arrays.end(), values.begin() + first, values.begin() + first + count);
  };
  append(batch.ids, part.firstToken, part.tokens);
  if (spec.tokenTypes > 1) {
    append(batch.tokenTypes, part.firstToken, part.tokens);
  } else {
    arrays.resize(2 * tokenCount(), 0);
  }
  const std::vector<int32_t> positions = positionsOf(batch, part, spec.positionPadding);
  arrays.insert(arrays.end(), positions.begin(), positions.end());
  arrays.resize(3 * tokenCount(), 0);  // of rows that belong to no sequence
  const int32_t* offsets = batch.offsets.data() + part.firstSequence;
  for (int32_t s = 0; s <= part.sequences; ++s) arrays.push_back(offsets[s] - part.firstToken);
  for (int32_t s = 0; s <= part.sequences; ++s) arrays.push_back(s);
  for (int32_t s = 0; s < part.sequences; ++s) {
    arrays.push_back(paddedLength > 0 ? paddedLength : offsets[s + 1] - offsets[s]);
  }
  if (place != nullptr) {
    backend.writeIndices(arrays, place);
  } else {
    owner_ = backend.indices(arrays);
    arrays_ = static_cast<const int32_t*>(owner_->data());
  }
}

TokenRows DeviceBatch::rows() const {
  const int32_t* offsets = at(3 * tokenCount());
  const int32_t* singleOffsets = offsets + part_.sequences + 1;
  return {part_.sequences, part_.tokens, part_.longest, offsets, singleOffsets, singleOffsets + part_.sequences + 1};
}

}  // namespace espalier
