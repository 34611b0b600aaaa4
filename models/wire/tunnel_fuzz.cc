// SPDX-License-Identifier: BSD-3-Clause
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "models/wire/tunnel.h"

// Input: an outer packet on Ethernet. Opening it reads nothing outside of it, and what is found inside lies
// inside; a frame found there, wrapped again, is found again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foreflow;
  using namespace foreflow::wire;
  const auto require = [](bool holds) {
    if (!holds) std::abort();
  };
  if (size > 4096) return 0;
  // A copy of exactly that size: the sanitizer sees a read behind it.
  const std::vector<std::uint8_t> packet(data, data + size);
  const auto wire_bytes = static_cast<std::uint32_t>(size);
  Work work;
  const Dissection outer = Dissect(Link::kEthernet, {packet.data(), size}, wire_bytes, work);
  Encapsulated inside;
  if (Decapsulate(outer, {packet.data(), size}, wire_bytes, inside, work) != TunnelStatus::kOk) return 0;
  require(inside.frame.begin() >= packet.data() && inside.frame.end() <= packet.data() + size);
  require(inside.outer_bytes + inside.frame.size <= size);
  if (inside.frame.size < inside.wire_bytes) return 0;

  Tunnel tunnel;
  tunnel.kind = inside.kind;
  tunnel.vni = inside.vni;
  tunnel.mtu = 65535;
  std::vector<std::uint8_t> again(OuterBytes(tunnel, inside.options.size));
  Encapsulate(tunnel, inside.inner, inside.frame, inside.wire_bytes, 0, inside.options, again.data(), work);
  again.insert(again.end(), inside.frame.begin(), inside.frame.end());
  const auto again_bytes = static_cast<std::uint32_t>(again.size());
  Encapsulated twice;
  const Dissection rebuilt = Dissect(Link::kEthernet, {again.data(), again.size()}, again_bytes, work);
  require(Decapsulate(rebuilt, {again.data(), again.size()}, again_bytes, twice, work) == TunnelStatus::kOk);
  require(twice.vni == inside.vni && twice.wire_bytes == inside.wire_bytes);
  require(std::memcmp(twice.frame.data, inside.frame.data, inside.wire_bytes) == 0);
  require(twice.options.size == inside.options.size);
  return 0;
}
