// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_SECURE_CHANNEL_H_
#define FOREFLOW_MODELS_CRYPTO_SECURE_CHANNEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/crypto/key_agreement.h"
#include "models/crypto/noise_suite.h"

namespace foreflow::crypto {

// A peer's place in ChannelConfig::peers.
using PeerIndex = std::uint16_t;

// Where a packet came from or goes to. What the bytes mean is the door's: an IPv6 or mapped IPv4 address and
// a UDP port, or the number of a TCP connection.
struct ChannelAddress {
  std::array<std::uint8_t, 16> host{};
  std::uint16_t port = 0;
  bool operator==(const ChannelAddress& other) const { return host == other.host && port == other.port; }
};

struct ChannelPeer {
  PublicKey key{};           // not our own, nobody else's, and no point of small order
  std::uint32_t rights = 0;  // what the peer may do: bits that the application defines
};

// Both ends agree on `application` and on the suite; all else is each end's own. Times are 1 ms .. 1 day.
struct ChannelConfig {
  SecretKey static_key;
  std::string application;                           // 1..32 bytes: a handshake for another purpose fails
  std::vector<ChannelPeer> peers;                    // who may speak with us: 1..4096, no key twice
  NoiseSuite suite = NoiseSuite::kChaChaPolySha256;  // what Connect proposes
  NoiseSuites accepted = NoiseSuites::All();         // what others may propose, where this machine runs it
  std::size_t max_message_bytes = 16'384;            // 1..kMaxMessageBytes, sent or received
  std::size_t replay_records = 8'192;                // bits of the replay window: 128..2^20, a power of two
  Nanos replay_time = Seconds(10);                   // a record this much later than its successors is stale
  Nanos rekey_after = Seconds(120);                  // by time,
  std::uint64_t rekey_after_records = 1u << 22;      // by records: 1..2^27,
  std::uint64_t rekey_after_bytes = std::uint64_t{1} << 36;  // by plaintext: 1..2^38; keys die at twice these
  Nanos retry = Millis(500);                                 // of a handshake; doubles up to 16 times this
  Nanos give_up = Seconds(90);                               // on a handshake that nobody answers
  Nanos keepalive = Seconds(1);                              // what is received is answered by then
  Nanos dead_after = Seconds(4);              // no answer by then: the session is lost, a new handshake
  std::uint32_t handshakes_per_second = 200;  // 0..10^6: above this a cookie is demanded
  std::uint32_t handshakes_per_address = 5;   // 1..10^6: of one host with its cookie so many a second served
};

// Largest plaintext of one record: a record fits a UDP datagram over IPv4.
constexpr std::size_t kMaxMessageBytes = 65'475;
// What a record adds to its plaintext: header 16, tag 16.
constexpr std::size_t kRecordOverhead = 32;
// The longest packet an endpoint sends or takes, handshakes included.
constexpr std::size_t MaxPacketBytes(std::size_t max_message_bytes) {
  return max_message_bytes + kRecordOverhead < 144 ? 144 : max_message_bytes + kRecordOverhead;
}

// What became of a packet that came in. Every packet is counted under one of these.
enum class ChannelStatus : std::uint8_t {
  // Taken.
  kMessage,         // a record with a message: delivered
  kKeepalive,       // a record without one
  kClosed,          // the peer ended the session
  kHandshakeInit,   // message 1 was genuine and has been answered
  kHandshakeReply,  // message 2 was genuine: a session is up
  kCookie,          // a cookie for our next message 1
  // Refused.
  kTruncated,          // its length is not one that its type can have
  kUnknownType,        // type, version or reserved bytes
  kUnknownSession,     // names no live session or handshake of ours
  kForged,             // record or message 2 does not verify
  kReplayed,           // record number seen before
  kStale,              // record number older than the window, or replay_time late
  kExpired,            // its session is past its limits
  kNotForUs,           // message 1 by someone who does not know our public key
  kCookieDemanded,     // message 1 under load without a valid cookie: answered by a cookie, nothing else
  kFlooded,            // message 1 under load from a host beyond its share
  kSuiteRefused,       // message 1 with a suite that is unknown or not accepted
  kHandshakeForged,    // message 1 does not verify, or was made for another application
  kUnknownPeer,        // message 1 by a static key that is not on the list
  kHandshakeReplayed,  // message 1 no newer than one seen before
  kCollision,          // message 1 while our own, which goes first, is under way
  kCount,
};
// The snake_case name; nullptr out of range.
const char* Name(ChannelStatus status);
// Whether a status is one of those above "Refused".
constexpr bool IsTaken(ChannelStatus status) { return status < ChannelStatus::kTruncated; }

// Why there is no session any more.
enum class ChannelEnd : std::uint8_t {
  kClosedByPeer,
  kUnreachable,  // nobody answered for give_up
};

// What an endpoint gives to its caller. References are valid during the call only. Send may be called from
// within OnSession and OnMessage; nothing else of the endpoint may, and nothing from within OnPacket.
class ChannelSink {
 public:
  // To be sent: one datagram, or one frame of a stream (stream_frames.h).
  virtual void OnPacket(const ChannelAddress& to, BytesView packet) = 0;
  // A new session with the peer, known to both ends: the first, one after a restart of either, or new keys.
  virtual void OnSession(PeerIndex peer) = 0;
  // Authentic, and delivered once. The peer is on the list of ChannelConfig; what it may do is the caller's
  // to check.
  virtual void OnMessage(PeerIndex peer, BytesView message) = 0;
  // No session any more, and none being sought.
  virtual void OnEnd(PeerIndex peer, ChannelEnd why) = 0;

 protected:
  ~ChannelSink() = default;
};

// One end of secure channels to known peers: Noise IK handshakes with cookies, records that may be lost,
// repeated, reordered or forged on the way, new keys by time and volume with the old ones alive beside them
// for replay_time. Either side may connect; a channel that is up is the same for both. Messages are delivered
// at most once and unordered, over a stream in order. Behaves the same over datagrams and streams. One thread
// at a time; every PeerIndex is below peers().
//
// Time: `now` is the same clock in all calls. For one static key it never runs backwards, not even over a
// restart, since it dates the handshakes (replay): doors give UTC.
// Memory: all taken here, about 12 KiB a peer at default settings. Nothing is kept for a packet that has not
// been verified.
class SecureEndpoint {
 public:
  // Throws Refusal where the configuration is out of range or a suite does not run on this machine. `seed` is
  // secret, from a good source and never used twice with one static key: ephemeral keys are drawn from it.
  SecureEndpoint(const ChannelConfig& config, const std::array<std::uint8_t, 32>& seed);
  ~SecureEndpoint();
  SecureEndpoint(const SecureEndpoint&) = delete;
  SecureEndpoint& operator=(const SecureEndpoint&) = delete;

  // Sends message 1 of a handshake, and again until OnSession or OnEnd. A session that exists lives on until
  // the new one is up. While a handshake is under way, only its address changes.
  void Connect(PeerIndex peer, const ChannelAddress& to, Nanos now, ChannelSink& sink);

  // A packet came in: one datagram, or one frame. Its bytes are decrypted in place and belong to the endpoint
  // during the call; afterwards they are of no use.
  ChannelStatus Input(MutableBytes packet, const ChannelAddress& from, Nanos now, ChannelSink& sink);

  // One record to the peer, at the address of its newest authentic record. False, and nothing is sent: there
  // is no session, the message is longer than max_message_bytes, or the key is used up.
  bool Send(PeerIndex peer, BytesView message, Nanos now, ChannelSink& sink);

  // Tells the peer, once, and forgets session and handshake. No OnEnd.
  void Close(PeerIndex peer, Nanos now, ChannelSink& sink);

  // Retries, new keys, keepalives, erasure: what is due at `now`. Costs a few comparisons a peer.
  void Tick(Nanos now, ChannelSink& sink);
  // When Tick has something to do next; far in the future where nothing is.
  Nanos NextTick() const;

  bool HasSession(PeerIndex peer) const;
  std::size_t peers() const;
  std::uint32_t rights(PeerIndex peer) const;
  // The handshake's hash (Noise, section 11.2), the same at both ends and in no other session: what a higher
  // protocol may bind to. All zeros without a session.
  std::array<std::uint8_t, 32> ChannelBinding(PeerIndex peer) const;

  // Packets that came in, by what became of them. Their sum is the number of calls of Input.
  using Counts = std::array<std::uint64_t, static_cast<std::size_t>(ChannelStatus::kCount)>;
  const Counts& counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_SECURE_CHANNEL_H_
