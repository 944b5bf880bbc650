#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "model/model.h"

namespace espalier::test {

/// The span head's model counts positions from an id on and has one token type, as RoBERTa.
ModelSpec tinySpec(HeadKind head);

/// "cpu_span": of a test whose parameters are a backend's name and a head.
inline std::string nameOfEngineAndHead(const testing::TestParamInfo<std::tuple<const char*, HeadKind>>& info) {
  const auto& [engine, head] = info.param;
  return std::string(engine) + (head == HeadKind::span ? "_span" : "_sequence");
}

/// A model in mode gradients, the same on every backend.
std::shared_ptr<Model> tinyModel(const std::shared_ptr<Backend>& backend, const ModelSpec& spec);

/// tinyModel() with longer queries, whose tokens differ more in what they receive.
std::shared_ptr<Model> attentiveModel(const std::shared_ptr<Backend>& backend, const ModelSpec& spec);

/// Every role of a model of `spec`.
std::vector<std::string> rolesOf(const ModelSpec& spec);

PackedBatch batchOf(const std::vector<int32_t>& lengths);

/// Sequences [first, last) of `batch`.
PackedBatch someSequences(const PackedBatch& batch, int32_t first, int32_t last);

Labels labelsFor(const PackedBatch& batch, HeadKind head);

/// Thresholds by which every layer that judges tokens drops some of the batch, each far from the importance of any.
TokenPruning thresholdsFor(const Model& model, const PackedBatch& batch, int32_t paddedLength = 0);

}  // namespace espalier::test
