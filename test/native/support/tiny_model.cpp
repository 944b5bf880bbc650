#include "support/tiny_model.h"

#include "model/token_record.h"
#include "support/random.h"

namespace espalier::test {

ModelSpec tinySpec(HeadKind head) {
  ModelSpec spec;
  spec.hiddenSize = 24;
  spec.headSize = 8;
  spec.vocabularySize = 50;
  spec.maxPositions = 64;
  spec.tokenTypes = 2;
  spec.layers = {{3, 37}, {3, 20}, {2, 5}};
  spec.labels = 3;
  if (head == HeadKind::span) {
    spec.head = head;
    spec.labels = 2;
    spec.tokenTypes = 1;
    spec.positionPadding = 1;
    spec.maxPositions += 2;
  }
  return spec;
}

std::shared_ptr<Model> tinyModel(const std::shared_ptr<Backend>& backend, const ModelSpec& spec) {
  uint64_t tensor = 0;
  Weights shapes;
  std::map<std::string, std::vector<float>> values;
  for (const WeightSlot& slot : weightSlots(shapes, spec)) {
    std::vector<float>& filled = values[slot.role];
    ++tensor;
    for (int64_t i = 0; i < slot.rows * slot.cols; ++i) {
      filled.push_back(bell(scramble(tensor, static_cast<uint64_t>(i), 0)) * 0.3f);
    }
  }
  Weights weights = loadWeights(*backend, spec, [&](const std::string& role) { return values.at(role); });
  return std::make_shared<Model>(backend, spec, std::move(weights), Mode::gradients);
}

std::shared_ptr<Model> attentiveModel(const std::shared_ptr<Backend>& backend, const ModelSpec& spec) {
  std::shared_ptr<Model> model = tinyModel(backend, spec);
  for (size_t l = 0; l < spec.layers.size(); ++l) {
    const std::string role = "layers." + std::to_string(l) + ".attention.query.weight";
    std::vector<float> queries = model->weight(role).values;
    for (float& value : queries) value *= 16;
    model->replace({{role, queries}});
  }
  return model;
}

std::vector<std::string> rolesOf(const ModelSpec& spec) {
  Weights shapes;
  std::vector<std::string> roles;
  for (const WeightSlot& slot : weightSlots(shapes, spec)) roles.push_back(slot.role);
  return roles;
}

PackedBatch batchOf(const std::vector<int32_t>& lengths) {
  PackedBatch batch;
  batch.offsets.push_back(0);
  for (int32_t length : lengths) {
    for (int32_t i = 0; i < length; ++i) {
      batch.ids.push_back((7 * i + 3 * length) % 50);
      batch.tokenTypes.push_back(2 * i < length ? 0 : 1);
    }
    batch.offsets.push_back(batch.offsets.back() + length);
  }
  return batch;
}

PackedBatch someSequences(const PackedBatch& batch, int32_t first, int32_t last) {
  PackedBatch some;
  const int32_t begin = batch.offsets[static_cast<size_t>(first)], end = batch.offsets[static_cast<size_t>(last)];
  some.ids.assign(batch.ids.begin() + begin, batch.ids.begin() + end);
  some.tokenTypes.assign(batch.tokenTypes.begin() + begin, batch.tokenTypes.begin() + end);
  for (int32_t s = first; s <= last; ++s) some.offsets.push_back(batch.offsets[static_cast<size_t>(s)] - begin);
  return some;
}

Labels labelsFor(const PackedBatch& batch, HeadKind head) {
  Labels labels;
  if (head == HeadKind::span) labels.loss = LossKind::span;
  for (int32_t s = 0; s < batch.sequences(); ++s) {
    if (head == HeadKind::span) {
      const int32_t tokens = batch.offsets[static_cast<size_t>(s) + 1] - batch.offsets[static_cast<size_t>(s)];
      labels.classes.push_back(s % tokens);
      labels.classes.push_back(tokens - 1);
    } else {
      labels.classes.push_back(s % 3);
    }
  }
  return labels;
}

TokenPruning thresholdsFor(const Model& model, const PackedBatch& batch, int32_t paddedLength) {
  const ModelSpec& spec = model.spec();
  TokenPruning pruning;
  pruning.paddedLength = paddedLength;
  pruning.values.assign(spec.layers.size(), 0);
  for (size_t l = 0; l < spec.layers.size(); ++l) {
    if (!spec.judgesTokens(l)) continue;
    TokenRecord record;
    model.forward(batch, {nullptr, &pruning, &record}, CancelToken());
    std::vector<float> judged;
    for (size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
      for (int32_t token = batch.offsets[s] + 1; token < batch.offsets[s + 1]; ++token) {
        const float importance = record.importance[l * batch.ids.size() + static_cast<size_t>(token)];
        if (importance > 0) judged.push_back(importance);
      }
    }
    std::sort(judged.begin(), judged.end());
    float widest = 0;
    for (size_t i = judged.size() / 4; i < judged.size() / 2; ++i) {
      if (judged[i + 1] - judged[i] <= widest) continue;
      widest = judged[i + 1] - judged[i];
      pruning.values[l] = (judged[i + 1] + judged[i]) / 2;
    }
  }
  return pruning;
}

}  // namespace espalier::test
