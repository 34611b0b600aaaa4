// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_TEST_FLOW_NIC_H_
#define FOREFLOW_BINDINGS_DPDK_TEST_FLOW_NIC_H_

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bindings/dpdk/flow_offload.h"
#include "models/rules/test_rules.h"
#include "models/wire/address_text.h"
#include "models/wire/packet_builder.h"

namespace foreflow::dpdk {

using Bytes = std::vector<std::uint8_t>;

// A NIC that knows nothing of rules: it reads a frame from the outside in and compares bytes with the items,
// as rte_flow defines them. A field between `spec` and `last` is one of two bytes: only ports are given so.
inline bool HeaderMatches(const HeaderPattern& header, const std::uint8_t* at, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += header.is_range ? 2 : 1) {
    if (header.is_range) {
      const auto word = [i](const std::uint8_t* of) { return of[i] << 8 | of[i + 1]; };
      const int mask = word(header.mask.data());
      const int value = word(at) & mask;
      if (value < (word(header.spec.data()) & mask) || value > (word(header.last.data()) & mask))
        return false;
    } else if (((at[i] ^ header.spec[i]) & header.mask[i]) != 0) {
      return false;
    }
  }
  return true;
}

inline bool Matches(const FlowPattern& pattern, const Bytes& frame) {
  std::size_t at = 0;
  int next = -1;  // the ethertype, then the IP protocol that announces what is at `at`
  for (std::size_t i = 0; i < pattern.count; ++i) {
    const HeaderPattern& header = pattern.headers[i];
    std::size_t bytes = 0;
    bool is_announced = true;
    switch (header.type) {
      case RTE_FLOW_ITEM_TYPE_ETH:
        bytes = 14;
        break;
      case RTE_FLOW_ITEM_TYPE_VLAN:
        is_announced = next == 0x8100;
        bytes = 4;
        break;
      case RTE_FLOW_ITEM_TYPE_IPV4:
        is_announced = next == 0x0800;
        bytes = 20;
        break;
      case RTE_FLOW_ITEM_TYPE_IPV6:
        is_announced = next == 0x86dd;
        bytes = 40;
        break;
      case RTE_FLOW_ITEM_TYPE_TCP:
        is_announced = next == 6;
        bytes = 20;
        break;
      case RTE_FLOW_ITEM_TYPE_UDP:
        is_announced = next == 17;
        bytes = 8;
        break;
      case RTE_FLOW_ITEM_TYPE_ICMP:
        is_announced = next == 1;
        bytes = 8;
        break;
      case RTE_FLOW_ITEM_TYPE_ICMP6:
        is_announced = next == 58;
        bytes = 4;
        break;
      default:
        ADD_FAILURE() << "an item of type " << header.type;
        return false;
    }
    if (!is_announced || at + bytes > frame.size()) return false;
    if (!HeaderMatches(header, frame.data() + at, bytes)) return false;
    if (header.type == RTE_FLOW_ITEM_TYPE_ETH) {
      next = frame[12] << 8 | frame[13];
    } else if (header.type == RTE_FLOW_ITEM_TYPE_VLAN) {
      next = frame[at + 2] << 8 | frame[at + 3];
    } else if (header.type == RTE_FLOW_ITEM_TYPE_IPV4) {
      next = frame[at + 9];
      bytes = std::size_t{4} * (frame[at] & 15);
    } else if (header.type == RTE_FLOW_ITEM_TYPE_IPV6) {
      next = frame[at + 6];
    }
    at += bytes;
  }
  return true;
}

// Entries that match and have the best priority: a NIC may take any of them.
inline std::vector<const FlowEntry*> Winners(
    const std::vector<FlowEntry>& entries, std::size_t count, const Bytes& frame,
    const std::function<bool(std::uint32_t, std::uint32_t)>& is_better) {
  std::vector<const FlowEntry*> best;
  for (std::size_t i = 0; i < count; ++i) {
    const FlowEntry& entry = entries[i];
    if (!best.empty() && is_better(best.front()->priority, entry.priority)) continue;
    if (!Matches(entry.pattern, frame)) continue;
    if (!best.empty() && is_better(entry.priority, best.front()->priority)) best.clear();
    best.push_back(&entry);
  }
  return best;
}

inline std::string AddressText(rules::RuleDice& dice, wire::Layer3 l3) {
  const std::array<std::uint8_t, 16> address = dice.Address(l3);
  if (l3 == wire::Layer3::kIpv6) return wire::Text(address);
  return wire::Text(wire::Ipv4Address{address[0], address[1], address[2], address[3]});
}

// Frames of the rules' universe, and around it: tags, fragments, options, extension headers, other protocols,
// and some that are cut or lie about their lengths.
inline Bytes RandomFrame(rules::RuleDice& dice) {
  wire::PacketBuilder packet;
  packet.Ethernet();
  if (const wire::VlanKey vlan = dice.Vlan(); vlan != wire::kNoVlan) {
    const auto vid = static_cast<std::uint16_t>(vlan & 0x0fff);
    const auto priority = static_cast<std::uint8_t>(vlan >> 13);
    if (dice.OneIn(10)) {
      packet.Qinq(vid, priority);
    } else {
      packet.Vlan(vid, priority);
    }
    if (dice.OneIn(8)) packet.Vlan(7);
  }
  if (dice.OneIn(12)) return packet.Arp(1, "10.0.0.1", "10.0.1.51").Build();
  if (dice.OneIn(24)) return packet.Ethertype(0x88cc).Payload(60).Build();
  const bool is_v4 = !dice.OneIn(3);
  if (is_v4) {
    packet.Ipv4(AddressText(dice, wire::Layer3::kIpv4), AddressText(dice, wire::Layer3::kIpv4));
    if (dice.OneIn(6)) packet.Ipv4Options(1 + dice.Below(3));
    if (dice.OneIn(6)) packet.DontFragment();
    if (dice.OneIn(6)) packet.Fragment(static_cast<std::uint16_t>(dice.Below(2) * 100), dice.OneIn(2));
    if (dice.OneIn(40)) packet.Length(static_cast<std::uint16_t>(dice.Below(60)));
  } else {
    packet.Ipv6(AddressText(dice, wire::Layer3::kIpv6), AddressText(dice, wire::Layer3::kIpv6));
    if (dice.OneIn(8)) packet.HopByHop();
    if (dice.OneIn(8)) packet.DestinationOptions();
    if (dice.OneIn(8)) packet.FragmentHeader(static_cast<std::uint16_t>(dice.Below(2) * 100), dice.OneIn(2));
  }
  static constexpr std::uint8_t kOthers[] = {0, 1, 6, 17, 47, 58, 59, 132, 255};
  switch (dice.Below(8)) {
    case 0:
    case 1:
    case 2:
      packet.Tcp(dice.Port(), dice.Port());
      break;
    case 3:
    case 4:
      packet.Udp(dice.Port(), dice.Port());
      break;
    case 5:
    case 6: {
      static constexpr std::uint8_t kTypes[] = {0, 0, 3, 8, 8, 11, 128, 128, 129, 135};
      const std::uint8_t type = dice.Pick(kTypes);
      const auto code = static_cast<std::uint8_t>(dice.Below(2) * 80);
      const auto rest = static_cast<std::uint32_t>(dice.Port()) << 16;
      if (is_v4) {
        packet.Icmp(type, code, rest);
      } else {
        packet.Icmpv6(type, code, rest);
      }
      break;
    }
    default:
      packet.Protocol(dice.Pick(kOthers));
      break;
  }
  Bytes frame = packet.Payload(8 + dice.Below(40)).Build();
  if (dice.OneIn(30)) frame.resize(14 + dice.Below(frame.size() - 14));
  return frame;
}

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_TEST_FLOW_NIC_H_
