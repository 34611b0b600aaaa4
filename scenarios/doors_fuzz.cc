// SPDX-License-Identifier: GPL-2.0-only
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/replay.h"
#include "bindings/pcap/replay.h"
#include "bindings/pcap/time_map.h"
#include "scenarios/simulation.h"

// Bytes as packets and a configuration: every door must give the same verdict stream.

namespace foreflow {
namespace {

constexpr std::size_t kMostRecords = 64;
constexpr unsigned kWorkers = 2;

// Takes an input apart from the front; zeros where it has ended.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  std::uint8_t Next() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  // Up to `count` bytes, where they lie.
  BytesView Take(std::size_t count) {
    const BytesView taken{data_, std::min(count, left_)};
    data_ += taken.size;
    left_ -= taken.size;
    return taken;
  }
  bool empty() const { return left_ == 0; }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

// A card whose prices matter to no verdict: slow enough that queues fill.
config::RunConfig ConfigOf(Input& input) {
  config::RunConfig config = pcap::DefaultReplayConfig();
  path::PathConfig& path = config.path;
  const std::uint8_t choice = input.Next();
  path.arm = static_cast<path::Arm>(choice % 5);
  path.lanes = static_cast<std::uint16_t>(1U << (choice / 5 % 3));
  path.tag_authority = choice < 128 ? path::TagAuthority::kBounded : path::TagAuthority::kLiteral;
  path.vms = static_cast<std::uint16_t>(1 + input.Next() % 8);
  config.flow_entries.count = 1U + input.Next() % 16U;
  path.label_horizon = Millis(1 + input.Next());
  path.governor_margin = 0;
  path.meters = {{BitsPerSecond(1'000'000), Bytes(2000), BitsPerSecond(2'000'000), Bytes(4000)}};

  rules::Rule trap;
  trap.id = 101;
  trap.priority = 3;
  trap.destination_port = {50, 60};
  trap.action.verb = rules::Verb::kTrap;
  rules::Rule metered;
  metered.id = 102;
  metered.priority = 2;
  metered.ip_protocol = 17;
  metered.action.verb = rules::Verb::kForward;
  metered.action.meter = 0;
  rules::Rule drop;
  drop.id = 103;
  drop.priority = 1;
  drop.source_port = {0, 79};
  drop.action.verb = rules::Verb::kDrop;
  drop.action.mirror = true;
  path.rules.insert(path.rules.end(), {trap, metered, drop});
  for (std::uint8_t type = 0; type < predict::kPacketTypes; ++type) {
    tag::TagRule rule;
    rule.id = type;
    rule.types = static_cast<std::uint8_t>(1U << type);
    rule.action.verb = rules::Verb::kForward;
    rule.action.queue = static_cast<std::uint8_t>(type % rules::kQueues);
    path.tag_rules.push_back(rule);
  }

  config.queue_packets = 4;
  config.link.rate = BitsPerSecond(1'000'000'000);
  config.host.clock_hz = 1'000'000'000;
  config.host.queue_capacity = 8;
  config.host.stage_base_millicycles.fill(1'000'000);
  config.device = config.host;
  config.bus.bandwidth = BitsPerSecond(1'000'000'000);
  return config;
}

// Gaps from 0 to years: a mantissa and how far it is shifted.
Nanos GapOf(Input& input) {
  const std::uint8_t shift = input.Next() % 50;
  return Nanos(std::int64_t{input.Next()} << shift);
}

pcap::Capture CaptureOf(Input& input) {
  pcap::Capture capture;
  capture.name = "fuzz";
  Nanos time;
  while (!input.empty() && capture.records.size() < kMostRecords) {
    pcap::Record record;
    const std::uint8_t kind = input.Next();
    record.link = kind % 8 < 6 ? static_cast<wire::Link>(kind % 8) : wire::Link::kEthernet;
    const Nanos gap = GapOf(input);
    time = (kind & 0x80) != 0 && gap < time ? time - gap : time + gap;  // recorded clocks run back, too
    record.time = time;
    record.captured = input.Take(input.Next());
    const std::uint32_t cut = (kind & 0x40) != 0 ? std::uint32_t{input.Next()} << 6 : 0;
    record.wire_bytes = static_cast<std::uint32_t>(record.captured.size) + cut;
    capture.records.push_back(record);
  }
  return capture;
}

std::string Simulated(const pcap::Capture& capture, config::RunConfig config) {
  const pcap::Traffic traffic = pcap::MapRecorded(capture, config.path.vms);
  const path::Future future(traffic.arrivals, config.path.label_horizon);
  config::ResolveFlowEntries(config, config::DistinctEntries(future, config.path.rules));
  return scenarios::Simulate(config, traffic, future, "", nullptr).fingerprint;
}

void Compare(const char* door, const std::string& its, const std::string& expected) {
  if (its == expected) return;
  std::fprintf(stderr, "door %s: %s, pcap: %s\n", door, its.c_str(), expected.c_str());
  std::abort();
}

const dpdk::Eal& TheEal() {
  static const dpdk::Eal eal(dpdk::UnprivilegedEal(64), kWorkers, dpdk::Placement::kFloating);
  return eal;
}

}  // namespace
}  // namespace foreflow

// The EAL and ns-3 keep what they allocate until the process ends.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foreflow;
  Input input(data, size);
  const config::RunConfig config = ConfigOf(input);
  const pcap::Capture capture = CaptureOf(input);
  const std::string expected = pcap::Replay(capture, config, nullptr, nullptr).fingerprint;
  Compare("ns3", Simulated(capture, config), expected);
  Compare("dpdk", dpdk::Replay(TheEal(), capture, config, nullptr, nullptr, 1).fingerprint, expected);
  return 0;
}
