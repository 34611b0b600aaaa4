// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_SHARD_RUN_H_
#define FOREFLOW_SCENARIOS_SHARD_SHARD_RUN_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bindings/pcap/time_map.h"
#include "models/shard/channel_model.h"
#include "models/shard/unit.h"
#include "scenarios/shard/shard_config.h"

namespace foreflow::scenarios {

// Of one direction.
struct ShardTraffic {
  std::uint64_t packets = 0;
  std::uint64_t plain_bytes = 0;      // on the wire, had the packets been sent as they are
  std::uint64_t wire_bytes = 0;       // that the units (or, without them, the host) sent
  std::uint64_t delivered_bytes = 0;  // of plain_bytes, of packets that came whole
  std::uint64_t datagrams = 0, lost = 0, queue_full = 0;
  std::uint64_t asked = 0, requests = 0, spurious = 0, early = 0;  // by the receiver
};

struct ShardOutcome {
  std::vector<Nanos> whole;          // when each packet was whole at the other host; kNever
  std::vector<std::uint32_t> hurt;   // packets, something of whose first sending was lost; in order
  std::uint64_t wrong_bytes = 0;     // packets that came with other bytes: must be 0
  std::uint64_t not_sent = 0;        // packets that the unit refused
  std::array<ShardTraffic, 2> ways;  // from the VMs to the uplink, and back
  shard::Unit::Sent sent;            // by both units
  std::string fingerprint;           // of all verdicts and of packets out with their times
  // What the law of each direction was, as its receiver met it: for kBayes of a second run.
  std::array<shard::ChannelModel, 2> channels;

  static constexpr Nanos kNever{-1};
};

// Is told how many packets have been sent.
using ShardProgress = std::function<void(std::uint64_t sent)>;

// Two hosts, a packet dynamics unit before each, and the network in between, in ns-3's virtual time: packets
// of VMs go one way, those of the uplink the other. Engines of the units take no time. `channels`: of
// kBayes. Throws Refusal on an impossible configuration, std::logic_error where a packet came twice or one
// that was not sent. Uses ns-3's global simulator, which is free again afterwards.
ShardOutcome SimulateShard(const ShardConfig& config, const pcap::Traffic& traffic,
                           const std::array<shard::ChannelModel, 2>& channels, const ShardProgress& progress);

// Reads RESOLVED.json, runs it, and writes trace.h5 and summary.json. kBayes runs twice: what it is told of
// how late numbers come, and of losses in queues, the first time shows.
void RunShard(const std::string& file);

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_SHARD_RUN_H_
