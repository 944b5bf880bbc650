#include "cases/cases.h"

namespace espalier::test {

namespace {

struct SumShape {
  int64_t rows;
  int64_t cols;
  bool inDouble = true;
  bool accumulate = true;
};

/// The result's argument: to be added to, or holding NaN that must be replaced.
Matrix result(Run& run, int64_t rows, int64_t cols, const SumShape& shape) {
  const DType dtype = shape.inDouble ? DType::f64 : run.backend().dtype();
  return shape.accumulate ? run.updated(Run::fixed(rows), cols, dtype) : run.output(Run::fixed(rows), cols, dtype);
}

OperationCase gramCase(const std::string& name, const SumShape& shape) {
  return {name, {{1}}, [shape](Run& run) {
            const Matrix x = run.input(Run::fixed(shape.rows), shape.cols);
            run.backend().gram({x, result(run, shape.cols, shape.cols, shape), shape.accumulate});
          }};
}

OperationCase transposedProductCase(const std::string& name, const SumShape& shape, int64_t otherCols) {
  return {name, {{1}}, [=](Run& run) {
            const Matrix a = run.input(Run::fixed(shape.rows), shape.cols);
            const Matrix b = run.input(Run::fixed(shape.rows), otherCols);
            run.backend().transposedProduct({a, b, result(run, shape.cols, otherCols, shape), shape.accumulate});
          }};
}

OperationCase columnSumsCase(const std::string& name, int64_t rows, int64_t cols, bool squares) {
  return {name, {{1}}, [=](Run& run) {
            ColumnSumsArgs args;
            args.x = run.input(Run::fixed(rows), cols);
            args.sums = run.updated(Run::fixed(1), cols, DType::f64);
            if (squares) args.squares = run.updated(Run::fixed(1), cols, DType::f64);
            run.backend().columnSums(args);
          }};
}

}  // namespace

std::vector<OperationCase> sumCases() {
  std::vector<OperationCase> cases;
  for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 5}, {5, 0}, {1, 1}, {3, 17}, {64, 16}, {255, 33}, {256, 20}, {257, 48}, {700, 50}, {40, 200}}) {
    const std::string size = std::to_string(rows) + "by" + std::to_string(cols);
    cases.push_back(gramCase("gram" + size, {rows, cols}));
    cases.push_back(transposedProductCase("transposedProduct" + size, {rows, cols}, cols / 2 + 1));
    cases.push_back(columnSumsCase("columnSums" + size, rows, cols, true));
  }
  cases.push_back(gramCase("gramReplacing", {300, 30, true, false}));
  cases.push_back(gramCase("gramInFloat", {300, 30, false, true}));
  cases.push_back(gramCase("gramOfNoRowsReplacing", {0, 4, true, false}));
  cases.push_back(transposedProductCase("transposedProductReplacing", {300, 30, true, false}, 7));
  cases.push_back(transposedProductCase("transposedProductInFloat", {300, 30, false, true}, 7));
  cases.push_back(transposedProductCase("transposedProductWideInFloat", {70, 7, false, false}, 130));
  cases.push_back(columnSumsCase("columnSumsWithoutSquares", 300, 33, false));
  return cases;
}

OperationCase randomSum(Random& random) {
  const SumShape shape{random.between(0, 600), random.between(1, 90), random.chance(), random.chance()};
  switch (random.between(0, 2)) {
    case 0:
      return gramCase("gram", shape);
    case 1:
      return transposedProductCase("transposedProduct", shape, random.between(1, 90));
    default:
      return columnSumsCase("columnSums", shape.rows, shape.cols, random.chance());
  }
}

}  // namespace espalier::test
