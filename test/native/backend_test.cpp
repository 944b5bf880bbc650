// Opening backends, and moving values in and out of their memory.

#include "backend/backend.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "support/engines.h"

namespace espalier::test {

namespace {

void expectError(ErrorCode code, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "was accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(errorCodeName(error.code()), errorCodeName(code)) << error.what();
  }
}

class BackendTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const Candidate candidate = openCandidate(GetParam(), 2);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
    backend_ = candidate.backend;
  }
  std::vector<float> read(const Matrix& view) {
    std::vector<float> values(static_cast<size_t>(view.rows * view.cols));
    backend_->read(view, values.data());
    return values;
  }

  std::shared_ptr<Backend> backend_;
};

const std::vector<float> kSix{1, 2, 3, 4, 5, 6};

TEST_P(BackendTest, saysWhatItIs) {
  const std::string name = GetParam();
  EXPECT_EQ(backend_->name(), name == "emulation" ? "cuda" : name);
  EXPECT_STRNE(backend_->describe(), "");
  EXPECT_EQ(backend_->threads(), backend_->name() == std::string("cuda") ? 1 : 2);
  EXPECT_EQ(backend_->dtype(), DType::f32);
}

TEST_P(BackendTest, givesBackTheValuesItWasGiven) {
  const Tensor tensor = backend_->tensorFrom(2, 3, kSix.data());
  EXPECT_EQ(read(tensor.view), kSix);
  std::vector<double> doubles(6);
  backend_->read(tensor.view, doubles.data());
  EXPECT_EQ(doubles, std::vector<double>(kSix.begin(), kSix.end()));
}

TEST_P(BackendTest, keepsDoublesExactly) {
  const std::vector<double> values{1.0 / 3, -2.0 / 7};
  const Tensor tensor = backend_->tensorFrom(2, 1, values.data(), DType::f64);
  std::vector<double> actual(2);
  backend_->read(tensor.view, actual.data());
  EXPECT_EQ(actual, values);
}

TEST_P(BackendTest, startsTensorsAtZeroOnPaddedRows) {
  const Tensor tensor = backend_->tensor(3, 5);
  EXPECT_EQ(tensor.view.stride, backend_->stride(5));
  EXPECT_GE(tensor.view.stride, 5);
  EXPECT_EQ(read(tensor.view), std::vector<float>(15, 0));
}

TEST_P(BackendTest, readsAndClearsPartsOfATensor) {
  const Tensor tensor = backend_->tensorFrom(2, 3, kSix.data());
  EXPECT_EQ(read(tensor.view.columns(1, 2)), (std::vector<float>{2, 3, 5, 6}));
  backend_->fillZero(tensor.view.columns(1, 1));
  EXPECT_EQ(read(tensor.view), (std::vector<float>{1, 0, 3, 4, 0, 6}));
  backend_->fillZero(tensor.view.rowRange(0, 1));
  EXPECT_EQ(read(tensor.view), (std::vector<float>{0, 0, 0, 4, 0, 6}));
}

TEST_P(BackendTest, hasAnAddressForTensorsWithoutElements) {
  for (const Tensor& tensor : {backend_->tensor(0, 4), backend_->tensor(4, 0)}) {
    EXPECT_TRUE(tensor.view);
    EXPECT_NO_THROW(read(tensor.view));
    EXPECT_NO_THROW(backend_->fillZero(tensor.view));
  }
}

TEST_P(BackendTest, keepsItsMemoryAndItselfAliveWithATensor) {
  Tensor tensor = backend_->tensorFrom(2, 3, kSix.data());
  const std::weak_ptr<Backend> backend = backend_;
  const Matrix view = tensor.view;
  backend_.reset();
  ASSERT_FALSE(backend.expired());
  std::vector<float> values(6);
  tensor.buffer->backend().read(view, values.data());
  EXPECT_EQ(values, kSix);
  tensor = {};
  EXPECT_TRUE(backend.expired());
}

TEST_P(BackendTest, refusesImpossibleTensors) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  expectError(ErrorCode::invalidArgument, [&] { backend_->tensor(-1, 2); });
  expectError(ErrorCode::invalidArgument, [&] { backend_->tensor(2, -1); });
  expectError(ErrorCode::invalidArgument, [&] { backend_->tensor(kMost / 2, 4); });
  expectError(ErrorCode::invalidArgument, [&] { backend_->tensor(1, kMost); });
}

TEST_P(BackendTest, roundsToTheTypeOfATensor) {
  const std::vector<double> values{1 + 0x1p-8, -3, 1 + 0x1p-20};
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const Tensor halves = backend_->tensorFrom(1, 3, values.data(), dtype);
    std::vector<double> actual(3);
    backend_->read(halves.view, actual.data());
    EXPECT_EQ(actual, (std::vector<double>{dtype == DType::f16 ? values[0] : 1, -3, 1}));
  }
}

TEST_P(BackendTest, refusesToReadWholeNumbersAsValues) {
  std::vector<double> values(6);
  const Tensor integers = backend_->tensor(2, 3, DType::i32);
  expectError(ErrorCode::unsupported, [&] { backend_->read(integers.view, values.data()); });
}

TEST_P(BackendTest, remembersTheMostMemoryThatADeviceHeld) {
  if (backend_->onHost()) {
    const Tensor some = backend_->tensor(8, 64);
    EXPECT_EQ(backend_->peakBytes(), 0u);
    return;
  }
  const size_t before = backend_->peakBytes();
  const auto room = static_cast<int64_t>(before / sizeof(float)) + 1024;
  {
    const Tensor first = backend_->tensor(1, room, DType::f32);
    const size_t held = backend_->peakBytes();
    EXPECT_GE(held, first.buffer->bytes());
    const Tensor second = backend_->tensor(1, room, DType::f32);
    EXPECT_GE(backend_->peakBytes(), held + second.buffer->bytes());
  }
  const size_t peak = backend_->peakBytes();
  EXPECT_GE(peak, 2 * static_cast<size_t>(room) * sizeof(float));
  const Tensor less = backend_->tensor(1, room, DType::f32);
  EXPECT_EQ(backend_->peakBytes(), peak);
}

TEST_P(BackendTest, saysWhenMemoryRunsOut) {
  expectError(ErrorCode::outOfMemory, [&] { backend_->tensor(int64_t{1} << 40, 1 << 12); });
}

TEST_P(BackendTest, saysHowLargeAPackedWeightIs) {
  const Tensor weight = backend_->tensorFrom(2, 3, kSix.data());
  const auto packed = backend_->pack(weight.view, true);
  EXPECT_EQ(packed->outputs(), 3);
  EXPECT_EQ(packed->inputs(), 2);
  EXPECT_GE(packed->bytes(), 6 * sizeof(float));
}

INSTANTIATE_TEST_SUITE_P(Backends, BackendTest, testing::Values("cpu", "cuda", "emulation", "reference"),
                         [](const auto& info) { return std::string(info.param); });

TEST(BackendOpen, refusesWhatItCannotDo) {
  expectError(ErrorCode::invalidArgument, [] { Backend::open("tpu", {}); });
  expectError(ErrorCode::invalidArgument, [] { Backend::open("reference", {DType::f32, 0, 0}); });
  expectError(ErrorCode::invalidArgument, [] { Backend::open("reference", {DType::f32, 1, -1}); });
  expectError(ErrorCode::unsupported, [] { Backend::open("reference", {DType::bf16, 1, 0}); });
  expectError(ErrorCode::unsupported, [] { Backend::open("cpu", {DType::f64, 1, 0}); });
}

}  // namespace

}  // namespace espalier::test
