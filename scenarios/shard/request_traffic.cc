// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/shard/request_traffic.h"

#include "ns3/arp-cache.h"
#include "ns3/config.h"
#include "ns3/double.h"
#include "ns3/foreflow-request-server.h"
#include "ns3/inet-socket-address.h"
#include "ns3/internet-stack-helper.h"
#include "ns3/ipv4-address-helper.h"
#include "ns3/ipv4-interface.h"
#include "ns3/ipv4-l3-protocol.h"
#include "ns3/pointer.h"
#include "ns3/random-variable-stream.h"
#include "ns3/rng-seed-manager.h"
#include "ns3/uinteger.h"

namespace foreflow::scenarios {
namespace {

namespace ff = ns3::foreflow;

constexpr std::uint16_t kPort = 6000;
constexpr unsigned kSegmentBytes = 1448;  // an MTU of 1500, with time stamps

ns3::PointerValue Exponential(double mean) {
  const auto variable = ns3::CreateObject<ns3::ExponentialRandomVariable>();
  variable->SetAttribute("Mean", ns3::DoubleValue(mean));
  return ns3::PointerValue(variable);
}

// So that nothing of a run is spent on asking for addresses.
void Introduce(const ShardHost& host, ns3::Ipv4Address other, const ShardHost& who) {
  const auto ip = host.node->GetObject<ns3::Ipv4L3Protocol>();
  const auto index = static_cast<std::uint32_t>(ip->GetInterfaceForDevice(host.device));
  ns3::ArpCache::Entry* const entry = ip->GetInterface(index)->GetArpCache()->Add(other);
  entry->SetMacAddress(who.device->GetAddress());
  entry->MarkPermanent();
}

}  // namespace

void InstallRequests(const ShardConfig& config, const std::array<ShardHost, 2>& hosts,
                     const RequestDone& done) {
  const RequestMix& mix = *config.requests;
  ns3::RngSeedManager::SetRun(config.run.seed);
  ns3::Config::SetDefault("ns3::TcpSocket::SegmentSize", ns3::UintegerValue(kSegmentBytes));
  ns3::Config::SetDefault("ns3::TcpSocketBase::MinRto", ns3::TimeValue(ns3::MilliSeconds(200)));
  ns3::Config::SetDefault("ns3::TcpSocket::DelAckTimeout", ns3::TimeValue(ns3::MilliSeconds(40)));

  const ns3::NodeContainer nodes(hosts[0].node, hosts[1].node);
  ns3::InternetStackHelper stack;
  stack.SetIpv6StackInstall(false);
  stack.Install(nodes);
  std::int64_t stream = 1;
  stream += stack.AssignStreams(nodes, stream);
  ns3::NetDeviceContainer devices(hosts[0].device);
  devices.Add(hosts[1].device);
  const auto addresses = ns3::Ipv4AddressHelper("10.0.0.0", "255.255.255.0").Assign(devices);
  for (std::uint32_t i = 0; i < 2; ++i) Introduce(hosts[i], addresses.GetAddress(1 - i), hosts[1 - i]);

  const ns3::InetSocketAddress address(addresses.GetAddress(1), kPort);
  const auto server = ns3::CreateObject<ff::RequestServer>();
  server->SetAttribute("Local", ns3::AddressValue(address));
  hosts[1].node->AddApplication(server);
  for (std::uint32_t number = 0; number < mix.clients; ++number) {
    const auto client = ns3::CreateObject<ff::RequestClient>();
    client->SetAttribute("Remote", ns3::AddressValue(address));
    client->SetAttribute("MaxRequests", ns3::UintegerValue(mix.each));
    client->SetAttribute("RequestSize", Exponential(mix.request_bytes));
    client->SetAttribute("ResponseSize", Exponential(mix.response_bytes));
    client->SetAttribute("ThinkTime", Exponential(mix.think));
    client->SetStartTime(ns3::MilliSeconds(20) + ns3::MicroSeconds(std::uint64_t{250} * number));
    stream += client->AssignStreams(stream);
    client->TraceConnectWithoutContext(
        "RequestDone", ns3::Callback<void, const ff::RequestRecord&>(
                           [done, number](const ff::RequestRecord& record) { done(number, record); }));
    hosts[0].node->AddApplication(client);
  }
}

}  // namespace foreflow::scenarios
