// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_SWITCH_H_
#define FOREFLOW_BINDINGS_DPDK_SWITCH_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "models/base/bytes.h"

namespace foreflow::dpdk {

// Which port a frame leaves by.
enum class Switching : std::uint8_t {
  kLearn,  // by destination MAC, learned from sources as a bridge does (IEEE 802.1D, 7.8); one port: back out
  kPair,   // ports 0 and 1, 2 and 3, ... are wires; the last of an odd number sends back out
};

// Stations are remembered in a direct-mapped table of fixed size, one atomic word a place, so that any number
// of workers learn and look up without a lock. A newcomer takes the place of the station it collides with,
// whose frames are then flooded until it speaks again: never lost, and never sent to a wrong port for longer
// than it takes the station to speak. VLANs share the table.
class Switch {
 public:
  static constexpr std::uint16_t kFlood = 0xffff;   // to all ports but the one it came in by
  static constexpr std::uint16_t kFilter = 0xfffe;  // the destination is where the frame comes from
  static constexpr std::size_t kPlaces = 1u << 14;

  // ports >= 1.
  Switch(Switching switching, std::uint16_t ports);

  // A port, kFlood or kFilter. Frames shorter than an Ethernet header are flooded and teach nothing.
  std::uint16_t PortFor(BytesView frame, std::uint16_t in_port);

 private:
  using Place = std::atomic<std::uint64_t>;  // MAC << 16 | port + 1; 0: free

  Switching switching_;
  std::uint16_t ports_;
  std::vector<Place> places_;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_SWITCH_H_
