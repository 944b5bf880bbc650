#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd_rows.h"

namespace espalier {
namespace {

void adamWKernel(const AdamWKernelArgs& args) {
  const Vec gradientScale = Vec::broadcast(args.gradientScale);
  const Vec decay = Vec::broadcast(args.decay), stepSize = Vec::broadcast(args.stepSize);
  const Vec beta1 = Vec::broadcast(args.beta1), share1 = Vec::broadcast(args.share1);
  const Vec beta2 = Vec::broadcast(args.beta2), share2 = Vec::broadcast(args.share2);
  const Vec rootFactor = Vec::broadcast(args.rootFactor), epsilon = Vec::broadcast(args.epsilon);
  forEachVector(args.cols, [&](int64_t col, int lanes) {
    const Vec gradient = gradientScale * loadLanes(args.gradient + col, lanes);
    const Vec first = fma(beta1, loadLanes(args.firstMoment + col, lanes), share1 * gradient);
    const Vec second = fma(beta2, loadLanes(args.secondMoment + col, lanes), share2 * gradient * gradient);
    const Vec root = fma(sqrt(second), rootFactor, epsilon);
    const Vec parameter = decay * loadLanes(args.parameter + col, lanes);
    storeLanes(first, args.firstMoment + col, lanes);
    storeLanes(second, args.secondMoment + col, lanes);
    storeLanes(parameter - stepSize * first / root, args.parameter + col, lanes);
  });
}

}  // namespace
}  // namespace espalier
