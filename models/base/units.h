// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_UNITS_H_
#define FOREFLOW_MODELS_BASE_UNITS_H_

#include <cstdint>

namespace foreflow {

// A count of one unit. Quantities of different units do not mix: conversions are named functions. Integer
// arithmetic of Rep: divisions round towards zero, and overflow is the caller's to rule out.
template <typename Unit, typename Rep>
class Quantity {
 public:
  using rep = Rep;

  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep count) : count_(count) {}

  constexpr Rep count() const { return count_; }

  constexpr Quantity operator+(Quantity other) const { return Quantity(count_ + other.count_); }
  constexpr Quantity operator-(Quantity other) const { return Quantity(count_ - other.count_); }
  constexpr Quantity operator*(Rep factor) const { return Quantity(count_ * factor); }
  constexpr Rep operator/(Quantity other) const { return count_ / other.count_; }
  constexpr Quantity operator/(Rep divisor) const { return Quantity(count_ / divisor); }
  constexpr Quantity& operator+=(Quantity other) {
    count_ += other.count_;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity other) {
    count_ -= other.count_;
    return *this;
  }

  constexpr bool operator==(Quantity other) const { return count_ == other.count_; }
  constexpr bool operator!=(Quantity other) const { return count_ != other.count_; }
  constexpr bool operator<(Quantity other) const { return count_ < other.count_; }
  constexpr bool operator<=(Quantity other) const { return count_ <= other.count_; }
  constexpr bool operator>(Quantity other) const { return count_ > other.count_; }
  constexpr bool operator>=(Quantity other) const { return count_ >= other.count_; }

 private:
  Rep count_ = 0;
};

// Time on the data path, counted from the start of the run (or the capture's epoch). Signed: differences.
using Nanos = Quantity<struct NanosUnit, std::int64_t>;
// Time inside a device model, where one clock cycle is a fraction of a nanosecond.
using Picos = Quantity<struct PicosUnit, std::int64_t>;
using Cycles = Quantity<struct CyclesUnit, std::uint64_t>;
using Bytes = Quantity<struct BytesUnit, std::uint64_t>;
using BitsPerSecond = Quantity<struct BitsPerSecondUnit, std::uint64_t>;

constexpr Nanos Micros(std::int64_t count) { return Nanos(count * 1000); }
constexpr Nanos Millis(std::int64_t count) { return Nanos(count * 1'000'000); }
constexpr Nanos Seconds(std::int64_t count) { return Nanos(count * 1'000'000'000); }

constexpr Picos ToPicos(Nanos time) { return Picos(time.count() * 1000); }
// Rounds towards minus infinity, so that a time never moves into the future.
constexpr Nanos ToNanosFloor(Picos time) {
  const std::int64_t whole = time.count() / 1000;
  return Nanos(time.count() % 1000 < 0 ? whole - 1 : whole);
}
constexpr double ToSeconds(Nanos time) { return static_cast<double>(time.count()) * 1e-9; }

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_UNITS_H_
