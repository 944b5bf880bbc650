#pragma once

#include "backend/table.h"

namespace espalier::cuda {

/// The backend "cuda"; in a build with the emulation the same one on the host's processor.
const BackendTable* backendTable();

}  // namespace espalier::cuda
