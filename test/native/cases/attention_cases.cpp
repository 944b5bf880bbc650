#include <algorithm>
#include <cmath>

#include "cases/cases.h"

namespace espalier::test {

namespace {

struct AttentionShape {
  Batch batch;
  int32_t heads;
  int32_t headSize;
  bool headMask = true;
  float sharpness = 1;  // scales q: large values make one-hot probabilities
  double dropout = 0;
};

AttentionArgs attentionInputs(Run& run, const AttentionShape& shape) {
  const int64_t width = int64_t{shape.heads} * shape.headSize;
  AttentionArgs args;
  args.q = run.input(run.queries(), width, shape.sharpness);
  const Matrix keysAndValues = run.input(run.tokens(), 2 * width);
  args.k = keysAndValues.columns(0, width);
  args.v = keysAndValues.columns(width, width);
  args.offsets = run.offsets();
  args.queryOffsets = run.queryOffsets();
  args.sequences = static_cast<int32_t>(run.sequences().count);
  args.longest = run.longest();
  args.heads = shape.heads;
  args.headSize = shape.headSize;
  args.scale = 1 / std::sqrt(static_cast<double>(shape.headSize));
  if (shape.headMask) args.headMask = run.vector(shape.heads);
  args.dropoutRate = shape.dropout;
  args.dropoutKey = 0x0123456789abcdef;
  return args;
}

/// The results beside the context.
struct AlsoWanted {
  bool logSumExp = true;
  bool columnSums = false;
};

/// Scores reach about four times the sharpness, and a unit in the last place of four is a quarter of the slack.
double magnitudeOf(const AttentionShape& shape) { return std::max(1.0, static_cast<double>(shape.sharpness) / 4); }

OperationCase attentionCase(const std::string& name, const AttentionShape& shape, AlsoWanted wanted = {}) {
  return {name,
          shape.batch,
          [=](Run& run) {
            AttentionArgs args = attentionInputs(run, shape);
            args.context = run.output(run.queries(), args.q.cols);
            if (wanted.logSumExp) args.logSumExp = run.output(run.queries(), shape.heads);
            if (wanted.columnSums) args.columnSums = run.output(run.tokens(), 1, sumsDType(run.backend().dtype()));
            run.backend().attention(args);
          },
          magnitudeOf(shape),
          false,
          shape.dropout > 0};
}

struct Wanted {
  bool inputs = true;
  bool headMask = true;
  bool oneGroup = false;  // all sequences in one row of the mask gradient
  bool columnSums = false;
};

OperationCase attentionBackwardCase(const std::string& name, const AttentionShape& shape, Wanted wanted = {}) {
  return {name,
          shape.batch,
          [=](Run& run) {
            AttentionBackwardArgs args;
            args.forward = attentionInputs(run, shape);
            args.forward.context = run.output(run.queries(), args.forward.q.cols);
            args.forward.logSumExp = run.output(run.queries(), shape.heads);
            run.backend().attention(args.forward);
            args.dContext = run.input(run.queries(), args.forward.q.cols);
            if (wanted.inputs) {
              args.dq = run.output(run.queries(), args.forward.q.cols);
              args.dk = run.output(run.tokens(), args.forward.q.cols);
              args.dv = run.output(run.tokens(), args.forward.q.cols);
            }
            if (wanted.headMask) {
              const GroupedGradient gradient = run.groupedGradient(shape.heads, wanted.oneGroup);
              args.headMaskGradient = gradient.sums;
              args.groups = gradient.groups;
            }
            if (wanted.columnSums) args.dColumnSums = run.input(run.tokens(), 1);
            run.backend().attentionBackward(args);
          },
          magnitudeOf(shape),
          false,
          shape.dropout > 0};
}

const std::vector<int32_t> kLengths{3, 1, 12, 0, 7};
const Batch kAllAsk{kLengths};
const Batch kFirstAsk{kLengths, {1, 1, 1, 0, 1}};
const Batch kSomeAsk{kLengths, {2, 0, 5, 0, 7}};

}  // namespace

std::vector<OperationCase> attentionCases() {
  std::vector<OperationCase> cases;
  const auto both = [&](const std::string& name, const AttentionShape& shape) {
    cases.push_back(attentionCase("attention" + name, shape));
    cases.push_back(attentionCase("attentionColumnSums" + name, shape, {true, true}));
    cases.push_back(attentionBackwardCase("attentionBackward" + name, shape));
    cases.push_back(attentionBackwardCase("attentionBackwardColumnSums" + name, shape, {true, true, false, true}));
  };
  for (int32_t headSize : {1, 4, 7, 16, 32, 33, 64, 128}) {
    both("OfHeadSize" + std::to_string(headSize), {kAllAsk, 2, headSize});
  }
  both("OneHead", {kAllAsk, 1, 32});
  both("NoHeads", {kAllAsk, 0, 32});
  both("ElevenHeads", {kAllAsk, 11, 32});
  both("FirstTokensAsk", {kFirstAsk, 3, 32});
  both("SomeTokensAsk", {kSomeAsk, 3, 32});
  both("WithoutHeadMask", {kAllAsk, 3, 32, false});
  both("OneTokenSequences", {{{1, 1, 1}}, 2, 32});
  both("NoSequences", {{{}}, 2, 32});
  both("LongSequences", {{{130, 65, 257}}, 2, 32});
  both("AtMaximumLength", {{{512}, {3}}, 2, 64});
  both("NearlyOneHot", {kAllAsk, 2, 32, true, 20});
  both("DroppedOut", {kAllAsk, 3, 32, true, 1, 0.3});
  both("DroppedOutSomeAsk", {kSomeAsk, 3, 33, true, 1, 0.3});
  both("DroppedOutLongSequences", {{{130, 65, 257}}, 2, 64, false, 1, 0.1});
  // Up to two tiles of keys, of 32 rows or 64, a device looks at them again while they are there.
  for (const std::vector<int32_t>& lengths : {std::vector<int32_t>{64, 33, 5}, {128, 65, 100, 3}}) {
    const std::string name = "attentionColumnSumsOfUpTo" + std::to_string(lengths.front());
    cases.push_back(attentionCase(name, {{lengths}, 2, 32}, {true, true}));
    cases.back().dependsOnLongest = true;
    cases.push_back(
        attentionCase(name + "FewAsking", {{lengths, std::vector<int32_t>(lengths.size(), 3)}, 2, 64}, {true, true}));
    cases.back().dependsOnLongest = true;
  }
  cases.push_back(attentionCase("attentionWithoutLogSumExp", {kAllAsk, 2, 32}, {false, false}));
  cases.push_back(attentionCase("attentionColumnSumsWithoutLogSumExp", {kAllAsk, 2, 32}, {false, true}));
  cases.push_back(attentionBackwardCase("attentionBackwardMaskOnly", {kAllAsk, 3, 32}, {false, true}));
  cases.push_back(
      attentionBackwardCase("attentionBackwardMaskOnlyDroppedOut", {kAllAsk, 3, 32, true, 1, 0.3}, {false, true}));
  cases.push_back(attentionBackwardCase("attentionBackwardInputsOnly", {kAllAsk, 3, 32}, {true, false}));
  cases.push_back(attentionBackwardCase("attentionBackwardOneGroup", {kSomeAsk, 3, 32}, {true, true, true}));
  cases.push_back(
      attentionBackwardCase("attentionBackwardMaskOnlyWithColumnSums", {kAllAsk, 3, 32}, {false, true, false, true}));
  return cases;
}

OperationCase randomAttention(Random& random) {
  Batch batch;
  for (int32_t s = random.between(1, 6); s > 0; --s) {
    batch.lengths.push_back(random.between(1, 70));
    batch.queries.push_back(random.between(0, batch.lengths.back()));
  }
  if (random.chance()) batch.queries = batch.lengths;
  const AttentionShape shape{batch, random.between(1, 7),       random.between(1, 70), random.chance(),
                             1,     random.chance() ? 0.2 : 0.0};
  if (random.chance()) return attentionCase("attention", shape, {random.chance(), random.chance()});
  Wanted wanted{random.chance(), random.chance(), random.chance(), random.chance()};
  // A mask gradient that is a single sum may nearly cancel, and then says nothing of its errors' size.
  const bool oneSum = shape.heads == 1 && (wanted.oneGroup || batch.lengths.size() == 1);
  wanted.headMask = wanted.headMask && !oneSum;
  return attentionBackwardCase("attentionBackward", shape, wanted);
}

}  // namespace espalier::test
