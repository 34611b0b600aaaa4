// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_SHARD_TOPOLOGY_H_
#define FOREFLOW_SCENARIOS_SHARD_SHARD_TOPOLOGY_H_

#include <array>
#include <cstddef>
#include <vector>

#include "models/shard/channel_model.h"
#include "ns3/foreflow-ethernet-device.h"
#include "ns3/foreflow-impaired-channel.h"
#include "ns3/foreflow-packet-dynamics-unit.h"
#include "ns3/foreflow-pdu-host-driver.h"
#include "ns3/node.h"
#include "scenarios/shard/shard_config.h"

namespace foreflow::scenarios {

constexpr std::size_t kMostFrame = 9216 + 14;  // bytes of a host's frame

struct ShardHost {
  ns3::Ptr<ns3::Node> node;
  ns3::Ptr<ns3::foreflow::FrameDevice> device;                 // of the host's stack
  ns3::Ptr<ns3::foreflow::PacketDynamicsUnit> unit;            // the same; null where there is none
  ns3::Ptr<ns3::foreflow::PduHostDriver> driver;               // of the unit
  std::vector<ns3::Ptr<ns3::foreflow::EthernetDevice>> ports;  // by path
};

// Two hosts, a packet dynamics unit before each, and a network of one or more paths between them:
//
//   stack -> unit (bus, engines) -> port of path i == cable i == port of path i -> unit -> stack
//
// Of arm kOff each host has a Bundle of its ports in place of a unit.
struct ShardTopology {
  std::array<ShardHost, 2> hosts;
  std::vector<ns3::Ptr<ns3::foreflow::ImpairedChannel>> cables;  // by path; direction 0 from the first host
};

// Builds it in ns-3's global simulator. `channels`: of kBayes, by who sends; `most_frame`: bytes of the
// longest frame of a host, 82 .. kMostFrame. Throws Refusal on an impossible configuration.
ShardTopology BuildShardTopology(const ShardConfig& config,
                                 const std::array<shard::ChannelModel, 2>& channels, std::size_t most_frame);

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_SHARD_TOPOLOGY_H_
