// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/flow_offload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/dpdk/test_flow_nic.h"
#include "models/path/arrival.h"
#include "models/rules/rule_table.h"
#include "models/rules/test_rules.h"
#include "models/wire/address_text.h"
#include "models/wire/packet_builder.h"

namespace foreflow::dpdk {
namespace {

using rules::Rule;
using rules::RuleDice;
using wire::Layer3;
using Fate = FlowEntry::Fate;

path::Parsed ParsedOf(const Bytes& frame, flow::VmId vm) {
  path::Arrival arrival;
  arrival.captured = {frame.data(), frame.size()};
  arrival.wire_bytes = static_cast<std::uint32_t>(frame.size());
  arrival.vm = vm;
  return path::Parse(arrival);
}

// Counts over all cases, to see that none is empty.
struct Tally {
  std::size_t packets = 0;
  std::size_t marked = 0;
  std::size_t dropped = 0;
  std::size_t left = 0;
  std::size_t wrong_upside_down = 0;  // with the worst priority in place of the best
  std::map<std::tuple<Layer3, std::uint8_t, bool>, std::size_t> by_kind;
  std::array<std::size_t, static_cast<std::size_t>(FlowRefusal::kCount)> refusals{};
};

struct Case {
  std::vector<Rule> rules;
  OffloadScope scope;
  std::vector<FlowEntry> entries;
  OffloadPlan plan;
};

Case RandomCase(RuleDice& dice) {
  Case made;
  made.rules = dice.Rules(1 + dice.Below(24));
  if (!dice.OneIn(4)) made.scope.vm = dice.Vm();
  made.scope.abilities = {!dice.OneIn(4), dice.OneIn(2)};
  made.scope.marks = !dice.OneIn(5);
  made.scope.drops = !made.scope.marks || dice.OneIn(2);
  made.scope.most_entries = dice.OneIn(6) ? 1 + dice.Below(60) : 4096;
  const std::uint64_t refused = dice.OneIn(3) ? 2 + dice.Below(20) : 0;  // one in so many
  made.plan = Offload(made.rules, made.scope, [&](const FlowEntry& entry) -> std::string {
    if (refused != 0 && dice.OneIn(refused)) return "not today";
    made.entries.push_back(entry);
    return {};
  });
  return made;
}

bool IsRight(const FlowEntry& entry, const OffloadPlan& plan, const rules::Decision& expected) {
  if (entry.fate == Fate::kMark) return plan.decisions[entry.decision] == expected;
  return entry.fate == Fate::kSoftware || expected.action.verb == rules::Verb::kDrop;
}

void CheckPacket(const Case& made, std::size_t count, const Bytes& frame, flow::VmId vm, Tally& tally) {
  const path::Parsed parsed = ParsedOf(frame, vm);
  if (!parsed.decidable) return;  // dropped whatever the rules say
  ++tally.packets;
  const rules::Decision expected =
      rules::ClassifyByLinearScan(made.rules, parsed.key, parsed.packet.outer_vlan);
  for (const FlowEntry* entry : Winners(made.entries, count, frame, std::less<>())) {
    EXPECT_TRUE(IsRight(*entry, made.plan, expected)) << "rule " << expected.rule << " decides";
    if (entry->fate == Fate::kSoftware) {
      ++tally.left;
      continue;
    }
    ++(entry->fate == Fate::kMark ? tally.marked : tally.dropped);
    const bool is_tagged = parsed.packet.outer_vlan != wire::kNoVlan;
    ++tally.by_kind[{parsed.packet.l3, parsed.packet.ip_protocol, is_tagged}];
  }
  for (const FlowEntry* entry : Winners(made.entries, count, frame, std::greater<>())) {
    if (!IsRight(*entry, made.plan, expected)) ++tally.wrong_upside_down;
  }
}

// Whatever rules, abilities and refusals of the port, and however many entries are in yet.
TEST(FlowOffload, WhatAPortDecidesIsWhatAllRulesDecide) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RuleDice dice(seed);
  const std::size_t cases = std::getenv("FOREFLOW_LONG") != nullptr ? 10'000 : 400;
  Tally tally;
  for (std::size_t i = 0; i < cases && !testing::Test::HasFailure(); ++i) {
    const Case made = RandomCase(dice);
    ASSERT_EQ(made.plan.entries, made.entries.size());
    ASSERT_LE(made.entries.size(), made.scope.most_entries);
    ASSERT_LE(made.plan.decisions.size(), made.entries.size());
    for (const RuleOffload& rule : made.plan.rules) {
      ASSERT_EQ(rule.in_port == rule.kinds, rule.why == FlowRefusal::kNone);
      ++tally.refusals[static_cast<std::size_t>(rule.why)];
    }
    for (int packet = 0; packet < 100; ++packet) {
      const Bytes frame = RandomFrame(dice);
      const flow::VmId vm = made.scope.vm ? *made.scope.vm : dice.Vm();
      CheckPacket(made, made.entries.size(), frame, vm, tally);
      CheckPacket(made, dice.Below(made.entries.size() + 1), frame, vm, tally);
    }
  }
  // Enough of each, or the test shows nothing.
  EXPECT_GT(tally.marked, tally.packets / 20);
  EXPECT_GT(tally.dropped, tally.packets / 200);
  EXPECT_GT(tally.left, 0u);
  EXPECT_GT(tally.wrong_upside_down, 0u);
  Rule tagged;
  tagged.vlan = 1;
  for (const FlowKind& kind : FlowKindsOf({tagged})) {
    EXPECT_GT((tally.by_kind[{kind.l3, kind.protocol, kind.is_tagged}]), 0u)
        << int(kind.l3) << " " << int(kind.protocol) << (kind.is_tagged ? " with a tag" : "");
  }
  for (std::size_t why = 0; why < tally.refusals.size(); ++why) {
    EXPECT_GT(tally.refusals[why], 0u) << Name(static_cast<FlowRefusal>(why));
  }
}

Rule RuleOf(std::uint32_t id, std::int32_t priority = 0) {
  Rule rule;
  rule.id = id;
  rule.priority = priority;
  rule.action.verb = rules::Verb::kForward;
  return rule;
}

OffloadScope FullScope() {
  OffloadScope scope;
  scope.vm = 1;
  scope.abilities = {true, true};
  scope.marks = scope.drops = true;
  scope.most_entries = 1000;
  return scope;
}

struct Offloaded {
  std::vector<FlowEntry> entries;
  OffloadPlan plan;
};
Offloaded OffloadAll(const std::vector<Rule>& rules, const OffloadScope& scope) {
  Offloaded all;
  all.plan = Offload(rules, scope, [&](const FlowEntry& entry) {
    all.entries.push_back(entry);
    return std::string();
  });
  return all;
}

// A range by prefixes and by `last`, at every port of TCP.
TEST(FlowOffload, PortRangesAreExact) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RuleDice dice(seed);
  const wire::PacketBuilder builder = wire::PacketBuilder().Ethernet().Ipv4().Tcp(7, 0);
  Bytes frame = builder.Build();
  for (int i = 0; i < 8; ++i) {
    Rule rule = RuleOf(1);
    rule.l3 = 2;
    rule.ip_protocol = 6;
    const auto a = dice.Port();
    const auto b = dice.Port();
    rule.destination_port = {std::min(a, b), std::max(a, b)};
    rule.source_port = dice.OneIn(2) ? rules::PortRange{} : rules::PortRange{7, 7};
    for (const bool ranges : {false, true}) {
      std::vector<FlowPattern> patterns;
      ASSERT_EQ(Translate(rule, {Layer3::kIpv4, 6, false}, {true, ranges}, patterns), FlowRefusal::kNone);
      EXPECT_LE(patterns.size(), ranges ? 1u : 30u);
      for (std::uint32_t port = 0; port < 0x10000; ++port) {
        frame[36] = static_cast<std::uint8_t>(port >> 8);
        frame[37] = static_cast<std::uint8_t>(port);
        std::size_t matches = 0;
        for (const FlowPattern& pattern : patterns) matches += Matches(pattern, frame) ? 1u : 0u;
        const bool is_in = rule.destination_port.low <= port && port <= rule.destination_port.high;
        ASSERT_EQ(matches, is_in ? 1u : 0u) << port << " of " << rule.destination_port.low << ".."
                                            << rule.destination_port.high << (ranges ? " by range" : "");
      }
    }
  }
}

TEST(FlowOffload, OneRuleForAllTakesAnEntryAKind) {
  const Offloaded all = OffloadAll({RuleOf(5)}, FullScope());
  EXPECT_EQ(all.entries.size(), 7u);  // ARP; TCP, UDP and ICMP of both families
  ASSERT_EQ(all.plan.decisions.size(), 1u);
  EXPECT_EQ(all.plan.decisions[0].rule, 5u);
  EXPECT_EQ(all.plan.rules[0].kinds, 7u);
  EXPECT_EQ(all.plan.rules[0].in_port, 7u);
  for (const FlowEntry& entry : all.entries) EXPECT_EQ(entry.priority, 0u);
}

// A VID, a priority, no tag: by frames without one, and with every priority and the VIDs one bit beside.
TEST(FlowOffload, TagsAreExact) {
  std::vector<wire::VlanKey> tags = {wire::kNoVlan};
  for (const unsigned near : {0u, 5u, 4095u}) {
    for (unsigned flipped = 0; flipped < 0x1000; flipped = flipped == 0 ? 1 : 2 * flipped) {
      for (std::uint8_t priority = 0; priority < 8; ++priority) {
        tags.push_back(wire::VlanKeyOf(static_cast<std::uint16_t>(near ^ flipped), priority));
      }
    }
  }
  std::vector<Rule> rules;
  for (const std::uint16_t vlan :
       {std::uint16_t{0}, std::uint16_t{5}, std::uint16_t{4095}, rules::kUntagged}) {
    rules.push_back(RuleOf(static_cast<std::uint32_t>(rules.size())));
    rules.back().vlan = vlan;
  }
  rules.push_back(RuleOf(4));
  rules.back().vlan_priority = 3;
  rules.push_back(rules[1]);
  rules.back().id = 5;
  rules.back().vlan_priority = 0;
  rules.push_back(RuleOf(6));
  for (const Rule& rule : rules) {
    // A second rule that names a tag, of what no frame here is.
    Rule other = RuleOf(99, 1);
    other.vlan = 1;
    other.ip_protocol = 250;
    const Offloaded all = OffloadAll({rule, other}, FullScope());
    for (const wire::VlanKey tag : tags) {
      wire::PacketBuilder builder;
      builder.Ethernet();
      if (tag != wire::kNoVlan) {
        builder.Vlan(static_cast<std::uint16_t>(tag & 0x0fff), static_cast<std::uint8_t>(tag >> 13));
      }
      const Bytes frame = builder.Ipv4().Tcp(1, 2).Build();
      const bool is_decided = !Winners(all.entries, all.entries.size(), frame, std::less<>()).empty();
      const rules::Decision expected = rules::ClassifyByLinearScan({rule}, ParsedOf(frame, 1).key, tag);
      ASSERT_EQ(is_decided, expected.rule == rule.id) << "rule " << rule.id << ", tag " << tag;
    }
  }
}

TEST(FlowOffload, RulesThatDoNotOverlapShareAPriority) {
  std::vector<Rule> rules;
  for (std::uint32_t id = 0; id < 10; ++id) {
    rules.push_back(RuleOf(id, static_cast<std::int32_t>(id)));
    rules.back().l3 = 2;
    rules.back().ip_protocol = 6;
    rules.back().source.address = {10, static_cast<std::uint8_t>(id / 2)};
    rules.back().source.length = id % 2 == 0 ? 16 : 32;
  }
  const Offloaded all = OffloadAll(rules, FullScope());
  ASSERT_EQ(all.entries.size(), 10u);
  for (const FlowEntry& entry : all.entries) {
    EXPECT_EQ(entry.priority, all.plan.decisions[entry.decision].rule % 2 == 0 ? 1u : 0u);
  }
}

TEST(FlowOffload, DropsAndMarksByWhatTheRuleAndThePortCan) {
  Rule deny = RuleOf(1);
  deny.l3 = 2;
  deny.ip_protocol = 17;
  deny.action.verb = rules::Verb::kDrop;
  OffloadScope scope = FullScope();
  EXPECT_EQ(OffloadAll({deny}, scope).entries.at(0).fate, Fate::kDrop);
  Rule mirrored = deny;
  mirrored.action.mirror = true;
  EXPECT_EQ(OffloadAll({mirrored}, scope).entries.at(0).fate, Fate::kMark);
  scope.drops = false;
  EXPECT_EQ(OffloadAll({deny}, scope).entries.at(0).fate, Fate::kMark);
  scope.marks = false;
  const Offloaded none = OffloadAll({deny}, scope);
  EXPECT_TRUE(none.entries.empty());
  EXPECT_EQ(none.plan.rules.at(0).why, FlowRefusal::kAction);
}

// What stays in software, and why.
TEST(FlowOffload, SaysWhyARuleIsNotInThePort) {
  Rule icmp = RuleOf(1, 1);
  icmp.l3 = 2;
  icmp.ip_protocol = 1;
  icmp.source_port = {100, 200};
  Rule tcp = icmp;
  tcp.ip_protocol = 6;
  tcp.source_port = tcp.destination_port = {1, 65534};
  Rule below = RuleOf(2);
  below.l3 = 2;
  below.ip_protocol = 1;
  OffloadScope plain = FullScope();
  plain.abilities = {};
  OffloadScope prefixes = FullScope();
  prefixes.abilities.ranges = false;
  OffloadScope shared = FullScope();
  shared.vm.reset();
  Rule of_vm = below;
  of_vm.vm = 3;
  OffloadScope one = FullScope();
  one.most_entries = 1;

  const auto why = [](const std::vector<Rule>& rules, const OffloadScope& scope) {
    return OffloadAll(rules, scope).plan.rules.back().why;
  };
  EXPECT_EQ(why({icmp}, FullScope()), FlowRefusal::kIcmpIdentifier);
  EXPECT_EQ(why({tcp}, FullScope()), FlowRefusal::kNone);
  EXPECT_EQ(why({tcp}, prefixes), FlowRefusal::kManyPatterns);
  EXPECT_EQ(why({tcp}, plain), FlowRefusal::kFragments);
  EXPECT_EQ(why({of_vm}, shared), FlowRefusal::kVm);
  EXPECT_EQ(why({icmp, below}, FullScope()), FlowRefusal::kCovered);
  EXPECT_EQ(why({below, RuleOf(9, -1)}, one), FlowRefusal::kFull);
  EXPECT_TRUE(OffloadAll({of_vm}, FullScope()).plan.rules.empty()) << "no packet of this port is that VM's";

  Rule narrow = icmp;
  narrow.source.address = {10};
  narrow.source.length = 8;
  const Offloaded left = OffloadAll({narrow, below}, FullScope());
  ASSERT_EQ(left.entries.size(), 2u);
  EXPECT_EQ(left.entries[0].fate, Fate::kSoftware);
  EXPECT_LT(left.entries[0].priority, left.entries[1].priority);
  EXPECT_EQ(left.plan.rules[1].entries, 2u);
  EXPECT_EQ(left.plan.rules[1].why, FlowRefusal::kNone);

  const OffloadPlan refused = Offload({narrow, below}, FullScope(), [](const FlowEntry& entry) {
    return std::string(entry.fate == Fate::kSoftware ? "no such queue" : "");
  });
  EXPECT_EQ(refused.rules[1].why, FlowRefusal::kAbove);
  EXPECT_EQ(refused.rules[1].answer, "no such queue");
  const OffloadPlan none =
      Offload({below}, FullScope(), [](const FlowEntry&) { return std::string("table full"); });
  EXPECT_EQ(none.rules[0].why, FlowRefusal::kPort);
  EXPECT_EQ(none.rules[0].answer, "table full");
  EXPECT_TRUE(none.decisions.empty());
}

}  // namespace
}  // namespace foreflow::dpdk
