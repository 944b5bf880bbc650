#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/distillation.h"
#include "model/layer.h"
#include "model/model.h"

namespace espalier {

/// How a batch is passed through a model that learns.
struct PassOptions {
  const TokenPruning* pruning = nullptr;  // drops tokens; null: none, whatever the model's spec says
  const SoftThresholds* soft = nullptr;   // or masks them
  double dropout = 0;  // rate of the hidden states' (after embeddings and projections), and of attention probabilities
  uint64_t seed = 0;   // of what is dropped out; another one for each pass
  Distillation distillation;
};

/// What a pass found.
struct PassResult {
  std::vector<float> losses;  // [sequences], the soft masks' penalty apart
  /// Of each layer, all sequences together:
  std::vector<int64_t> tokens;             // that go on, with soft masks that would
  std::vector<double> meanMasks;           // the sum of the sequences' means of their soft masks
  std::vector<double> thresholdGradients;  // of the soft thresholds
};

/// One step of the optimiser: AdamW on all parameters, no decay of biases and of LayerNorms.
struct OptimizerStep {
  double learningRate = 0;
  double weightDecay = 0;
  double gradientScale = 1;    // what the summed gradients are multiplied with, 1 / sequences for their mean
  double maxGradientNorm = 0;  // longer gradients are shortened to it, all parameters together; 0: none are
};

/// Fine-tuning of a copy of a model: gradients of every parameter, summed over passes until a step takes them.
class Training {
 public:
  /// The model must be on a backend in fp32 (or f64).
  explicit Training(const Model& model);

  const ModelSpec& spec() const { return model_->spec(); }
  size_t bytes() const;

  /// Adds the gradients of the summed losses of the batch's sequences. Throws nonFinite where a loss is none,
  /// cancelled; what was added since the last step is then forgotten.
  PassResult accumulate(const PackedBatch& batch, const Labels& labels, const PassOptions& options,
                        const CancelToken& cancel);

  /// Takes what was accumulated and starts anew. Returns the norm of the scaled gradients before they are shortened;
  /// throws nonFinite, leaving the parameters as they are, where that is none.
  double step(const OptimizerStep& options);

  /// The model as it is now, with weights of its own.
  std::unique_ptr<Model> snapshot(Mode mode) const;

  /// What a role's parameters are and what the optimiser remembers of them: three tensors of the same shape.
  struct State {
    HostTensor parameter, firstMoment, secondMoment;
  };
  State state(const std::string& role) const;
  /// Goes on after so many steps from the states of all roles. Throws invalidArgument where one is missing, unknown or
  /// of another size.
  void restore(const std::map<std::string, State>& states, int64_t steps);

 private:
  void forgetGradients();
  double gradientNorm();
  size_t slotOf(const std::string& role) const;

  Backend& backend_;
  std::unique_ptr<Model> model_;  // of `parameters_`
  bool packed_ = true;            // whether it has packed them as they are
  Weights parameters_, gradients_, firstMoments_, secondMoments_;
  std::vector<WeightSlot> parameterSlots_, gradientSlots_, firstMomentSlots_, secondMomentSlots_;
  int64_t steps_ = 0;
};

}  // namespace espalier
