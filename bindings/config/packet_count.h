// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONFIG_PACKET_COUNT_H_
#define FOREFLOW_BINDINGS_CONFIG_PACKET_COUNT_H_

#include <array>
#include <cstdint>

#include "models/base/reason.h"

namespace foreflow::config {

// Where the packets of a run went: in = out + held + all dropped, or packets vanished.
struct PacketCount {
  std::uint64_t in = 0;    // every record of the input
  std::uint64_t out = 0;   // left on the wire
  std::uint64_t held = 0;  // still inside when the run ended
  std::array<std::uint64_t, kReasons> dropped{};

  void Drop(Reason reason) { ++dropped[static_cast<std::size_t>(reason)]; }
  bool Balanced() const {
    std::uint64_t sum = out + held;
    for (const std::uint64_t count : dropped) sum += count;
    return sum == in;
  }
};

}  // namespace foreflow::config

#endif  // FOREFLOW_BINDINGS_CONFIG_PACKET_COUNT_H_
