// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/switch.h"

#include "models/wire/ethernet.h"

namespace foreflow::dpdk {
namespace {

std::uint64_t NumberOf(const wire::Mac& mac) {
  std::uint64_t number = 0;
  for (const std::uint8_t byte : mac) number = number << 8 | byte;
  return number;
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
  wire::EthernetHeader header;
  if (wire::Decode(frame.begin(), frame.end(), header) == nullptr) return kFlood;
  if (!wire::IsGroup(header.source)) {
    const std::uint64_t source = NumberOf(header.source);
    Place& place = places_[PlaceOf(source)];
    const std::uint64_t now = source << 16 | (in_port + 1u);
    // A store only where something changed: the line stays shared between cores.
    if (place.load(std::memory_order_relaxed) != now) place.store(now, std::memory_order_relaxed);
  }
  if (wire::IsGroup(header.destination)) return kFlood;
  const std::uint64_t destination = NumberOf(header.destination);
  const std::uint64_t found = places_[PlaceOf(destination)].load(std::memory_order_relaxed);
  if (found == 0 || found >> 16 != destination) return kFlood;
  const auto port = static_cast<std::uint16_t>((found & 0xffff) - 1);
  return port == in_port ? kFilter : port;
}

}  // namespace foreflow::dpdk
