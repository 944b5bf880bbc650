#include "backend/plugin.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <mutex>

namespace espalier {
namespace {

/// The folder of the library or program that holds this function.
std::string ownFolder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&ownFolder), &info) == 0) return ".";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

const BackendTable& open(const std::string& name) {
  const char* folder = std::getenv("ESPALIER_PLUGINS");
  const std::string path = (folder != nullptr ? folder : ownFolder()) + "/espalier_" + name + ".so";
  if (access(path.c_str(), F_OK) != 0) {
    throw Error(ErrorCode::noDevice, "espalier_" + name + ".so was not built (that needs its compiler)");
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Error(ErrorCode::noDevice, std::string("its library cannot be loaded: ") + dlerror());
  const auto entry = reinterpret_cast<PluginEntry>(dlsym(library, kPluginEntry));
  const char* message = "it is no plugin of espalier";
  const BackendTable* table = entry != nullptr ? entry(kBackendAbi, &message) : nullptr;
  if (table == nullptr) {
    const std::string reason = path + ": " + message;  // which lies in the library
    dlclose(library);
    throw Error(ErrorCode::noDevice, reason);
  }
  return *table;
}

}  // namespace

const BackendTable& loadPlugin(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, const BackendTable*> loaded;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto known = loaded.find(name);
  if (known != loaded.end()) return *known->second;
  const BackendTable& table = open(name);
  loaded.emplace(name, &table);
  return table;
}

}  // namespace espalier
