// Every operation on every backend against the reference backend in double.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "cases/cases.h"
#include "support/engines.h"

namespace espalier::test {

namespace {

// A result may be as far from the double reference as twice the plain float computation is, plus some units in the last
// place. Distances are the largest difference over the largest magnitude of the result.
constexpr double kTimesYardstick = 2;
constexpr double kSlack = 1e-6;
// Among thousands of random shapes some results are small by cancellation while the plain computation's errors
// happened to cancel too.
constexpr double kRandomSlack = 5e-6;

Slice everySequence(const Batch& batch) { return {0, static_cast<int32_t>(batch.lengths.size())}; }

std::vector<Output> resultsOn(std::shared_ptr<Backend> backend, const OperationCase& operation, Slice slice,
                              DType precision = DType::f32) {
  Run run(std::move(backend), operation.batch, slice, precision);
  operation.run(run);
  return run.results();
}

std::vector<Output> resultsOn(std::shared_ptr<Backend> backend, const OperationCase& operation) {
  return resultsOn(std::move(backend), operation, everySequence(operation.batch));
}

/// Infinity where either is not finite or has another size, so that no such result passes.
double distance(const std::vector<double>& values, const std::vector<double>& expected) {
  if (values.size() != expected.size()) return INFINITY;
  double largest = 0;
  double magnitude = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(values[i] - expected[i]);
    if (!std::isfinite(difference)) return INFINITY;
    largest = std::max(largest, difference);
    magnitude = std::max(magnitude, std::abs(expected[i]));
  }
  return magnitude > 0 ? largest / magnitude : largest;
}

void expectAgreement(const std::string& backend, const OperationCase& operation, double slack) {
  const std::vector<Output> expected = resultsOn(openOracle(), operation);
  const std::vector<Output> plain = resultsOn(openYardstick(), operation);
  const std::vector<Output> actual = resultsOn(openCandidate(backend, 2).backend, operation);
  for (size_t i = 0; i < expected.size(); ++i) {
    const double allowed = kTimesYardstick * distance(plain[i].values, expected[i].values) + slack;
    EXPECT_TRUE(std::isfinite(allowed)) << operation.name << ", output " << i << ": the reference is not finite";
    EXPECT_LE(distance(actual[i].values, expected[i].values), allowed) << operation.name << ", output " << i;
  }
}

/// The bits of `whole` in the rows that `part` holds are those of `part`.
void expectSameRows(const Output& whole, const Output& part, const std::string& what) {
  if (!whole.rows.ofBatch) return;
  const auto begin = whole.values.begin() + (part.rows.first - whole.rows.first) * whole.cols;
  const std::vector<double> rows(begin, begin + part.rows.count * part.cols);
  EXPECT_EQ(rows, part.values) << what;
}

class OperationTest : public testing::TestWithParam<std::tuple<const char*, OperationCase>> {
 protected:
  void SetUp() override {
    const Candidate candidate = openCandidate(backend(), 1);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
  }
  const char* backend() const { return std::get<0>(GetParam()); }
  const OperationCase& operation() const { return std::get<1>(GetParam()); }
};

TEST_P(OperationTest, agreesWithTheDoubleReference) { expectAgreement(backend(), operation(), kSlack); }

TEST_P(OperationTest, isBitEqualAtAnyThreadCount) {
  const std::vector<Output> expected = resultsOn(openCandidate(backend(), 1).backend, operation());
  for (int32_t threads : {2, 3}) {
    const std::vector<Output> actual = resultsOn(openCandidate(backend(), threads).backend, operation());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(actual[i].values, expected[i].values) << "output " << i << " on " << threads << " threads";
    }
  }
}

TEST_P(OperationTest, givesASequenceTheSameBitsAloneAndAmongOthers) {
  if (std::string(backend()) == "cuda") GTEST_SKIP() << "its library chooses how to multiply by the number of rows";
  const auto backendUnderTest = openCandidate(backend(), 2).backend;
  const std::vector<Output> whole = resultsOn(backendUnderTest, operation());
  for (int32_t s = 0; s < everySequence(operation().batch).last; ++s) {
    const std::vector<Output> alone = resultsOn(backendUnderTest, operation(), {s, s + 1});
    for (size_t i = 0; i < whole.size(); ++i) {
      expectSameRows(whole[i], alone[i], "output " + std::to_string(i) + ", sequence " + std::to_string(s));
    }
  }
}

std::string testName(const testing::TestParamInfo<OperationTest::ParamType>& info) {
  return std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param).name;
}

std::vector<OperationCase> everyCase() {
  std::vector<OperationCase> all;
  for (const auto& family : {linearCases(), normalisationCases(), attentionCases(), activationCases(), rowCases(),
                             sumCases(), lossCases(), adamWCases()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Operations, OperationTest,
                         testing::Combine(testing::Values("cpu", "cuda", "emulation", "reference"),
                                          testing::ValuesIn(everyCase())),
                         testName);

struct HalfType {
  const char* name;
  DType dtype;
  double unit;  // the largest relative error of rounding
};

// The operations that 16-bit models are made of, on the backends that have them. Inputs are rounded before the oracle
// sees them: what differs is what the operation rounds on its way.
class HalfOperationTest : public testing::TestWithParam<std::tuple<const char*, HalfType, OperationCase>> {};

TEST_P(HalfOperationTest, agreesWithTheDoubleReferenceOnRoundedInputs) {
  const auto& [name, half, operation] = GetParam();
  const Candidate candidate = openCandidate(name, {half.dtype, 1, 0});
  if (!candidate.backend) GTEST_SKIP() << candidate.reason;
  const Slice all = everySequence(operation.batch);
  std::vector<Output> actual;
  try {
    actual = resultsOn(candidate.backend, operation, all, half.dtype);
  } catch (const Error& error) {
    ASSERT_EQ(error.code(), ErrorCode::unsupported) << error.what();
    GTEST_SKIP() << error.what();
  }
  const std::vector<Output> expected = resultsOn(openOracle(), operation, all, half.dtype);
  constexpr double kRoundings = 4;
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LE(distance(actual[i].values, expected[i].values), kRoundings * half.unit) << "output " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, HalfOperationTest,
                         testing::Combine(testing::Values("cuda", "emulation"),
                                          testing::Values(HalfType{"f16", DType::f16, 0x1p-11},
                                                          HalfType{"bf16", DType::bf16, 0x1p-8}),
                                          testing::ValuesIn(everyCase())),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param).name + "_" +
                                  std::get<2>(info.param).name;
                         });

/// ESPALIER_FUZZ_ROUNDS sets how many random shapes each family gets, ESPALIER_FUZZ_SEED which.
uint64_t fromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

TEST(cpuFuzz, agreesWithTheDoubleReferenceAtRandomShapes) {
  const Candidate candidate = openCandidate("cpu", 1);
  if (!candidate.backend) GTEST_SKIP() << candidate.reason;
  const uint64_t rounds = fromEnvironment("ESPALIER_FUZZ_ROUNDS", 25);
  const uint64_t seed = fromEnvironment("ESPALIER_FUZZ_SEED", 0);
  for (uint64_t round = 0; round < rounds && !HasFailure(); ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", round " + std::to_string(round));
    Random random(scramble(seed, round, 0));
    for (const auto& randomCase : {randomLinear, randomNormalisation, randomAttention, randomActivation, randomRows,
                                   randomSum, randomLoss, randomAdamW}) {
      expectAgreement("cpu", randomCase(random), kRandomSlack);
    }
  }
}

}  // namespace

}  // namespace espalier::test
