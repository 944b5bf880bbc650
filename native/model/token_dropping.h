#pragma once

#include <memory>

#include "model/batch.h"
#include "model/workspace.h"

namespace espalier {

/// The tokens that a layer lets go on.
struct KeptTokens {
  const int32_t* rows = nullptr;  // of those that were there, ascending, in device memory; null: all of them
  TokenRows remaining;
  std::shared_ptr<Buffer> owner;  // of the memory, where that is not the workspace's
};

/// Indices that dropTokens() leaves behind.
inline int64_t roomForKept(const TokenRows& before) { return before.sequences + 1 + before.tokens; }

/// columnSums: what attention() of a layer of so many heads found of the tokens that `before` holds, [tokens, 1].
/// room: for roomForKept() indices; they live as long as the result.
KeptTokens dropTokens(Backend& backend, const TokenPruning& pruning, size_t layer, int32_t heads,
                      const TokenRows& before, const Matrix& columnSums, int32_t* room);

/// What is kept of the tokens that `before` has left, as rows of those that `before` began with.
KeptTokens keptOfAll(Backend& backend, const KeptTokens& before, const KeptTokens& kept);

/// The rows of kept tokens: `all` itself where no token is gone.
Matrix keptRows(Backend& backend, Workspace& workspace, const Matrix& all, const KeptTokens& kept);

/// The last states of dropped tokens: a head that looks at every token wants them back.
class LastStates {
 public:
  /// before: the input of a layer, kept until restore().
  void passed(size_t layer, const Matrix& before, const KeptTokens& kept) {
    if (kept.rows != nullptr) dropped_.push_back({layer, before, kept, {}});
  }

  /// From the last layer's output to one state a token. copies: where to make room for them; null puts them in the
  /// place of the layers' inputs.
  Matrix restore(Backend& backend, Workspace* copies, Matrix hidden) const;

  /// From the gradient of what restore() returned, which is overwritten, to that of the last layer's output.
  Matrix restoreBackward(Backend& backend, Workspace& workspace, Matrix gradient);
  /// Adds what restored states of tokens that the layer dropped received to the gradient of its input.
  void addDropped(Backend& backend, size_t layer, const Matrix& gradient) const;

 private:
  struct Dropped {
    size_t layer;
    Matrix before;
    KeptTokens kept;
    Matrix gradient;  // of `before`, 0 for the tokens that went on
  };
  std::vector<Dropped> dropped_;
};

}  // namespace espalier
