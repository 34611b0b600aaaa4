// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_TAG_TOPOLOGY_H_
#define FOREFLOW_SCENARIOS_TAG_TOPOLOGY_H_

#include <vector>

#include "bindings/config/run_config.h"
#include "ns3/foreflow-ethernet-device.h"
#include "ns3/foreflow-offload-nic.h"

namespace foreflow::scenarios {

// One host whose VMs' traffic is replayed through its card, over one link, to a sink:
//
//   replay -> virtual ports -> host core -> bus -> device -> port -> link -> sink
//
// A link's load counts frames' own bytes only, and so does the port: no preamble, check sequence or gap.
struct TagTopology {
  ns3::Ptr<ns3::foreflow::OffloadNic> nic;  // on the host's node
  ns3::Ptr<ns3::foreflow::EthernetDevice> sink;
};

// Builds it in ns-3's global simulator, ready to run from time 0. Packet i arrives at times[i] of the
// simulator's clock (arrivals[i].time without) and is decided at arrivals[i].time. All but `config` must
// outlive the simulation; config.path.flow_entries must be resolved. Throws Refusal on an impossible
// configuration.
TagTopology BuildTagTopology(const config::RunConfig& config, const path::Future& future,
                             const std::vector<path::Arrival>& arrivals,
                             const std::vector<Nanos>* times = nullptr);

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_TAG_TOPOLOGY_H_
