// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/flow_translation.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>
#include <type_traits>

#include "models/wire/be.h"
#include "models/wire/ethernet.h"
#include "models/wire/ipv4.h"
#include "models/wire/ipv6.h"

namespace foreflow::dpdk {
namespace {

using rules::PortRange;
using rules::Rule;
using wire::Layer3;

constexpr std::uint16_t kMoreOrOffset = 0x3fff;  // of IPv4's fragment field: without DF
constexpr std::uint16_t kMostVid = 0x0fff;
constexpr std::uint16_t kPriorityBits = 0xe000;  // of a VLAN tag
constexpr std::size_t kNamedProtocols = 12;      // of a family, beside TCP, UDP and ICMP

// A value of which only some leading bits count.
struct PortMask {
  std::uint16_t value = 0;
  std::uint16_t mask = 0;
};

bool IsFull(const PortRange& range) { return range.low == 0 && range.high == 0xffff; }
bool Contains(const PortRange& range, std::uint16_t port) { return range.low <= port && port <= range.high; }

// The fewest prefixes that are the range: 30 at the most.
std::vector<PortMask> PrefixesOf(const PortRange& range) {
  std::vector<PortMask> prefixes;
  for (std::uint32_t low = range.low; low <= range.high;) {
    std::uint32_t size = low == 0 ? 0x10000 : low & (~low + 1);
    while (low + size - 1 > range.high) size /= 2;
    prefixes.push_back({static_cast<std::uint16_t>(low), static_cast<std::uint16_t>(0x10000 - size)});
    low += size;
  }
  return prefixes;
}

bool IsExtensionHeader(std::uint8_t protocol) {
  return protocol == wire::kProtocolFragment || wire::IsIpv6Extension(protocol);
}

std::uint8_t IcmpOf(Layer3 l3) { return l3 == Layer3::kIpv4 ? wire::kProtocolIcmp : wire::kProtocolIcmpv6; }

bool HasPorts(const FlowKind& kind) {
  return kind.protocol == wire::kProtocolTcp || kind.protocol == wire::kProtocolUdp;
}

// Whether a packet must have a VLAN tag to be the rule's.
bool NamesTag(const Rule& rule) {
  return rule.vlan <= kMostVid || rule.vlan_priority != rules::kAnyVlanPriority;
}

// Whether a key of the kind can be the rule's as far as family, protocol and whether there is a tag go.
bool IsAbout(const Rule& rule, const FlowKind& kind) {
  if (kind.is_tagged ? rule.vlan == rules::kUntagged : NamesTag(rule)) return false;
  if (rule.l3 != 0 && rule.l3 != static_cast<std::uint8_t>(kind.l3)) return false;
  return rule.ip_protocol == rules::kAnyProtocol || rule.ip_protocol == kind.protocol;
}

// An item's three structures, to be filled in.
template <typename Item>
class ItemWriter {
 public:
  static_assert(sizeof(Item) <= sizeof(HeaderPattern::spec) && std::is_trivially_copyable_v<Item>);
  Item spec{};
  Item last{};
  Item mask{};

  void AddTo(FlowPattern& pattern, rte_flow_item_type type, bool is_range = false) const {
    HeaderPattern& header = pattern.headers[pattern.count++];
    header.type = type;
    header.is_range = is_range;
    std::memcpy(header.spec.data(), &spec, sizeof(Item));
    std::memcpy(header.mask.data(), &mask, sizeof(Item));
    if (is_range) std::memcpy(header.last.data(), &last, sizeof(Item));
  }
};

rte_be16_t Big16(std::uint16_t value) {
  rte_be16_t big;
  wire::Store16(reinterpret_cast<std::uint8_t*>(&big), value);
  return big;
}

// The leading `length` bits of an address and their mask.
template <std::size_t kBytes>
void WritePrefix(const rules::Prefix& prefix, std::uint8_t* spec, std::uint8_t* mask) {
  for (std::size_t i = 0; i < kBytes; ++i) {
    const std::size_t bits = prefix.length > 8 * i ? std::min<std::size_t>(8, prefix.length - 8 * i) : 0;
    mask[i] = static_cast<std::uint8_t>(0xff00u >> bits);
    spec[i] = prefix.address[i] & mask[i];
  }
}

void AddEthernet(FlowPattern& pattern, const Rule& rule, bool is_tagged, std::uint16_t ethertype) {
  ItemWriter<rte_flow_item_eth> ethernet;
  ethernet.spec.type = Big16(is_tagged ? wire::kEthertypeVlan : ethertype);
  ethernet.mask.type = Big16(0xffff);
  ethernet.AddTo(pattern, RTE_FLOW_ITEM_TYPE_ETH);
  if (!is_tagged) return;
  std::uint16_t tag = 0;
  std::uint16_t mask = 0;
  if (rule.vlan <= kMostVid) {
    tag = rule.vlan;
    mask = kMostVid;
  }
  if (rule.vlan_priority != rules::kAnyVlanPriority) {
    tag = static_cast<std::uint16_t>(tag | rule.vlan_priority << 13);
    mask |= kPriorityBits;
  }
  ItemWriter<rte_flow_item_vlan> vlan;
  vlan.spec.tci = Big16(tag);
  vlan.mask.tci = Big16(mask);
  vlan.spec.inner_type = Big16(ethertype);
  vlan.mask.inner_type = Big16(0xffff);
  vlan.AddTo(pattern, RTE_FLOW_ITEM_TYPE_VLAN);
}

// Everything below the transport header.
FlowPattern Below(const Rule& rule, const FlowKind& kind, bool without_fragments) {
  FlowPattern pattern;
  if (kind.l3 == Layer3::kArp) {
    AddEthernet(pattern, rule, kind.is_tagged, wire::kEthertypeArp);
  } else if (kind.l3 == Layer3::kIpv4) {
    AddEthernet(pattern, rule, kind.is_tagged, wire::kEthertypeIpv4);
    ItemWriter<rte_flow_item_ipv4> ip;
    ip.spec.hdr.next_proto_id = kind.protocol;
    ip.mask.hdr.next_proto_id = 0xff;
    if (without_fragments) ip.mask.hdr.fragment_offset = Big16(kMoreOrOffset);
    WritePrefix<4>(rule.source, reinterpret_cast<std::uint8_t*>(&ip.spec.hdr.src_addr),
                   reinterpret_cast<std::uint8_t*>(&ip.mask.hdr.src_addr));
    WritePrefix<4>(rule.destination, reinterpret_cast<std::uint8_t*>(&ip.spec.hdr.dst_addr),
                   reinterpret_cast<std::uint8_t*>(&ip.mask.hdr.dst_addr));
    ip.AddTo(pattern, RTE_FLOW_ITEM_TYPE_IPV4);
  } else {
    AddEthernet(pattern, rule, kind.is_tagged, wire::kEthertypeIpv6);
    ItemWriter<rte_flow_item_ipv6> ip;
    ip.spec.hdr.proto = kind.protocol;
    ip.mask.hdr.proto = 0xff;
    WritePrefix<16>(rule.source, ip.spec.hdr.src_addr, ip.mask.hdr.src_addr);
    WritePrefix<16>(rule.destination, ip.spec.hdr.dst_addr, ip.mask.hdr.dst_addr);
    ip.AddTo(pattern, RTE_FLOW_ITEM_TYPE_IPV6);
  }
  return pattern;
}

// What TCP's and UDP's items say of both ports. Of one that is not looked at all is 0: nobody can mistake it
// for a range.
struct PortRanges {
  PortRange source{0, 0};
  PortRange destination{0, 0};
  std::uint16_t source_mask = 0;
  std::uint16_t destination_mask = 0;
};

template <typename Item>
void AddPorts(FlowPattern& pattern, rte_flow_item_type type, const PortRanges& ports) {
  ItemWriter<Item> item;
  item.spec.hdr.src_port = Big16(ports.source.low);
  item.spec.hdr.dst_port = Big16(ports.destination.low);
  item.last.hdr.src_port = Big16(ports.source.high);
  item.last.hdr.dst_port = Big16(ports.destination.high);
  item.mask.hdr.src_port = Big16(ports.source_mask);
  item.mask.hdr.dst_port = Big16(ports.destination_mask);
  const bool is_range =
      ports.source.low != ports.source.high || ports.destination.low != ports.destination.high;
  item.AddTo(pattern, type, is_range);
}

void AddPorts(FlowPattern& pattern, const FlowKind& kind, const PortRanges& ports) {
  if (kind.protocol == wire::kProtocolTcp) {
    AddPorts<rte_flow_item_tcp>(pattern, RTE_FLOW_ITEM_TYPE_TCP, ports);
  } else {
    AddPorts<rte_flow_item_udp>(pattern, RTE_FLOW_ITEM_TYPE_UDP, ports);
  }
}

FlowRefusal TranslatePorts(const Rule& rule, const FlowKind& kind, const FlowPattern& below, bool has_ranges,
                           std::vector<FlowPattern>& patterns) {
  if (has_ranges) {
    PortRanges ports;
    if (!IsFull(rule.source_port)) {
      ports.source = rule.source_port;
      ports.source_mask = 0xffff;
    }
    if (!IsFull(rule.destination_port)) {
      ports.destination = rule.destination_port;
      ports.destination_mask = 0xffff;
    }
    patterns.push_back(below);
    AddPorts(patterns.back(), kind, ports);
    return FlowRefusal::kNone;
  }
  const std::vector<PortMask> sources = PrefixesOf(rule.source_port);
  const std::vector<PortMask> destinations = PrefixesOf(rule.destination_port);
  if (sources.size() * destinations.size() > kMostPatterns) return FlowRefusal::kManyPatterns;
  for (const PortMask& source : sources) {
    for (const PortMask& destination : destinations) {
      PortRanges ports;
      ports.source = {source.value, source.value};
      ports.source_mask = source.mask;
      ports.destination = {destination.value, destination.value};
      ports.destination_mask = destination.mask;
      patterns.push_back(below);
      AddPorts(patterns.back(), kind, ports);
    }
  }
  return FlowRefusal::kNone;
}

// A key holds type and code as its destination port, and the identifier of echoes as its source port.
FlowRefusal TranslateIcmp(const Rule& rule, const FlowKind& kind, const FlowPattern& below,
                          std::vector<FlowPattern>& patterns) {
  if (!IsFull(rule.source_port)) return FlowRefusal::kIcmpIdentifier;
  for (const PortMask& type_and_code : PrefixesOf(rule.destination_port)) {
    const auto type = static_cast<std::uint8_t>(type_and_code.value >> 8);
    const auto type_mask = static_cast<std::uint8_t>(type_and_code.mask >> 8);
    const auto code = static_cast<std::uint8_t>(type_and_code.value);
    const auto code_mask = static_cast<std::uint8_t>(type_and_code.mask);
    patterns.push_back(below);
    if (kind.l3 == Layer3::kIpv4) {
      ItemWriter<rte_flow_item_icmp> icmp;
      icmp.spec.hdr.icmp_type = type;
      icmp.mask.hdr.icmp_type = type_mask;
      icmp.spec.hdr.icmp_code = code;
      icmp.mask.hdr.icmp_code = code_mask;
      icmp.AddTo(patterns.back(), RTE_FLOW_ITEM_TYPE_ICMP);
    } else {
      ItemWriter<rte_flow_item_icmp6> icmp;
      icmp.spec.type = type;
      icmp.mask.type = type_mask;
      icmp.spec.code = code;
      icmp.mask.code = code_mask;
      icmp.AddTo(patterns.back(), RTE_FLOW_ITEM_TYPE_ICMP6);
    }
  }
  return FlowRefusal::kNone;
}

}  // namespace

const char* Name(FlowRefusal refusal) {
  static constexpr const char* kNames[] = {"none",          "vm",     "fragments", "icmp_identifier",
                                           "many_patterns", "action", "covered",   "above",
                                           "full",          "port"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(FlowRefusal::kCount), "a name a refusal");
  return refusal < FlowRefusal::kCount ? kNames[static_cast<std::size_t>(refusal)] : nullptr;
}

std::vector<FlowKind> FlowKindsOf(const std::vector<Rule>& rules) {
  std::vector<FlowKind> kinds = {{Layer3::kArp, 0, false}};
  for (const Layer3 l3 : {Layer3::kIpv4, Layer3::kIpv6}) {
    const std::uint8_t icmp = IcmpOf(l3);
    for (const std::uint8_t protocol : {wire::kProtocolTcp, wire::kProtocolUdp, icmp}) {
      kinds.push_back({l3, protocol, false});
    }
    std::set<std::uint8_t> named;
    for (const Rule& rule : rules) {
      if (rule.ip_protocol > 0xff || (rule.l3 != 0 && rule.l3 != static_cast<std::uint8_t>(l3))) continue;
      const auto protocol = static_cast<std::uint8_t>(rule.ip_protocol);
      const bool is_kind =
          protocol == wire::kProtocolTcp || protocol == wire::kProtocolUdp || protocol == icmp;
      // What an extension header leads to is beyond a pattern.
      if (is_kind || (l3 == Layer3::kIpv6 && IsExtensionHeader(protocol))) continue;
      named.insert(protocol);
    }
    if (named.size() > kNamedProtocols) named.erase(std::next(named.begin(), kNamedProtocols), named.end());
    for (const std::uint8_t protocol : named) kinds.push_back({l3, protocol, false});
  }
  const bool has_tags = std::any_of(rules.begin(), rules.end(), [](const Rule& rule) {
    return rule.vlan != rules::kAnyVlan || rule.vlan_priority != rules::kAnyVlanPriority;
  });
  for (std::size_t untagged = kinds.size(), i = 0; has_tags && i < untagged; ++i) {
    kinds.push_back({kinds[i].l3, kinds[i].protocol, true});
  }
  return kinds;
}

FlowRefusal Translate(const Rule& rule, const FlowKind& kind, const PatternAbilities& abilities,
                      std::vector<FlowPattern>& patterns) {
  patterns.clear();
  if (!IsAbout(rule, kind)) return FlowRefusal::kNone;
  const bool without_fragments = kind.l3 == Layer3::kIpv4 && abilities.fragments;
  const FlowPattern below = Below(rule, kind, without_fragments);
  const bool is_icmp = kind.l3 != Layer3::kArp && kind.protocol == IcmpOf(kind.l3);
  if (!is_icmp && (kind.l3 == Layer3::kArp || !HasPorts(kind))) {
    // Such keys have no ports, but for ARP's ethertype.
    const std::uint16_t source = kind.l3 == Layer3::kArp ? wire::kEthertypeArp : std::uint16_t{0};
    if (Contains(rule.source_port, source) && Contains(rule.destination_port, 0)) patterns.push_back(below);
    return FlowRefusal::kNone;
  }
  if (IsFull(rule.source_port) && IsFull(rule.destination_port)) {
    patterns.push_back(below);
    return FlowRefusal::kNone;
  }
  if (kind.l3 == Layer3::kIpv4 && !abilities.fragments) return FlowRefusal::kFragments;
  return is_icmp ? TranslateIcmp(rule, kind, below, patterns)
                 : TranslatePorts(rule, kind, below, abilities.ranges, patterns);
}

FlowPattern Around(const Rule& rule, const FlowKind& kind) { return Below(rule, kind, false); }

Rule BoxAround(const Rule& rule, const FlowKind& kind) {
  Rule box = rule;
  box.l3 = static_cast<std::uint8_t>(kind.l3);
  box.ip_protocol = kind.protocol;
  box.vm = rules::kAnyVm;
  if (!kind.is_tagged) box.vlan = rules::kAnyVlan;
  box.source_port = {};
  box.destination_port = {};
  return box;
}

}  // namespace foreflow::dpdk
