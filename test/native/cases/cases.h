#pragma once

#include <vector>

#include "support/random.h"
#include "support/run.h"

// The operations' cases: for each family the shapes at its edges, and one of random shape.

namespace espalier::test {

std::vector<OperationCase> linearCases();
OperationCase randomLinear(Random& random);

std::vector<OperationCase> normalisationCases();
OperationCase randomNormalisation(Random& random);

std::vector<OperationCase> attentionCases();
OperationCase randomAttention(Random& random);

std::vector<OperationCase> activationCases();
OperationCase randomActivation(Random& random);

std::vector<OperationCase> rowCases();
OperationCase randomRows(Random& random);

std::vector<OperationCase> softTokenMaskCases();
OperationCase randomSoftTokenMask(Random& random);

std::vector<OperationCase> sumCases();
OperationCase randomSum(Random& random);

std::vector<OperationCase> adamWCases();
OperationCase randomAdamW(Random& random);

std::vector<OperationCase> lossCases();
OperationCase randomLoss(Random& random);

}  // namespace espalier::test
