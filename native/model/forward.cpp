#include <algorithm>
#include <memory>

#include "model/device_mask.h"
#include "model/head.h"
#include "model/model.h"
#include "model/parts.h"
#include "model/token_record.h"

namespace espalier {
namespace {

/// How many times as many tokens go into a micro-batch of the host that loses some on its way: the last layers have few
/// enough rows for reading their weights to take longer than multiplying by them, the more so the wider the model is.
int32_t moreTokens(const ModelSpec& spec) { return std::max(2, spec.hiddenSize / 192); }

/// Tokens of a micro-batch with which a device is busy for longer than it takes to tell the host what is left of
/// another.
constexpr int32_t kBusyTokens = 4096;

/// Micro-batches on their way through the model at once. On the host there is one for each thread where there are
/// enough of them: none then waits for the others after every operation; otherwise all threads share each operation. A
/// device has two where tokens are dropped: it works on one while the host waits to hear how many tokens the other has
/// left.
int partsAtOnce(const PackedBatch& batch, const Backend& backend, bool drops) {
  if (!backend.onHost()) return drops && batch.tokens() >= 2 * kBusyTokens ? 2 : 1;
  return batch.tokens() >= 2 * backend.microBatchTokens() * backend.threads() ? backend.threads() : 1;
}

}  // namespace

void Model::embed(const DeviceBatch& batch, const Matrix& hidden, const Matrix& sum, const Matrix& statistics) const {
  EmbedArgs args;
  args.ids = batch.ids();
  args.positions = batch.positions();
  args.word = weights_.word.view;
  args.position = weights_.position.view;
  if (spec_.tokenTypes > 0) {
    args.tokenTypes = batch.tokenTypes();
    args.tokenType = weights_.tokenType.view;
  }
  args.gamma = weights_.embeddingNorm.gamma.view.data;
  args.beta = weights_.embeddingNorm.beta.view.data;
  args.epsilon = spec_.layerNormEpsilon;
  args.y = hidden;
  args.sum = sum;
  args.statistics = statistics;
  backend_->embed(args);
}

std::vector<float> Model::forward(const PackedBatch& batch, const ForwardOptions& options,
                                  const CancelToken& cancel) const {
  checkBatch(batch, spec_);
  const TokenPruning& pruning = options.pruning != nullptr ? *options.pruning : spec_.tokenPruning;
  checkTokenPruning(pruning, layers_.size());
  if (options.mask == nullptr && options.record == nullptr && pruning.values.empty() && recorded_.takes(batch)) {
    std::vector<float> result = recorded_.forward(*this, batch, cancel);
    requireFinite(result);
    return result;
  }
  const DeviceMask deviceMask(*backend_, spec_, options.mask);
  const bool firstTokens = spec_.firstTokensOnly(layers_.size() - 1);
  const Tensor logits = backend_->tensor(firstTokens ? batch.sequences() : batch.tokens(), spec_.labels);
  const bool drops = !pruning.values.empty();
  const bool restores = drops && !firstTokens;
  const int atOnce = partsAtOnce(batch, *backend_, drops);
  const int32_t each = backend_->microBatchTokens() * (drops && backend_->onHost() ? moreTokens(spec_) : 1);
  const int32_t shared = std::max(each, std::min(each * backend_->threads(), kMicroBatchTokens));
  const std::vector<MicroBatch> parts = splitBatch(batch, atOnce > 1 ? each : shared, atOnce);
  if (options.record != nullptr) options.record->reset(batch, layers_.size());
  forEachPart(parts, atOnce, [&](int64_t index) {
    const MicroBatch& part = parts[static_cast<size_t>(index)];
    const WorkspaceLease workspace(*this);
    (*workspace).reset();
    const DeviceBatch tokens(*backend_, spec_, batch, part, pruning.meanOver());
    Matrix hidden = (*workspace).matrix(tokens.tokens(), spec_.hiddenSize);
    embed(tokens, hidden);
    TokenRows rows = tokens.rows();
    LastStates lastStates;
    std::unique_ptr<PartRecord> record;
    if (options.record != nullptr) record = std::make_unique<PartRecord>(*options.record, *backend_, part, rows);
    for (size_t l = 0; l < layers_.size(); ++l) {
      cancel.check();
      LayerOptions layerOptions;
      layerOptions.mask = deviceMask.layer(l);
      layerOptions.pruning = &pruning;
      layerOptions.scores = record != nullptr;
      const Layer layer(*this, l, rows, *workspace, layerOptions);
      const LayerOutput output = restores ? layer.forward(hidden) : layer.forward(hidden, hidden);
      if (record) record->passed(l, spec_.layers[l].heads, output.columnSums, output.kept);
      lastStates.passed(l, hidden, output.kept);  // which owns what `rows` points to
      rows = output.kept.remaining;
      hidden = output.hidden;
    }
    if (!firstTokens) hidden = lastStates.restore(*backend_, nullptr, hidden);
    const int32_t first = firstTokens ? part.firstSequence : part.firstToken;
    makeHead(*this, *workspace)->forward(hidden, logits.view.rowRange(first, hidden.rows));
  });
  std::vector<float> result = readTensor(*backend_, logits).values;
  requireFinite(result);
  return result;
}

}  // namespace espalier
