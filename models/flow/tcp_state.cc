// SPDX-License-Identifier: BSD-3-Clause
#include "models/flow/tcp_state.h"

#include "models/wire/tcp.h"

namespace foreflow::flow {
namespace {

// a >= b among sequence numbers (RFC 9293 section 3.4).
bool AtOrAfter(std::uint32_t a, std::uint32_t b) { return a - b < 0x80000000u; }

}  // namespace

const char* Name(Phase phase) {
  static constexpr std::array<const char*, kPhases> kNames = {"new",         "replied", "opening",
                                                              "established", "closing", "closed"};
  const auto index = static_cast<std::size_t>(phase);
  return index < kNames.size() ? kNames[index] : nullptr;
}

ConnectionPacket ConnectionPacketOf(const wire::Dissection& packet, std::uint8_t side) {
  ConnectionPacket out;
  out.side = side;
  out.is_tcp = packet.l4 == wire::Layer4::kTcp;
  out.tcp_flags = packet.tcp_flags;
  out.sequence = packet.tcp_sequence;
  out.acknowledgement = packet.tcp_acknowledgement;
  out.payload_bytes = packet.payload_bytes;
  return out;
}

bool ConnectionState::Track(const ConnectionPacket& packet) {
  if (packet.is_tcp) return TrackTcp(packet);
  const Phase before = phase_;
  seen_ = static_cast<std::uint8_t>((seen_ | 1u << packet.side) & 3u);
  if (phase_ == Phase::kNew && seen_ == 3) phase_ = Phase::kReplied;
  return phase_ != before;
}

bool ConnectionState::TrackTcp(const ConnectionPacket& packet) {
  const Phase before = phase_;
  const unsigned own = 1u << packet.side;
  const bool has_ack = (packet.tcp_flags & wire::kTcpAck) != 0;
  if ((packet.tcp_flags & wire::kTcpRst) != 0) {
    phase_ = Phase::kClosed;
    return phase_ != before;
  }
  if ((packet.tcp_flags & wire::kTcpSyn) != 0) {
    if (phase_ == Phase::kClosed && !has_ack) *this = ConnectionState();
    if (has_ack) synced_ = static_cast<std::uint8_t>((synced_ | own) & 3u);
  }
  if (phase_ == Phase::kClosed) return false;
  seen_ = static_cast<std::uint8_t>((seen_ | own) & 3u);
  if (phase_ == Phase::kNew || phase_ == Phase::kReplied) phase_ = Phase::kOpening;

  // The handshake ends with an ACK that is not part of it, or, after a simultaneous open, with the second
  // SYN+ACK.
  const bool agreed = seen_ == 3 && ((has_ack && (packet.tcp_flags & wire::kTcpSyn) == 0) || synced_ == 3);
  if (phase_ == Phase::kOpening && agreed) phase_ = Phase::kEstablished;

  const unsigned other = 1u - packet.side;
  if (has_ack && (finished_ >> other & 1u) != 0 && AtOrAfter(packet.acknowledgement, fin_end_[other])) {
    fin_acked_ = static_cast<std::uint8_t>((fin_acked_ | 1u << other) & 3u);
  }
  if ((packet.tcp_flags & wire::kTcpFin) != 0) {
    finished_ = static_cast<std::uint8_t>((finished_ | own) & 3u);
    fin_end_[packet.side] = packet.sequence + packet.payload_bytes + 1;
    phase_ = Phase::kClosing;
  }
  if (fin_acked_ == 3) phase_ = Phase::kClosed;
  return phase_ != before;
}

}  // namespace foreflow::flow
