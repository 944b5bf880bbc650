// What is said where a plugin cannot be had.

#include "backend/plugin.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace espalier::test {

namespace {

/// A folder of plugins of this test alone.
class PluginTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("espalier-plugins-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    const char* before = std::getenv("ESPALIER_PLUGINS");
    if (before != nullptr) before_ = before;
    setenv("ESPALIER_PLUGINS", folder_.c_str(), 1);
  }
  void TearDown() override {
    before_.empty() ? unsetenv("ESPALIER_PLUGINS") : setenv("ESPALIER_PLUGINS", before_.c_str(), 1);
    std::filesystem::remove_all(folder_);
  }
  static std::string refusal(const std::string& name) {
    try {
      loadPlugin(name);
      return "it was loaded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::noDevice);
      return error.what();
    }
  }

  std::filesystem::path folder_;

 private:
  std::string before_;
};

TEST_F(PluginTest, saysThatNoneWasBuilt) {
  EXPECT_EQ(refusal("absent"), "espalier_absent.so was not built (that needs its compiler)");
}

TEST_F(PluginTest, saysWhyAFileCannotBeLoaded) {
  std::ofstream(folder_ / "espalier_broken.so") << "no library";
  EXPECT_EQ(refusal("broken").find("its library cannot be loaded: "), 0u);
}

TEST_F(PluginTest, refusesALibraryThatIsNoPlugin) {
  std::filesystem::copy_file(ESPALIER_SOME_LIBRARY, folder_ / "espalier_other.so");
  EXPECT_NE(refusal("other").find("espalier_other.so: it is no plugin of espalier"), std::string::npos);
}

TEST_F(PluginTest, refusesAPluginOfAnotherVersion) {
  std::filesystem::copy_file(ESPALIER_OLD_PLUGIN, folder_ / "espalier_old.so");
  EXPECT_NE(refusal("old").find("it is of version 0"), std::string::npos);
}

}  // namespace

}  // namespace espalier::test
