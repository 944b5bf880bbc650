#include "backend/adamw.h"

#include <cmath>

#include "backend/reference/operations.h"

namespace espalier::reference {

template <typename T>
void adamW(const AdamWArgs& args) {
  const AdamWFactors<T> factors(args);
  const bool inDouble = args.gradient.dtype == DType::f64;
  for (int64_t r = 0; r < args.parameter.rows; ++r) {
    for (int64_t c = 0; c < args.parameter.cols; ++c) {
      const T given = inDouble ? static_cast<T>(args.gradient.row<double>(r)[c]) : args.gradient.row<T>(r)[c];
      const T g = factors.gradientScale * given;
      T& m = args.firstMoment.row<T>(r)[c];
      T& v = args.secondMoment.row<T>(r)[c];
      T& parameter = args.parameter.row<T>(r)[c];
      m = factors.beta1 * m + factors.share1 * g;
      v = factors.beta2 * v + factors.share2 * g * g;
      parameter =
          factors.decay * parameter - factors.stepSize * m / (std::sqrt(v) * factors.rootFactor + factors.epsilon);
    }
  }
}

template void adamW<float>(const AdamWArgs&);
template void adamW<double>(const AdamWArgs&);

}  // namespace espalier::reference
