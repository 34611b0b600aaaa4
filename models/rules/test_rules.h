// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_TEST_RULES_H_
#define FOREFLOW_MODELS_RULES_TEST_RULES_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "models/rules/rule.h"
#include "models/wire/dissect.h"

namespace foreflow::rules {

// For tests and benchmarks: seeded rules and keys out of one small universe, so that rules overlap, nest and
// shadow one another and most keys match several. std::mt19937_64 without distributions: the same everywhere.
class RuleDice {
 public:
  explicit RuleDice(std::uint64_t seed) : engine_(seed), vlan_engine_(~seed) {}

  std::uint64_t Below(std::uint64_t bound) { return engine_() % bound; }
  bool OneIn(std::uint64_t n) { return Below(n) == 0; }
  template <typename T, std::size_t N>
  T Pick(const T (&values)[N]) {
    return values[Below(N)];
  }

  std::array<std::uint8_t, 16> Address(wire::Layer3 l3) {
    std::array<std::uint8_t, 16> address{};
    if (l3 == wire::Layer3::kIpv4) {
      address = {10, static_cast<std::uint8_t>(Below(2)), static_cast<std::uint8_t>(Below(3)),
                 static_cast<std::uint8_t>(Below(6) * 51)};
    } else if (l3 == wire::Layer3::kIpv6) {
      address = {0x20, 0x01, 0x0d, 0xb8};
      address[7] = static_cast<std::uint8_t>(Below(3));
      address[8] = static_cast<std::uint8_t>(Below(2) << 7);
      address[15] = static_cast<std::uint8_t>(Below(5));
    } else {
      address[0] = 2;  // a MAC
      address[5] = static_cast<std::uint8_t>(Below(4));
    }
    return address;
  }

  Prefix RandomPrefix(wire::Layer3 l3) {
    static constexpr std::uint8_t kLengths4[] = {0, 0, 7, 8, 16, 17, 23, 24, 27, 30, 31, 32};
    static constexpr std::uint8_t kLengths6[] = {0, 0, 32, 62, 63, 64, 65, 72, 126, 127, 128};
    Prefix prefix;
    if (l3 == wire::Layer3::kIpv4) prefix.length = Pick(kLengths4);
    if (l3 == wire::Layer3::kIpv6) prefix.length = Pick(kLengths6);
    if (prefix.length > 0) prefix.address = Address(l3);
    return prefix;
  }

  std::uint16_t Port() {
    static constexpr std::uint16_t kPorts[] = {0,    1,    53,   79,    80,    81,    443,   1023,
                                               1024, 5432, 8080, 32768, 49151, 60999, 65534, 65535};
    return OneIn(6) ? static_cast<std::uint16_t>(Below(65536)) : Pick(kPorts);
  }

  PortRange Ports() {
    switch (Below(5)) {
      case 0: {
        const std::uint16_t port = Port();
        return {port, port};
      }
      case 1: {
        const std::uint16_t a = Port();
        const std::uint16_t b = Port();
        return {std::min(a, b), std::max(a, b)};
      }
      default:
        return {};
    }
  }

  Action RandomAction() {
    Action action;
    action.verb = static_cast<Verb>(Below(3));
    action.mirror = OneIn(4);
    action.queue = OneIn(2) ? kNoQueue : static_cast<std::uint8_t>(Below(kQueues));
    action.meter = OneIn(3) ? static_cast<std::uint16_t>(Below(4)) : kNoMeter;
    return action;
  }

  Rule RandomRule(std::uint32_t id) {
    static constexpr std::uint16_t kProtocols[] = {kAnyProtocol, kAnyProtocol, 0, 1, 6, 6, 17, 58, 255};
    Rule rule;
    rule.id = id;
    rule.priority = static_cast<std::int32_t>(Below(7)) - 3;
    rule.l3 = static_cast<std::uint8_t>(Below(6));
    if (rule.l3 > 3) rule.l3 = 2;
    const auto l3 = static_cast<wire::Layer3>(rule.l3);
    rule.source = RandomPrefix(l3);
    rule.destination = RandomPrefix(l3);
    rule.vm = OneIn(3) ? Vm() : kAnyVm;
    rule.ip_protocol = Pick(kProtocols);
    rule.source_port = OneIn(2) ? PortRange{} : Ports();
    rule.destination_port = Ports();
    rule.action = RandomAction();
    NameVlan(rule);
    return rule;
  }

  // One rule in four says something of VLANs.
  void NameVlan(Rule& rule) {
    const std::uint64_t chance = VlanBelow(20);
    if (chance == 0) rule.vlan = kUntagged;
    if (chance >= 1 && chance < 4) rule.vlan = kVids[VlanBelow(4)];
    if (chance >= 3 && chance < 5) rule.vlan_priority = static_cast<std::uint8_t>(VlanBelow(2) * 7);
  }
  wire::VlanKey Vlan() {
    if (VlanBelow(2) == 0) return wire::kNoVlan;
    return wire::VlanKeyOf(kVids[VlanBelow(4)], static_cast<std::uint8_t>(VlanBelow(2) * 7));
  }

  flow::VmId Vm() { return static_cast<flow::VmId>(Below(kVms + 1)); }

  std::vector<Rule> Rules(std::size_t count) {
    std::vector<Rule> rules;
    for (std::size_t i = 0; i < count; ++i)
      rules.push_back(RandomRule(static_cast<std::uint32_t>(i * 7 + 1)));
    for (std::size_t i = count; i > 1; --i) std::swap(rules[i - 1], rules[Below(i)]);
    return rules;
  }

  flow::FlowKey Key() {
    static constexpr std::uint8_t kProtocols[] = {0, 1, 6, 6, 6, 17, 17, 58, 255};
    static constexpr std::uint16_t kEthertypes[] = {0x0800, 0x0806, 0x86dd, 0x88cc, 80};
    flow::FlowKey key;
    key.l3 = static_cast<std::uint8_t>(Below(6));
    if (key.l3 > 3) key.l3 = 2;
    const auto l3 = static_cast<wire::Layer3>(key.l3);
    key.source_address = Address(l3);
    key.destination_address = Address(l3);
    key.vm = Vm();
    if (l3 == wire::Layer3::kIpv4 || l3 == wire::Layer3::kIpv6) {
      key.ip_protocol = Pick(kProtocols);
      if (!OneIn(5)) {  // else a later fragment
        key.source_port = Port();
        key.destination_port = Port();
      }
    } else {
      key.source_port = Pick(kEthertypes);
    }
    return key;
  }

  static constexpr flow::VmId kVms = 4;

 private:
  static constexpr std::uint16_t kVids[] = {0, 1, 5, 4095};

  std::uint64_t VlanBelow(std::uint64_t bound) { return vlan_engine_() % bound; }

  std::mt19937_64 engine_;
  std::mt19937_64 vlan_engine_;
};

// The rules, so that what decides them need not hold meters.
inline std::vector<Rule> WithoutMeters(std::vector<Rule> rules) {
  for (Rule& rule : rules) rule.action.meter = kNoMeter;
  return rules;
}

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_TEST_RULES_H_
