#pragma once

#include <vector>

#include "model/token_dropping.h"

namespace espalier {

/// What became of each token of a batch on its way through a model.
struct TokenRecord {
  std::vector<int32_t> depths;    // [tokens], layers that let it go on
  std::vector<float> importance;  // [layers, tokens]; 0 where the token was gone or nothing is judged

  void reset(const PackedBatch& batch, size_t layers) {
    depths.assign(batch.ids.size(), 0);
    importance.assign(layers * batch.ids.size(), 0);
  }
};

/// Fills in what a micro-batch has to say.
class PartRecord {
 public:
  PartRecord(TokenRecord& record, Backend& backend, const MicroBatch& part, const TokenRows& rows);

  /// A layer of so many heads was passed. columnSums: of the tokens before it, or empty.
  void passed(size_t layer, int32_t heads, const Matrix& columnSums, const KeptTokens& kept);

 private:
  TokenRecord& record_;
  Backend& backend_;
  std::vector<int32_t> tokens_;   // of the batch, which are still there
  std::vector<int32_t> lengths_;  // [tokens of the part], what the importance of each is a mean over
  int32_t firstToken_;
};

}  // namespace espalier
