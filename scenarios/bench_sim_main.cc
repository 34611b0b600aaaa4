// SPDX-License-Identifier: GPL-2.0-only
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/config/report_json.h"
#include "models/wire/ethernet.h"
#include "models/wire/packet_builder.h"
#include "ns3/object-factory.h"
#include "ns3/point-to-point-helper.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "scenarios/tag/topology.h"

namespace foreflow::scenarios {
namespace {

constexpr std::uint16_t kVms = 16;
constexpr std::uint64_t kLinkRate = 10'000'000'000;

// Traffic of VMs that each talk to a few services of a few peers, most of it to the first ones, at half the
// link's rate.
class Traffic {
 public:
  explicit Traffic(std::size_t packets) {
    constexpr std::size_t kConversations = 40;
    std::mt19937_64 random(1);
    std::vector<std::uint16_t> vms;
    for (std::uint16_t vm = 1; vm <= kVms; ++vm) {
      for (std::size_t i = 0; i < kConversations; ++i) {
        frames_.push_back(wire::PacketBuilder()
                              .Ethernet()
                              .Ipv4("10.0.0." + std::to_string(vm), "10.1." + std::to_string(i % 7) + ".9")
                              .Tcp(static_cast<std::uint16_t>(40000 + i), i % 3 == 0 ? 443 : 5432)
                              .Payload(random() % 1400)
                              .Build());
        vms.push_back(vm);
      }
    }
    Nanos time;
    for (std::size_t i = 0; i < packets; ++i) {
      const std::size_t vm = random() % kVms;
      const std::size_t conversation = std::min(random() % kConversations, random() % kConversations);
      const std::vector<std::uint8_t>& frame = frames_[vm * kConversations + conversation];
      path::Arrival arrival;
      arrival.captured = {frame.data(), frame.size()};
      arrival.wire_bytes = static_cast<std::uint32_t>(frame.size());
      arrival.vm = vms[vm * kConversations];
      arrival.time = time;
      arrival.sent = time;
      arrivals_.push_back(arrival);
      time += Nanos(static_cast<std::int64_t>(2 * frame.size() * 8 * 1'000'000'000 / kLinkRate));
    }
  }
  const std::vector<path::Arrival>& arrivals() const { return arrivals_; }

 private:
  std::vector<std::vector<std::uint8_t>> frames_;
  std::vector<path::Arrival> arrivals_;
};

config::RunConfig OffloadConfig() {
  config::RunConfig config;
  config.path.arm = path::Arm::kPredictive;
  config.path.vms = kVms;
  config.path.rules = config::DefaultPathConfig().rules;
  config.link.rate = BitsPerSecond(kLinkRate);
  config.queue_packets = 4096;
  config.host.clock_hz = 1'000'000'000;
  config.host.queue_capacity = 4096;
  config.host.stage_base_millicycles.fill(10'000);
  config.device = config.host;
  config.device.initiation_interval = 1;
  config.bus.read_latency = Nanos(500);
  config.bus.write_latency = Nanos(300);
  config.bus.bandwidth = BitsPerSecond(200'000'000'000);
  return config;
}

// Wall seconds that the simulator takes from the first packet to the last.
double TimeRun() {
  const auto start = std::chrono::steady_clock::now();
  ns3::Simulator::Run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void UsePriorityQueue() {
  ns3::ObjectFactory scheduler;
  scheduler.SetTypeId("ns3::PriorityQueueScheduler");
  ns3::Simulator::SetScheduler(scheduler);
}

void CheckAllArrived(std::uint64_t received, std::size_t sent) {
  if (received != sent) throw std::logic_error("packets were lost: the two sides would not be comparable");
}

double TimeOffload(const Traffic& traffic, const path::Future& future) {
  UsePriorityQueue();
  const TagTopology topology = BuildTagTopology(OffloadConfig(), future, traffic.arrivals());
  const double seconds = TimeRun();
  CheckAllArrived(topology.sink->GetStatistics().received, traffic.arrivals().size());
  ns3::Simulator::Destroy();
  return seconds;
}

// The peer: the same packets at the same times over a plain ns-3 link, nothing decided.
class PlainHost {
 public:
  PlainHost(const Traffic& traffic, ns3::NetDeviceContainer devices)
      : arrivals_(traffic.arrivals()), device_(devices.Get(0)), destination_(device_->GetBroadcast()) {
    devices.Get(1)->SetReceiveCallback(ns3::MakeCallback(&PlainHost::Received, this));
    ns3::Simulator::Schedule(ns3::Time(0), &PlainHost::Send, this);
  }
  std::uint64_t received() const { return received_; }

 private:
  void Send() {
    const path::Arrival& arrival = arrivals_[next_++];
    device_->Send(ns3::Create<ns3::Packet>(arrival.wire_bytes), destination_, wire::kEthertypeIpv4);
    if (next_ == arrivals_.size()) return;
    const Nanos gap = arrivals_[next_].time - arrival.time;
    ns3::Simulator::Schedule(ns3::NanoSeconds(static_cast<std::uint64_t>(gap.count())), &PlainHost::Send,
                             this);
  }
  bool Received(ns3::Ptr<ns3::NetDevice>, ns3::Ptr<const ns3::Packet>, std::uint16_t, const ns3::Address&) {
    ++received_;
    return true;
  }

  const std::vector<path::Arrival>& arrivals_;
  ns3::Ptr<ns3::NetDevice> device_;
  ns3::Address destination_;
  std::size_t next_ = 0;
  std::uint64_t received_ = 0;
};

double TimePlain(const Traffic& traffic) {
  UsePriorityQueue();
  ns3::NodeContainer nodes;
  nodes.Create(2);
  ns3::PointToPointHelper link;
  link.SetDeviceAttribute("DataRate", ns3::DataRateValue(ns3::DataRate(kLinkRate)));
  link.SetChannelAttribute("Delay", ns3::StringValue("1us"));
  link.SetQueue("ns3::DropTailQueue", "MaxSize", ns3::StringValue("4096p"));
  PlainHost host(traffic, link.Install(nodes));
  const double seconds = TimeRun();
  CheckAllArrived(host.received(), traffic.arrivals().size());
  ns3::Simulator::Destroy();
  return seconds;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Bench(std::size_t packets, std::size_t rounds) {
  const Traffic traffic(packets);
  const path::Future future(traffic.arrivals(), Millis(200));
  std::vector<double> ours;
  std::vector<double> theirs;
  for (std::size_t i = 0; i < rounds; ++i) {
    ours.push_back(static_cast<double>(packets) / TimeOffload(traffic, future));
    theirs.push_back(static_cast<double>(packets) / TimePlain(traffic));
  }
  const double value = Median(ours);
  const double peer = Median(theirs);
  const config::Json result = {{{"name", "sim_packets_per_s"},
                                {"unit", "packets/s"},
                                {"value", value},
                                {"peer", "ns-3 point-to-point"},
                                {"peer_value", peer},
                                {"ratio", value / peer}}};
  std::printf("%s\n", config::ToText(result, 2).c_str());
}

}  // namespace
}  // namespace foreflow::scenarios

int main(int argc, char** argv) {
  std::size_t packets = 100'000;
  std::size_t rounds = 11;
  CLI::App app{"Simulated packets a wall second, with the full pipeline and with plain ns-3 devices."};
  app.add_option("--packets", packets, "of each run")
      ->check(CLI::Range(std::size_t{1000}, std::size_t{10'000'000}));
  app.add_option("--rounds", rounds, "of which the median is taken")->check(CLI::Range(1, 1001));
  CLI11_PARSE(app, argc, argv);
  try {
    foreflow::scenarios::Bench(packets, rounds);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
