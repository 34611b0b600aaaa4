// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/tag/topology.h"

#include "ns3/foreflow-ethernet-helper.h"
#include "ns3/foreflow-offload-host-helper.h"
#include "ns3/foreflow-replay-application.h"
#include "ns3/uinteger.h"

namespace foreflow::scenarios {

TagTopology BuildTagTopology(const config::RunConfig& config, const path::Future& future,
                             const std::vector<path::Arrival>& arrivals, const std::vector<Nanos>* times) {
  ns3::foreflow::OffloadNicConfig card;
  card.path = config.path;
  card.future = &future;
  card.profiles.host = config.host;
  card.profiles.device = config.device;
  card.profiles.bus = config.bus;
  card.profiles.slowPathCores = config.slow_path_cores;
  card.profiles.placement = config.placement;

  ns3::foreflow::OffloadHostHelper host;
  host.SetConfig(card);
  host.SetNicAttribute("DataRate", ns3::DataRateValue(ns3::DataRate(config.link.rate.count())));
  host.SetNicAttribute(
      "QueueSize", ns3::QueueSizeValue(ns3::QueueSize(ns3::QueueSizeUnit::PACKETS, config.queue_packets)));
  host.SetNicAttribute("FrameOverhead", ns3::UintegerValue(0));
  host.SetNicAttribute("MinimumFrame", ns3::UintegerValue(0));
  ns3::foreflow::EthernetHelper ethernet;
  ethernet.SetChannelAttribute(
      "Delay", ns3::TimeValue(ns3::NanoSeconds(static_cast<std::uint64_t>(config.link.delay.count()))));

  ns3::NodeContainer nodes;
  nodes.Create(2);
  TagTopology topology;
  topology.nic = host.Install(nodes.Get(0), ns3::NodeContainer()).nic;
  topology.sink = ethernet.InstallPort(nodes.Get(1));
  ethernet.Connect(topology.nic, topology.sink);

  auto replay = ns3::CreateObject<ns3::foreflow::ReplayApplication>();
  replay->SetTraffic(topology.nic, &arrivals, times);
  nodes.Get(0)->AddApplication(replay);
  return topology;
}

}  // namespace foreflow::scenarios
