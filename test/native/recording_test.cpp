// Operations that are recorded on one thread and replayed later.

#include <gtest/gtest.h>

#include <thread>

#include "support/engines.h"

namespace espalier::test {
namespace {

class RecordingTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const Candidate candidate = openCandidate(GetParam(), 1);
    if (!candidate.backend) GTEST_SKIP() << candidate.reason;
    backend_ = candidate.backend;
    step_ = backend_->tensorFrom(1, 3, std::vector<float>{1, 2, 3}.data());
    sum_ = backend_->tensor(1, 3);
  }
  std::vector<float> sum() {
    std::vector<float> values(3);
    backend_->read(sum_.view, values.data());
    return values;
  }
  void addStep() { backend_->addScaled({step_.view, 1, sum_.view}); }

  std::shared_ptr<Backend> backend_;
  Tensor step_, sum_;
};

using Values = std::vector<float>;

TEST_P(RecordingTest, runsAsOftenAsItIsReplayedAndNotWhenItIsMade) {
  ASSERT_TRUE(backend_->records());
  const auto recording = backend_->record([&] {
    addStep();
    addStep();
  });
  EXPECT_EQ(sum(), (Values{0, 0, 0}));
  recording->replay();
  EXPECT_EQ(sum(), (Values{2, 4, 6}));
  recording->replay();
  recording->replay();
  EXPECT_EQ(sum(), (Values{6, 12, 18}));
}

TEST_P(RecordingTest, worksOnWhatLiesThereWhenItIsReplayed) {
  const auto recording = backend_->record([&] {
    backend_->fillZero(sum_.view);
    addStep();
  });
  recording->replay();
  backend_->write(step_.view, Values{7, 8, 9}.data());
  recording->replay();
  EXPECT_EQ(sum(), (Values{7, 8, 9}));
}

TEST_P(RecordingTest, takesItsPlaceAmongOperationsThatAreNotRecorded) {
  const auto recording = backend_->record([&] { addStep(); });
  addStep();
  recording->replay();
  backend_->addScaled({sum_.view, 1, step_.view});
  recording->replay();
  EXPECT_EQ(sum(), (Values{5, 10, 15}));
}

TEST_P(RecordingTest, leavesTheWorkOfOtherThreadsAlone) {
  const auto recording = backend_->record([&] {
    std::thread([&] {
      addStep();
      EXPECT_EQ(sum(), (Values{1, 2, 3}));
    }).join();
    backend_->fillZero(step_.view);
  });
  recording->replay();
  addStep();
  EXPECT_EQ(sum(), (Values{1, 2, 3})) << "what the other thread asked for was done once";
}

TEST_P(RecordingTest, refusesMemoryAndCopiesAndAnotherRecordingMeanwhile) {
  const auto expectRefusal = [&](const std::function<void()>& body) {
    try {
      backend_->record(body);
      ADD_FAILURE() << "was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::internal);
      EXPECT_NE(std::string(error.what()).find("while work is recorded"), std::string::npos) << error.what();
    }
    addStep();
  };
  expectRefusal([&] { backend_->tensor(1, 3); });
  expectRefusal([&] { backend_->write(step_.view, Values{0, 0, 0}.data()); });
  expectRefusal([&] { sum(); });
  expectRefusal([&] { backend_->record([] {}); });
  EXPECT_EQ(sum(), (Values{4, 8, 12})) << "usable after each";
}

TEST_P(RecordingTest, forgetsWhatABodyAskedForThatThrew) {
  const auto fail = [&] {
    addStep();
    throw std::runtime_error("enough");
  };
  EXPECT_THROW(backend_->record(fail), std::runtime_error);
  EXPECT_EQ(sum(), (Values{0, 0, 0}));
  backend_->record([&] { addStep(); })->replay();
  EXPECT_EQ(sum(), (Values{1, 2, 3}));
}

INSTANTIATE_TEST_SUITE_P(Backends, RecordingTest, testing::Values("cuda", "emulation"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Recording, isNotForBackendsThatAreDoneWhenTheyReturn) {
  EXPECT_FALSE(openOracle()->records());
  EXPECT_FALSE(openCandidate("cpu", 1).backend->records());
}

}  // namespace
}  // namespace espalier::test
