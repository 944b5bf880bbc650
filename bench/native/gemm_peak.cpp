// How much of the processor's multiply-add peak the matrix products of the cpu backend reach, over the shapes of
// BERT-base and MiniLM. Verifies each shape, then measures it in turns with multiply-adds in registers, so that both
// see the same clock and the same neighbours. Prints one JSON line a shape, then the geometric means.
//
// gemm_peak [--quick] [THREADS]...    (by default 1 and all that availableThreads() grants)

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/gemm.h"
#include "backend/cpu/isa.h"
#include "core/thread_pool.h"
#include "multiply_adds.h"

namespace espalier::bench {
namespace {

int64_t multiplyAdds() {
#if defined(__x86_64__)
  if (activeIsa() == CpuIsa::avx512) return avx512MultiplyAdds();
  if (activeIsa() == CpuIsa::avx2) return avx2MultiplyAdds();
#endif
  return portableMultiplyAdds();
}

double secondsOf(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// A matrix of small pseudo-random values.
class Values {
 public:
  Values(int64_t rows, int64_t cols) : rows_(rows), cols_(cols), cells_(static_cast<size_t>(rows * cols)) {
    for (float& cell : cells_) {
      state_ = state_ * 1664525 + 1013904223;
      cell = static_cast<float>(state_ >> 8) / (1 << 24) - 0.5f;
    }
  }
  Matrix view() { return {cells_.data(), DType::f32, rows_, cols_, cols_}; }
  double at(int64_t row, int64_t col) const {
    return static_cast<double>(cells_[static_cast<size_t>(row * cols_ + col)]);
  }

 private:
  int64_t rows_, cols_;
  std::vector<float> cells_;
  uint32_t state_ = 1;
};

/// c [m, n] with k products an element.
struct Product {
  std::string name;
  int64_t m, n, k;
  double operations;  // that are counted
  std::function<void(int threads)> run;
  std::function<double(int64_t row, int64_t col)> computed, expected;
};

double sumOver(int64_t depth, const std::function<double(int64_t)>& term) {
  double sum = 0;
  for (int64_t k = 0; k < depth; ++k) sum += term(k);
  return sum;
}

struct LinearShape {
  int64_t rows, outputs, inputs;
};

struct WeightDelete {
  void operator()(PackedWeight* packed) const { cpu::releaseWeight(packed); }
};
using Weight = std::unique_ptr<PackedWeight, WeightDelete>;

/// A linear map with its forward and both backward products, and the Gram matrix of its inputs.
struct LinearMap {
  explicit LinearMap(const LinearShape& s)
      : shape(s),
        x(s.rows, s.inputs),
        weight(s.outputs, s.inputs),
        bias(1, s.outputs),
        y(s.rows, s.outputs),
        dx(s.rows, s.inputs),
        dWeight(s.outputs, s.inputs),
        gram(s.inputs, s.inputs),
        forward(cpu::packWeight({weight.view(), false})),
        backward(cpu::packWeight({weight.view(), true})) {}

  std::vector<Product> products() {
    const auto [m, n, k] = shape;
    const double operations = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    const double triangle = static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(k + 1);
    std::vector<Product> products = {
        {"forward", m, n, k, operations,
         [this](int threads) {
           Epilogue epilogue;
           epilogue.bias = bias.view().data;
           cpu::linear({x.view(), forward.get(), epilogue, y.view()}, threads);
         },
         [this](int64_t i, int64_t j) { return y.at(i, j); },
         [this](int64_t i, int64_t j) {
           return bias.at(0, j) + sumOver(shape.inputs, [&](int64_t c) { return x.at(i, c) * weight.at(j, c); });
         }},
        {"inputGradient", m, k, n, operations,
         [this](int threads) {
           cpu::linear({y.view(), backward.get(), {}, dx.view()}, threads);
         },
         [this](int64_t i, int64_t j) { return dx.at(i, j); },
         [this](int64_t i, int64_t j) {
           return sumOver(shape.outputs, [&](int64_t c) { return y.at(i, c) * weight.at(c, j); });
         }},
        {"weightGradient", n, k, m, operations,
         [this](int threads) {
           cpu::transposedProduct({y.view(), x.view(), dWeight.view(), false}, threads);
         },
         [this](int64_t i, int64_t j) { return dWeight.at(i, j); },
         [this](int64_t i, int64_t j) {
           return sumOver(shape.rows, [&](int64_t r) { return y.at(r, i) * x.at(r, j); });
         }}};
    // Each width of x once.
    if (shape.outputs <= shape.inputs) {
      products.push_back({"gram", k, k, m, triangle,
                          [this](int threads) {
                            cpu::gram({x.view(), gram.view(), false}, threads);
                          },
                          [this](int64_t i, int64_t j) { return gram.at(i, j); },
                          [this](int64_t i, int64_t j) {
                            return sumOver(shape.rows, [&](int64_t r) { return x.at(r, i) * x.at(r, j); });
                          }});
    }
    return products;
  }

  LinearShape shape;
  Values x, weight, bias, y, dx, dWeight, gram;
  Weight forward, backward;
};

void verify(const Product& product) {
  for (int64_t sample = 0; sample < 20; ++sample) {
    const int64_t row = sample * 7919 % product.m, col = sample * 104729 % product.n;
    const double expected = product.expected(row, col);
    if (std::abs(product.computed(row, col) - expected) <= 1e-3 * (1 + std::abs(expected))) continue;
    std::fprintf(stderr, "%s is wrong at row %lld, column %lld\n", product.name.c_str(), static_cast<long long>(row),
                 static_cast<long long>(col));
    std::exit(1);
  }
}

struct Rate {
  double product, peak, share;
};

/// Medians of rounds in which the product runs between two measurements of the peak.
Rate measure(const Product& product, int threads, int rounds) {
  const auto peakRate = [&] {
    std::vector<int64_t> operations(static_cast<size_t>(threads) * 16);
    const double seconds = secondsOf([&] {
      parallelFor(threads, static_cast<int64_t>(operations.size()),
                  [&](int64_t index) { operations[static_cast<size_t>(index)] = multiplyAdds(); });
    });
    return static_cast<double>(operations.size()) * static_cast<double>(operations[0]) / seconds;
  };
  std::vector<double> rates, peaks, shares;
  double before = peakRate();
  for (int round = 0; round < rounds; ++round) {
    rates.push_back(product.operations / secondsOf([&] { product.run(threads); }));
    const double after = peakRate();
    peaks.push_back((before + after) / 2);
    shares.push_back(rates.back() / peaks.back());
    before = after;
  }
  return {median(rates), median(peaks), median(shares)};
}

using Means = std::map<std::string, std::vector<double>>;

void runShape(const LinearShape& shape, int threads, int rounds, Means& shares) {
  LinearMap map(shape);
  for (const Product& product : map.products()) {
    product.run(threads);
    verify(product);
    const Rate rate = measure(product, threads, rounds);
    shares[product.name].push_back(rate.share);
    std::printf(
        "{\"isa\": \"%s\", \"threads\": %d, \"product\": \"%s\", \"M\": %lld, \"N\": %lld, \"K\": %lld, "
        "\"gflops\": %.1f, \"peak\": %.1f, \"share\": %.3f}\n",
        isaName(activeIsa()), threads, product.name.c_str(), static_cast<long long>(product.m),
        static_cast<long long>(product.n), static_cast<long long>(product.k), rate.product / 1e9, rate.peak / 1e9,
        rate.share);
    std::fflush(stdout);
  }
}

double geometricMean(const std::vector<double>& values) {
  double logarithms = 0;
  for (const double value : values) logarithms += std::log(value);
  return std::exp(logarithms / static_cast<double>(values.size()));
}

void run(int threads, bool quick) {
  Means shares;
  for (const int64_t hidden : {768, 384}) {
    for (const int64_t rows : quick ? std::vector<int64_t>{512} : std::vector<int64_t>{512, 1024, 4096}) {
      for (const auto& [outputs, inputs] : std::vector<std::pair<int64_t, int64_t>>{
               {3 * hidden, hidden}, {hidden, hidden}, {4 * hidden, hidden}, {hidden, 4 * hidden}}) {
        runShape({rows, outputs, inputs}, threads, quick ? 5 : 9, shares);
      }
    }
  }
  for (const auto& [name, values] : shares) {
    std::printf("{\"isa\": \"%s\", \"threads\": %d, \"product\": \"%s\", \"geometricMeanShare\": %.3f}\n",
                isaName(activeIsa()), threads, name.c_str(), geometricMean(values));
  }
}

}  // namespace
}  // namespace espalier::bench

int main(int argc, char** argv) {
  bool quick = false;
  std::vector<int> threads;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--quick") {
      quick = true;
    } else if (const int count = std::atoi(argv[i]); count > 0) {
      threads.push_back(count);
    } else {
      std::fprintf(stderr, "usage: gemm_peak [--quick] [THREADS]...\n");
      return 2;
    }
  }
  if (threads.empty()) {
    threads = {1};
    if (espalier::availableThreads() > 1) threads.push_back(espalier::availableThreads());
  }
  for (const int count : threads) espalier::bench::run(count, quick);
  return 0;
}
