#include "support/masked_encoder.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "support/tiny_model.h"

namespace espalier::test {

namespace {

using Row = std::vector<double>;

Row operator+(Row a, const Row& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

double activate(double x, Activation activation) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::gelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::geluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::tanh:
      return std::tanh(x);
  }
  return NAN;
}

Row activate(Row x, Activation activation) {
  for (double& value : x) value = activate(value, activation);
  return x;
}

class MaskedEncoder {
 public:
  MaskedEncoder(const Model& model, const TokenPruning& pruning) : spec_(model.spec()), pruning_(pruning) {
    for (const std::string& role : rolesOf(spec_)) {
      const std::vector<float> values = model.weight(role).values;
      weights_[role] = Row(values.begin(), values.end());
    }
  }

  MaskedRun run(const PackedBatch& batch) {
    run_.depths.resize(batch.ids.size());
    run_.importance.resize(spec_.layers.size() * batch.ids.size());
    const std::vector<Row> none(batch.ids.size());
    run_.sublayers.assign(2 * spec_.layers.size(), {none, none, none});
    for (int32_t s = 0; s < batch.sequences(); ++s) {
      first_ = static_cast<size_t>(batch.offsets[static_cast<size_t>(s)]);
      length_ = static_cast<size_t>(batch.offsets[static_cast<size_t>(s) + 1]) - first_;
      alive_.assign(length_, true);
      embed(batch);
      for (size_t l = 0; l < spec_.layers.size(); ++l) passLayer(l);
      judge();
    }
    return run_;
  }

 private:
  const Row& weight(const std::string& role) const { return weights_.at(role); }

  Row tableRow(const std::string& role, int32_t entry) const {
    const auto begin = weight(role).begin() + static_cast<int64_t>(entry) * spec_.hiddenSize;
    return Row(begin, begin + spec_.hiddenSize);
  }

  Row linear(const Row& x, const std::string& role) const {
    const Row& matrix = weight(role + ".weight");
    Row y = weight(role + ".bias");
    for (size_t o = 0; o < y.size(); ++o) {
      for (size_t i = 0; i < x.size(); ++i) y[o] += matrix[o * x.size() + i] * x[i];
    }
    return y;
  }

  Row layerNorm(Row x, const std::string& role) const {
    const auto count = static_cast<double>(x.size());
    double mean = 0, variance = 0;
    for (double value : x) mean += value / count;
    for (double value : x) variance += (value - mean) * (value - mean) / count;
    const Row &gamma = weight(role + ".weight"), &beta = weight(role + ".bias");
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = gamma[i] * (x[i] - mean) / std::sqrt(variance + spec_.layerNormEpsilon) + beta[i];
    }
    return x;
  }

  void embed(const PackedBatch& batch) {
    hidden_.clear();
    int32_t position = spec_.positionPadding;
    for (size_t token = first_; token < first_ + length_; ++token) {
      const int32_t id = batch.ids[token];
      const bool padding = id == spec_.positionPadding;
      Row sum = tableRow("embeddings.word", id) +
                tableRow("embeddings.position", padding ? spec_.positionPadding : ++position);
      if (spec_.tokenTypes > 0) {
        sum = sum + tableRow("embeddings.tokenType", spec_.tokenTypes > 1 ? batch.tokenTypes[token] : 0);
      }
      hidden_.push_back(layerNorm(sum, "embeddings.norm"));
    }
  }

  /// The context of every token there. probabilities: what each token received, summed over heads and tokens.
  std::vector<Row> attend(const std::string& role, int32_t heads, Row& probabilities) const {
    const auto size = static_cast<size_t>(spec_.headSize);
    std::vector<Row> query(length_), key(length_), value(length_), context(length_);
    for (size_t t = 0; t < length_; ++t) {
      query[t] = linear(hidden_[t], role + ".query");
      key[t] = linear(hidden_[t], role + ".key");
      value[t] = linear(hidden_[t], role + ".value");
      context[t].assign(static_cast<size_t>(heads) * size, 0);
    }
    for (size_t channel = 0; channel < static_cast<size_t>(heads) * size; channel += size) {
      for (size_t asking = 0; asking < length_; ++asking) {
        if (!alive_[asking]) continue;
        Row weights(length_, 0);
        double sum = 0;
        for (size_t t = 0; t < length_; ++t) {
          if (!alive_[t]) continue;
          double score = 0;
          for (size_t c = channel; c < channel + size; ++c) score += query[asking][c] * key[t][c];
          sum += weights[t] = std::exp(score / std::sqrt(static_cast<double>(size)));
        }
        for (size_t t = 0; t < length_; ++t) {
          probabilities[t] += weights[t] / sum;
          for (size_t c = channel; c < channel + size; ++c) context[asking][c] += weights[t] / sum * value[t][c];
        }
      }
    }
    return context;
  }

  void passLayer(size_t layer) {
    const std::string role = "layers." + std::to_string(layer);
    const int32_t heads = spec_.layers[layer].heads;
    Row probabilities(length_, 0);
    const std::vector<Row> context = attend(role + ".attention", heads, probabilities);
    if (spec_.judgesTokens(layer)) {
      const double divisor = heads * (pruning_.meanOver() > 0 ? pruning_.meanOver() : static_cast<double>(length_));
      for (double& probability : probabilities) probability /= divisor;
      std::copy(probabilities.begin(), probabilities.end(),
                run_.importance.begin() + static_cast<int64_t>(layer * run_.depths.size() + first_));
      if (!pruning_.values.empty()) mask(pruning_.values[layer], probabilities);
    }
    for (size_t t = 0; t < length_; ++t) {
      if (!alive_[t]) continue;
      const auto project = [&](Sublayer sublayer, const Row& input, const std::string& name) {
        const Row sum = linear(input, role + name) + hidden_[t];
        MaskedSublayer& record = run_.sublayers[2 * layer + static_cast<size_t>(sublayer)];
        record.inputs[first_ + t] = input;
        record.residuals[first_ + t] = hidden_[t];
        record.sums[first_ + t] = sum;
        return sum;
      };
      hidden_[t] = layerNorm(project(Sublayer::attention, context[t], ".attention.output"), role + ".attention.norm");
      const Row activations = activate(linear(hidden_[t], role + ".ffn.in"), spec_.activation);
      hidden_[t] = layerNorm(project(Sublayer::ffn, activations, ".ffn.out"), role + ".ffn.norm");
      run_.depths[first_ + t] = static_cast<int32_t>(layer) + 1;
    }
  }

  void mask(double value, const Row& importance) {
    const std::vector<bool> before = alive_;
    for (size_t t = 1; t < length_; ++t) {
      if (!before[t]) continue;
      if (pruning_.rule == TokenPruning::Rule::threshold) {
        alive_[t] = importance[t] >= value;
        continue;
      }
      int32_t better = 1;  // the first token
      for (size_t other = 1; other < length_; ++other) {
        if (!before[other]) continue;
        better += importance[other] > importance[t] || (importance[other] == importance[t] && other < t) ? 1 : 0;
      }
      alive_[t] = better < value * static_cast<double>(length_) - 1e-9;  // more than the product's rounding error
    }
  }

  void judge() {
    const bool span = spec_.head == HeadKind::span;
    for (size_t t = 0; t < (span ? length_ : 1); ++t) {
      const Row pooled = span ? hidden_[t] : activate(linear(hidden_[t], "pooler"), spec_.headActivation);
      const Row logits = linear(pooled, "classifier");
      run_.logits.insert(run_.logits.end(), logits.begin(), logits.end());
    }
  }

  const ModelSpec& spec_;
  const TokenPruning& pruning_;
  std::map<std::string, Row> weights_;
  size_t first_ = 0, length_ = 0;  // of the sequence under way
  std::vector<Row> hidden_;
  std::vector<bool> alive_;
  MaskedRun run_;
};

}  // namespace

MaskedRun runMasked(const Model& model, const PackedBatch& batch, const TokenPruning& pruning) {
  return MaskedEncoder(model, pruning).run(batch);
}

}  // namespace espalier::test
