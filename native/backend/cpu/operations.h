#pragma once

// The operations of the cpu backend. What each computes is said in ops.h; every matrix is f32 unless ops.h says
// otherwise. `threads` is the most threads an operation may use.

#include "backend/ops.h"

namespace espalier::cpu {

void embed(const EmbedArgs& args, int threads);
void embedBackward(const EmbedBackwardArgs& args, int threads);
void layerNorm(const LayerNormArgs& args, int threads);
void layerNormBackward(const LayerNormBackwardArgs& args, int threads);
void attention(const AttentionArgs& args, int threads);
void attentionBackward(const AttentionBackwardArgs& args, int threads);
void activationBackward(const ActivationBackwardArgs& args, int threads);
void gatherRows(const GatherRowsArgs& args, int threads);
void scatterRows(const ScatterRowsArgs& args, int threads);
void selectTokens(const SelectTokensArgs& args, int threads);
void softTokenMask(const SoftTokenMaskArgs& args, int threads);
void softTokenMaskBackward(const SoftTokenMaskBackwardArgs& args, int threads);
void columnSums(const ColumnSumsArgs& args, int threads);
void subtract(const SubtractArgs& args, int threads);
void addScaled(const AddScaledArgs& args, int threads);
void dropout(const DropoutArgs& args, int threads);
void adamW(const AdamWArgs& args, int threads);
void loss(const LossArgs& args, int threads);

}  // namespace espalier::cpu
