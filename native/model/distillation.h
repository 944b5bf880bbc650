#pragma once

#include "model/labels.h"
#include "model/model.h"

namespace espalier {

/// A loss made of several: what the labels say, and what a teacher says of the same sequences.
struct Distillation {
  const Model* teacher = nullptr;  // on the same backend, of as many layers; null: the labels alone, with weight 1
  double labels = 1;               // the weight of the labels' loss
  double logits = 0;               // of temperature^2 KL(teacher || student) (Hinton et al. 2015, section 2), or
                                   // of the squared difference where a single logit is a number
  double temperature = 1;
  double hidden = 0;  // of the mean squared difference of the layers' outputs, over layers, tokens and dimensions
};

/// Turns `losses` [sequences] and their gradients `dLogits`, the labels' own, into those of the weighted sum with the
/// distillation of logits. student, teacher and dLogits: [sequences, labels], or [tokens, 2] of a span head, where
/// start and end each are a distribution over a sequence's tokens and their mean counts.
void distilLogits(const Distillation& distillation, HeadKind head, const std::vector<int32_t>& offsets,
                  const std::vector<double>& student, const std::vector<double>& teacher, int64_t labels,
                  std::vector<double>& losses, std::vector<double>& dLogits);

}  // namespace espalier
