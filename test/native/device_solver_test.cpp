// The solver of a backend that has one of its own against the host's: the same answers, the same bits at every call,
// and the errors that solver.h promises.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "core/error.h"
#include "solver/backend_solver.h"
#include "support/engines.h"
#include "support/errors.h"
#include "support/projection.h"
#include "support/spectrum.h"

namespace espalier::test {

namespace {

// Both solve in double, in another order of summing: what differs is rounding times the problem's condition.
constexpr double kSolved = 1e-8;
// Where results are rounded to float.
constexpr double kRoundedToFloat = 1e-6;
// Where nothing is solved, only summed.
constexpr double kSummed = 1e-12;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kHostThreads = 1;

void expectNear(const ProjectionFit& found, const ProjectionFit& expected) {
  EXPECT_LT(relativeError(found.weight, expected.weight), kRoundedToFloat);
  EXPECT_LT(relativeError(found.biasShift, expected.biasShift), kRoundedToFloat);
}

template <typename Body>
ErrorCode codeOf(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::ok;
}

/// A positive definite [kHidden, kHidden] matrix.
Vector outputMoments() { return Projection(Projection::kHidden).gram; }

/// A projection whose inputs do not correlate and all matter the same.
Projection projectionOfEqualInputs(int64_t inputs) {
  Projection projection(inputs);
  for (int64_t i = 0; i < inputs; ++i) {
    for (int64_t j = 0; j < inputs; ++j) projection.gram[i * inputs + j] = i == j ? 2 : 0;
  }
  std::fill(projection.inputSums.begin(), projection.inputSums.end(), 0.0);
  std::fill(projection.weight.begin(), projection.weight.end(), 1.0f);
  return projection;
}

/// A projection whose Gram matrix is NaN where input 5 has a part.
Projection projectionWithNaN() {
  Projection projection(8);
  for (int64_t i = 0; i < 8; ++i) projection.gram[5 * 8 + i] = projection.gram[i * 8 + 5] = kNaN;
  return projection;
}

class DeviceSolverTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const Candidate candidate = openCandidate(GetParam(), kHostThreads);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
    ASSERT_NE(candidate.backend->solverTable(), nullptr) << "the host's solver would be compared with itself";
    solver_ = std::make_unique<Solver>(candidate.backend);
  }
  const Solver& solver() const { return *solver_; }

 private:
  std::unique_ptr<Solver> solver_;
};

struct EliminationCase {
  int64_t inputs, unitSize, rows;
  double ridge;
};

TEST_P(DeviceSolverTest, removesUnitsInTheHostsOrderAtTheHostsErrors) {
  const Vector moments = outputMoments();
  for (const auto& [inputs, unitSize, rows, ridge] : std::vector<EliminationCase>{{1, 1, 20, 1e-3},
                                                                                  {2, 1, 20, 1e-3},
                                                                                  {31, 1, 90, 1e-3},
                                                                                  {32, 1, 90, 0},
                                                                                  {33, 1, 20, 1e-3},
                                                                                  {65, 1, 30, 1e-2},
                                                                                  {150, 1, 400, 1e-3},
                                                                                  {6, 3, 20, 1e-3},
                                                                                  {4, 4, 10, 1e-3},
                                                                                  {24, 4, 90, 1e-3},
                                                                                  {100, 4, 40, 1e-3},
                                                                                  {192, 64, 500, 1e-3},
                                                                                  {192, 64, 60, 1e-2},
                                                                                  {256, 64, 700, 0}}) {
    SCOPED_TRACE(std::to_string(inputs) + " inputs by " + std::to_string(unitSize) + ", " + std::to_string(rows) +
                 " rows");
    const Projection projection(inputs, rows);
    const auto run = [&] {
      return solver().eliminationOrder(projection.statistics(), moments.data(), unitSize, ridge);
    };
    const Elimination found = run(), again = run();
    const Elimination expected =
        eliminationOrder(projection.statistics(), moments.data(), unitSize, ridge, kHostThreads);
    EXPECT_EQ(found.order, expected.order);
    for (size_t step = 0; step < expected.errors.size(); ++step) {
      EXPECT_NEAR(found.errors[step], expected.errors[step], kSolved * expected.errors[step]) << "step " << step;
    }
    EXPECT_EQ(again.order, found.order);
    EXPECT_EQ(again.errors, found.errors);
  }
}

TEST_P(DeviceSolverTest, removesTheFirstOfUnitsThatHurtTheSame) {
  const Vector moments = outputMoments();
  const Projection projection = projectionOfEqualInputs(8);
  for (int64_t unitSize : {1, 2}) {
    const Elimination found = solver().eliminationOrder(projection.statistics(), moments.data(), unitSize, 0);
    for (size_t unit = 0; unit < found.order.size(); ++unit) EXPECT_EQ(found.order[unit], static_cast<int32_t>(unit));
  }
}

TEST_P(DeviceSolverTest, givesUpInputsThatAreAlwaysZeroForNothing) {
  Projection projection(6);
  std::fill(projection.gram.begin(), projection.gram.end(), 0.0);
  std::fill(projection.inputSums.begin(), projection.inputSums.end(), 0.0);
  const Elimination found = solver().eliminationOrder(projection.statistics(), outputMoments().data(), 1, 1e-3);
  EXPECT_NEAR(found.errors.back(), 0, 1e-15);
}

TEST_P(DeviceSolverTest, eliminatesWithoutTargets) {
  const Vector moments = outputMoments();
  const Projection projection(12);
  ProjectionStatistics withoutTargets = projection.statistics();
  withoutTargets.cross = withoutTargets.targetSums = nullptr;
  EXPECT_EQ(solver().eliminationOrder(withoutTargets, moments.data(), 1, 1e-3).order,
            solver().eliminationOrder(projection.statistics(), moments.data(), 1, 1e-3).order);
}

TEST_P(DeviceSolverTest, namesWhatIsWrongWithAnElimination) {
  const Vector moments = outputMoments();
  const Projection indistinct(30, 10), withNaN = projectionWithNaN();  // fewer rows than inputs
  const auto code = [&](const Projection& projection, int64_t unitSize, double ridge) {
    return codeOf([&] { solver().eliminationOrder(projection.statistics(), moments.data(), unitSize, ridge); });
  };
  for (int64_t unitSize : {1, 3}) {
    EXPECT_EQ(code(indistinct, unitSize, 0), ErrorCode::notPositiveDefinite);
    EXPECT_EQ(code(indistinct, unitSize, 1e-3), ErrorCode::ok);
  }
  for (int64_t unitSize : {1, 2}) EXPECT_EQ(code(withNaN, unitSize, 1e-3), ErrorCode::nonFinite);
  for (int64_t unitSize : {0, 7}) EXPECT_EQ(code(indistinct, unitSize, 1e-3), ErrorCode::invalidArgument);
}

TEST_P(DeviceSolverTest, fitsProjectionsAsTheHostDoes) {
  for (int64_t inputs : {1, 7, 40, 129}) {
    for (int64_t rows : {int64_t{9}, 2 * inputs + 9}) {
      for (double ridge : {1e-3, 1.0, 1e9}) {
        SCOPED_TRACE(std::to_string(inputs) + " inputs, " + std::to_string(rows) + " rows, ridge " +
                     std::to_string(ridge));
        const Projection projection(inputs, rows);
        const ProjectionFit found = solver().solveProjection(projection.statistics(), ridge);
        expectNear(found, solveProjection(projection.statistics(), ridge, kHostThreads));
        const ProjectionFit again = solver().solveProjection(projection.statistics(), ridge);
        EXPECT_EQ(again.weight, found.weight);
        EXPECT_EQ(again.biasShift, found.biasShift);
      }
    }
  }
}

TEST_P(DeviceSolverTest, takesARidgeThatRoundingDoesNotOutweigh) {
  const Projection projection = projectionOfOneRow(30);
  const Elimination found = solver().eliminationOrder(projection.statistics(), outputMoments().data(), 1, 1e-3);
  EXPECT_EQ(found.order.size(), 30u);
  const ProjectionFit fit = solver().solveProjection(projection.statistics(), 1e-3);
  expectNear(fit, solveProjection(projection.statistics(), 1e-3, kHostThreads));
}

TEST_P(DeviceSolverTest, namesWhatIsWrongWithAFit) {
  const auto code = [&](const ProjectionStatistics& statistics, double ridge) {
    return codeOf([&] { solver().solveProjection(statistics, ridge); });
  };
  const Projection indistinct(30, 10), withNaN = projectionWithNaN();
  EXPECT_EQ(code(indistinct.statistics(), 0), ErrorCode::notPositiveDefinite);
  EXPECT_EQ(code(withNaN.statistics(), 1e-3), ErrorCode::nonFinite);
  ProjectionStatistics empty = indistinct.statistics();
  empty.rows = 0;
  EXPECT_EQ(code(empty, 1), ErrorCode::invalidArgument);
}

TEST_P(DeviceSolverTest, choosesTheHostsRidge) {
  const Vector ridges = {1e-4, 1e-2, 1e-1, 1, 10};
  for (int64_t inputs : {1, 40, 130}) {
    for (int64_t rows : {inputs + 5, 3 * inputs + 20}) {
      const Projection fit(inputs, rows), other(inputs, rows + 200);
      EXPECT_EQ(solver().bestRidge(fit.statistics(), other.statistics(), ridges),
                bestRidge(fit.statistics(), other.statistics(), ridges, kHostThreads));
    }
  }
}

TEST_P(DeviceSolverTest, refusesToChooseARidgeOfNoneOrForAnotherProjection) {
  const Projection fit(4), other(5);
  EXPECT_EQ(codeOf([&] { solver().bestRidge(fit.statistics(), fit.statistics(), {}); }), ErrorCode::invalidArgument);
  EXPECT_EQ(codeOf([&] { solver().bestRidge(fit.statistics(), other.statistics(), {1}); }), ErrorCode::invalidArgument);
}

TEST_P(DeviceSolverTest, setsUpAndSolvesSystemsOfScalesAsTheHostDoes) {
  for (const auto& [inputs, unitSize] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {12, 1}, {12, 3}, {231, 1}, {192, 64}, {600, 3}}) {
    for (bool ones : {false, true}) {
      SCOPED_TRACE(std::to_string(inputs) + " inputs by " + std::to_string(unitSize) + (ones ? ", ones" : ""));
      const Projection projection(inputs);
      const ScaleSystem found = solver().scaleSystem(projection.statistics(), unitSize, ones);
      const ScaleSystem expected = scaleSystem(projection.statistics(), unitSize, ones, kHostThreads);
      EXPECT_LT(relativeError(found.matrix, expected.matrix), kSummed);
      EXPECT_LT(relativeError(found.rhs, expected.rhs), kSummed);
      const double* const matrix = expected.matrix.data();
      const Vector scales = solver().solveFiltered(matrix, expected.rhs);
      EXPECT_LT(relativeError(scales, solveFiltered(matrix, expected.rhs, kHostThreads)), kRoundedToFloat);
      EXPECT_EQ(solver().scaleSystem(projection.statistics(), unitSize, ones).matrix, found.matrix);
      EXPECT_EQ(solver().solveFiltered(matrix, expected.rhs), scales);
    }
  }
}

TEST_P(DeviceSolverTest, filtersTheEigenvaluesOfASystemOfScales) {
  const auto solve = [&](const Vector& matrix, const Vector& rhs) {
    return solver().solveFiltered(matrix.data(), rhs);
  };
  expectFiltersEigenvalues(solve);
  expectLeavesDirectionsWithoutDataAlone(solve);
}

TEST_P(DeviceSolverTest, namesWhatIsWrongWithASystemOfScales) {
  const auto code = [&](const Vector& matrix, const Vector& rhs) {
    return codeOf([&] { solver().solveFiltered(matrix.data(), rhs); });
  };
  EXPECT_EQ(code({1, 0, 0, -2}, {1, 1}), ErrorCode::notPositiveDefinite);
  EXPECT_EQ(code({1, 0, 0, kNaN}, {1, 1}), ErrorCode::nonFinite);
  EXPECT_EQ(code({1, 0, 0, 1}, {kInfinity, 1}), ErrorCode::nonFinite);
  const Projection projection(12);
  for (int64_t unitSize : {0, 5}) {
    EXPECT_EQ(codeOf([&] { solver().scaleSystem(projection.statistics(), unitSize, false); }),
              ErrorCode::invalidArgument);
  }
}

TEST_P(DeviceSolverTest, composesProjectionsAsTheHostDoes) {
  const auto floats = [](const Vector& values) { return std::vector<float>(values.begin(), values.end()); };
  for (int64_t inputs : {1, 70}) {
    for (int64_t outputs : {1, 130}) {
      const std::vector<float> weight = floats(randomVector(outputs * inputs, 1));
      const ProjectionFit map{floats(randomVector(inputs * inputs, 2)), floats(randomVector(inputs, 3))};
      const ProjectionFit found = solver().composeProjection(weight.data(), outputs, map);
      expectNear(found, composeProjection(weight.data(), outputs, map, kHostThreads));
      EXPECT_EQ(solver().composeProjection(weight.data(), outputs, map).weight, found.weight);
    }
  }
  const std::vector<float> weight(4), map(4);
  EXPECT_EQ(codeOf([&] { solver().composeProjection(weight.data(), 2, {map, {1}}); }), ErrorCode::invalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Solvers, DeviceSolverTest, testing::Values("cuda", "emulation"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace

}  // namespace espalier::test
