#include "model/workspace.h"

#include <algorithm>

namespace espalier {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 22;
constexpr size_t kAlignment = 256;

size_t roundUp(size_t value, size_t step) { return (value + step - 1) / step * step; }

}  // namespace

Matrix Workspace::matrix(int64_t rows, int64_t cols, DType dtype) {
  const int64_t stride = backend_.stride(cols);
  return {take(static_cast<size_t>(rows * stride) * dtypeBytes(dtype)), dtype, rows, cols, stride};
}

int32_t* Workspace::indices(int64_t count) {
  return static_cast<int32_t*>(take(static_cast<size_t>(count) * sizeof(int32_t)));
}

void* Workspace::take(size_t bytes) {
  bytes = roundUp(bytes + 1, kAlignment);
  while (block_ < blocks_.size() && used_ + bytes > blocks_[block_]->bytes()) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) {
    blocks_.push_back(std::make_unique<Buffer>(backend_.shared_from_this(), std::max(bytes, kBlockBytes)));
  }
  void* data = static_cast<char*>(blocks_[block_]->data()) + used_;
  used_ += bytes;
  return data;
}

void Workspace::rewind(const Mark& mark) {
  block_ = mark.block;
  used_ = mark.used;
}

void Workspace::reset() {
  block_ = used_ = 0;
  if (!grew()) return;
  size_t total = 0;
  for (const auto& block : blocks_) total += block->bytes();
  blocks_.clear();
  blocks_.push_back(std::make_unique<Buffer>(backend_.shared_from_this(), total));
}

}  // namespace espalier
