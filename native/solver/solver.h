#pragma once

#include <cstdint>
#include <vector>

namespace espalier {

/// What least squares over a sub-layer's output projection needs, all row-major: sums over `rows` rows (tokens) of the
/// projection's inputs x and of the targets b that x * weight' should reach, and the weight itself.
struct ProjectionStatistics {
  double rows = 0;
  int64_t inputs = 0;
  int64_t hidden = 0;
  const double* gram = nullptr;        // [inputs, inputs] x'x
  const double* cross = nullptr;       // [inputs, hidden] x'b
  const double* inputSums = nullptr;   // [inputs]
  const double* targetSums = nullptr;  // [hidden]
  const float* weight = nullptr;       // [hidden, inputs]
};

/// The normal equations matrix * z = rhs of one scale 1 + z per unit.
struct ScaleSystem {
  std::vector<double> matrix;  // [unknowns, unknowns], symmetric
  std::vector<double> rhs;     // [unknowns]
};

/// Kwon et al. 2022, section 4.3 (mask tuning): the least-squares problem of one scale per unit, a unit being
/// `unitSize` consecutive inputs. Column u of its matrix A is what unit u adds to the projection's output, every row
/// and hidden coordinate below one another; `ones` appends a column of ones, so a constant shift is not blamed on the
/// units. Returns matrix = A'A and rhs = A'b - A'A 1. Throws invalidArgument when the sizes do not fit.
ScaleSystem scaleSystem(const ProjectionStatistics& statistics, int64_t unitSize, bool ones, int threads);

/// z of (M^2 + 1) z = M r: what LSMR with damp 1 on M z = r converges to. An eigenvalue s of M is inverted as
/// s / (s^2 + 1), so directions the data says little about stay untouched. M = matrix [n, n] must be positive
/// semi-definite, r = rhs [n]. Throws nonFinite on NaN or infinity, notPositiveDefinite when M has an eigenvalue of -1
/// or below.
std::vector<double> solveFiltered(const double* matrix, const std::vector<double>& rhs, int threads);

/// The order in which a projection can do without its units.
struct Elimination {
  std::vector<int32_t> order;  // [units], the first removed first
  std::vector<double> errors;  // [units], the error once the first 1, 2, ... units are gone
};

/// Optimal brain surgeon (Hassibi and Stork 1993) on whole units of `unitSize` consecutive inputs: the unit removed
/// next is the one whose loss hurts least after the remaining inputs and the bias have been solved for again. The error
/// is the sum over rows of d' g d, d being what the output loses and g = outputMoments [hidden, hidden]: the second
/// moment of the loss gradient at the output makes errors of different projections comparable. `ridge` is a part of the
/// mean of the Gram matrix's diagonal, or more where rounding asks for it. Throws notPositiveDefinite where it is 0 and
/// the inputs cannot be told apart.
Elimination eliminationOrder(const ProjectionStatistics& statistics, const double* outputMoments, int64_t unitSize,
                             double ridge, int threads);

/// A projection's new weight [hidden, inputs] and what is to be added to its bias [hidden].
struct ProjectionFit {
  std::vector<float> weight, biasShift;
};

/// Least squares of the whole projection with its bias: the smallest sum over rows of |x * weight' + shift - b|^2 plus
/// ridge * mean(diagonal of the centred Gram matrix) * |weight - present weight|^2. Throws notPositiveDefinite.
ProjectionFit solveProjection(const ProjectionStatistics& statistics, double ridge, int threads);

/// The ridge, of those given, whose solveProjection() of `fit` comes closest to the targets of `heldOut`: statistics of
/// the same projection over other rows. Of equals the first.
double bestRidge(const ProjectionStatistics& fit, const ProjectionStatistics& heldOut,
                 const std::vector<double>& ridges, int threads);

/// The projection of an affine map's output as one of its input: weight [outputs, inputs] times map.weight [inputs,
/// inputs], and weight times map.biasShift.
ProjectionFit composeProjection(const float* weight, int64_t outputs, const ProjectionFit& map, int threads);

/// Kwon et al. 2022, section 4.2 (mask rearrangement): `count` vectors with a short sum. Starting from the shortest
/// ones, every other vector is added, in ascending order of length, and the one whose removal leaves the shortest sum
/// is taken out again. vectors [length, candidates], a column each, in rows `stride` apart. Returns columns, in no
/// particular order. Throws nonFinite on NaN or infinity.
std::vector<int32_t> shortestSum(const float* vectors, int64_t length, int64_t stride, int64_t candidates,
                                 int64_t count);

}  // namespace espalier
