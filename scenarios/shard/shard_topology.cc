// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/shard/shard_topology.h"

#include "models/wire/datagram.h"
#include "models/wire/ethernet.h"
#include "ns3/data-rate.h"
#include "ns3/foreflow-ethernet-helper.h"
#include "ns3/foreflow-packet-dynamics-helper.h"
#include "ns3/queue-size.h"
#include "ns3/uinteger.h"
#include "scenarios/shard/bundle.h"

namespace foreflow::scenarios {
namespace {

namespace ff = ns3::foreflow;

constexpr std::size_t kLargestDatagram = 1472;  // an MTU of 1500
constexpr unsigned kPortMtu = kMostFrame - wire::EthernetHeader::kBytes;

impair::ImpairmentConfig WayOf(const ShardConfig& config) {
  impair::ImpairmentConfig way;
  way.framing_bytes = wire::kDatagramHeaderBytes + kFrameFraming;
  impair::PathConfig& path = way.paths[0];
  path.rate = config.run.link.rate;
  path.queue_bytes = config.network.queue_bytes;
  path.largest_bytes = kLargestDatagram;
  path.late = config.network.late;
  path.late_least = config.network.late_least;
  path.late_most = config.network.late_most;
  if (config.network.burst > 1) {
    path.burst.to_good = 1 / config.network.burst;
    path.burst.to_bad = config.network.loss / (1 - config.network.loss) * path.burst.to_good;
  } else {
    path.loss = config.network.loss;
  }
  return way;
}

shard::GapRule RuleOf(ShardArm arm) {
  switch (arm) {
    case ShardArm::kOff:
    case ShardArm::kTimeout:
      return shard::GapRule::kNone;
    case ShardArm::kFixed:
      return shard::GapRule::kFixed;
    case ShardArm::kThree:
      return shard::GapRule::kThree;
    case ShardArm::kEwma:
      return shard::GapRule::kEwma;
    case ShardArm::kLearned:
    case ShardArm::kLearnedRepair:
      return shard::GapRule::kLearned;
    case ShardArm::kBayes:
      return shard::GapRule::kBayes;
    case ShardArm::kClairvoyant:
      return shard::GapRule::kClairvoyant;
    case ShardArm::kRack:
    case ShardArm::kRackRepair:
    case ShardArm::kNaive:
      break;
  }
  return shard::GapRule::kRack;
}

ff::PduConfig UnitOf(const ShardConfig& config, const shard::ChannelModel& channel, std::size_t most_frame) {
  ff::PduConfig made;
  made.profiles.device = config.run.device;
  made.profiles.bus = config.run.bus;
  shard::UnitConfig& unit = made.unit;
  unit.most_packet_bytes = most_frame;
  unit.held_packets = 2048;
  unit.reassembler.held = 4096;
  unit.gaps.rule = RuleOf(config.arm);
  unit.gaps.wait = config.recovery.wait;
  unit.gaps.predictor.certainty = config.recovery.certainty;
  unit.gaps.predictor.spurious_share = config.recovery.spurious_share;
  unit.gaps.predictor.spurious_burst = config.recovery.spurious_burst;
  unit.gaps.predictor.trained = config.recovery.trained;
  unit.gaps.channel = channel;
  if (config.arm == ShardArm::kNaive) unit.size.rule = shard::SizeRule::kNaive;
  unit.repair = shard::RepairRule::kNever;
  if (config.arm == ShardArm::kRackRepair || config.arm == ShardArm::kLearnedRepair) {
    unit.repair = shard::RepairRule::kAlways;
    unit.preference = shard::Preference::kRobustness;
  }
  unit.robust_fragments = config.recovery.fragments;
  unit.repair_after = config.recovery.repair_after;
  unit.path_weights.assign(config.network.paths, 1);
  unit.path_rule = shard::PathRule::kPacket;
  unit.tick = config.recovery.tick;
  return made;
}

ns3::Time ToTime(Nanos time) { return ns3::NanoSeconds(static_cast<std::uint64_t>(time.count())); }

}  // namespace

ShardTopology BuildShardTopology(const ShardConfig& config,
                                 const std::array<shard::ChannelModel, 2>& channels, std::size_t most_frame) {
  ShardTopology topology;
  for (ShardHost& host : topology.hosts) host.node = ns3::CreateObject<ns3::Node>();
  ff::EthernetHelper ethernet;
  ethernet.SetDeviceAttribute("DataRate", ns3::DataRateValue(ns3::DataRate(config.network.port.count())));
  ethernet.SetDeviceAttribute("Mtu", ns3::UintegerValue(kPortMtu));
  // No shorter than the network's: the port is to lose nothing that the network would have carried.
  ethernet.SetDeviceAttribute(
      "QueueSize", ns3::QueueSizeValue(ns3::QueueSize(
                       ns3::QueueSizeUnit::BYTES, static_cast<std::uint32_t>(config.network.queue_bytes))));
  for (std::size_t path = 0; path < config.network.paths; ++path) {
    const auto cable = ns3::CreateObject<ff::ImpairedChannel>();
    const Nanos longer = config.network.path_gap * static_cast<std::int64_t>(path);
    cable->SetAttribute("Delay", ns3::TimeValue(ToTime(config.run.link.delay + longer)));
    cable->Configure(WayOf(config), WayOf(config), config.run.seed, static_cast<std::uint32_t>(path));
    for (ShardHost& host : topology.hosts) {
      host.ports.push_back(ethernet.InstallPort(host.node));
      host.ports.back()->Attach(cable);
    }
    topology.cables.push_back(cable);
  }
  const ns3::UintegerValue mtu(most_frame - wire::EthernetHeader::kBytes);
  if (config.arm == ShardArm::kOff) {
    for (ShardHost& host : topology.hosts) {
      const auto bundle = ns3::CreateObject<Bundle>();
      bundle->SetAttribute("Mtu", mtu);
      bundle->SetAddress(ns3::Mac48Address::Allocate());
      host.node->AddDevice(bundle);
      for (const auto& port : host.ports) bundle->Add(port);
      host.device = bundle;
    }
    return topology;
  }
  ff::PacketDynamicsHelper helper;
  helper.SetUnitAttribute("Mtu", mtu);
  std::array<ff::PduHost, 2> made;
  for (std::size_t i = 0; i < 2; ++i) {
    ShardHost& host = topology.hosts[i];
    // What unit i receives the other sends.
    helper.SetConfig(UnitOf(config, channels[1 - i], most_frame));
    ns3::NetDeviceContainer ports;
    for (const auto& port : host.ports) ports.Add(port);
    made[i] = helper.Install(host.node, {}, ports, i == 0 ? "192.0.2.1" : "192.0.2.2");
    host.device = host.unit = made[i].unit;
    host.driver = made[i].driver;
  }
  ff::PacketDynamicsHelper::Connect(made[0], made[1], config.run.seed);
  return topology;
}

}  // namespace foreflow::scenarios
