#include "backend/cpu/isa.h"

#include <cstdlib>
#include <string>

#include "core/error.h"

namespace espalier {
namespace {

/// The first feature `isa` needs and this machine lacks, or null. The builtins ask the operating system's state too.
const char* missingFeature(CpuIsa isa) {
  if (isa == CpuIsa::portable) return nullptr;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2")) return "AVX2";
  if (!__builtin_cpu_supports("fma")) return "FMA";
  if (isa == CpuIsa::avx2) return nullptr;
  if (!__builtin_cpu_supports("avx512f")) return "AVX-512F";
  if (!__builtin_cpu_supports("avx512vl")) return "AVX-512VL";
  if (!__builtin_cpu_supports("avx512bw")) return "AVX-512BW";
  if (!__builtin_cpu_supports("avx512dq")) return "AVX-512DQ";
  return nullptr;
#else
  return "an x86-64 processor";
#endif
}

CpuIsa chooseIsa() {
  const char* forced = std::getenv("ESPALIER_CPU_ISA");
  const bool choose = forced == nullptr || *forced == '\0';
  for (CpuIsa isa : {CpuIsa::avx512, CpuIsa::avx2, CpuIsa::portable}) {
    if (!choose && forced != std::string(isaName(isa))) continue;
    const char* missing = missingFeature(isa);
    if (missing == nullptr) return isa;
    if (choose) continue;
    throw Error(ErrorCode::unsupported,
                std::string("ESPALIER_CPU_ISA=") + forced + " cannot run on this machine: it lacks " + missing);
  }
  throw Error(ErrorCode::invalidArgument,
              std::string("ESPALIER_CPU_ISA must be portable, avx2 or avx512, not \"") + forced + "\"");
}

}  // namespace

const char* isaName(CpuIsa isa) noexcept {
  switch (isa) {
    case CpuIsa::avx512:
      return "avx512";
    case CpuIsa::avx2:
      return "avx2";
    case CpuIsa::portable:
      return "portable";
  }
  return "portable";
}

CpuIsa activeIsa() {
  static const CpuIsa isa = chooseIsa();
  return isa;
}

}  // namespace espalier
