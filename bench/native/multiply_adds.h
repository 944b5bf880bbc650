#pragma once

#include <stdint.h>

namespace espalier::bench {

/// Does independent multiply-adds in registers, as many a cycle as the processor can, and returns how many floating
/// point operations that were. One function for each instruction set.
int64_t portableMultiplyAdds();
int64_t avx2MultiplyAdds();    // x86-64 only
int64_t avx512MultiplyAdds();  // x86-64 only

}  // namespace espalier::bench
