// Backend refuses arguments that break the rules of ops.h, before any of them is used. The checks are one for all
// backends, so one backend shows them.

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "backend/backend.h"

namespace espalier::test {

namespace {

constexpr int64_t kRows = 6;
constexpr int64_t kCols = 4;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <typename Args>
using Field = std::function<Matrix&(Args&)>;

template <typename Args>
Field<Args> field(Matrix Args::*member) {
  return [member](Args& args) -> Matrix& { return args.*member; };
}

/// What may vary about one matrix of an operation without breaking a rule.
enum Freedom : unsigned { fixed = 0, anyRows = 1, optional = 2 };

template <typename Args>
struct MatrixRule {
  std::string name;
  Field<Args> matrix;
  unsigned freedom = fixed;
};

template <typename Args>
struct Alias {
  std::string name;
  Field<Args> output;
  Field<Args> other;
};

template <typename Args>
struct Spoiled {
  std::string name;
  std::function<void(Args&)> spoil;
};

class ArgumentsTest : public testing::Test {
 protected:
  Matrix matrix(int64_t rows = kRows, int64_t cols = kCols, DType dtype = DType::f32) {
    kept_.push_back(backend_->tensor(rows, cols, dtype));
    return kept_.back().view;
  }
  const void* vector(int64_t count = kCols) { return matrix(1, count).data; }
  const int32_t* indices(const std::vector<int32_t>& values) {
    indices_.push_back(backend_->indices(values));
    return static_cast<const int32_t*>(indices_.back()->data());
  }

  /// Expects `operation` to take `args`, and to refuse them after each of the changes.
  template <typename Args>
  void expectRefusals(const std::string& name, const std::function<void(const Args&)>& operation, const Args& args,
                      const std::vector<MatrixRule<Args>>& rules, const std::vector<Alias<Args>>& aliases,
                      std::vector<Spoiled<Args>> changes) {
    ASSERT_NO_THROW(operation(args)) << name;
    for (const auto& rule : rules) addShapeChanges(rule, changes);
    for (const auto& alias : aliases) {
      changes.push_back({alias.name, [alias](Args& bad) { alias.output(bad).data = alias.other(bad).data; }});
    }
    for (const auto& change : changes) {
      SCOPED_TRACE(name + ", " + change.name);
      Args bad = args;
      change.spoil(bad);
      expectRefused(name, [&] { operation(bad); });
    }
  }

  void expectRefused(const std::string& name, const std::function<void()>& call) {
    try {
      call();
      ADD_FAILURE() << "was accepted";
    } catch (const Error& error) {
      EXPECT_STREQ(errorCodeName(error.code()), "ERR_INVALID_ARGUMENT");
      EXPECT_EQ(std::string(error.what()).rfind(name + ": ", 0), 0u) << error.what();
    }
  }

  std::shared_ptr<Backend> backend_ = Backend::open("reference", {});

 private:
  template <typename Args>
  static void addShapeChanges(const MatrixRule<Args>& rule, std::vector<Spoiled<Args>>& changes) {
    const auto add = [&](const std::string& what, const std::function<void(Matrix&)>& change) {
      changes.push_back({rule.name + " " + what, [=](Args& args) { change(rule.matrix(args)); }});
    };
    if (!(rule.freedom & anyRows)) add("with a row too many", [](Matrix& m) { ++m.rows; });
    add("with a column too many", [](Matrix& m) { ++m.cols, ++m.stride; });
    add("of a wrong element type", [](Matrix& m) { m.dtype = DType::bf16; });
    add("with overlapping rows", [](Matrix& m) { m.stride = m.cols - 1; });
    if (!(rule.freedom & optional)) add("missing", [](Matrix& m) { m.data = nullptr; });
  }

  std::vector<Tensor> kept_;
  std::vector<std::shared_ptr<Buffer>> indices_;
};

struct LinearCall {
  Matrix x;
  std::shared_ptr<Weight> weight;
  Epilogue epilogue;
  Matrix y;
};

TEST_F(ArgumentsTest, linear) {
  const auto saved = [](LinearCall& call) -> Matrix& { return call.epilogue.preActivation; };
  const auto residual = [](LinearCall& call) -> Matrix& { return call.epilogue.residual; };
  LinearCall call{matrix(), backend_->pack(matrix(5, kCols), false), {}, matrix(kRows, 5)};
  call.epilogue.bias = vector(5);
  call.epilogue.preActivation = matrix(kRows, 5);
  call.epilogue.residual = matrix(kRows, 5);
  expectRefusals<LinearCall>(
      "linear", [this](const LinearCall& c) { backend_->linear(c.x, *c.weight, c.epilogue, c.y); }, call,
      {{"x", field(&LinearCall::x)},
       {"y", field(&LinearCall::y)},
       {"preActivation", saved, optional},
       {"residual", residual, optional}},
      {{"y on x", field(&LinearCall::y), field(&LinearCall::x)},
       {"y on preActivation", field(&LinearCall::y), saved},
       {"preActivation on residual", saved, residual}},
      {{"y shifted on its residual",
        [](LinearCall& c) {
          c.x = c.x.rowRange(0, kRows - 1);
          c.y = c.epilogue.residual.rowRange(1, kRows - 1);
          c.epilogue.preActivation = {};
          c.epilogue.residual = c.epilogue.residual.rowRange(0, kRows - 1);
        }},
       {"a weight of other inputs", [this](LinearCall& c) { c.weight = backend_->pack(matrix(5, 3), false); }},
       {"a weight of other outputs", [this](LinearCall& c) { c.weight = backend_->pack(matrix(6, kCols), false); }}});
}

TEST_F(ArgumentsTest, pack) {
  Matrix weight = matrix();
  weight.dtype = DType::f64;
  expectRefused("pack", [&] { backend_->pack(weight, false); });
  weight = matrix();
  weight.stride = 1;
  expectRefused("pack", [&] { backend_->pack(weight, false); });
}

TEST_F(ArgumentsTest, embed) {
  const int32_t* zeros = indices(std::vector<int32_t>(kRows, 0));
  const EmbedArgs args{zeros,    zeros,    zeros, matrix(9, kCols), matrix(8, kCols), matrix(2, kCols),
                       vector(), vector(), 1e-12, matrix(),         matrix(),         matrix(kRows, 2)};
  expectRefusals<EmbedArgs>("embed", [this](const EmbedArgs& a) { backend_->embed(a); }, args,
                            {{"word", field(&EmbedArgs::word), anyRows},
                             {"position", field(&EmbedArgs::position), anyRows},
                             {"tokenType", field(&EmbedArgs::tokenType), anyRows},
                             {"y", field(&EmbedArgs::y)},
                             {"sum", field(&EmbedArgs::sum), optional},
                             {"statistics", field(&EmbedArgs::statistics), optional}},
                            {{"y on word", field(&EmbedArgs::y), field(&EmbedArgs::word)},
                             {"y on sum", field(&EmbedArgs::y), field(&EmbedArgs::sum)},
                             {"sum on position", field(&EmbedArgs::sum), field(&EmbedArgs::position)},
                             {"statistics on sum", field(&EmbedArgs::statistics), field(&EmbedArgs::sum)},
                             {"statistics on y", field(&EmbedArgs::statistics), field(&EmbedArgs::y)},
                             {"statistics on tokenType", field(&EmbedArgs::statistics), field(&EmbedArgs::tokenType)}},
                            {{"no ids", [](EmbedArgs& a) { a.ids = nullptr; }},
                             {"no positions", [](EmbedArgs& a) { a.positions = nullptr; }},
                             {"no gamma", [](EmbedArgs& a) { a.gamma = nullptr; }},
                             {"no beta", [](EmbedArgs& a) { a.beta = nullptr; }},
                             {"negative epsilon", [](EmbedArgs& a) { a.epsilon = -1; }}});
}

TEST_F(ArgumentsTest, embedBackward) {
  using Args = EmbedBackwardArgs;
  const Args args{matrix(), indices({0, 3, 5}), indices({0, 2, 3}), indices({1, 0}), 2, matrix(3)};
  expectRefusals<Args>("embedBackward", [this](const Args& a) { backend_->embedBackward(a); }, args,
                       {{"dy", field(&Args::dy), anyRows}, {"gradient", field(&Args::gradient), anyRows}},
                       {{"gradient on dy", field(&Args::gradient), field(&Args::dy)}},
                       {{"no rows", [](Args& a) { a.rows = nullptr; }},
                        {"no offsets", [](Args& a) { a.offsets = nullptr; }},
                        {"no ids", [](Args& a) { a.ids = nullptr; }},
                        {"negative entries", [](Args& a) { a.entries = -1; }},
                        {"more entries than rows of gradient", [](Args& a) { a.entries = 4; }}});
}

TEST_F(ArgumentsTest, layerNorm) {
  const LayerNormArgs args{matrix(), vector(), vector(), 1e-12, matrix(), matrix(kRows, 2)};
  expectRefusals<LayerNormArgs>("layerNorm", [this](const LayerNormArgs& a) { backend_->layerNorm(a); }, args,
                                {{"x", field(&LayerNormArgs::x)},
                                 {"y", field(&LayerNormArgs::y)},
                                 {"statistics", field(&LayerNormArgs::statistics), optional}},
                                {{"statistics on x", field(&LayerNormArgs::statistics), field(&LayerNormArgs::x)},
                                 {"statistics on y", field(&LayerNormArgs::statistics), field(&LayerNormArgs::y)}},
                                {{"y shifted on x",
                                  [](LayerNormArgs& a) {
                                    a.y = a.x.rowRange(1, kRows - 1);
                                    a.x = a.x.rowRange(0, kRows - 1);
                                    a.statistics = {};
                                  }},
                                 {"no columns", [](LayerNormArgs& a) { a.x.cols = a.y.cols = 0; }},
                                 {"no gamma", [](LayerNormArgs& a) { a.gamma = nullptr; }},
                                 {"no beta", [](LayerNormArgs& a) { a.beta = nullptr; }},
                                 {"infinite epsilon", [](LayerNormArgs& a) { a.epsilon = kInfinity; }}});
}

TEST_F(ArgumentsTest, layerNormBackward) {
  using Args = LayerNormBackwardArgs;
  const Args args{matrix(),
                  matrix(),
                  matrix(kRows, 2),
                  vector(),
                  matrix(),
                  matrix(1, kCols, DType::f64),
                  matrix(1, kCols, DType::f64)};
  expectRefusals<Args>("layerNormBackward", [this](const Args& a) { backend_->layerNormBackward(a); }, args,
                       {{"dy", field(&Args::dy)},
                        {"x", field(&Args::x)},
                        {"statistics", field(&Args::statistics)},
                        {"dx", field(&Args::dx)},
                        {"dGamma", field(&Args::dGamma), optional},
                        {"dBeta", field(&Args::dBeta), optional}},
                       {{"dGamma on dx", field(&Args::dGamma), field(&Args::dx)},
                        {"dGamma on dBeta", field(&Args::dGamma), field(&Args::dBeta)},
                        {"dBeta on dy", field(&Args::dBeta), field(&Args::dy)},
                        {"dx on x", field(&Args::dx), field(&Args::x)},
                        {"dx on statistics", field(&Args::dx), field(&Args::statistics)}},
                       {{"no gamma", [](Args& a) { a.gamma = nullptr; }}});
}

AttentionArgs attentionOf(const Matrix& q, const Matrix& k, const Matrix& v, const int32_t* offsets) {
  AttentionArgs args;
  args.q = q;
  args.k = k;
  args.v = v;
  args.queryOffsets = args.offsets = offsets;
  args.sequences = 2;
  args.longest = 4;
  args.heads = 2;
  args.headSize = 2;
  return args;
}

const std::vector<Spoiled<AttentionArgs>> kAttentionChanges{
    {"no offsets", [](AttentionArgs& a) { a.offsets = nullptr; }},
    {"no queryOffsets", [](AttentionArgs& a) { a.queryOffsets = nullptr; }},
    {"negative heads", [](AttentionArgs& a) { a.heads = -1; }},
    {"more heads than columns", [](AttentionArgs& a) { a.heads = 3; }},
    {"no head size", [](AttentionArgs& a) { a.headSize = 0; }},
    {"negative sequences", [](AttentionArgs& a) { a.sequences = -1; }},
    {"negative longest", [](AttentionArgs& a) { a.longest = -1; }},
    {"a longest that cannot hold the tokens", [](AttentionArgs& a) { a.longest = 2; }},
    {"a rate of dropout of 1", [](AttentionArgs& a) { a.dropoutRate = 1; }},
    {"a scale that is no number", [](AttentionArgs& a) { a.scale = std::numeric_limits<double>::quiet_NaN(); }}};

TEST_F(ArgumentsTest, attention) {
  using Args = AttentionArgs;
  Args args = attentionOf(matrix(), matrix(), matrix(), indices({0, 4, 6}));
  args.context = matrix();
  args.logSumExp = matrix(kRows, 2);
  args.columnSums = matrix(kRows, 1);
  expectRefusals<Args>(
      "attention", [this](const Args& a) { backend_->attention(a); }, args,
      {{"q", field(&Args::q)},
       {"k", field(&Args::k)},
       {"v", field(&Args::v)},
       {"context", field(&Args::context)},
       {"logSumExp", field(&Args::logSumExp), optional},
       {"columnSums", field(&Args::columnSums), optional}},
      {{"context on q", field(&Args::context), field(&Args::q)},
       {"context on v", field(&Args::context), field(&Args::v)},
       {"context on logSumExp", field(&Args::context), field(&Args::logSumExp)},
       {"logSumExp on k", field(&Args::logSumExp), field(&Args::k)},
       {"columnSums on v", field(&Args::columnSums), field(&Args::v)},
       {"columnSums on context", field(&Args::columnSums), field(&Args::context)},
       {"logSumExp on columnSums", field(&Args::logSumExp), field(&Args::columnSums)}},
      kAttentionChanges);
}

TEST_F(ArgumentsTest, attentionBackward) {
  using Args = AttentionBackwardArgs;
  const auto forward = [](Matrix AttentionArgs::*member) -> Field<Args> {
    return [member](Args& args) -> Matrix& { return args.forward.*member; };
  };
  Args args;
  args.forward = attentionOf(matrix(), matrix(), matrix(), indices({0, 4, 6}));
  args.forward.logSumExp = matrix(kRows, 2);
  args.dContext = matrix();
  args.dq = matrix();
  args.dk = matrix();
  args.dv = matrix();
  args.headMaskGradient = matrix(2, 2);
  args.dColumnSums = matrix(kRows, 1);
  args.groups = indices({0, 1});
  std::vector<Spoiled<Args>> changes{{"no groups", [](Args& a) { a.groups = nullptr; }},
                                     {"no rows of headMaskGradient", [](Args& a) { a.headMaskGradient.rows = 0; }}};
  for (const auto& change : kAttentionChanges) {
    changes.push_back({change.name, [change](Args& a) { change.spoil(a.forward); }});
  }
  expectRefusals<Args>(
      "attentionBackward", [this](const Args& a) { backend_->attentionBackward(a); }, args,
      {{"q", forward(&AttentionArgs::q)},
       {"k", forward(&AttentionArgs::k)},
       {"v", forward(&AttentionArgs::v)},
       {"logSumExp", forward(&AttentionArgs::logSumExp)},
       {"dContext", field(&Args::dContext)},
       {"dq", field(&Args::dq)},
       {"dk", field(&Args::dk)},
       {"dv", field(&Args::dv)},
       {"headMaskGradient", field(&Args::headMaskGradient), anyRows | optional},
       {"dColumnSums", field(&Args::dColumnSums), optional}},
      {{"dq on dContext", field(&Args::dq), field(&Args::dContext)},
       {"dk on dColumnSums", field(&Args::dk), field(&Args::dColumnSums)},
       {"dk on k", field(&Args::dk), forward(&AttentionArgs::k)},
       {"dv on dk", field(&Args::dv), field(&Args::dk)},
       {"headMaskGradient on dv", field(&Args::headMaskGradient), field(&Args::dv)}},
      changes);
}

TEST_F(ArgumentsTest, attentionBackwardTakesColumnsOfOneMatrixAsSeparate) {
  const Matrix inputs = matrix(kRows, 12), gradients = matrix(kRows, 12);
  AttentionBackwardArgs args;
  args.forward = attentionOf(inputs.columns(0, 4), inputs.columns(4, 4), inputs.columns(8, 4), indices({0, 4, 6}));
  args.forward.logSumExp = matrix(kRows, 2);
  args.dContext = matrix();
  args.dq = gradients.columns(0, 4);
  args.dk = gradients.columns(4, 4);
  args.dv = gradients.columns(8, 4);
  EXPECT_NO_THROW(backend_->attentionBackward(args));
  args.dv = gradients.columns(7, 4);
  expectRefused("attentionBackward", [&] { backend_->attentionBackward(args); });
}

TEST_F(ArgumentsTest, activationBackward) {
  using Args = ActivationBackwardArgs;
  const Args args{matrix(), matrix(), Activation::gelu, vector(),       indices({0, 4, 6}),
                  2,        matrix(), matrix(2, kCols), indices({0, 1})};
  expectRefusals<Args>("activationBackward", [this](const Args& a) { backend_->activationBackward(a); }, args,
                       {{"dy", field(&Args::dy)},
                        {"preActivation", field(&Args::preActivation)},
                        {"dx", field(&Args::dx), optional},
                        {"maskGradient", field(&Args::maskGradient), anyRows | optional}},
                       {{"dx on preActivation", field(&Args::dx), field(&Args::preActivation)},
                        {"maskGradient on dy", field(&Args::maskGradient), field(&Args::dy)},
                        {"maskGradient on dx", field(&Args::maskGradient), field(&Args::dx)}},
                       {{"no offsets", [](Args& a) { a.offsets = nullptr; }},
                        {"no groups", [](Args& a) { a.groups = nullptr; }},
                        {"negative sequences", [](Args& a) { a.sequences = -1; }},
                        {"no rows of maskGradient", [](Args& a) { a.maskGradient.rows = 0; }}});
}

TEST_F(ArgumentsTest, gatherRows) {
  using Args = GatherRowsArgs;
  expectRefusals<Args>(
      "gatherRows", [this](const Args& a) { backend_->gatherRows(a); }, {matrix(), indices({5, 0}), matrix(2)},
      {{"x", field(&Args::x), anyRows}, {"y", field(&Args::y), anyRows}},
      {{"y on x", field(&Args::y), field(&Args::x)}}, {{"no rows", [](Args& a) { a.rows = nullptr; }}});
}

TEST_F(ArgumentsTest, scatterRows) {
  using Args = ScatterRowsArgs;
  expectRefusals<Args>(
      "scatterRows", [this](const Args& a) { backend_->scatterRows(a); }, {matrix(2), indices({5, 0}), matrix()},
      {{"x", field(&Args::x), anyRows}, {"y", field(&Args::y), anyRows}},
      {{"y on x", field(&Args::y), field(&Args::x)}},
      {{"no rows", [](Args& a) { a.rows = nullptr; }}, {"more rows of x than of y", [](Args& a) { a.y.rows = 1; }}});
}

TEST_F(ArgumentsTest, selectTokens) {
  using Args = SelectTokensArgs;
  const Matrix rows = matrix(1, kRows, DType::i32), newOffsets = matrix(1, 3, DType::i32);
  const Args args{matrix(kRows, 1),
                  indices({0, 4, 6}),
                  indices({4, 2}),
                  2,
                  0.5,
                  static_cast<int32_t*>(rows.data),
                  static_cast<int32_t*>(newOffsets.data)};
  const auto write = [](const int32_t* readOnly) { return const_cast<int32_t*>(readOnly); };
  expectRefusals<Args>("selectTokens", [this](const Args& a) { backend_->selectTokens(a); }, args,
                       {{"scores", field(&Args::scores), anyRows}}, {},
                       {{"no offsets", [](Args& a) { a.offsets = nullptr; }},
                        {"no lengths", [](Args& a) { a.lengths = nullptr; }},
                        {"no rows", [](Args& a) { a.rows = nullptr; }},
                        {"no newOffsets", [](Args& a) { a.newOffsets = nullptr; }},
                        {"negative sequences", [](Args& a) { a.sequences = -1; }},
                        {"tokens of no sequence", [](Args& a) { a.sequences = 0; }},
                        {"an infinite threshold", [](Args& a) { a.threshold = kInfinity; }},
                        {"newOffsets on offsets", [write](Args& a) { a.newOffsets = write(a.offsets); }},
                        {"newOffsets on rows", [](Args& a) { a.newOffsets = a.rows; }},
                        {"rows on lengths", [write](Args& a) { a.rows = write(a.lengths); }},
                        {"rows on scores", [](Args& a) { a.rows = static_cast<int32_t*>(a.scores.data); }}});
}

TEST_F(ArgumentsTest, softTokenMask) {
  using Args = SoftTokenMaskArgs;
  const Args args{matrix(), matrix(kRows, 1), indices({0, 4, 6}), indices({4, 2}), 2, 0.5,
                  0.1,      matrix(),         matrix(kRows, 1)};
  expectRefusals<Args>("softTokenMask", [this](const Args& a) { backend_->softTokenMask(a); }, args,
                       {{"x", field(&Args::x)},
                        {"scores", field(&Args::scores)},
                        {"y", field(&Args::y)},
                        {"masks", field(&Args::masks)}},
                       {{"y on x", field(&Args::y), field(&Args::x)},
                        {"y on scores", field(&Args::y), field(&Args::scores)},
                        {"y on masks", field(&Args::y), field(&Args::masks)},
                        {"masks on x", field(&Args::masks), field(&Args::x)},
                        {"masks on scores", field(&Args::masks), field(&Args::scores)}},
                       {{"no offsets", [](Args& a) { a.offsets = nullptr; }},
                        {"no lengths", [](Args& a) { a.lengths = nullptr; }},
                        {"negative sequences", [](Args& a) { a.sequences = -1; }},
                        {"tokens of no sequence", [](Args& a) { a.sequences = 0; }},
                        {"an infinite threshold", [](Args& a) { a.threshold = kInfinity; }},
                        {"an infinite temperature", [](Args& a) { a.temperature = kInfinity; }},
                        {"no temperature", [](Args& a) { a.temperature = 0; }}});
}

TEST_F(ArgumentsTest, softTokenMaskBackward) {
  using Args = SoftTokenMaskBackwardArgs;
  const Args args{matrix(), matrix(), matrix(kRows, 1), indices({0, 4, 6}), indices({4, 2}),         2,
                  0.1,      0.5,      matrix(),         matrix(kRows, 1),   matrix(1, 1, DType::f64)};
  expectRefusals<Args>("softTokenMaskBackward", [this](const Args& a) { backend_->softTokenMaskBackward(a); }, args,
                       {{"dy", field(&Args::dy)},
                        {"x", field(&Args::x)},
                        {"masks", field(&Args::masks)},
                        {"dx", field(&Args::dx)},
                        {"dScores", field(&Args::dScores)},
                        {"dThreshold", field(&Args::dThreshold)}},
                       {{"dx on x", field(&Args::dx), field(&Args::x)},
                        {"dx on masks", field(&Args::dx), field(&Args::masks)},
                        {"dx on dScores", field(&Args::dx), field(&Args::dScores)},
                        {"dScores on dy", field(&Args::dScores), field(&Args::dy)},
                        {"dScores on masks", field(&Args::dScores), field(&Args::masks)},
                        {"dThreshold on dx", field(&Args::dThreshold), field(&Args::dx)},
                        {"dThreshold on dScores", field(&Args::dThreshold), field(&Args::dScores)},
                        {"dThreshold on masks", field(&Args::dThreshold), field(&Args::masks)}},
                       {{"dx shifted on dy",
                         [](Args& a) {
                           a.dx = a.dy.rowRange(1, kRows - 1);
                           for (Matrix* matrix : {&a.dy, &a.x, &a.masks, &a.dScores}) {
                             *matrix = matrix->rowRange(0, kRows - 1);
                           }
                         }},
                        {"no offsets", [](Args& a) { a.offsets = nullptr; }},
                        {"no lengths", [](Args& a) { a.lengths = nullptr; }},
                        {"negative sequences", [](Args& a) { a.sequences = -1; }},
                        {"tokens of no sequence", [](Args& a) { a.sequences = 0; }},
                        {"a negative temperature", [](Args& a) { a.temperature = -1; }},
                        {"an infinite sparsity", [](Args& a) { a.sparsity = kInfinity; }},
                        {"dThreshold in f32", [](Args& a) { a.dThreshold.dtype = DType::f32; }}});
}

TEST_F(ArgumentsTest, transposedProduct) {
  using Args = TransposedProductArgs;
  expectRefusals<Args>("transposedProduct", [this](const Args& a) { backend_->transposedProduct(a); },
                       {matrix(), matrix(kRows, 3), matrix(kCols, 3, DType::f64)},
                       {{"a", field(&Args::a)}, {"b", field(&Args::b)}, {"c", field(&Args::c)}},
                       {{"c on a", field(&Args::c), field(&Args::a)}, {"c on b", field(&Args::c), field(&Args::b)}},
                       {});
}

TEST_F(ArgumentsTest, gram) {
  using Args = GramArgs;
  expectRefusals<Args>(
      "gram", [this](const Args& a) { backend_->gram(a); }, {matrix(), matrix(kCols, kCols, DType::f64)},
      {{"x", field(&Args::x), anyRows}, {"c", field(&Args::c)}}, {{"c on x", field(&Args::c), field(&Args::x)}}, {});
}

TEST_F(ArgumentsTest, columnSums) {
  using Args = ColumnSumsArgs;
  expectRefusals<Args>(
      "columnSums", [this](const Args& a) { backend_->columnSums(a); },
      {matrix(), matrix(1, kCols, DType::f64), matrix(1, kCols, DType::f64)},
      {{"x", field(&Args::x), anyRows}, {"sums", field(&Args::sums)}, {"squares", field(&Args::squares), optional}},
      {{"sums on x", field(&Args::sums), field(&Args::x)},
       {"squares on sums", field(&Args::squares), field(&Args::sums)}},
      {{"sums in f32", [](Args& a) { a.sums.dtype = DType::f32; }}});
}

TEST_F(ArgumentsTest, subtract) {
  using Args = SubtractArgs;
  expectRefusals<Args>("subtract", [this](const Args& a) { backend_->subtract(a); },
                       {matrix(), matrix(), vector(), matrix()},
                       {{"x", field(&Args::x)}, {"z", field(&Args::z)}, {"y", field(&Args::y)}}, {},
                       {{"y shifted on z", [](Args& a) {
                           a.x = a.x.rowRange(0, kRows - 1);
                           a.y = a.z.rowRange(1, kRows - 1);
                           a.z = a.z.rowRange(0, kRows - 1);
                         }}});
}

TEST_F(ArgumentsTest, addScaled) {
  using Args = AddScaledArgs;
  expectRefusals<Args>("addScaled", [this](const Args& a) { backend_->addScaled(a); }, {matrix(), 0.5, matrix()},
                       {{"x", field(&Args::x)}, {"y", field(&Args::y)}}, {{"y on x", field(&Args::y), field(&Args::x)}},
                       {{"an infinite factor", [](Args& a) { a.factor = kInfinity; }}});
}

TEST_F(ArgumentsTest, dropout) {
  using Args = DropoutArgs;
  expectRefusals<Args>(
      "dropout", [this](const Args& a) { backend_->dropout(a); }, {matrix(), 0.1, 7, matrix(), matrix()},
      {{"x", field(&Args::x)}, {"residual", field(&Args::residual), optional}, {"y", field(&Args::y)}}, {},
      {{"y shifted on x",
        [](Args& a) {
          a.y = a.x.rowRange(1, kRows - 1);
          a.x = a.x.rowRange(0, kRows - 1);
          a.residual = {};
        }},
       {"y shifted on residual",
        [](Args& a) {
          a.x = a.x.rowRange(0, kRows - 1);
          a.y = a.residual.rowRange(1, kRows - 1);
          a.residual = a.residual.rowRange(0, kRows - 1);
        }},
       {"a negative rate", [](Args& a) { a.rate = -0.1; }},
       {"a rate of one", [](Args& a) { a.rate = 1; }},
       {"a rate that is no number", [](Args& a) { a.rate = std::numeric_limits<double>::quiet_NaN(); }}});
}

TEST_F(ArgumentsTest, adamW) {
  using Args = AdamWArgs;
  const Args args{matrix(), matrix(), matrix(), matrix()};
  expectRefusals<Args>("adamW", [this](const Args& a) { backend_->adamW(a); }, args,
                       {{"parameter", field(&Args::parameter)},
                        {"gradient", field(&Args::gradient)},
                        {"firstMoment", field(&Args::firstMoment)},
                        {"secondMoment", field(&Args::secondMoment)}},
                       {{"parameter on gradient", field(&Args::parameter), field(&Args::gradient)},
                        {"firstMoment on secondMoment", field(&Args::firstMoment), field(&Args::secondMoment)},
                        {"secondMoment on gradient", field(&Args::secondMoment), field(&Args::gradient)}},
                       {{"an infinite learning rate", [](Args& a) { a.learningRate = kInfinity; }},
                        {"an infinite weight decay", [](Args& a) { a.weightDecay = kInfinity; }},
                        {"beta1 of one", [](Args& a) { a.beta1 = 1; }},
                        {"a negative beta2", [](Args& a) { a.beta2 = -0.1; }},
                        {"a negative epsilon", [](Args& a) { a.epsilon = -1; }},
                        {"step zero", [](Args& a) { a.step = 0; }},
                        {"an infinite gradient scale", [](Args& a) { a.gradientScale = kInfinity; }}});
}

TEST_F(ArgumentsTest, loss) {
  using Args = LossArgs;
  expectRefusals<Args>(
      "loss", [this](const Args& a) { backend_->loss(a); },
      {LossKind::crossEntropy, matrix(3), indices({0, 1, 2}), matrix(3, 1), matrix(3)},
      {{"logits", field(&Args::logits)}, {"losses", field(&Args::losses)}, {"dLogits", field(&Args::dLogits)}},
      {{"dLogits on logits", field(&Args::dLogits), field(&Args::logits)},
       {"losses on dLogits", field(&Args::losses), field(&Args::dLogits)}},
      {{"no labels", [](Args& a) { a.labels = nullptr; }},
       {"no classes", [](Args& a) { a.logits.cols = a.dLogits.cols = 0; }},
       {"meanSquared of several logits", [](Args& a) { a.kind = LossKind::meanSquared; }}});
  expectRefusals<Args>(
      "loss", [this](const Args& a) { backend_->loss(a); },
      {LossKind::span, matrix(5, 2), indices({0, 1, 2, 2}), matrix(2, 1), matrix(5, 2), indices({0, 2, 5})},
      {{"logits", field(&Args::logits)}, {"losses", field(&Args::losses), anyRows}, {"dLogits", field(&Args::dLogits)}},
      {},
      {{"no labels", [](Args& a) { a.labels = nullptr; }},
       {"no offsets", [](Args& a) { a.offsets = nullptr; }},
       {"three logits a token", [](Args& a) { a.logits.cols = a.dLogits.cols = 3; }},
       {"fewer tokens than sequences", [](Args& a) { a.logits.rows = a.dLogits.rows = 1; }}});
}

}  // namespace

}  // namespace espalier::test
