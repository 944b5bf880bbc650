#include "cases/cases.h"

namespace espalier::test {

namespace {

struct SoftTokenMaskShape {
  Batch batch;
  int64_t cols;
  bool inPlace = false;
};

/// Lengths that sequences may have come in with: no shorter than they are.
const int32_t* lengthsBefore(Run& run, const Batch& batch) {
  std::vector<int32_t> lengths;
  const Rows sequences = run.sequences();
  for (int64_t s = sequences.first; s < sequences.first + sequences.count; ++s) {
    lengths.push_back(batch.lengths[static_cast<size_t>(s)] + static_cast<int32_t>(s % 3) + 1);
  }
  return run.indices(lengths);
}

/// The backward of the forward's own masks. magnitude: how much larger than the threshold's gradient, the sum of them
/// all, its terms may be.
OperationCase softTokenMaskCase(const std::string& name, const SoftTokenMaskShape& shape, double magnitude = 10) {
  return {name, shape.batch,
          [shape](Run& run) {
            const Rows tokens = run.tokens();
            const DType sums = sumsDType(run.backend().dtype());
            SoftTokenMaskArgs forward;
            forward.x = run.input(tokens, shape.cols);
            forward.scores = run.input(tokens, 1, sums);
            forward.offsets = run.offsets();
            forward.lengths = lengthsBefore(run, shape.batch);
            forward.sequences = static_cast<int32_t>(run.sequences().count);
            forward.threshold = 0.03;
            forward.temperature = 0.1;
            forward.y = run.output(tokens, shape.cols);
            forward.masks = run.output(tokens, 1, sums);
            run.backend().softTokenMask(forward);
            SoftTokenMaskBackwardArgs args;
            args.x = forward.x;
            args.masks = forward.masks;
            args.offsets = forward.offsets;
            args.lengths = forward.lengths;
            args.sequences = forward.sequences;
            args.temperature = forward.temperature;
            args.sparsity = 0.7;
            args.dx = shape.inPlace ? run.updated(tokens, shape.cols) : run.output(tokens, shape.cols);
            args.dy = shape.inPlace ? args.dx : run.input(tokens, shape.cols);
            args.dScores = run.output(tokens, 1, sums);
            args.dThreshold = run.updated(Run::fixed(1), 1, DType::f64);
            run.backend().softTokenMaskBackward(args);
          },
          magnitude};
}

}  // namespace

std::vector<OperationCase> softTokenMaskCases() {
  const Batch batch{{3, 1, 12, 0, 7}};
  std::vector<OperationCase> cases;
  for (int64_t cols : {0, 1, 7, 16, 33, 384}) {
    cases.push_back(softTokenMaskCase("softTokenMask" + std::to_string(cols), {batch, cols}));
  }
  cases.push_back(softTokenMaskCase("softTokenMaskInPlace", {batch, 37, true}));
  cases.push_back(softTokenMaskCase("softTokenMaskManyRows", {{{400, 130}}, 65}));
  cases.push_back(softTokenMaskCase("softTokenMaskManySequences", {{std::vector<int32_t>(300, 2)}, 5}));
  cases.push_back(softTokenMaskCase("softTokenMaskOneToken", {{{1}}, 8}));
  cases.push_back(softTokenMaskCase("softTokenMaskNoTokens", {{{0, 0}}, 8}));
  cases.push_back(softTokenMaskCase("softTokenMaskNoSequences", {{{}}, 8}));
  return cases;
}

OperationCase randomSoftTokenMask(Random& random) {
  const Batch batch{{random.between(0, 40), random.between(1, 90)}};
  return softTokenMaskCase("softTokenMask", {batch, random.between(1, 300), random.chance()}, 100);
}

}  // namespace espalier::test
