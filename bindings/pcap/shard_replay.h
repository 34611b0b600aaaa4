// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_SHARD_REPLAY_H_
#define FOREFLOW_BINDINGS_PCAP_SHARD_REPLAY_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bindings/config/run_config.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/replay.h"
#include "bindings/pcap/time_map.h"
#include "models/shard/unit_pair.h"

namespace foreflow::pcap {

// Files of what passes between the units; an empty name: none.
struct WireOutputs {
  std::string capture;  // pcapng: every datagram as it leaves a unit, times from the run's beginning
  std::string key_log;  // with which Wireshark reads it (bindings/wireshark)
};

// A capture's frames on their way through two packet dynamics units (config.shard), whichever door carries
// them to the first: all at their recorded times, in order. Ethernet frames that the capture cut short, and
// records that are none, are dropped before.
class ShardReplay {
 public:
  // config.shard must be there. Capture, configuration and tap must outlive it. The tap is told of what
  // passes where no file of it is written. Throws Refusal.
  ShardReplay(const Capture& capture, const config::RunConfig& config, const WireOutputs& outputs = {},
              shard::UnitPairTap* tap = nullptr);
  ~ShardReplay();
  ShardReplay(const ShardReplay&) = delete;
  ShardReplay& operator=(const ShardReplay&) = delete;

  // What is to come: a door hands over each of these, in order.
  const std::vector<path::Arrival>& arrivals() const { return traffic_.arrivals; }
  // The next of them, with its bytes as the door carried them here.
  void Input(BytesView frame);
  // After the last. With a trace's file, a row for each packet. Throws Refusal or std::runtime_error where a
  // file cannot be written.
  ReplayResult Finish(const std::string& trace);

  // What became of the arrivals that came in, in their order.
  const std::vector<shard::UnitPair::Frame>& frames() const { return pair_.frames(); }
  // Why an arrival that was handed over did not come in; kCount: it did.
  Reason early(std::size_t arrival) const { return early_[arrival]; }

 private:
  class WireCapture;

  const config::RunConfig& config_;
  Traffic traffic_;
  std::unique_ptr<WireCapture> wire_;
  shard::UnitPair pair_;
  std::size_t next_ = 0;
  std::vector<Reason> early_;  // of each arrival: why it went no further; kCount: it went in
  std::vector<std::string> notes_;
};

// How a door brings the arrivals of a ShardReplay to its Input.
using ShardCarrier = std::function<void(ShardReplay&)>;

// The pcap door's: nothing in between.
void CarryFrames(ShardReplay& replay);

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_SHARD_REPLAY_H_
