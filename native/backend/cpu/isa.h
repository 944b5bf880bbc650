#pragma once

namespace espalier {

/// Instruction sets the kernels are compiled for. avx2 stands for AVX2 + FMA, avx512 for AVX-512 F, VL, BW and DQ.
enum class CpuIsa { portable, avx2, avx512 };

/// "portable", "avx2", "avx512": the words of the environment variable ESPALIER_CPU_ISA.
const char* isaName(CpuIsa isa) noexcept;

/// The instruction set of this process, chosen at the first call: the best one this machine and its operating system
/// support, or the one named by ESPALIER_CPU_ISA. Throws unsupported, naming the missing feature, when that one cannot
/// run here or was not built, and invalidArgument when it is an unknown word.
CpuIsa activeIsa();

}  // namespace espalier
