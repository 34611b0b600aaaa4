// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_SHARD_CONFIG_H_
#define FOREFLOW_SCENARIOS_SHARD_SHARD_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bindings/config/run_config.h"
#include "models/base/units.h"

namespace foreflow::scenarios {

// Of an Ethernet frame on the wire besides its bytes: check sequence, preamble and gap.
constexpr std::size_t kFrameFraming = 24;

// In the order of judge/systems.py.
enum class ShardArm : std::uint8_t {
  kOff,      // no units: frames as they are, and what is lost stays lost
  kTimeout,  // units that never ask: the sender's tail probe alone
  kFixed,
  kThree,
  kEwma,
  kRack,
  kRackRepair,
  kLearned,
  kLearnedRepair,
  kBayes,
  kClairvoyant,
  kNaive,  // as kRack, but cuts the smaller the more severe the congestion
};

// The way from one unit to the other, and back: section `network`.
struct NetworkConfig {
  double loss = 0;   // of datagrams
  double burst = 1;  // mean of datagrams lost side by side; 1: one by one
  double late = 0;   // of datagrams that are overtaken,
  Nanos late_least;  // since they take so much longer:
  Nanos late_most;   // uniform
  std::size_t paths = 1;
  Nanos path_gap;      // each path takes so much longer than the one before
  BitsPerSecond port;  // rate of the hosts' ports
  std::size_t queue_bytes = 256'000;
  double cross_load = 0;  // others' traffic, share of the link's rate
  Nanos cross_burst = Millis(2);
  Nanos give_up = Millis(200);
};

// Section `recovery`.
struct RecoveryConfig {
  Nanos wait;                           // of kFixed
  std::uint32_t certainty = 64'225;     // 65536 = 1
  std::uint32_t spurious_share = 1311;  //
  std::uint32_t spurious_burst = 16;
  std::vector<std::uint16_t> trained;  // see shard::LossPredictorConfig
  std::size_t fragments = 4;           // of a packet that has a repair
  Nanos repair_after = Micros(300);
  Nanos tick = Micros(50);
};

// Clients of the first host that ask a server of the second over TCP, each one request at a time: an input
// that is a file `*.json` in place of a capture. Means of exponential distributions.
struct RequestMix {
  std::uint32_t clients = 1;
  std::uint32_t each = 1;     // requests of a client
  double think = 0;           // s, from a response to the next request
  double request_bytes = 0;   // with a message header of 16 B, which is the least
  double response_bytes = 0;  //
};

// One run of system shard. Of `run`, what every system has: scenario, input, out, seed, traffic and link; and
// the prices of the units' engines and the bus before them.
struct ShardConfig {
  config::RunConfig run;
  ShardArm arm = ShardArm::kRack;
  NetworkConfig network;
  RecoveryConfig recovery;
  std::optional<RequestMix> requests;  // none: packets of the capture
};

// Whether RESOLVED.json is of system shard; one that names no system is not. Throws Refusal where it cannot
// be read.
bool IsShardRun(const std::string& file);
// Reads it strictly: a missing or unknown key, a wrong type or a value out of range throws Refusal naming
// file, key, value and allowed range.
ShardConfig LoadShardConfig(const std::string& file);

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_SHARD_CONFIG_H_
