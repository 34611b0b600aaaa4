// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "models/path/packet_path.h"
#include "models/rules/rule_table.h"

namespace foreflow::path {
namespace {

constexpr std::uint32_t kEntries = 256;
constexpr std::uint32_t kOwn = kEntries / 2;  // flows of the honest VM

struct Flood {
  std::uint64_t honest = 0;
  std::uint64_t honest_punts = 0;
};

// VM 1 goes round its flows; between two of its packets VM 2 sends `attacks` of new flows.
Flood FloodOf(std::uint32_t vm_flow_entries, std::uint32_t attacks) {
  PathConfig config;
  config.arm = Arm::kReactive;
  config.flow_entries = kEntries;
  config.vm_flow_entries = vm_flow_entries;
  config.install_latency = Nanos(0);
  config.vms = 2;
  rules::Rule all;
  all.action.verb = rules::Verb::kForward;
  config.rules = {all};
  PacketPath path(config, nullptr);
  Flood flood;
  std::uint32_t fresh = 0;
  Nanos now;
  const auto send = [&](flow::VmId vm, std::uint32_t number) {
    now += Nanos(100);
    Arrival arrival;
    arrival.vm = vm;
    arrival.time = arrival.sent = now;
    arrival.wire_bytes = 64;
    Parsed parsed;
    parsed.decidable = true;
    parsed.key.l3 = 2;
    parsed.key.vm = vm;
    std::memcpy(parsed.key.destination_address.data(), &number, sizeof(number));
    Verdict verdict;
    StageWork work;
    const Job job{&arrival, &parsed, &verdict, &work};
    path.Process(&job, 1);
    EXPECT_EQ(verdict.verb, rules::Verb::kForward);
    return verdict.punted;
  };
  for (std::uint32_t i = 0; i < 20 * kOwn; ++i) {
    for (std::uint32_t n = 0; n < attacks; ++n) send(2, fresh++);
    ++flood.honest;
    if (send(1, i % kOwn)) ++flood.honest_punts;
  }
  return flood;
}

TEST(Flood, OfNewFlowsCostsOthersNothingWhereVmsAreBounded) {
  const Flood alone = FloodOf(kEntries / 2, 0);
  EXPECT_EQ(alone.honest_punts, kOwn);
  const Flood bounded = FloodOf(kEntries / 2, 10);
  EXPECT_EQ(bounded.honest_punts, kOwn);
  // And this is what the bound is for.
  const Flood unbounded = FloodOf(0, 10);
  EXPECT_EQ(unbounded.honest_punts, unbounded.honest);
}

}  // namespace
}  // namespace foreflow::path
