#include "cases/cases.h"

namespace espalier::test {

namespace {

OperationCase lossCase(const std::string& name, int32_t sequences, LossKind kind, int32_t labels, float scale) {
  const Batch batch{std::vector<int32_t>(static_cast<size_t>(sequences), 1)};
  return {name, batch, [=](Run& run) {
            LossArgs args;
            args.kind = kind;
            args.logits = run.input(run.sequences(), labels, scale);
            args.labels =
                kind == LossKind::crossEntropy ? run.indices(run.sequences(), labels) : run.vector(run.sequences());
            args.losses = run.output(run.sequences(), 1);
            args.dLogits = run.output(run.sequences(), labels);
            run.backend().loss(args);
          }};
}

OperationCase spanCase(const std::string& name, const std::vector<int32_t>& lengths, float scale) {
  return {name, {lengths}, [=](Run& run) {
            LossArgs args;
            args.kind = LossKind::span;
            args.logits = run.input(run.tokens(), 2, scale);
            args.offsets = run.offsets();
            std::vector<int32_t> labels;
            const Rows sequences = run.sequences();
            for (int64_t s = sequences.first; s < sequences.first + sequences.count; ++s) {
              const int32_t tokens = lengths[static_cast<size_t>(s)];
              labels.push_back(static_cast<int32_t>(s * 5) % tokens);
              labels.push_back(static_cast<int32_t>(s * 5 + 3) % tokens);
            }
            args.labels = run.indices(labels);
            args.losses = run.output(sequences, 1);
            args.dLogits = run.output(run.tokens(), 2);
            run.backend().loss(args);
          }};
}

}  // namespace

std::vector<OperationCase> lossCases() {
  std::vector<OperationCase> cases;
  for (int32_t labels : {1, 2, 3, 17}) {
    cases.push_back(lossCase("crossEntropyOf" + std::to_string(labels), 9, LossKind::crossEntropy, labels, 2));
  }
  cases.push_back(lossCase("crossEntropyOfLargeLogits", 9, LossKind::crossEntropy, 3, 200));
  cases.push_back(lossCase("crossEntropyOfNothing", 0, LossKind::crossEntropy, 3, 1));
  cases.push_back(lossCase("meanSquared", 9, LossKind::meanSquared, 1, 3));
  cases.push_back(spanCase("spanOfManyLengths", {1, 7, 2, 384, 1, 33}, 2));
  cases.push_back(spanCase("spanOfLargeLogits", {40, 3}, 200));
  cases.push_back(spanCase("spanOfNothing", {}, 1));
  return cases;
}

OperationCase randomLoss(Random& random) {
  if (random.chance()) {
    std::vector<int32_t> lengths(static_cast<size_t>(random.between(0, 9)));
    for (int32_t& length : lengths) length = random.between(1, 70);
    return spanCase("span", lengths, static_cast<float>(random.between(1, 20)));
  }
  const bool classes = random.chance();
  return lossCase("loss", random.between(0, 70), classes ? LossKind::crossEntropy : LossKind::meanSquared,
                  classes ? random.between(1, 40) : 1, static_cast<float>(random.between(1, 20)));
}

}  // namespace espalier::test
