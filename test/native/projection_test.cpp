// Whole projections: in which order they can lose their units, and how they are solved anew. The kernels below depend
// on the instruction set, hence "cpu" in the names.

#include "support/projection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "solver/solver.h"

namespace espalier::test {

namespace {

/// The quadratic form of a projection's error, from its definition.
struct ErrorForm {
  const Projection& projection;
  int64_t n = projection.inputs;
  Vector quadratic;  // [n, n] centred Gram matrix with its ridge
  Vector moments;    // [hidden, hidden]

  ErrorForm(const Projection& projection, double ridge) : projection(projection) {
    quadratic = projection.gram;
    double diagonal = 0;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        quadratic[i * n + j] -=
            projection.inputSums[i] * projection.inputSums[j] / static_cast<double>(projection.rows);
      }
      diagonal += quadratic[i * n + i];
    }
    for (int64_t i = 0; i < n; ++i) quadratic[i * n + i] += ridge * diagonal / static_cast<double>(n);
    const Vector root = randomVector(Projection::kHidden * Projection::kHidden, 8);
    for (int64_t a = 0; a < Projection::kHidden; ++a) {
      for (int64_t b = 0; b < Projection::kHidden; ++b) {
        double sum = 0;
        for (int64_t k = 0; k < Projection::kHidden; ++k) {
          sum += root[a * Projection::kHidden + k] * root[b * Projection::kHidden + k];
        }
        moments.push_back(sum);
      }
    }
  }

  /// The least error without some inputs: what is left of the quadratic form once the others are eliminated from it.
  double without(const std::vector<bool>& removed) const {
    Vector q = quadratic;
    for (int64_t k = 0; k < n; ++k) {
      if (removed[k]) continue;
      for (int64_t i = 0; i < n; ++i) {
        if (i == k || (!removed[i] && i < k)) continue;
        const double factor = q[i * n + k] / q[k * n + k];
        for (int64_t j = 0; j < n; ++j) q[i * n + j] -= factor * q[k * n + j];
      }
    }
    double error = 0;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        if (!removed[i] || !removed[j]) continue;
        for (int64_t a = 0; a < Projection::kHidden; ++a) {
          for (int64_t b = 0; b < Projection::kHidden; ++b) {
            error += q[i * n + j] * projection.weight[a * n + i] * moments[a * Projection::kHidden + b] *
                     projection.weight[b * n + j];
          }
        }
      }
    }
    return error;
  }
};

void removeUnit(std::vector<bool>& removed, int64_t unit, int64_t unitSize) {
  std::fill_n(removed.begin() + unit * unitSize, unitSize, true);
}

/// Checks the first `steps` removals: each error is what the definition says, and no other unit was cheaper.
void expectGreedy(int64_t inputs, int64_t unitSize, const std::vector<int64_t>& steps) {
  const Projection projection(inputs, 2 * inputs + 3);
  const ErrorForm form(projection, 1e-3);
  const Elimination found = eliminationOrder(projection.statistics(), form.moments.data(), unitSize, 1e-3, 2);
  const int64_t units = inputs / unitSize;
  ASSERT_EQ(static_cast<int64_t>(found.order.size()), units);
  ASSERT_EQ(static_cast<int64_t>(found.errors.size()), units);
  std::vector<int32_t> sorted = found.order;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t u = 0; u < units; ++u) ASSERT_EQ(sorted[u], u) << "every unit goes once";
  for (int64_t step : steps) {
    std::vector<bool> before(static_cast<size_t>(inputs), false);
    for (int64_t s = 0; s < step; ++s) removeUnit(before, found.order[s], unitSize);
    double least = INFINITY;
    for (int64_t s = step; s < units; ++s) {
      std::vector<bool> removed = before;
      removeUnit(removed, found.order[s], unitSize);
      const double error = form.without(removed);
      if (s == step) {
        EXPECT_NEAR(found.errors[step], error, 1e-9 * error) << inputs << " inputs, step " << step;
      }
      least = std::min(least, error);
    }
    EXPECT_GE(least, found.errors[step] * (1 - 1e-9)) << inputs << " inputs, step " << step;
  }
}

TEST(cpuEliminationOrder, removesWhatHurtsLeastAfterTheRestIsSolvedForAgain) {
  expectGreedy(1, 1, {0});
  expectGreedy(20, 1, {0, 1, 7, 18, 19});
  expectGreedy(24, 4, {0, 1, 4, 5});
  // Several panels of collected updates.
  expectGreedy(150, 1, {63, 64, 130});
  expectGreedy(160, 8, {0, 7, 8, 17});
}

TEST(cpuEliminationOrder, givesTheSameBitsAtAnyNumberOfThreads) {
  const Projection projection(700, 900);
  const ErrorForm form(projection, 0);
  const auto run = [&](int threads) {
    return eliminationOrder(projection.statistics(), form.moments.data(), 2, 1e-3, threads);
  };
  const Elimination alone = run(1), together = run(3);
  EXPECT_EQ(alone.order, together.order);
  EXPECT_EQ(alone.errors, together.errors);
}

TEST(cpuEliminationOrder, refusesInputsThatCannotBeToldApart) {
  const Projection projection(30, 10);  // fewer rows than inputs
  const ErrorForm form(projection, 0);
  try {
    eliminationOrder(projection.statistics(), form.moments.data(), 1, 0, 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::notPositiveDefinite);
  }
  EXPECT_NO_THROW(eliminationOrder(projection.statistics(), form.moments.data(), 1, 1e-3, 1));
  EXPECT_THROW(eliminationOrder(projection.statistics(), form.moments.data(), 7, 1e-3, 1), Error);
}

TEST(cpuEliminationOrder, takesARidgeThatRoundingDoesNotOutweigh) {
  const Projection projection = projectionOfOneRow(30);
  const ErrorForm form(projection, 0);
  const Elimination found = eliminationOrder(projection.statistics(), form.moments.data(), 1, 1e-3, 1);
  EXPECT_EQ(std::set<int32_t>(found.order.begin(), found.order.end()).size(), 30u);
  for (double error : found.errors) EXPECT_TRUE(std::isfinite(error));
}

TEST(cpuSolveProjection, takesARidgeThatRoundingDoesNotOutweigh) {
  const Projection projection = projectionOfOneRow(30);
  const ProjectionFit fit = solveProjection(projection.statistics(), 1e-3, 1);
  for (int64_t c = 0; c < Projection::kHidden; ++c) {
    double value = fit.biasShift[static_cast<size_t>(c)];
    for (int64_t i = 0; i < 30; ++i) value += fit.weight[static_cast<size_t>(c * 30 + i)] * projection.x[i];
    EXPECT_NEAR(value, projection.b[c], 1e-5);
  }
}

TEST(cpuEliminationOrder, givesUpInputsThatAreAlwaysZeroForNothing) {
  Projection projection(6);
  std::fill(projection.gram.begin(), projection.gram.end(), 0.0);
  std::fill(projection.inputSums.begin(), projection.inputSums.end(), 0.0);
  const ErrorForm form(projection, 0);
  const Elimination found = eliminationOrder(projection.statistics(), form.moments.data(), 1, 1e-3, 1);
  EXPECT_NEAR(found.errors.back(), 0, 1e-15);
}

/// Sum over rows of |x weight' + shift - b|^2.
double squaredResidual(const Projection& projection, const ProjectionFit& fit) {
  double sum = 0;
  for (int64_t row = 0; row < projection.rows; ++row) {
    for (int64_t c = 0; c < Projection::kHidden; ++c) {
      double value = fit.biasShift[c] - projection.b[row * Projection::kHidden + c];
      for (int64_t i = 0; i < projection.inputs; ++i) {
        value += projection.x[row * projection.inputs + i] * fit.weight[c * projection.inputs + i];
      }
      sum += value * value;
    }
  }
  return sum;
}

TEST(cpuSolveProjection, reachesTheLeastSquaresAndLeavesWeightsWhereTheRidgeHoldsThem) {
  for (const int64_t inputs : {1, 7, 40, 200}) {
    const Projection projection(inputs, 2 * inputs + 9);
    const ProjectionFit fit = solveProjection(projection.statistics(), 0, 2);
    const double least = squaredResidual(projection, fit);
    for (const float step : {-1e-2f, 1e-2f}) {
      ProjectionFit moved = fit;
      moved.weight[static_cast<size_t>(inputs / 2)] += step;
      EXPECT_GT(squaredResidual(projection, moved), least);
      moved = fit;
      moved.biasShift[1] += step;
      EXPECT_GT(squaredResidual(projection, moved), least);
    }
    const ProjectionFit held = solveProjection(projection.statistics(), 1e9, 2);
    for (size_t i = 0; i < held.weight.size(); ++i) EXPECT_NEAR(held.weight[i], projection.weight[i], 1e-6);
    EXPECT_GT(squaredResidual(projection, held), least);
  }
}

TEST(cpuSolveProjection, givesTheSameBitsAtAnyNumberOfThreads) {
  const Projection projection(300, 700);
  const ProjectionFit alone = solveProjection(projection.statistics(), 1e-3, 1);
  const ProjectionFit together = solveProjection(projection.statistics(), 1e-3, 3);
  EXPECT_EQ(alone.weight, together.weight);
  EXPECT_EQ(alone.biasShift, together.biasShift);
}

TEST(cpuSolveProjection, refusesInputsThatCannotBeToldApart) {
  const Projection projection(30, 10);
  EXPECT_THROW(solveProjection(projection.statistics(), 0, 1), Error);
  EXPECT_NO_THROW(solveProjection(projection.statistics(), 1e-3, 1));
}

TEST(cpuBestRidge, isTheOneWhoseSolutionLeavesTheLeastOnOtherRows) {
  const Projection fit(40, 60);
  Projection other(40, 500);  // begins with the same rows
  const std::vector<double> ridges = {0, 1e-2, 1e-1, 1, 10};
  std::vector<double> residuals;
  for (double ridge : ridges) residuals.push_back(squaredResidual(other, solveProjection(fit.statistics(), ridge, 1)));
  const auto least = std::min_element(residuals.begin(), residuals.end()) - residuals.begin();
  EXPECT_GT(least, 0);
  for (int threads : {1, 3}) EXPECT_EQ(bestRidge(fit.statistics(), other.statistics(), ridges, threads), ridges[least]);
  EXPECT_THROW(bestRidge(fit.statistics(), other.statistics(), {}, 1), Error);
  EXPECT_THROW(bestRidge(fit.statistics(), Projection(41, 60).statistics(), ridges, 1), Error);
}

TEST(cpuComposeProjection, isTheProjectionOfTheMapsOutput) {
  const int64_t inputs = 70, outputs = 130;
  const auto floats = [](const Vector& values) { return std::vector<float>(values.begin(), values.end()); };
  const std::vector<float> weight = floats(randomVector(outputs * inputs, 1));
  const ProjectionFit map{floats(randomVector(inputs * inputs, 2)), floats(randomVector(inputs, 3))};
  const Vector x = randomVector(inputs, 4);
  const ProjectionFit composed = composeProjection(weight.data(), outputs, map, 2);
  Vector mapped(map.biasShift.begin(), map.biasShift.end());
  for (int64_t i = 0; i < inputs; ++i) {
    for (int64_t j = 0; j < inputs; ++j) mapped[i] += map.weight[i * inputs + j] * x[j];
  }
  for (int64_t o = 0; o < outputs; ++o) {
    double expected = 0, found = composed.biasShift[o];
    for (int64_t i = 0; i < inputs; ++i) {
      expected += weight[o * inputs + i] * mapped[i];
      found += composed.weight[o * inputs + i] * x[i];
    }
    EXPECT_NEAR(found, expected, 1e-3);
  }
  const ProjectionFit alone = composeProjection(weight.data(), outputs, map, 1);
  EXPECT_EQ(alone.weight, composed.weight);
  EXPECT_THROW(composeProjection(weight.data(), outputs, {map.weight, {1}}, 1), Error);
}

}  // namespace

}  // namespace espalier::test
