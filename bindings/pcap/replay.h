// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_REPLAY_H_
#define FOREFLOW_BINDINGS_PCAP_REPLAY_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bindings/config/packet_count.h"
#include "bindings/config/report_json.h"
#include "bindings/config/run_config.h"
#include "bindings/pcap/capture.h"
#include "models/path/lanes.h"

namespace foreflow::pcap {

// What a door made of a capture.
struct ReplayResult {
  config::PacketCount packets;  // nothing is held: this door has no queues
  std::string fingerprint;      // SHA-256 of the verdict stream, hex
  path::Counters counters;
  config::Json models;      // of trained models, see config::ToJson(Lanes)
  config::Json statistics;  // of rules and tag rules, see config::StatisticsOf
  config::Json shard;  // where packet dynamics units carried the frames: {config, units, links, completion}
  path::PathConfig path;  // as it was in effect, flow_entries resolved
  std::uint64_t distinct_entries = 0;
  std::uint16_t vms = 0;           // senders that were given a VM
  std::vector<std::string> notes;  // of the capture and of its times
};

// Sees every packet once, in order of time, after it was decided.
using ReplayObserver = std::function<void(std::uint64_t packet, const path::Arrival&, const path::Verdict&,
                                          const path::StageWork&)>;
// Is told what is going to come, before the first packet.
using ReplayBegin = std::function<void(const path::Future&)>;

// The pcap door: decides on a capture at its recorded times (put in order), with no device in between.
// Forwarded and trapped packets count as out. Either function may be empty. With `loops` above 1 the capture
// is replayed so many times (see LoopedArrivals); `begin` is told of one pass. Throws Refusal on an
// impossible configuration, and for arms that know the future with more than one pass.
ReplayResult Replay(const Capture& capture, config::RunConfig config, const ReplayBegin& begin,
                    const ReplayObserver& observer, std::uint64_t loops = 1);

// What Replay runs with where no configuration is given: config::DefaultPathConfig.
config::RunConfig DefaultReplayConfig();

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_REPLAY_H_
