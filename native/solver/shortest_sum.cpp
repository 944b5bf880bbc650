#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "solver/solver.h"

namespace espalier {

std::vector<int32_t> shortestSum(const float* vectors, int64_t length, int64_t stride, int64_t candidates,
                                 int64_t count) {
  require(count >= 0 && count <= candidates, "more vectors are asked for than there are");
  std::vector<double> squares(static_cast<size_t>(candidates));
  for (int64_t k = 0; k < length; ++k) {
    for (int64_t v = 0; v < candidates; ++v) squares[v] += std::pow(double{vectors[k * stride + v]}, 2);
  }
  if (!std::all_of(squares.begin(), squares.end(), [](double square) { return std::isfinite(square); })) {
    throw Error(ErrorCode::nonFinite, "a vector has a value that is not finite");
  }
  std::vector<int32_t> order(squares.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return squares[a] < squares[b]; });
  if (count == 0 || count == candidates) return {order.begin(), order.begin() + count};

  // The chosen vectors, and one more, as neighbouring columns.
  const int64_t slots = count + 1;
  std::vector<int32_t> chosen(static_cast<size_t>(slots));
  std::vector<double> columns(static_cast<size_t>(length * slots)), sum(static_cast<size_t>(length));
  std::vector<double> products(chosen.size());
  const auto put = [&](int64_t slot, int32_t v) {
    chosen[slot] = v;
    for (int64_t k = 0; k < length; ++k) columns[k * slots + slot] = vectors[k * stride + v];
  };
  const auto addToSum = [&](double times, int64_t slot) {
    for (int64_t k = 0; k < length; ++k) sum[k] += times * columns[k * slots + slot];
  };
  for (int64_t slot = 0; slot < count; ++slot) {
    put(slot, order[slot]);
    addToSum(1, slot);
  }
  for (int64_t next = count; next < candidates; ++next) {
    put(count, order[next]);
    addToSum(1, count);
    std::fill(products.begin(), products.end(), 0.0);
    for (int64_t k = 0; k < length; ++k) {
      for (int64_t slot = 0; slot < slots; ++slot) products[slot] += sum[k] * columns[k * slots + slot];
    }
    // |sum - v|^2 = |sum|^2 - 2 sum.v + |v|^2, of which |sum|^2 is common to all.
    const auto left = [&](int64_t slot) { return squares[chosen[slot]] - 2 * products[slot]; };
    int64_t removed = 0;
    for (int64_t slot = 1; slot < slots; ++slot) {
      if (left(slot) < left(removed)) removed = slot;
    }
    addToSum(-1, removed);
    put(removed, chosen[count]);
  }
  chosen.pop_back();
  return chosen;
}

}  // namespace espalier
