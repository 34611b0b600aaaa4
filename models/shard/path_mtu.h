// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_PATH_MTU_H_
#define FOREFLOW_MODELS_SHARD_PATH_MTU_H_

#include <cstddef>
#include <cstdint>

#include "models/base/units.h"

namespace foreflow::shard {

// In bytes of UDP payload.
struct PathMtuConfig {
  std::size_t base = 1200;     // bytes of UDP payload that every path is taken to carry: 128 .. most
  std::size_t most = 1472;     // that are tried: .. 65507
  std::size_t grain = 16;      // the search ends when what is open is smaller: 1 ..
  unsigned tries = 3;          // of a size, before it is taken to be too large: 1 ..
  unsigned black_hole = 6;     // large messages lost in a row before the path is asked anew: 1 ..
  Nanos timeout = Seconds(1);  // of a probe that nothing is heard of: 1 ns ..
  Nanos raise = Seconds(600);  // after a search, until larger sizes are tried again: 1 ns ..
};

// Finds how large a datagram a path carries, by probes that the peer acknowledges (datagram packetization
// layer path MTU discovery, RFC 8899). It believes no ICMP message, which anybody can send. A lost probe is
// no sign of congestion. Large messages that are lost in a row may be a path that has become narrower (a
// black hole) or a bad time: a probe of the base size tells them apart, so that a path with many losses is
// not taken for one.
class PathMtu {
 public:
  // Throws Refusal on values outside the ranges above.
  explicit PathMtu(const PathMtuConfig& config);

  // The greatest UDP payload known to pass.
  std::size_t current() const { return current_; }
  bool IsSearching() const { return phase_ != Phase::kDone; }

  // The payload of the next probe to be sent now; 0: none. One is under way at a time.
  std::size_t NextProbe(Nanos now);
  // The fate of the probe under way.
  void OnProbe(bool is_lost, Nanos now);
  // The fate of any other message.
  void OnFate(std::size_t bytes, bool is_lost);

  // How often the path was found to have become narrower.
  std::uint32_t black_holes() const { return black_holes_; }

 private:
  enum class Phase : std::uint8_t { kSearching, kDone, kAsking };

  PathMtuConfig config_;
  Phase phase_ = Phase::kSearching;
  std::size_t current_;
  std::size_t above_;  // this is too large
  std::size_t under_way_ = 0;
  Nanos sent_;
  unsigned tried_ = 0;
  unsigned lost_in_row_ = 0;
  Nanos raise_at_;
  std::uint32_t black_holes_ = 0;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_PATH_MTU_H_
