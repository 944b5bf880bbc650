#pragma once

#include <memory>

#include "model/head.h"
#include "model/token_dropping.h"
#include "model/training.h"

namespace espalier {

/// Throws invalidArgument where options of a pass contradict each other or the model.
void checkPassOptions(const PassOptions& options, const Model& model);

/// One micro-batch on its way through a model and back.
class TrainingPass {
 public:
  /// gradients: as of allocateWeights() with vectors in f64; they grow. index: of the micro-batch in its batch.
  TrainingPass(const Model& model, Weights& gradients, const PassOptions& options, Workspace& workspace,
               const PackedBatch& batch, const MicroBatch& part, uint64_t index);

  void forward(const CancelToken& cancel);
  void backward(const Labels& labels, const CancelToken& cancel);
  /// Adds what was found.
  void report(PassResult& result) const;

 private:
  struct Passed {
    LayerTrace trace;
    LayerOptions options;
    TokenRows rows;  // before the layer
    LayerOutput output;
    Matrix taught;  // the teacher's output of the same rows
  };

  Layer layer(size_t index) { return Layer(model_, index, passed_[index].rows, workspace_, passed_[index].options); }
  Dropout dropout(uint64_t place) const;
  void teach(const CancelToken& cancel);
  /// Losses, and the gradient of the logits.
  Matrix judge(const Labels& labels);
  void addHiddenGradient(size_t layer, const Matrix& gradient);
  void embeddingBackward(const Matrix& gradient);
  bool learnsFromHidden() const { return options_.distillation.teacher != nullptr && options_.distillation.hidden > 0; }

  const Model& model_;
  Backend& backend_;
  Weights& gradients_;
  const PassOptions& options_;
  Workspace& workspace_;
  const PackedBatch& batch_;
  const MicroBatch part_;
  const uint64_t index_;
  DeviceBatch tokens_;
  Matrix embeddingSum_, embeddingStatistics_;
  std::vector<Passed> passed_;  // [layers]
  LastStates lastStates_;
  std::unique_ptr<Head> head_;
  Matrix logits_;
  std::vector<double> teacherLogits_;
  std::vector<double> losses_;
  Tensor thresholdGradients_;  // [layers, 1], of the thresholds times the number of heads
};

}  // namespace espalier
