// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "models/base/refusal.h"
#include "models/rules/packet_change.h"

namespace {

using namespace foreflow;

void Require(bool holds) {
  if (!holds) std::abort();
}

// The bytes of the input one after the other, zeros behind its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  std::uint8_t Byte() { return at_ < size_ ? data_[at_++] : std::uint8_t{0}; }
  bool Flag() { return (Byte() & 1) != 0; }
  std::uint16_t Word() { return static_cast<std::uint16_t>(Byte() << 8 | Byte()); }
  template <std::size_t kBytes>
  std::array<std::uint8_t, kBytes> Bytes() {
    std::array<std::uint8_t, kBytes> bytes{};
    for (std::uint8_t& byte : bytes) byte = Byte();
    return bytes;
  }
  BytesView Rest() const { return {data_ + at_, size_ - at_}; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

std::array<std::uint8_t, 16> AddressOf(Input& input, wire::Layer3 l3) {
  std::array<std::uint8_t, 16> address{};
  const auto bytes = input.Bytes<4>();
  std::copy(bytes.begin(), bytes.end(), address.begin());
  if (l3 == wire::Layer3::kIpv6) address[15] = bytes[3];
  return address;
}

rules::PacketChange ChangeOf(Input& input) {
  rules::PacketChange change;
  const std::uint8_t parts = input.Byte(), more = input.Byte();
  wire::HeaderRewrite& rewrite = change.rewrite;
  rewrite.l3 = (parts & 1) != 0 ? wire::Layer3::kIpv6 : wire::Layer3::kIpv4;
  if ((parts & 2) != 0) rewrite.source_address = AddressOf(input, rewrite.l3);
  if ((parts & 4) != 0) rewrite.destination_address = AddressOf(input, rewrite.l3);
  if ((parts & 8) != 0) rewrite.source_port = input.Word();
  if ((parts & 16) != 0) rewrite.destination_port = input.Word();
  if ((parts & 32) != 0) rewrite.dscp = input.Byte();
  rewrite.decrement_ttl = (parts & 64) != 0;
  if ((parts & 128) != 0) rewrite.source_mac = input.Bytes<6>();
  change.pop_vlan = (more & 1) != 0;
  if ((more & 2) != 0) change.push_vlan = rules::PacketChange::Vlan{input.Word(), input.Byte()};
  if ((more & 4) != 0) {
    wire::Tunnel tunnel;
    tunnel.kind = (more & 8) != 0 ? wire::TunnelKind::kVxlan : wire::TunnelKind::kGeneve;
    tunnel.l3 = (more & 16) != 0 ? wire::Layer3::kIpv6 : wire::Layer3::kIpv4;
    tunnel.vni = input.Word();
    tunnel.udp_checksum = (more & 32) != 0;
    tunnel.mtu = input.Word();
    change.tunnel = tunnel;
  }
  return change;
}

}  // namespace

// Input: a change, a link, how much was not captured, and a packet. Whatever the packet is, nothing outside
// it and its headroom is read or written; what Judge refuses is left as it was; what is changed can be taken
// apart as before, and says what the change says.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  Input input(data, size);
  const rules::PacketChange change = ChangeOf(input);
  try {
    rules::CheckChange(change, "fuzz");
  } catch (const Refusal&) {
    return 0;
  }
  const auto link = static_cast<wire::Link>(input.Byte() % 6);
  const std::uint32_t cut = input.Byte();
  const BytesView packet = input.Rest();
  const auto wire_bytes = static_cast<std::uint32_t>(packet.size) + cut;

  const std::size_t headroom = rules::Headroom(change);
  std::vector<std::uint8_t> buffer(headroom + packet.size);
  std::copy(packet.begin(), packet.end(), buffer.begin() + static_cast<std::ptrdiff_t>(headroom));
  std::uint8_t* const begin = buffer.data() + headroom;
  Work work;
  const wire::Dissection before = wire::Dissect(link, {begin, packet.size}, wire_bytes, work);
  // As the path has it: packets that are not decidable are dropped, not changed.
  if (before.status == wire::DissectStatus::kMalformed ||
      before.status == wire::DissectStatus::kUnknownLink) {
    return 0;
  }
  if (before.status == wire::DissectStatus::kTruncated && before.l4 == wire::Layer4::kNone) return 0;
  const rules::ChangeStatus judged = rules::Judge(change, link, before, wire_bytes, work);
  const rules::Changed changed =
      rules::Apply(change, link, {begin, packet.size}, wire_bytes, before, 7, {nullptr, 0});
  Require(changed.status == judged);
  if (judged != rules::ChangeStatus::kOk) {
    Require(packet.size == 0 || std::memcmp(begin, packet.data, packet.size) == 0);
    return 0;
  }
  Require(changed.captured.data >= buffer.data());
  Require(changed.captured.data + changed.captured.size == buffer.data() + buffer.size());
  Require(changed.wire_bytes >= changed.captured.size);
  if (change.tunnel) return 0;  // what is inside is tunnel_fuzz's
  const wire::Dissection after =
      wire::Dissect(link, {changed.captured.data, changed.captured.size}, changed.wire_bytes, work);
  const bool moves = change.pop_vlan || change.push_vlan;
  if (before.status != wire::DissectStatus::kOk || moves) return 0;
  Require(after.status == wire::DissectStatus::kOk && after.l3 == before.l3 && after.l4 == before.l4);
  Require(after.payload_bytes == before.payload_bytes && after.ip_protocol == before.ip_protocol);
  const bool is_rewritten = after.l3 == change.rewrite.l3;
  if (is_rewritten && change.rewrite.source_address) {
    Require(after.source_address == *change.rewrite.source_address);
  }
  const bool has_ports = after.l4 == wire::Layer4::kTcp || after.l4 == wire::Layer4::kUdp;
  if (has_ports && change.rewrite.destination_port) {
    Require(after.destination_port == *change.rewrite.destination_port);
  }
  const bool has_ip = after.l3 == wire::Layer3::kIpv4 || after.l3 == wire::Layer3::kIpv6;
  if (change.rewrite.decrement_ttl && has_ip) Require(after.ttl + 1 == before.ttl);
  return 0;
}
