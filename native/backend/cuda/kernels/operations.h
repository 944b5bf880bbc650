#pragma once

// Launchers of the operations that are kernels of our own. What each computes is said in ops.h; T is the element type
// of activations and vectors: float, Half or Bfloat16.

#include "backend/cuda/runtime.h"
#include "backend/ops.h"

namespace espalier::cuda {

/// y = epilogue(x), whose preActivation is not looked at; x may be y, or absent for zeros.
template <typename T>
void applyEpilogue(const Matrix& x, const Epilogue& epilogue, const Matrix& y, Stream stream);
template <typename T>
void activationBackward(const ActivationBackwardArgs& args, Runtime& runtime);

template <typename T>
void embed(const EmbedArgs& args, Stream stream);
template <typename T>
void embedBackward(const EmbedBackwardArgs& args, Stream stream);
template <typename T>
void layerNorm(const LayerNormArgs& args, Stream stream);
template <typename T>
void layerNormBackward(const LayerNormBackwardArgs& args, Runtime& runtime);
/// dGamma and dBeta.
template <typename T>
void addLayerNormParameterGradients(const LayerNormBackwardArgs& args, Runtime& runtime);

template <typename T>
void gatherRows(const GatherRowsArgs& args, Stream stream);
template <typename T>
void scatterRows(const ScatterRowsArgs& args, Stream stream);
void selectTokens(const SelectTokensArgs& args, Runtime& runtime);
template <typename T>
void softTokenMask(const SoftTokenMaskArgs& args, Stream stream);
template <typename T>
void softTokenMaskBackward(const SoftTokenMaskBackwardArgs& args, Runtime& runtime);
template <typename T>
void subtract(const SubtractArgs& args, Stream stream);
template <typename T>
void addScaled(const AddScaledArgs& args, Stream stream);
template <typename T>
void dropout(const DropoutArgs& args, Stream stream);
/// to = from', both of T.
template <typename T>
void transpose(const Matrix& from, const Matrix& to, Stream stream);
/// to = from, both of T.
template <typename T>
void copyRows(const Matrix& from, const Matrix& to, Stream stream);

template <typename T>
void columnSums(const ColumnSumsArgs& args, Runtime& runtime);
/// sums (+)= part: f64 [rows, cols] and f32 of the same shape.
void addToDouble(const Matrix& part, bool accumulate, const Matrix& sums, Stream stream);

template <typename T>
void adamW(const AdamWArgs& args, Stream stream);

template <typename T>
void loss(const LossArgs& args, Stream stream);

}  // namespace espalier::cuda
