#pragma once

#include <string>

#include "backend/table.h"

namespace espalier {

/// The table of the backend in the shared library espalier_<name>.so, which lies beside this code or where
/// ESPALIER_PLUGINS says. Loaded once and kept. Throws noDevice with the reason when it cannot be loaded.
const BackendTable& loadPlugin(const std::string& name);

}  // namespace espalier
