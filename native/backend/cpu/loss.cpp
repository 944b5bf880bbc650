#include <cmath>

#include "backend/cpu/operations.h"
#include "backend/cpu/split.h"

namespace espalier::cpu {
namespace {

/// -log softmax(logits)[label] in double; gradient: softmax less one at the label.
float crossEntropy(const float* logits, int64_t classes, int32_t label, float* gradient) {
  double largest = logits[0];
  for (int64_t c = 1; c < classes; ++c) largest = std::max<double>(largest, logits[c]);
  double total = 0;
  for (int64_t c = 0; c < classes; ++c) total += std::exp(logits[c] - largest);
  const double logTotal = largest + std::log(total);
  for (int64_t c = 0; c < classes; ++c) {
    gradient[c] = static_cast<float>(std::exp(logits[c] - logTotal) - (c == label ? 1.0 : 0.0));
  }
  return static_cast<float>(logTotal - logits[label]);
}

}  // namespace

void loss(const LossArgs& args, int threads) {
  const int64_t classes = args.logits.cols;
  forEachChunk(threads, args.logits.rows, rowsPerChunk(classes), [&](int64_t first, int64_t rows) {
    for (int64_t row = first; row < first + rows; ++row) {
      const float* logits = args.logits.row<float>(row);
      float* gradient = args.dLogits.row<float>(row);
      float* result = args.losses.row<float>(row);
      if (args.kind == LossKind::crossEntropy) {
        *result = crossEntropy(logits, classes, static_cast<const int32_t*>(args.labels)[row], gradient);
      } else {
        const float difference = logits[0] - floats(args.labels)[row];
        *result = difference * difference;
        *gradient = 2 * difference;
      }
    }
  });
}

}  // namespace espalier::cpu
