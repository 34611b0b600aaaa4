// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_FLOW_TCP_STATE_H_
#define FOREFLOW_MODELS_FLOW_TCP_STATE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/units.h"
#include "models/wire/dissect.h"

namespace foreflow::flow {

// How far a conversation has come, as somebody on the path sees it.
enum class Phase : std::uint8_t {
  kNew,          // not TCP: packets of one side only
  kReplied,      // not TCP: packets of both sides
  kOpening,      // TCP: not both sides have agreed yet
  kEstablished,  // TCP: both sides were seen, and one acknowledged outside the handshake
  kClosing,      // TCP: a FIN was seen
  kClosed,       // TCP: each side's FIN was acknowledged, or a RST was seen
  kCount,
};
constexpr std::size_t kPhases = static_cast<std::size_t>(Phase::kCount);

// The snake_case name; nullptr out of range.
const char* Name(Phase phase);

// One packet of a conversation.
struct ConnectionPacket {
  std::uint8_t side = 0;       // 0 or 1: which endpoint sent it
  bool is_tcp = false;         // false: the fields below do not count
  std::uint8_t tcp_flags = 0;  // as on the wire
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint32_t payload_bytes = 0;
};
// The packet of a dissected frame. A fragment without TCP header counts as a packet that is not TCP.
ConnectionPacket ConnectionPacketOf(const wire::Dissection& packet, std::uint8_t side);

// The state of one conversation, 12 bytes. Follows RFC 9293 section 3.3.2 from the outside: no window is
// kept, so a RST or a FIN is believed whatever its sequence number. Picks up conversations that began unseen.
class ConnectionState {
 public:
  Phase phase() const { return phase_; }
  // Takes the next packet; returns whether the phase changed. A closed conversation opens anew by a SYN only.
  bool Track(const ConnectionPacket& packet);

 private:
  bool TrackTcp(const ConnectionPacket& packet);

  Phase phase_ = Phase::kNew;
  // One bit for each side.
  std::uint8_t seen_ : 2;
  std::uint8_t synced_ : 2;                 // sent SYN with ACK
  std::uint8_t finished_ : 2;               // sent FIN
  std::uint8_t fin_acked_ : 2;              // its FIN was acknowledged
  std::array<std::uint32_t, 2> fin_end_{};  // sequence number after the FIN

 public:
  ConnectionState() : seen_(0), synced_(0), finished_(0), fin_acked_(0) {}
};
static_assert(sizeof(ConnectionState) == 12);

// How long a flow is kept after its last packet, by phase. Defaults: RFC 5382 REQ-5 for established TCP (2 h
// 4 min), the Linux connection tracker (nf_conntrack, kernel documentation) for the others.
struct Timeouts {
  std::array<Nanos, kPhases> by_phase = {Seconds(30),   Seconds(120), Seconds(120),
                                         Seconds(7440), Seconds(120), Seconds(10)};
  constexpr Nanos operator[](Phase phase) const { return by_phase[static_cast<std::size_t>(phase)]; }
};

}  // namespace foreflow::flow

#endif  // FOREFLOW_MODELS_FLOW_TCP_STATE_H_
