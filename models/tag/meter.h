// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_METER_H_
#define FOREFLOW_MODELS_TAG_METER_H_

#include <cstdint>

#include "models/base/units.h"

namespace foreflow::tag {

enum class Colour : std::uint8_t { kGreen, kYellow, kRed };

// Two-rate three-colour marker, colour-blind (RFC 2698). Rates in bit/s, bursts in bytes; integer arithmetic
// only, so that every platform marks alike.
struct MeterConfig {
  BitsPerSecond committed_rate;
  Bytes committed_burst;
  BitsPerSecond peak_rate;
  Bytes peak_burst;
};

class Meter {
 public:
  explicit Meter(const MeterConfig& config);
  // Times never run backwards.
  Colour Mark(Nanos now, std::uint32_t wire_bytes);
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_METER_H_
