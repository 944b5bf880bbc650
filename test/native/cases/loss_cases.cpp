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

}  // namespace

std::vector<OperationCase> lossCases() {
  std::vector<OperationCase> cases;
  for (int32_t labels : {1, 2, 3, 17}) {
    cases.push_back(lossCase("crossEntropyOf" + std::to_string(labels), 9, LossKind::crossEntropy, labels, 2));
  }
  cases.push_back(lossCase("crossEntropyOfLargeLogits", 9, LossKind::crossEntropy, 3, 200));
  cases.push_back(lossCase("crossEntropyOfNothing", 0, LossKind::crossEntropy, 3, 1));
  cases.push_back(lossCase("meanSquared", 9, LossKind::meanSquared, 1, 3));
  return cases;
}

OperationCase randomLoss(Random& random) {
  const bool classes = random.chance();
  return lossCase("loss", random.between(0, 70), classes ? LossKind::crossEntropy : LossKind::meanSquared,
                  classes ? random.between(1, 40) : 1, static_cast<float>(random.between(1, 20)));
}

}  // namespace espalier::test
