// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_FRAME_CARRIER_H_
#define FOREFLOW_SCENARIOS_FRAME_CARRIER_H_

#include <string>
#include <vector>

#include "bindings/pcap/shard_replay.h"

namespace foreflow::scenarios {

// The ns-3 door's way to packet dynamics units: each frame is a packet that one node sends to another over an
// Ethernet cable, at its recorded time, and is handed on as it arrives there. `notes` is told what the
// simulator's clock leaves out. Uses ns-3's global simulator: once a process.
void CarryOverEthernet(pcap::ShardReplay& replay, std::vector<std::string>& notes);

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_FRAME_CARRIER_H_
