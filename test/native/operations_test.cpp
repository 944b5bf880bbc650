// Every operation on every backend against the reference backend in double.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "cases/cases.h"
#include "core/convert.h"
#include "support/engines.h"
#include "support/errors.h"

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

/// Absolute where only zeros are expected: some gradients cancel to nothing.
double distance(const std::vector<double>& values, const std::vector<double>& expected) {
  return largestMagnitude(expected) > 0 ? relativeError(values, expected) : largestDifference(values, expected);
}

void expectAgreement(const std::string& backend, const OperationCase& operation, double slack) {
  const std::vector<Output> expected = resultsOn(openOracle(), operation);
  const std::vector<Output> plain = resultsOn(openYardstick(), operation);
  const std::vector<Output> actual = resultsOn(openCandidate(backend, 2).backend, operation);
  for (size_t i = 0; i < expected.size(); ++i) {
    const double allowed =
        kTimesYardstick * distance(plain[i].values, expected[i].values) + slack * operation.magnitude;
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

TEST_P(OperationTest, agreesWithTheDoubleReference) {
  if (std::string(backend()) == "reference") GTEST_SKIP() << "in float it is the yardstick itself";
  expectAgreement(backend(), operation(), kSlack);
}

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
  if (operation().dependsOnPlace) GTEST_SKIP() << "what is dropped out depends on where it lies";
  const auto backendUnderTest = openCandidate(backend(), 2).backend;
  if (operation().dependsOnLongest && !backendUnderTest->onHost()) GTEST_SKIP() << "another way, other roundings";
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
                             softTokenMaskCases(), sumCases(), lossCases(), adamWCases()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Operations, OperationTest,
                         testing::Combine(testing::Values("cpu", "cuda", "emulation", "reference"),
                                          testing::ValuesIn(everyCase())),
                         testName);

template <typename Test>
std::string nameOfEngineTypeAndCase(const testing::TestParamInfo<typename Test::ParamType>& info) {
  const auto& [engine, type, operation] = info.param;
  return std::string(engine) + "_" + type.name + "_" + operation.name;
}

struct HalfType {
  const char* name;
  DType dtype;
  double unit;  // the largest relative error of rounding
};

constexpr HalfType kHalfTypes[] = {{"f16", DType::f16, 0x1p-11}, {"bf16", DType::bf16, 0x1p-8}};
// On the way of one operation.
constexpr double kHalfRoundings = 4;

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
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LE(distance(actual[i].values, expected[i].values), kHalfRoundings * half.unit) << "output " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, HalfOperationTest,
                         testing::Combine(testing::Values("cuda", "emulation"), testing::ValuesIn(kHalfTypes),
                                          testing::ValuesIn(everyCase())),
                         nameOfEngineTypeAndCase<HalfOperationTest>);

/// A linear map as models ask for it: rows begin at multiples of 16 bytes, and there are many of them. Kernels of some
/// devices take only these.
struct AlignedLinear {
  const char* name;
  int64_t rows, inputs, outputs;
  Activation activation = Activation::none;
  bool bias = true, columnMask = false, residual = false;

  /// What the map gives for inputs that are rounded to `precision` first.
  std::vector<double> resultOn(Backend& backend, DType precision) const {
    const auto tensor = [&](int64_t tensorRows, int64_t cols, uint64_t key, float scale = 1) {
      std::vector<float> values;
      for (int64_t i = 0; i < tensorRows * cols; ++i) {
        values.push_back(scale * bell(scramble(key, static_cast<uint64_t>(i), 0)));
      }
      std::vector<uint16_t> stored(values.size());
      fromFloat(values.data(), tensorRows * cols, precision, stored.data());
      toFloat(precision, stored.data(), tensorRows * cols, values.data());
      return backend.tensorFrom(tensorRows, cols, values.data());
    };
    const Tensor x = tensor(rows, inputs, 0, 1 / std::sqrt(static_cast<float>(inputs)));
    const Tensor weight = tensor(outputs, inputs, 1);
    const Tensor biases = tensor(1, outputs, 2), mask = tensor(1, outputs, 3), added = tensor(rows, outputs, 4);
    const Tensor y = backend.tensor(rows, outputs);
    Epilogue epilogue;
    if (bias) epilogue.bias = biases.view.data;
    epilogue.activation = activation;
    if (columnMask) epilogue.columnMask = mask.view.data;
    if (residual) epilogue.residual = added.view;
    backend.linear(x.view, *backend.pack(weight.view, false), epilogue, y.view);
    std::vector<double> values(static_cast<size_t>(rows * outputs));
    backend.read(y.view, values.data());
    return values;
  }

  friend void PrintTo(const AlignedLinear& linear, std::ostream* out) { *out << linear.name; }
};

class HalfAlignedLinearTest : public testing::TestWithParam<std::tuple<const char*, HalfType, AlignedLinear>> {};

TEST_P(HalfAlignedLinearTest, agreesWithTheDoubleReferenceOnRoundedInputs) {
  const auto& [name, half, linear] = GetParam();
  const Candidate candidate = openCandidate(name, {half.dtype, 1, 0});
  if (!candidate.backend) GTEST_SKIP() << candidate.reason;
  const std::vector<double> expected = linear.resultOn(*openOracle(), half.dtype);
  EXPECT_LE(distance(linear.resultOn(*candidate.backend, half.dtype), expected), kHalfRoundings * half.unit);
}

INSTANTIATE_TEST_SUITE_P(
    Operations, HalfAlignedLinearTest,
    testing::Combine(testing::Values("cuda", "emulation"), testing::ValuesIn(kHalfTypes),
                     testing::Values(AlignedLinear{"Smallest", 129, 8, 8},
                                     AlignedLinear{"WithoutBias", 300, 72, 200, Activation::none, false},
                                     AlignedLinear{"Residual", 257, 136, 72, Activation::none, true, false, true},
                                     AlignedLinear{"Gelu", 300, 72, 200, Activation::gelu},
                                     AlignedLinear{"GeluTanh", 300, 72, 200, Activation::geluTanh},
                                     AlignedLinear{"Relu", 300, 72, 200, Activation::relu},
                                     AlignedLinear{"Everything", 513, 64, 264, Activation::gelu, true, true, true})),
    nameOfEngineTypeAndCase<HalfAlignedLinearTest>);

struct RoundedProducts {
  const char* name;
  Products products;
  DType rounding;  // a type of the same length of mantissa
  double unit;     // the largest relative error of rounding
};

// Products of f32 matrices whose factors are rounded. The yardstick is what rounding every input does to the double
// reference: where scores are large it is much, as the absolute error of a score is the relative one of its weight.
class RoundedProductsTest : public testing::TestWithParam<std::tuple<const char*, RoundedProducts, OperationCase>> {};

TEST_P(RoundedProductsTest, agreesWithTheDoubleReferenceAsFarAsRoundedFactorsCan) {
  const auto& [name, rounded, operation] = GetParam();
  const Candidate candidate = openCandidate(name, {DType::f32, 1, 0, rounded.products});
  if (!candidate.backend) GTEST_SKIP() << candidate.reason;
  const std::vector<Output> expected = resultsOn(openOracle(), operation);
  const std::vector<Output> yardstick =
      resultsOn(openOracle(), operation, everySequence(operation.batch), rounded.rounding);
  const std::vector<Output> actual = resultsOn(candidate.backend, operation);
  // Two factors, each of which a library may cut off instead of rounding it: twice the unit.
  constexpr double kRoundings = 4;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double allowed =
        kTimesYardstick * distance(yardstick[i].values, expected[i].values) + kRoundings * rounded.unit;
    EXPECT_LE(distance(actual[i].values, expected[i].values), allowed) << "output " << i;
  }
}

TEST_P(RoundedProductsTest, isBitEqualAtASecondCall) {
  const auto& [name, rounded, operation] = GetParam();
  const Candidate candidate = openCandidate(name, {DType::f32, 1, 0, rounded.products});
  if (!candidate.backend) GTEST_SKIP() << candidate.reason;
  const std::vector<Output> first = resultsOn(candidate.backend, operation);
  const std::vector<Output> second = resultsOn(candidate.backend, operation);
  for (size_t i = 0; i < first.size(); ++i) EXPECT_EQ(second[i].values, first[i].values) << "output " << i;
}

constexpr RoundedProducts kTf32{"tf32", Products::tf32, DType::f16, 0x1p-11};
constexpr RoundedProducts kBf16{"bf16", Products::bf16, DType::bf16, 0x1p-8};

INSTANTIATE_TEST_SUITE_P(Operations, RoundedProductsTest,
                         testing::Combine(testing::Values("cuda"), testing::Values(kTf32, kBf16),
                                          testing::ValuesIn(everyCase())),
                         nameOfEngineTypeAndCase<RoundedProductsTest>);

// Of the emulation's products attention's alone are the device's.
INSTANTIATE_TEST_SUITE_P(Attention, RoundedProductsTest,
                         testing::Combine(testing::Values("emulation"), testing::Values(kTf32, kBf16),
                                          testing::ValuesIn(attentionCases())),
                         nameOfEngineTypeAndCase<RoundedProductsTest>);

class RoundedAttentionTest : public testing::TestWithParam<std::tuple<const char*, RoundedProducts>> {};

TEST_P(RoundedAttentionTest, differsFromThatOfFullProducts) {
  const auto& [name, rounded] = GetParam();
  const Candidate full = openCandidate(name, 1);
  if (!full.backend) GTEST_SKIP() << full.reason;
  const Candidate candidate = openCandidate(name, {DType::f32, 1, 0, rounded.products});
  const OperationCase attention = attentionCases().front();
  EXPECT_NE(resultsOn(candidate.backend, attention)[0].values, resultsOn(full.backend, attention)[0].values);
}

INSTANTIATE_TEST_SUITE_P(Products, RoundedAttentionTest,
                         testing::Combine(testing::Values("cuda", "emulation"), testing::Values(kTf32, kBf16)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param).name;
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
                                   randomSoftTokenMask, randomSum, randomLoss, randomAdamW}) {
      expectAgreement("cpu", randomCase(random), kRandomSlack);
    }
  }
}

}  // namespace

}  // namespace espalier::test
