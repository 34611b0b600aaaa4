// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/meter.h"

#include <string>

#include "models/base/refusal.h"

namespace foreflow::tag {
namespace {

constexpr std::uint64_t kTokensPerByte = 8'000'000'000u;
constexpr std::uint64_t kMaxBurst = std::uint64_t{1} << 30;  // its tokens stay below 2^63

void CheckBurst(Bytes burst, const char* field) {
  if (burst.count() == 0 || burst.count() > kMaxBurst) {
    throw Refusal("meter", field, std::to_string(burst.count()) + " B", "1..1073741824 B");
  }
}

}  // namespace

Meter::Meter(const MeterConfig& config) {
  CheckBurst(config.committed_burst, "committed burst");
  CheckBurst(config.peak_burst, "peak burst");
  const std::uint64_t committed = config.committed_rate.count();
  const std::uint64_t peak = config.peak_rate.count();
  if (peak == 0) throw Refusal("meter", "peak rate", "0 bit/s", "1 bit/s or more");
  if (committed > peak) {
    throw Refusal("meter", "committed rate", std::to_string(committed) + " bit/s",
                  "0.." + std::to_string(peak) + " bit/s, the peak rate");
  }
  const auto full = [](std::uint64_t rate, Bytes burst) {
    const std::uint64_t tokens = burst.count() * kTokensPerByte;
    return Bucket{rate, tokens, tokens};
  };
  committed_ = full(committed, config.committed_burst);
  peak_ = full(peak, config.peak_burst);
}

void Meter::Bucket::Refill(std::uint64_t nanos) {
  const std::uint64_t missing = capacity - tokens;
  if (rate != 0 && nanos > missing / rate) {
    tokens = capacity;
  } else {
    tokens += rate * nanos;  // at most `missing`
  }
}

bool Meter::Bucket::Holds(std::uint32_t bytes) const { return bytes <= tokens / kTokensPerByte; }

void Meter::Bucket::Take(std::uint32_t bytes) { tokens -= bytes * kTokensPerByte; }

Colour Meter::Mark(Nanos now, std::uint32_t wire_bytes) {
  if (!started_) {
    started_ = true;
    last_ = now;
  }
  if (now > last_) {
    // Unsigned: the span between any two times fits.
    const auto nanos = static_cast<std::uint64_t>(now.count()) - static_cast<std::uint64_t>(last_.count());
    committed_.Refill(nanos);
    peak_.Refill(nanos);
    last_ = now;
  }
  if (!peak_.Holds(wire_bytes)) return Colour::kRed;
  peak_.Take(wire_bytes);
  if (!committed_.Holds(wire_bytes)) return Colour::kYellow;
  committed_.Take(wire_bytes);
  return Colour::kGreen;
}

}  // namespace foreflow::tag
