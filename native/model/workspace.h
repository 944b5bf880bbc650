#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"

namespace espalier {

/// Scratch memory handed out one after another from a Buffer that is kept between runs. Contents are not cleared.
class Workspace {
 public:
  explicit Workspace(Backend& backend) : backend_(backend) {}

  /// A [rows, cols] matrix, valid until a rewind to an earlier mark.
  Matrix matrix(int64_t rows, int64_t cols, DType dtype);
  Matrix matrix(int64_t rows, int64_t cols) { return matrix(rows, cols, backend_.dtype()); }
  /// Room for indices, as long.
  int32_t* indices(int64_t count);

  struct Mark {
    size_t block = 0, used = 0;
  };
  Mark mark() const { return {block_, used_}; }
  /// Gives back everything taken since `mark`.
  void rewind(const Mark& mark);
  /// Whether it has grown by blocks that reset() will merge, which takes matrices elsewhere.
  bool grew() const { return blocks_.size() > 1; }
  /// Gives back everything and merges the blocks, so that the next run of this size needs only one.
  void reset();

 private:
  void* take(size_t bytes);

  Backend& backend_;
  std::vector<std::unique_ptr<Buffer>> blocks_;
  size_t block_ = 0;  // the block in use
  size_t used_ = 0;   // bytes of it handed out
};

}  // namespace espalier
