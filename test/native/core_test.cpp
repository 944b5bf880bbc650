// The plain parts of native/core: error names, cancellation, views and the conversion of stored numbers.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "core/cancel.h"
#include "core/convert.h"
#include "core/error.h"
#include "core/matrix.h"

namespace espalier::test {

namespace {

TEST(ErrorCodes, haveDistinctNames) {
  std::set<std::string> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::internal); ++code) {
    names.insert(errorCodeName(static_cast<ErrorCode>(code)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(ErrorCode::internal) + 1);
  EXPECT_EQ(names.count("ERR_OUT_OF_MEMORY"), 1u);
}

TEST(CancelToken, throwsOnlyOnceCancelled) {
  CancelToken token;
  EXPECT_NO_THROW(token.check());
  token.cancel();
  try {
    token.check();
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  }
}

TEST(Matrix, viewsPartsOfItself) {
  std::vector<float> values(12);
  const Matrix whole{values.data(), DType::f32, 3, 3, 4};
  const Matrix part = whole.rowRange(1, 2).columns(2, 1);
  EXPECT_EQ(part.row<float>(0), &values[6]);
  EXPECT_EQ(part.row<float>(1), &values[10]);
  EXPECT_EQ(part.rows, 2);
  EXPECT_EQ(part.cols, 1);
  EXPECT_FALSE(Matrix{});
}

float decode(DType dtype, uint16_t bits) {
  float value;
  toFloat(dtype, &bits, 1, &value);
  return value;
}

uint16_t encode(DType dtype, float value) {
  uint16_t bits;
  fromFloat(&value, 1, dtype, &bits);
  return bits;
}

/// A 16-bit float format: sign, exponent, `fractionBits` of fraction.
struct Format {
  DType dtype;
  int fractionBits;
  int bias;
};

class HalfWidthFormatTest : public testing::TestWithParam<Format> {
 protected:
  /// Finite numbers are those below this pattern, which is infinity's.
  uint16_t infinity() const {
    return static_cast<uint16_t>(0x7fff >> GetParam().fractionBits << GetParam().fractionBits);
  }

  /// The value of a finite, positive pattern by the definition of IEEE 754.
  double valueOf(uint16_t bits) const {
    const auto [dtype, fractionBits, bias] = GetParam();
    const int exponent = bits >> fractionBits;
    const int fraction = bits & ((1 << fractionBits) - 1);
    if (exponent == 0) return std::ldexp(fraction, 1 - bias - fractionBits);
    return std::ldexp((1 << fractionBits) + fraction, exponent - bias - fractionBits);
  }
};

TEST_P(HalfWidthFormatTest, decodesEveryFiniteNumberAndGivesItBack) {
  for (uint16_t bits = 0; bits < infinity(); ++bits) {
    const float value = decode(GetParam().dtype, bits);
    ASSERT_EQ(static_cast<double>(value), valueOf(bits)) << bits;
    ASSERT_EQ(encode(GetParam().dtype, value), bits);
    const auto negative = static_cast<uint16_t>(bits | 0x8000);
    ASSERT_EQ(decode(GetParam().dtype, negative), -value);
    ASSERT_EQ(encode(GetParam().dtype, -value), negative);
  }
}

TEST_P(HalfWidthFormatTest, roundsToTheNearestAndTiesToEven) {
  for (uint16_t bits = 0; bits + 1 < infinity(); ++bits) {
    const auto next = static_cast<uint16_t>(bits + 1);
    const double middle = (valueOf(bits) + valueOf(next)) / 2;
    const auto tie = static_cast<float>(middle);
    ASSERT_EQ(encode(GetParam().dtype, tie), bits % 2 == 0 ? bits : next) << bits;
    ASSERT_EQ(encode(GetParam().dtype, std::nextafter(tie, 0.0f)), bits);
    ASSERT_EQ(encode(GetParam().dtype, std::nextafter(tie, INFINITY)), next);
  }
}

TEST_P(HalfWidthFormatTest, keepsInfinityAndWhatIsNoNumber) {
  const DType dtype = GetParam().dtype;
  EXPECT_EQ(decode(dtype, infinity()), INFINITY);
  EXPECT_EQ(encode(dtype, -INFINITY), infinity() | 0x8000);
  EXPECT_EQ(encode(dtype, std::numeric_limits<float>::max()), infinity());
  EXPECT_TRUE(std::isnan(decode(dtype, static_cast<uint16_t>(infinity() | 1))));
  EXPECT_TRUE(std::isnan(decode(dtype, encode(dtype, std::nanf("")))));
}

INSTANTIATE_TEST_SUITE_P(Formats, HalfWidthFormatTest,
                         testing::Values(Format{DType::f16, 10, 15}, Format{DType::bf16, 7, 127}),
                         [](const auto& info) { return info.param.dtype == DType::f16 ? "f16" : "bf16"; });

TEST(Convert, readsNumbersAtOddAddresses) {
  const unsigned char bytes[] = {0xff, 0x00, 0x3c, 0x00, 0xc0};  // 1 and -2 in f16, little-endian, from the second on
  float values[2];
  toFloat(DType::f16, bytes + 1, 2, values);
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], -2);
}

TEST(Convert, refusesWhatIsNoWeight) {
  float value = 0;
  EXPECT_THROW(toFloat(DType::i32, &value, 1, &value), Error);
  EXPECT_THROW(fromFloat(&value, 1, DType::f64, &value), Error);
}

}  // namespace

}  // namespace espalier::test
