#pragma once

#include <cstdint>

#include "backend/cuda/runtime.h"

// The steps of the optimal brain surgeon in native/solver/elimination.cpp, in its letters: h is the inverse of the
// Gram matrix, t the products of the weights, c and b what a removal takes from them. No step waits for the device:
// which unit goes is chosen there, and the steps that follow read it there.

namespace espalier::cuda {

/// The removals so far, on the device.
struct Removals {
  int32_t* removed;  // [units] 0 or 1
  int32_t* order;    // [units]
  double* errors;    // [units]
  int32_t* failed;   // [1] not 0 once some h_uu was not positive definite
};

/// What the removal of a unit costs; no unit where `unit` is negative.
struct Candidate {
  double cost;
  int32_t unit;
};

/// Units of one input each. h and t lag behind by `pending` removals, whose c and b wait in panels.
struct NeuronStep {
  int64_t inputs;
  const double* inverse;    // [inputs, inputs] h
  const double* products;   // [inputs, inputs] t
  double* c;                // [kNeuronPanel, inputs] one removal a row
  double* b;                // [kNeuronPanel, inputs]
  double* inverseDiagonal;  // [inputs] up to date
  double* productDiagonal;  // [inputs] up to date
  Candidate* candidates;    // [2, neuronBlocks(inputs)] the cheapest of each block, of even and of odd steps
  Removals removals;
};

constexpr int kNeuronPanel = 64;

/// Blocks that share the inputs.
int64_t neuronBlocks(int64_t inputs);

/// Fills in the diagonals and the first candidates.
void startNeurons(Runtime& runtime, const NeuronStep& step);

/// Removes the cheapest input as the `index`-th: writes the panels' row `pending`, the diagonals and the candidates
/// of the next step.
void removeNeuron(Runtime& runtime, const NeuronStep& step, int32_t index, int32_t pending);

/// Units of several inputs. h and t are up to date.
struct UnitStep {
  int64_t inputs;
  int32_t unitSize;
  const double* inverse;   // [inputs, inputs] h
  const double* products;  // [inputs, inputs] t
  double* factors;         // [units, unitSize, unitSize] l of each unit's h_uu = l l'
  double* middles;         // [units, unitSize, unitSize] m = l^-1 t_uu l'^-1 of each
  double* costs;           // [units] the trace of m
  double* c;               // [unitSize, inputs]
  double* b;               // [unitSize, inputs]
  Removals removals;
};

/// Removes the cheapest unit as the `index`-th. Writes c and b, which h and t have yet to lose.
void removeUnit(Runtime& runtime, const UnitStep& step, int32_t index);

}  // namespace espalier::cuda
