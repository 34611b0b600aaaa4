// SPDX-License-Identifier: BSD-3-Clause
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "bindings/bench/measure.h"
#include "models/base/rng.h"
#include "models/path/packet_path.h"
#include "models/wire/packet_builder.h"

namespace foreflow::bench {
namespace {

constexpr std::uint16_t kVms = 16;
constexpr Nanos kGap = Nanos(100);

struct Service {
  std::uint8_t protocol;
  std::uint16_t port;
};
constexpr Service kServices[] = {{6, 22},   {6, 80},   {6, 443},  {6, 5432},
                                 {6, 6379}, {6, 8080}, {17, 443}, {17, 53}};

// 64 B frames of `flows` flows, each with a flow entry of its own, in random order and then round again, as a
// generator replays a capture; each flow sends `train` packets in a row.
class Loop {
 public:
  Loop(std::size_t flows, std::size_t train) : train_(train) {
    Rng rng(1, "bench.path");
    std::vector<std::uint32_t> order(flows);
    std::iota(order.begin(), order.end(), 0u);
    for (std::size_t i = flows; i > 1; --i)
      std::swap(order[i - 1], order[rng.Below(static_cast<std::uint32_t>(i))]);
    for (const std::uint32_t flow : order) Append(flow, static_cast<std::uint16_t>(1024 + rng.Below(60000)));
    for (std::size_t i = 0; i < arrivals_.size(); ++i) arrivals_[i].captured = {&bytes_[i * kFrame], kFrame};
  }

  const std::array<path::Arrival, path::kBurst>& Next() {
    for (path::Arrival& arrival : burst_) {
      arrival = arrivals_[at_];
      arrival.time = arrival.sent = now_ += kGap;
      if (++sent_ < train_) continue;
      sent_ = 0;
      if (++at_ == arrivals_.size()) at_ = 0;
    }
    return burst_;
  }

 private:
  static constexpr std::size_t kFrame = 60;  // 64 B on the wire with its checksum

  void Append(std::uint32_t flow, std::uint16_t client_port) {
    const auto vm = static_cast<std::uint8_t>(1 + flow % kVms);
    const std::uint32_t peer = flow / kVms;
    const Service& service = kServices[flow % std::size(kServices)];
    const std::string peer_address = "10.1." + std::to_string(peer / 256) + "." + std::to_string(peer % 256);
    wire::PacketBuilder builder;
    builder.Ethernet("02:00:00:00:00:" + std::to_string(10 + vm), "02:00:00:00:01:00")
        .Ipv4("10.0.0." + std::to_string(vm), peer_address);
    if (service.protocol == 6) {
      builder.Tcp(client_port, service.port).Payload(6);
    } else {
      builder.Udp(client_port, service.port).Payload(18);
    }
    const std::vector<std::uint8_t> frame = builder.Build();
    bytes_.insert(bytes_.end(), frame.begin(), frame.end());
    path::Arrival arrival;
    arrival.wire_bytes = kFrame;
    arrival.vm = vm;
    arrivals_.push_back(arrival);
  }

  std::vector<std::uint8_t> bytes_;
  std::vector<path::Arrival> arrivals_;  // one a flow
  std::array<path::Arrival, path::kBurst> burst_;
  std::size_t train_;
  std::size_t sent_ = 0;  // of the train
  std::size_t at_ = 0;
  Nanos now_;
};

rules::Rule PortRule(std::uint32_t id, std::int32_t priority, std::uint8_t protocol,
                     rules::PortRange destination, rules::PortRange source, rules::Verb verb) {
  rules::Rule rule;
  rule.id = id;
  rule.priority = priority;
  rule.ip_protocol = protocol;
  rule.destination_port = destination;
  rule.source_port = source;
  rule.action.verb = verb;
  return rule;
}

// The shape of a data-centre host's rules: some denials, services by port in both directions, some of it
// metered, the rest permitted; tags choose the queue.
path::PathConfig Config(path::Arm arm, std::uint32_t flow_entries) {
  path::PathConfig config;
  config.arm = arm;
  config.vms = kVms;
  config.flow_entries = flow_entries;
  std::uint32_t id = 1;
  const rules::PortRange any;
  for (const std::uint16_t port : std::initializer_list<std::uint16_t>{23, 512, 513, 514}) {
    config.rules.push_back(PortRule(id++, 1000, 6, {port, port}, any, rules::Verb::kDrop));
  }
  for (const Service& service : kServices) {
    const rules::PortRange port = {service.port, service.port};
    config.rules.push_back(PortRule(id++, 700, service.protocol, port, any, rules::Verb::kForward));
    if (service.port == 8080) config.rules.back().action.meter = 0;
    config.rules.push_back(PortRule(id++, 700, service.protocol, any, port, rules::Verb::kForward));
  }
  rules::Rule inside = PortRule(id++, 900, 6, {445, 445}, any, rules::Verb::kForward);
  inside.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  inside.source = {{10}, 8};
  config.rules.push_back(inside);
  rules::Rule rest;
  rest.id = id++;
  rest.action.verb = rules::Verb::kForward;
  config.rules.push_back(rest);
  config.meters = {
      {BitsPerSecond(2'000'000'000), Bytes(500'000), BitsPerSecond(6'000'000'000), Bytes(2'000'000)}};
  tag::TagRule early;
  early.id = 1;
  early.types = 0x27;  // control, request, response, group
  early.minimum_confidence = 32768;
  early.action.queue = 0;
  tag::TagRule middle = early;
  middle.id = 2;
  middle.types = 0x58;
  middle.action.queue = 1;
  config.tag_rules = {early, middle};
  return config;
}

// Time stamp counter cycles a packet, the median over stretches of bursts, which other programs on the
// machine hardly move.
class Decider {
 public:
  Decider(path::Arm arm, std::size_t flows, std::size_t entries, std::size_t train)
      : loop_(flows, train), path_(Config(arm, static_cast<std::uint32_t>(entries)), nullptr) {
    // Until caches are full and every label is learnt as soon as it can be.
    const std::size_t packets = std::max<std::size_t>(2 * flows * train, 100'000);
    for (std::size_t i = 0; i < packets; i += path::kBurst) Decide();
  }

  double operator()() {
    std::array<std::uint64_t, kStretches> cycles;
    for (std::uint64_t& each : cycles) {
      const std::uint64_t begin = __rdtsc();
      for (std::size_t i = 0; i < kBurstsAStretch; ++i) Decide();
      each = __rdtsc() - begin;
    }
    std::nth_element(cycles.begin(), cycles.begin() + kStretches / 2, cycles.end());
    return static_cast<double>(cycles[kStretches / 2]) / (kBurstsAStretch * path::kBurst);
  }

 private:
  static constexpr std::size_t kStretches = 101;
  static constexpr std::size_t kBurstsAStretch = 32;

  void Decide() {
    work_.fill({});
    path_.Process(loop_.Next().data(), path::kBurst, verdicts_.data(), work_.data());
    Keep(verdicts_[0].queue);
  }

  Loop loop_;
  path::PacketPath path_;
  std::array<path::Verdict, path::kBurst> verdicts_;
  std::array<path::StageWork, path::kBurst> work_;
};

std::vector<Row> MeasureAll(const std::string& wanted) {
  std::vector<Row> rows;
  std::vector<Contender> contenders;
  for (const path::Arm arm : {path::Arm::kReactive, path::Arm::kPredictive}) {
    for (const std::size_t train : {1u, 8u}) {
      for (const std::size_t flows : {64u, 8000u, 30000u}) {
        for (const std::size_t percent : {25u, 100u}) {
          const std::string name = std::string("path_") +
                                   (arm == path::Arm::kReactive ? "reactive" : "predictive") + "_" +
                                   std::to_string(flows) + "_flows_entries_" + std::to_string(percent) +
                                   "%_trains_of_" + std::to_string(train);
          if (name.find(wanted) == std::string::npos) continue;
          rows.push_back({name, "cycles/packet", 0, "", 0, Better::kLess});
          auto decider = std::make_shared<Decider>(arm, flows, flows * percent / 100, train);
          contenders.push_back([decider] { return (*decider)(); });
        }
      }
    }
  }
  const std::vector<double> medians = Medians(contenders);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].value = medians[i];
  return rows;
}

}  // namespace
}  // namespace foreflow::bench

int main(int argc, char** argv) {
  return foreflow::bench::Report([&] { return foreflow::bench::MeasureAll(argc > 1 ? argv[1] : ""); });
}
