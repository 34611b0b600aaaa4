// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/match.h"

#include <algorithm>
#include <cstring>

namespace foreflow::rules {
namespace {

constexpr std::int64_t kBit = 4096;  // of a logarithm
constexpr std::int64_t kVmBits = 12;
constexpr std::int64_t kProtocolBits = 3;  // so many protocols are in use
constexpr std::int64_t kFamilyBits = 1;
constexpr std::int64_t kVidBits = 12;
constexpr std::int64_t kVlanPriorityBits = 3;
constexpr wire::VlanKey kVidMask = 0x0fff;
constexpr wire::VlanKey kVlanPriorityMask = 0xe000;

std::uint64_t WordOf(const std::array<std::uint8_t, 16>& address, unsigned word) {
  std::uint64_t value = 0;
  std::memcpy(&value, address.data() + 8 * word, sizeof(value));
  return __builtin_bswap64(value);
}

// Leading bits that two addresses share.
unsigned CommonBits(const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b) {
  for (unsigned word : {0u, 1u}) {
    const std::uint64_t differ = WordOf(a, word) ^ WordOf(b, word);
    if (differ != 0) return 64 * word + static_cast<unsigned>(__builtin_clzll(differ));
  }
  return 128;
}

bool Agree(const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b, unsigned bits) {
  if (bits == 0) return true;
  const std::uint64_t first = WordOf(a, 0) ^ WordOf(b, 0);
  if (bits <= 64) return first >> (64 - bits) == 0;
  return first == 0 && (WordOf(a, 1) ^ WordOf(b, 1)) >> (128 - bits) == 0;
}

bool Overlap(const Prefix& a, const Prefix& b) {
  return Agree(a.address, b.address, std::min(a.length, b.length));
}

bool Overlap(const PortRange& a, const PortRange& b) { return a.low <= b.high && b.low <= a.high; }

bool Encloses(const Prefix& outer, const Prefix& inner) {
  return outer.length <= inner.length && Agree(outer.address, inner.address, outer.length);
}

bool Encloses(const PortRange& outer, const PortRange& inner) {
  return outer.low <= inner.low && inner.high <= outer.high;
}

Prefix Hull(const Prefix& a, const Prefix& b) {
  Prefix hull = a.length <= b.length ? a : b;
  const unsigned common = CommonBits(a.address, b.address);
  hull.length = static_cast<std::uint8_t>(std::min<unsigned>(hull.length, common));
  return hull;
}

PortRange Hull(const PortRange& a, const PortRange& b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high)};
}

// Of width 1 .. 65536, to the eighth of a bit: volumes are compared, not added up.
std::int64_t LogWidth(const PortRange& range) {
  const std::uint32_t width = static_cast<std::uint32_t>(range.high) - range.low + 1;
  const int whole = 31 - __builtin_clz(width);
  const std::uint32_t eighths = (width << 3 >> whole) & 7;
  return whole * kBit + eighths * kBit / 8;
}

// A priority, and a VID, is that of a tag.
wire::VlanKey VlanValueOf(const Rule& box) {
  const bool has_priority = box.vlan_priority != kAnyVlanPriority;
  if (!has_priority && (box.vlan == kAnyVlan || box.vlan == kUntagged)) return wire::kNoVlan;
  return wire::VlanKeyOf(box.vlan == kAnyVlan ? std::uint16_t{0} : box.vlan,
                         has_priority ? box.vlan_priority : std::uint8_t{0});
}

bool OverlapVlan(const Rule& a, const Rule& b) {
  return ((VlanValueOf(a) ^ VlanValueOf(b)) & VlanMaskOf(a) & VlanMaskOf(b)) == 0;
}

bool EnclosesVlan(const Rule& outer, const Rule& inner) {
  const wire::VlanKey mask = VlanMaskOf(outer);
  return (mask & ~VlanMaskOf(inner)) == 0 && ((VlanValueOf(outer) ^ VlanValueOf(inner)) & mask) == 0;
}

void SetPrefixMask(std::array<std::uint8_t, 16>& mask, unsigned length) {
  for (unsigned i = 0; i < 16 && i * 8 < length; ++i) {
    const unsigned bits = std::min(8u, length - i * 8);
    mask[i] = static_cast<std::uint8_t>(0xff00u >> bits);
  }
}

}  // namespace

bool Overlap(const Rule& a, const Rule& b) {
  if (a.l3 != 0 && b.l3 != 0 && a.l3 != b.l3) return false;
  if (a.vm != kAnyVm && b.vm != kAnyVm && a.vm != b.vm) return false;
  if (a.ip_protocol != kAnyProtocol && b.ip_protocol != kAnyProtocol && a.ip_protocol != b.ip_protocol) {
    return false;
  }
  if (!OverlapVlan(a, b)) return false;
  return Overlap(a.destination_port, b.destination_port) && Overlap(a.source_port, b.source_port) &&
         Overlap(a.destination, b.destination) && Overlap(a.source, b.source);
}

bool Encloses(const Rule& outer, const Rule& inner) {
  return (outer.l3 == 0 || outer.l3 == inner.l3) && (outer.vm == kAnyVm || outer.vm == inner.vm) &&
         (outer.ip_protocol == kAnyProtocol || outer.ip_protocol == inner.ip_protocol) &&
         EnclosesVlan(outer, inner) && Encloses(outer.destination_port, inner.destination_port) &&
         Encloses(outer.source_port, inner.source_port) && Encloses(outer.destination, inner.destination) &&
         Encloses(outer.source, inner.source);
}

Rule Intersection(const Rule& a, const Rule& b) {
  Rule both = a;
  if (both.l3 == 0) both.l3 = b.l3;
  if (both.vm == kAnyVm) both.vm = b.vm;
  if (both.ip_protocol == kAnyProtocol) both.ip_protocol = b.ip_protocol;
  if (both.vlan == kAnyVlan) both.vlan = b.vlan;
  if (both.vlan_priority == kAnyVlanPriority) both.vlan_priority = b.vlan_priority;
  if (b.source.length > both.source.length) both.source = b.source;
  if (b.destination.length > both.destination.length) both.destination = b.destination;
  for (PortRange Rule::*ports : {&Rule::source_port, &Rule::destination_port}) {
    (both.*ports).low = std::max((both.*ports).low, (b.*ports).low);
    (both.*ports).high = std::min((both.*ports).high, (b.*ports).high);
  }
  return both;
}

Rule Hull(const Rule& a, const Rule& b) {
  Rule hull = a;
  if (hull.vm != b.vm) hull.vm = kAnyVm;
  if (hull.ip_protocol != b.ip_protocol) hull.ip_protocol = kAnyProtocol;
  if (hull.vlan != b.vlan) hull.vlan = kAnyVlan;
  if (hull.vlan_priority != b.vlan_priority) hull.vlan_priority = kAnyVlanPriority;
  hull.source = Hull(a.source, b.source);
  hull.destination = Hull(a.destination, b.destination);
  hull.source_port = Hull(a.source_port, b.source_port);
  hull.destination_port = Hull(a.destination_port, b.destination_port);
  if (hull.l3 != b.l3) {
    // A prefix is of one family.
    hull.l3 = 0;
    hull.source = Prefix{};
    hull.destination = Prefix{};
  }
  return hull;
}

std::int64_t LogVolume(const Rule& box) {
  const int address_bits = flow::IsIp(box.l3) && box.l3 != 2 ? 128 : 32;
  std::int64_t log = (2 * address_bits - box.source.length - box.destination.length) * kBit;
  log += LogWidth(box.source_port) + LogWidth(box.destination_port);
  if (box.vm == kAnyVm) log += kVmBits * kBit;
  if (box.ip_protocol == kAnyProtocol) log += kProtocolBits * kBit;
  if (box.l3 == 0) log += kFamilyBits * kBit;
  if (box.vlan == kAnyVlan) log += kVidBits * kBit;
  if (box.vlan_priority == kAnyVlanPriority) log += kVlanPriorityBits * kBit;
  return log;
}

bool Matches(const Rule& box, const flow::FlowKey& key, wire::VlanKey vlan) {
  return (box.l3 == 0 || box.l3 == key.l3) && (box.vm == kAnyVm || box.vm == key.vm) &&
         (box.ip_protocol == kAnyProtocol || box.ip_protocol == key.ip_protocol) &&
         ((vlan ^ VlanValueOf(box)) & VlanMaskOf(box)) == 0 &&
         box.destination_port.low <= key.destination_port &&
         key.destination_port <= box.destination_port.high && box.source_port.low <= key.source_port &&
         key.source_port <= box.source_port.high &&
         Agree(box.destination.address, key.destination_address, box.destination.length) &&
         Agree(box.source.address, key.source_address, box.source.length);
}

wire::VlanKey VlanMaskOf(const Rule& box) {
  unsigned mask = 0;
  if (box.vlan != kAnyVlan) mask = wire::kVlanPresent;
  if (box.vlan != kAnyVlan && box.vlan != kUntagged) mask |= kVidMask;
  if (box.vlan_priority != kAnyVlanPriority) mask |= wire::kVlanPresent | kVlanPriorityMask;
  return static_cast<wire::VlanKey>(mask);
}

MatchWords MaskOf(const Rule& box) {
  flow::FlowKey mask;
  SetPrefixMask(mask.source_address, box.source.length);
  SetPrefixMask(mask.destination_address, box.destination.length);
  if (box.vm != kAnyVm) mask.vm = 0xffff;
  if (box.ip_protocol != kAnyProtocol) mask.ip_protocol = 0xff;
  if (box.l3 != 0) mask.l3 = 0xff;
  return MatchWordsOf(mask, VlanMaskOf(box));
}

MatchWords MaskedKeyOf(const Rule& box) {
  flow::FlowKey key;
  key.source_address = box.source.address;
  key.destination_address = box.destination.address;
  key.vm = box.vm;
  key.ip_protocol = static_cast<std::uint8_t>(box.ip_protocol);
  key.l3 = box.l3;
  return And(MatchWordsOf(key, VlanValueOf(box)), MaskOf(box));
}

}  // namespace foreflow::rules
