#pragma once

#include "model/batch.h"
#include "model/weights.h"

namespace espalier {

/// Adds to the gradients of the embedding tables what a micro-batch contributes. dSum: the gradient of the summed
/// embeddings of its tokens, [tokens, hidden].
void addEmbeddingGradient(Backend& backend, const ModelSpec& spec, const PackedBatch& batch, const MicroBatch& part,
                          const Matrix& dSum, const Weights& gradients);

}  // namespace espalier
