#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"

namespace espalier {

/// Scratch matrices handed out one after another from a Buffer that is kept between runs. Contents are not cleared.
class Workspace {
 public:
  explicit Workspace(Backend& backend) : backend_(backend) {}

  /// A [rows, cols] matrix, valid until a rewind to an earlier mark.
  Matrix matrix(int64_t rows, int64_t cols);

  struct Mark {
    size_t block, used;
  };
  Mark mark() const { return {block_, used_}; }
  /// Gives back everything taken since `mark`.
  void rewind(const Mark& mark);
  /// Gives back everything and merges the blocks, so that the next run of this size needs only one.
  void reset();

 private:
  Backend& backend_;
  std::vector<std::unique_ptr<Buffer>> blocks_;
  size_t block_ = 0;  // the block in use
  size_t used_ = 0;   // bytes of it handed out
};

}  // namespace espalier
