#include "model/distillation.h"

#include <algorithm>
#include <cmath>

namespace espalier {
namespace {

/// One distribution among logits: `count` of them from `first` on, `step` apart.
struct Distribution {
  size_t first, count, step;

  size_t place(size_t i) const { return first + i * step; }

  /// log softmax(logits / temperature)
  std::vector<double> logProbabilities(const std::vector<double>& logits, double temperature) const {
    std::vector<double> scaled(count);
    for (size_t i = 0; i < count; ++i) scaled[i] = logits[place(i)] / temperature;
    const double largest = *std::max_element(scaled.begin(), scaled.end());
    double sum = 0;
    for (double value : scaled) sum += std::exp(value - largest);
    for (double& value : scaled) value -= largest + std::log(sum);
    return scaled;
  }
};

}  // namespace

void distilLogits(const Distillation& distillation, HeadKind head, const std::vector<int32_t>& offsets,
                  const std::vector<double>& student, const std::vector<double>& teacher, int64_t labels,
                  std::vector<double>& losses, std::vector<double>& dLogits) {
  const double temperature = distillation.temperature;
  for (double& loss : losses) loss *= distillation.labels;
  for (double& gradient : dLogits) gradient *= distillation.labels;
  const auto add = [&](size_t sequence, const Distribution& distribution, double weight) {
    const std::vector<double> own = distribution.logProbabilities(student, temperature);
    const std::vector<double> wanted = distribution.logProbabilities(teacher, temperature);
    for (size_t i = 0; i < distribution.count; ++i) {
      const double probability = std::exp(wanted[i]);
      losses[sequence] += weight * temperature * temperature * probability * (wanted[i] - own[i]);
      dLogits[distribution.place(i)] += weight * temperature * (std::exp(own[i]) - probability);
    }
  };
  for (size_t s = 0; s < losses.size(); ++s) {
    if (head == HeadKind::sequence && labels == 1) {
      const double difference = student[s] - teacher[s];
      losses[s] += distillation.logits * difference * difference;
      dLogits[s] += 2 * distillation.logits * difference;
      continue;
    }
    if (head == HeadKind::sequence) {
      const auto count = static_cast<size_t>(labels);
      add(s, {s * count, count, 1}, distillation.logits);
      continue;
    }
    const auto first = static_cast<size_t>(offsets[s]), tokens = static_cast<size_t>(offsets[s + 1]) - first;
    for (size_t end : {size_t{0}, size_t{1}}) add(s, {2 * first + end, tokens, 2}, distillation.logits / 2);
  }
}

}  // namespace espalier
