#include <numeric>

#include "cases/cases.h"

namespace espalier::test {

namespace {

const Batch kBatch{{3, 1, 12, 0, 7}};

OperationCase gatherCase(const std::string& name, const Batch& batch, int64_t cols) {
  return {name, batch, [=](Run& run) {
            const int32_t* rows = run.indices(run.tokens(), 19);
            const Matrix x = run.input(Run::fixed(19), cols);
            run.backend().gatherRows({x, rows, run.output(run.tokens(), cols)});
          }};
}

OperationCase scatterAddCase(const std::string& name, int32_t rows, int32_t spacing, int64_t cols) {
  return {name, {{1}}, [=](Run& run) {
            std::vector<int32_t> targets(static_cast<size_t>(rows));
            for (int32_t i = 0; i < rows; ++i) targets[i] = spacing * (rows - i);
            const Matrix x = run.input(Run::fixed(rows), cols);
            run.backend().scatterRows(
                {x, run.indices(targets), run.updated(Run::fixed(int64_t{spacing} * rows + 1), cols), true});
          }};
}

/// Tokens whose ids repeat and leave entries of the table out.
OperationCase embedBackwardCase(const std::string& name, int32_t tokens, int32_t entries, int64_t cols) {
  return {name, {{1}}, [=](Run& run) {
            std::vector<int32_t> rows, offsets{0}, ids;
            for (int32_t entry = entries - 1; entry >= 0; --entry) {
              for (int32_t token = entry; token < tokens; token += entries) rows.push_back(token);
              offsets.push_back(static_cast<int32_t>(rows.size()));
              ids.push_back(2 * entry);
            }
            const Matrix dy = run.input(Run::fixed(tokens), cols);
            run.backend().embedBackward({dy, run.indices(rows), run.indices(offsets), run.indices(ids), entries,
                                         run.updated(Run::fixed(2 * entries), cols)});
          }};
}

/// `scatter` adds the rows that go on to where they were, so that each sequence shows its own.
OperationCase selectTokensCase(const std::string& name, const Batch& batch, double threshold, bool scatter = false) {
  return {name, batch, [=](Run& run) {
            Backend& backend = run.backend();
            const int64_t tokens = run.tokens().count, sequences = run.sequences().count, cols = 3;
            SelectTokensArgs args;
            args.scores = run.input(run.tokens(), 1, sumsDType(backend.dtype()));
            args.offsets = run.offsets();
            args.lengths = run.indices(run.sequences(), 9);
            args.sequences = static_cast<int32_t>(sequences);
            args.threshold = threshold;
            args.rows = run.indexOutput(Run::fixed(tokens));
            args.newOffsets = run.indexOutput(Run::fixed(sequences + 1));
            const Matrix x = run.input(run.tokens(), cols);
            backend.selectTokens(args);
            const int64_t kept = backend.readIndices(args.newOffsets + sequences, 1)[0];
            const Matrix y = run.output(Run::fixed(kept), cols);
            backend.gatherRows({x, args.rows, y});
            if (scatter) backend.scatterRows({y, args.rows, run.updated(run.tokens(), cols), true});
          }};
}

enum class Subtraction { intoOther, intoX, intoZ };

OperationCase subtractCase(const std::string& name, const Batch& batch, int64_t cols, bool bias, Subtraction target) {
  return {name, batch, [=](Run& run) {
            SubtractArgs args;
            args.y =
                target == Subtraction::intoOther ? run.output(run.tokens(), cols) : run.updated(run.tokens(), cols);
            args.x = target == Subtraction::intoX ? args.y : run.input(run.tokens(), cols);
            args.z = target == Subtraction::intoZ ? args.y : run.input(run.tokens(), cols);
            if (bias) args.bias = run.vector(cols);
            run.backend().subtract(args);
          }};
}

}  // namespace

std::vector<OperationCase> rowCases() {
  std::vector<OperationCase> cases;
  for (int64_t cols : {0, 1, 7, 16, 33, 384}) {
    const std::string width = std::to_string(cols);
    cases.push_back(gatherCase("gatherRows" + width, kBatch, cols));
    cases.push_back(scatterAddCase("scatterRows" + width, 9, 3, cols));
    cases.push_back(embedBackwardCase("embedBackward" + width, 23, 5, cols));
    cases.push_back(subtractCase("subtract" + width, kBatch, cols, true, Subtraction::intoOther));
  }
  cases.push_back(selectTokensCase("selectTokens", kBatch, 0.0625));
  cases.push_back(selectTokensCase("selectTokensScattered", kBatch, 0.0625, true));
  cases.push_back(selectTokensCase("selectTokensEvery", kBatch, -100));
  cases.push_back(selectTokensCase("selectTokensFirstOnly", {{3, 1, 12, 0, 7}}, 100));
  cases.push_back(selectTokensCase("selectTokensManyBlocks", {{700, 1, 0, 300, 513}}, 0.0625));
  cases.push_back(selectTokensCase("selectTokensManySequences", {std::vector<int32_t>(600, 2)}, 0.0625));
  cases.push_back(selectTokensCase("selectTokensManyBlocksOfBlocks", {{40000, 2, 30000}}, 0.0625));
  cases.push_back(selectTokensCase("selectTokensNoTokens", {{0, 0}}, 0.0625));
  cases.push_back(selectTokensCase("selectTokensNoSequences", {{}}, 0.0625));
  cases.push_back(embedBackwardCase("embedBackwardManyEntries", 90, 300, 40));
  cases.push_back(embedBackwardCase("embedBackwardOneEntry", 1000, 1, 40));
  cases.push_back(embedBackwardCase("embedBackwardNoEntries", 0, 0, 8));
  cases.push_back(gatherCase("gatherNoRows", {{0}}, 8));
  cases.push_back(scatterAddCase("scatterAddNoRows", 0, 1, 8));
  cases.push_back(subtractCase("subtractWithoutBias", kBatch, 37, false, Subtraction::intoOther));
  cases.push_back(subtractCase("subtractIntoX", kBatch, 37, true, Subtraction::intoX));
  cases.push_back(subtractCase("subtractIntoZ", kBatch, 37, true, Subtraction::intoZ));
  return cases;
}

OperationCase randomRows(Random& random) {
  const Batch batch{{random.between(0, 40), random.between(1, 90)}};
  const int64_t cols = random.between(1, 300);
  switch (random.between(0, 4)) {
    case 0:
      return gatherCase("gatherRows", batch, cols);
    case 1:
      return selectTokensCase("selectTokens", batch, random.between(0, 16) / 64.0, random.chance());
    case 2:
      return embedBackwardCase("embedBackward", random.between(0, 90), random.between(1, 40), cols);
    case 3:
      return scatterAddCase("scatterRows", random.between(0, 90), random.between(1, 3), cols);
    default:
      return subtractCase("subtract", batch, cols, random.chance(), static_cast<Subtraction>(random.between(0, 2)));
  }
}

}  // namespace espalier::test
