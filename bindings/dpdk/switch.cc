// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/switch.h"

namespace foreflow::dpdk {
namespace {

constexpr std::size_t kEthernetHeader = 14;
constexpr std::uint64_t kGroupBit = 0x01'00'00'00'00'00;

std::uint64_t MacAt(const std::uint8_t* bytes) {
  std::uint64_t mac = 0;
  for (int i = 0; i < 6; ++i) mac = mac << 8 | bytes[i];
  return mac;
}

std::size_t PlaceOf(std::uint64_t mac) {
  // Multiplicative hashing (Knuth 6.4): the low bits of MACs differ most, the high bits of the product do.
  return static_cast<std::size_t>((mac * 0x9e3779b97f4a7c15) >> 50);
}
static_assert(Switch::kPlaces == std::size_t{1} << (64 - 50), "PlaceOf gives 14 bits");

}  // namespace

Switch::Switch(Switching switching, std::uint16_t ports)
    : switching_(switching), ports_(ports), places_(kPlaces) {}

std::uint16_t Switch::PortFor(BytesView frame, std::uint16_t in_port) {
  if (ports_ == 1) return in_port;
  if (switching_ == Switching::kPair) {
    const auto other = static_cast<std::uint16_t>(in_port ^ 1u);
    return other < ports_ ? other : in_port;
  }
  if (frame.size < kEthernetHeader) return kFlood;
  const std::uint64_t source = MacAt(frame.data + 6);
  if ((source & kGroupBit) == 0) {
    Place& place = places_[PlaceOf(source)];
    const std::uint64_t now = source << 16 | (in_port + 1u);
    // A store only where something changed: the line stays shared between cores.
    if (place.load(std::memory_order_relaxed) != now) place.store(now, std::memory_order_relaxed);
  }
  const std::uint64_t destination = MacAt(frame.data);
  if ((destination & kGroupBit) != 0) return kFlood;
  const std::uint64_t found = places_[PlaceOf(destination)].load(std::memory_order_relaxed);
  if (found >> 16 != destination || found == 0) return kFlood;
  const auto port = static_cast<std::uint16_t>((found & 0xffff) - 1);
  return port == in_port ? kFilter : port;
}

}  // namespace foreflow::dpdk
