// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_SHARD_RUN_H_
#define FOREFLOW_SCENARIOS_SHARD_SHARD_RUN_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bindings/pcap/time_map.h"
#include "hw-models/cost/station.h"
#include "models/shard/channel_model.h"
#include "models/shard/unit.h"
#include "scenarios/shard/shard_config.h"
#include "scenarios/shard/shard_network.h"

namespace foreflow::scenarios {

// What is waited for: a packet, from when it leaves its host until it is in the other's memory; or a request,
// from when it is handed to TCP until the last byte of its answer is read.
struct ShardJob {
  Nanos start, done = kNever;
  std::uint16_t from = 0;   // VM of the packet's sender, or client from 1
  std::uint32_t bytes = 0;  // of the packet, or of the answer

  static constexpr Nanos kNever{-1};
};

struct ShardOutcome {
  std::vector<ShardJob> jobs;       // packets in order of time; requests by client
  std::vector<std::uint32_t> hurt;  // packets, something of whose first sending was lost; in order
  std::uint64_t wrong_bytes = 0;    // packets that came with other bytes: must be 0
  std::uint64_t not_sent = 0;       // packets that the unit did not take
  std::uint64_t not_delivered =
      0;      // packets made whole that the unit had no room for on their way to the host
  Nanos end;  // of the traffic
  std::array<ShardTraffic, 2> ways;  // from the VMs (or clients) to the uplink (or server), and back
  shard::Unit::Sent sent;            // by both units
  Picos in_units_p50, in_units_p99;  // of a packet in both units' engines and buses
  std::vector<hw::StationReport> stations;
  std::string fingerprint;  // of all verdicts, and of packets out or answers with their times
  // What the law of each direction was, as its receiver met it: for kBayes of a second run.
  std::array<shard::ChannelModel, 2> channels;
};

// Is told how many packets have been sent, or how many requests answered.
using ShardProgress = std::function<void(std::uint64_t done)>;

// Two hosts, a packet dynamics unit before each, and the network in between, as ns-3 devices: packets of VMs
// go one way, those of the uplink the other; or clients of one host ask a server of the other
// (config.requests, then `traffic` is not looked at). `channels`: of kBayes. Throws Refusal on an impossible
// configuration or a packet without an Ethernet header, std::logic_error where a packet came twice or one
// that was not sent. Uses ns-3's global simulator, which is free again afterwards.
ShardOutcome SimulateShard(const ShardConfig& config, const pcap::Traffic& traffic,
                           const std::array<shard::ChannelModel, 2>& channels, const ShardProgress& progress);

// Reads RESOLVED.json, runs it, and writes trace.h5 and summary.json. kBayes runs twice: what it is told of
// how late numbers come, and of losses in queues, the first time shows.
void RunShard(const std::string& file);

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_SHARD_RUN_H_
