// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_METER_H_
#define FOREFLOW_MODELS_TAG_METER_H_

#include <cstdint>

#include "models/base/units.h"

namespace foreflow::tag {

// Within the committed rate, within the peak rate, beyond it.
enum class Colour : std::uint8_t { kGreen, kYellow, kRed };

// Two-rate three-colour marker, colour-blind (RFC 2698). Rates in bit/s, bursts in bytes; integer arithmetic
// only, so that every platform marks alike.
struct MeterConfig {
  BitsPerSecond committed_rate;
  Bytes committed_burst;
  BitsPerSecond peak_rate;
  Bytes peak_burst;
};

// Buckets start full and are exact: they hold tokens in units of 1e-9 bit, which is what 1 bit/s earns in 1
// ns, so nothing is ever rounded and nothing drifts.
class Meter {
 public:
  // Throws Refusal unless 0 < peak rate, committed rate <= peak rate, and both bursts are 1 B..1 GiB.
  explicit Meter(const MeterConfig& config);
  // Times never run backwards (one that does earns nothing).
  Colour Mark(Nanos now, std::uint32_t wire_bytes);

 private:
  struct Bucket {
    std::uint64_t rate = 0;      // bit/s
    std::uint64_t capacity = 0;  // 1e-9 bit
    std::uint64_t tokens = 0;    // 1e-9 bit
    void Refill(std::uint64_t nanos);
    bool Holds(std::uint32_t bytes) const;
    void Take(std::uint32_t bytes);
  };

  Bucket committed_;
  Bucket peak_;
  bool started_ = false;
  Nanos last_;
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_METER_H_
