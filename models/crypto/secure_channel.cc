// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/secure_channel.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "models/base/refusal.h"
#include "models/base/token_bucket.h"
#include "models/crypto/aead.h"
#include "models/crypto/cookie.h"
#include "models/crypto/keyed_hash.h"
#include "models/crypto/noise_ik.h"
#include "models/crypto/random_stream.h"
#include "models/crypto/replay_window.h"
#include "models/wire/be.h"

namespace foreflow::crypto {
namespace {

// All packets begin with type 1, version 1, then by type (numbers in network order):
//   init    suite 1, zero 1, sender's index 4, Noise message 1 (payload: time 8), mac1 16, mac2 16
//   reply   suite 1, zero 1, receiver's index 4, Noise message 2 (payload: sender's index 4), mac1 16
//   cookie  zero 2, receiver's index 4, sealed cookie 56
//   record  kind 1, zero 1, receiver's index 4, number 8, ciphertext, tag 16; the first 16 bytes are
//   associated data
enum PacketType : std::uint8_t { kInit = 1, kReply = 2, kCookieReply = 3, kRecord = 4 };
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kTimeBytes = 8;
constexpr std::size_t kIndexBytes = 4;
constexpr std::size_t kInitBytes = kHeaderBytes + kNoiseInitOverhead + kTimeBytes + 2 * kMacBytes;
constexpr std::size_t kReplyBytes = kHeaderBytes + kNoiseReplyOverhead + kIndexBytes + kMacBytes;
constexpr std::size_t kCookieReplyBytes = kHeaderBytes + kSealedCookieBytes;
constexpr std::size_t kRecordHeaderBytes = 16;
static_assert(kRecordHeaderBytes + kAeadTagBytes == kRecordOverhead);
static_assert(MaxPacketBytes(1) == kInitBytes);
static_assert(kReplyBytes <= kInitBytes && kCookieReplyBytes <= kInitBytes,
              "nobody is made to send more than he got");

enum RecordKind : std::uint8_t {
  kData,
  kAlive,    // asks for nothing
  kConfirm,  // asks for kAlive: the initiator's, until it has heard from the responder
  kClose,
  kKinds,
};

constexpr char kLabel[] = "foreflow secure channel";
constexpr std::size_t kMaxApplicationBytes = 32;
constexpr std::size_t kMaxPeers = 4096;
constexpr Nanos kNever{std::numeric_limits<std::int64_t>::max()};
// Attempts at a message 2 that cost an agreement on keys, for one message 1: whoever sees that on its way
// could send any number.
constexpr unsigned kMaxForgedReplies = 16;
constexpr unsigned kMaxDoublings = 4;
constexpr std::size_t kHosts = 256;

// An index, by which packets name a session or handshake of their receiver, has its peer in the lower bits;
// the rest is random, so that old packets and guesses miss.
constexpr unsigned kPeerBits = 12;
static_assert(kMaxPeers == 1u << kPeerBits);

constexpr std::size_t kSessions = 3;  // of a peer: current, previous, next
constexpr std::size_t kNoSession = kSessions;

struct Session {
  AeadKey send;
  AeadKey receive;
  Nanos born;
  std::uint64_t sent_records = 0;  // also the next record's number
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_records = 0;
  std::uint64_t received_bytes = 0;
  ReplayWindow window;
  std::uint32_t own_index = 0;
  std::uint32_t peer_index = 0;
  bool is_live = false;
  bool is_initiator = false;
  AeadAlgorithm cipher = AeadAlgorithm::kChaCha20Poly1305;
  Hash256 binding{};

  void Erase() {
    is_live = false;
    send.Erase();
    receive.Erase();
    binding = {};
  }
};

struct Peer {
  PublicKey key{};
  std::uint32_t rights = 0;
  HandshakeMacs macs;
  ChannelAddress address;
  bool is_wanted = false;  // by Connect: without a session one is sought
  bool is_up = false;      // OnSession was called, and no OnEnd since

  // The handshake that we began.
  bool is_seeking = false;
  NoiseIkInitiator handshake;
  NoiseSuite suite = NoiseSuite::kChaChaPolySha256;
  std::uint32_t handshake_index = 0;
  Nanos sought_since;
  Nanos retry_at;
  unsigned tries = 0;
  unsigned forged_replies = 0;
  Mac128 first_mac{};
  Cookie cookie{};
  Nanos cookie_until{std::numeric_limits<std::int64_t>::min()};
  std::uint64_t last_time_sent = 0;

  bool has_time_seen = false;
  std::uint64_t last_time_seen = 0;  // in a genuine message 1

  std::array<Session, kSessions> sessions;
  std::size_t current = kNoSession;
  std::size_t previous = kNoSession;  // received with until previous_until
  std::size_t next = kNoSession;      // a responder's, until a record shows that the initiator has the keys
  Nanos previous_until;
  bool is_unheard = false;  // as the initiator of current, we have not yet heard from the responder
  Nanos confirm_at;
  Nanos unanswered_since = kNever;  // the first record that wants an answer
  Nanos owing_since = kNever;       // the first record that wants ours

  Session* Current() { return current == kNoSession ? nullptr : &sessions[current]; }
  void EraseSession(std::size_t& place) {
    if (place != kNoSession) sessions[place].Erase();
    place = kNoSession;
  }
  void EraseSessions() {
    EraseSession(current);
    EraseSession(previous);
    EraseSession(next);
    is_unheard = false;
    unanswered_since = owing_since = kNever;
  }
  void StopSeeking() {
    is_seeking = false;
    handshake.Erase();
  }
  // One that is none of the three.
  std::size_t FreePlace() const {
    for (std::size_t place = 0;; ++place) {
      if (place != current && place != previous && place != next) return place;
    }
  }
};

ChannelStatus HeaderStatus(BytesView packet) {
  if (packet.size < kHeaderBytes) return ChannelStatus::kTruncated;
  const std::uint8_t* const at = packet.data;
  if (at[1] != kVersion || at[3] != 0) return ChannelStatus::kUnknownType;
  switch (at[0]) {
    case kInit:
      return packet.size == kInitBytes ? ChannelStatus::kHandshakeInit : ChannelStatus::kTruncated;
    case kReply:
      return packet.size == kReplyBytes ? ChannelStatus::kHandshakeReply : ChannelStatus::kTruncated;
    case kCookieReply:
      if (at[2] != 0) return ChannelStatus::kUnknownType;
      return packet.size == kCookieReplyBytes ? ChannelStatus::kCookie : ChannelStatus::kTruncated;
    case kRecord:
      if (at[2] >= kKinds) return ChannelStatus::kUnknownType;
      return packet.size >= kRecordOverhead ? ChannelStatus::kMessage : ChannelStatus::kTruncated;
    default:
      return ChannelStatus::kUnknownType;
  }
}

template <typename Number>
void CheckRange(const char* key, Number value, Number least, Number most) {
  if (value >= least && value <= most) return;
  throw Refusal("secure channel", key, std::to_string(value),
                std::to_string(least) + ".." + std::to_string(most));
}

void CheckTime(const char* key, Nanos value) {
  CheckRange(key, value.count(), Millis(1).count(), Seconds(86'400).count());
}

void CheckSuite(const char* key, NoiseSuite suite) {
  if (Name(suite) == nullptr) {
    throw Refusal("secure channel", key, std::to_string(static_cast<int>(suite)), "1..4");
  }
  if (!Runs(CipherOf(suite))) {
    throw Refusal("secure channel", key, Name(suite),
                  "a suite with ChaChaPoly: this machine runs no AES-GCM");
  }
}

}  // namespace

const char* Name(ChannelStatus status) {
  static constexpr const char* kNames[] = {
      "message",   "keepalive",     "closed",           "handshake_init",  "handshake_reply",
      "cookie",    "truncated",     "unknown_type",     "unknown_session", "forged",
      "replayed",  "stale",         "expired",          "not_for_us",      "cookie_demanded",
      "flooded",   "suite_refused", "handshake_forged", "unknown_peer",    "handshake_replayed",
      "collision",
  };
  static_assert(std::size(kNames) == static_cast<std::size_t>(ChannelStatus::kCount));
  return status < ChannelStatus::kCount ? kNames[static_cast<std::size_t>(status)] : nullptr;
}

struct SecureEndpoint::State {
  State(const ChannelConfig& given, const std::array<std::uint8_t, 32>& seed)
      : config(given),
        random(seed),
        own_key(PublicKeyOf(given.static_key)),
        own_macs(own_key),
        mint(random.Secret()),
        load(given.handshakes_per_second, given.handshakes_per_second),
        hosts(kHosts, TokenBucket(given.handshakes_per_address, given.handshakes_per_address)),
        peers(given.peers.size()),
        out(MaxPacketBytes(given.max_message_bytes)) {
    random.Fill({host_key.data(), host_key.size()});
    prologue.reserve(sizeof(kLabel) + kMaxApplicationBytes + kHeaderBytes);
    prologue.assign(kLabel, kLabel + sizeof(kLabel));
    prologue.insert(prologue.end(), given.application.begin(), given.application.end());
    prologue.resize(prologue.size() + kHeaderBytes);
    for (std::size_t i = 0; i < peers.size(); ++i) {
      peers[i].key = given.peers[i].key;
      peers[i].rights = given.peers[i].rights;
      peers[i].macs = HandshakeMacs(peers[i].key);
      for (Session& session : peers[i].sessions)
        session.window.Resize(config.replay_records, config.replay_time);
    }
    config.peers.clear();
    config.accepted = {};
    for (const NoiseSuite suite : {NoiseSuite::kChaChaPolyBlake2s, NoiseSuite::kChaChaPolySha256,
                                   NoiseSuite::kAesGcmBlake2s, NoiseSuite::kAesGcmSha256}) {
      if (given.accepted.Has(suite) && Runs(CipherOf(suite))) config.accepted = config.accepted.With(suite);
    }
  }

  // One that no session or handshake of the peer has.
  std::uint32_t NewIndex(const Peer& peer) {
    for (;;) {
      const std::uint32_t index = random.Next32() << kPeerBits | IndexOf(peer);
      if (index != peer.handshake_index &&
          std::none_of(peer.sessions.begin(), peer.sessions.end(),
                       [index](const Session& session) { return session.own_index == index; })) {
        return index;
      }
    }
  }
  // The peer that an index of ours names; nullptr: none can have it.
  Peer* PeerOf(std::uint32_t index) {
    const std::size_t i = index & (kMaxPeers - 1);
    return i < peers.size() ? &peers[i] : nullptr;
  }
  PeerIndex IndexOf(const Peer& peer) const { return static_cast<PeerIndex>(&peer - peers.data()); }

  // Bound to the label, the application and all that message 1 says in clear.
  BytesView Prologue(const std::uint8_t* header) {
    std::memcpy(prologue.data() + prologue.size() - kHeaderBytes, header, kHeaderBytes);
    return {prologue.data(), prologue.size()};
  }

  void WriteHeader(PacketType type, std::uint8_t detail, std::uint32_t index) {
    out[0] = type;
    out[1] = kVersion;
    out[2] = detail;
    out[3] = 0;
    wire::Store32(out.data() + 4, index);
  }

  // Whether the keys have been used for so many halves of what is configured: by time, records or bytes.
  bool IsPast(const Session& session, Nanos now, std::uint64_t halves) const {
    const auto past = [halves](std::uint64_t used, std::uint64_t limit) {
      return 2 * used >= limit * halves;
    };
    return now - session.born >= config.rekey_after * static_cast<std::int64_t>(halves) / 2 ||
           past(session.sent_records, config.rekey_after_records) ||
           past(session.received_records, config.rekey_after_records) ||
           past(session.sent_bytes, config.rekey_after_bytes) ||
           past(session.received_bytes, config.rekey_after_bytes);
  }
  bool IsDead(const Session& session, Nanos now) const { return IsPast(session, now, 4); }
  // The initiator makes new keys; the responder does where that has not come about.
  bool IsDue(const Session& session, Nanos now) const {
    return IsPast(session, now, session.is_initiator ? 2 : 3);
  }

  bool SendRecord(Peer& peer, Session& session, RecordKind kind, BytesView text, Nanos now,
                  ChannelSink& sink) {
    if (IsDead(session, now)) return false;
    const std::uint64_t number = session.sent_records++;
    session.sent_bytes += text.size;
    WriteHeader(kRecord, kind, session.peer_index);
    wire::Store64(out.data() + kHeaderBytes, number);
    std::uint8_t* const sealed = out.data() + kRecordHeaderBytes;
    session.send.Seal(NoiseNonce(session.cipher, number), {out.data(), kRecordHeaderBytes}, text, sealed,
                      sealed + text.size);
    peer.owing_since = kNever;
    if (kind != kAlive && peer.unanswered_since == kNever) peer.unanswered_since = now;
    sink.OnPacket(peer.address, {out.data(), text.size + kRecordOverhead});
    return true;
  }

  void Seek(Peer& peer, NoiseSuite suite, Nanos now, ChannelSink& sink) {
    peer.is_seeking = true;
    peer.suite = suite;
    peer.sought_since = now;
    peer.tries = 0;
    SendInit(peer, now, sink);
  }

  // A new message 1: what was sent before cannot be answered any more.
  void SendInit(Peer& peer, Nanos now, ChannelSink& sink) {
    peer.handshake_index = NewIndex(peer);
    peer.forged_replies = 0;
    peer.last_time_sent =
        std::max(peer.last_time_sent + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(now.count(), 0)));
    WriteHeader(kInit, static_cast<std::uint8_t>(peer.suite), peer.handshake_index);
    std::uint8_t* const message = out.data() + kHeaderBytes;
    std::array<std::uint8_t, kTimeBytes> time;
    wire::Store64(time.data(), peer.last_time_sent);
    // Succeeds: the peer's key was tried at construction.
    peer.handshake.WriteInit(peer.suite, Prologue(out.data()), config.static_key, own_key, peer.key,
                             random.Secret(), {time.data(), time.size()}, message);
    std::uint8_t* const macs = out.data() + kInitBytes - 2 * kMacBytes;
    peer.first_mac = peer.macs.First({out.data(), kInitBytes - 2 * kMacBytes});
    std::memcpy(macs, peer.first_mac.data(), kMacBytes);
    Mac128 second{};
    if (now < peer.cookie_until)
      second = HandshakeMacs::Second(peer.cookie, {out.data(), kInitBytes - kMacBytes});
    std::memcpy(macs + kMacBytes, second.data(), kMacBytes);

    // Up to a quarter more, by chance: two ends, or many, that began together do not go on together.
    const Nanos pause = config.retry * (std::int64_t{1} << std::min(peer.tries, kMaxDoublings));
    peer.retry_at = now + pause + pause / 4 * (random.Next32() & 0xff) / 256;
    ++peer.tries;
    sink.OnPacket(peer.address, {out.data(), kInitBytes});
  }

  void Begin(Session& session, bool is_initiator, NoiseSuite suite, const NoiseKeys& keys,
             std::uint32_t own_index, std::uint32_t peer_index, Nanos now) {
    session.is_live = true;
    session.is_initiator = is_initiator;
    session.own_index = own_index;
    session.peer_index = peer_index;
    session.cipher = CipherOf(suite);
    session.send.Set(session.cipher, keys.send.data());
    session.receive.Set(session.cipher, keys.receive.data());
    session.born = now;
    session.sent_records = session.sent_bytes = session.received_records = session.received_bytes = 0;
    session.window.Clear();
    session.binding = keys.hash;
  }

  // `place` becomes the current session; `old`, current or next, is received with for a while.
  void Promote(Peer& peer, std::size_t place, std::size_t old, Nanos now) {
    for (std::size_t* each : {&peer.current, &peer.previous, &peer.next}) {
      if (*each == place || *each == old) {
        *each = kNoSession;
      } else {
        peer.EraseSession(*each);
      }
    }
    peer.current = place;
    peer.previous = old;
    peer.previous_until = now + config.replay_time;
    peer.unanswered_since = peer.owing_since = kNever;
    peer.is_unheard = false;
    peer.StopSeeking();
  }

  void End(Peer& peer, ChannelEnd why, ChannelSink& sink) {
    peer.EraseSessions();
    peer.StopSeeking();
    peer.is_wanted = peer.is_up = false;
    sink.OnEnd(IndexOf(peer), why);
  }

  ChannelStatus TakeInit(BytesView packet, const ChannelAddress& from, Nanos now, ChannelSink& sink);
  ChannelStatus TakeReply(BytesView packet, const ChannelAddress& from, Nanos now, ChannelSink& sink);
  ChannelStatus TakeCookie(BytesView packet, Nanos now, ChannelSink& sink);
  ChannelStatus TakeRecord(MutableBytes packet, const ChannelAddress& from, Nanos now, ChannelSink& sink);
  ChannelStatus Admit(BytesView packet, const ChannelAddress& from, Nanos now, ChannelSink& sink);
  void TickPeer(Peer& peer, Nanos now, ChannelSink& sink);
  Nanos Next(const Peer& peer) const;

  ChannelConfig config;
  RandomStream random;
  PublicKey own_key;
  HandshakeMacs own_macs;
  CookieMint mint;
  TokenBucket load;
  std::vector<TokenBucket> hosts;
  Key128 host_key{};
  std::vector<Peer> peers;
  std::vector<std::uint8_t> prologue;
  std::vector<std::uint8_t> out;
  Counts counts{};
};

// Whether a message 1 is worth the agreement on keys: kHandshakeInit, or why not.
ChannelStatus SecureEndpoint::State::Admit(BytesView packet, const ChannelAddress& from, Nanos now,
                                           ChannelSink& sink) {
  Mac128 first, second;
  std::memcpy(first.data(), packet.data + kInitBytes - 2 * kMacBytes, kMacBytes);
  std::memcpy(second.data(), packet.data + kInitBytes - kMacBytes, kMacBytes);
  const Mac128 right = own_macs.First(packet.First(kInitBytes - 2 * kMacBytes));
  if (!EqualConstantTime({right.data(), kMacBytes}, {first.data(), kMacBytes}))
    return ChannelStatus::kNotForUs;
  if (!config.accepted.Has(packet.data[2])) return ChannelStatus::kSuiteRefused;
  if (load.Take(now)) return ChannelStatus::kHandshakeInit;

  std::array<std::uint8_t, 18> address;
  std::memcpy(address.data(), from.host.data(), from.host.size());
  wire::Store16(address.data() + from.host.size(), from.port);
  const BytesView claimed{address.data(), address.size()};
  if (!mint.Accepts(claimed, now, packet.First(kInitBytes - kMacBytes), second)) {
    WriteHeader(kCookieReply, 0, wire::Load32(packet.data + 4));
    std::array<std::uint8_t, kCookieNonceBytes> nonce;
    random.Fill({nonce.data(), nonce.size()});
    own_macs.SealCookie(mint.For(claimed, now), first, nonce.data(), out.data() + kHeaderBytes);
    sink.OnPacket(from, {out.data(), kCookieReplyBytes});
    return ChannelStatus::kCookieDemanded;
  }
  const std::uint64_t host = KeyedHash(host_key, {from.host.data(), from.host.size()}) % kHosts;
  return hosts[host].Take(now) ? ChannelStatus::kHandshakeInit : ChannelStatus::kFlooded;
}

ChannelStatus SecureEndpoint::State::TakeInit(BytesView packet, const ChannelAddress& from, Nanos now,
                                              ChannelSink& sink) {
  const ChannelStatus admitted = Admit(packet, from, now, sink);
  if (admitted != ChannelStatus::kHandshakeInit) return admitted;
  const auto suite = static_cast<NoiseSuite>(packet.data[2]);
  const BytesView message = packet.From(kHeaderBytes).First(kNoiseInitOverhead + kTimeBytes);
  NoiseIkResponder responder;
  PublicKey initiator;
  if (!responder.ReadInitiator(suite, Prologue(packet.data), config.static_key, own_key, message,
                               initiator)) {
    return ChannelStatus::kHandshakeForged;
  }
  const auto found =
      std::find_if(peers.begin(), peers.end(), [&](const Peer& peer) { return peer.key == initiator; });
  if (found == peers.end()) return ChannelStatus::kUnknownPeer;
  Peer& peer = *found;
  std::array<std::uint8_t, kTimeBytes> payload;
  if (!responder.ReadPayload(config.static_key, message, payload.data()))
    return ChannelStatus::kHandshakeForged;
  const std::uint64_t time = wire::Load64(payload.data());
  if (peer.has_time_seen && time <= peer.last_time_seen) return ChannelStatus::kHandshakeReplayed;
  peer.has_time_seen = true;
  peer.last_time_seen = time;
  if (peer.is_seeking) {
    // Both ends began. The greater key's handshake goes on, the other is dropped: both ends see it alike.
    if (own_key > peer.key) return ChannelStatus::kCollision;
    peer.StopSeeking();
  }

  peer.EraseSession(peer.next);
  const std::size_t place = peer.FreePlace();
  const std::uint32_t own_index = NewIndex(peer);
  const std::uint32_t peer_index = wire::Load32(packet.data + 4);
  WriteHeader(kReply, packet.data[2], peer_index);
  std::array<std::uint8_t, kIndexBytes> index;
  wire::Store32(index.data(), own_index);
  NoiseKeys keys;
  if (!responder.WriteReply(random.Secret(), {index.data(), index.size()}, out.data() + kHeaderBytes, keys)) {
    return ChannelStatus::kHandshakeForged;
  }
  const Mac128 mac = peer.macs.First({out.data(), kReplyBytes - kMacBytes});
  std::memcpy(out.data() + kReplyBytes - kMacBytes, mac.data(), kMacBytes);
  Begin(peer.sessions[place], false, suite, keys, own_index, peer_index, now);
  peer.next = place;
  sink.OnPacket(from, {out.data(), kReplyBytes});
  return ChannelStatus::kHandshakeInit;
}

ChannelStatus SecureEndpoint::State::TakeReply(BytesView packet, const ChannelAddress& from, Nanos now,
                                               ChannelSink& sink) {
  const std::uint32_t index = wire::Load32(packet.data + 4);
  Peer* const peer = PeerOf(index);
  if (peer == nullptr || !peer->is_seeking || peer->handshake_index != index)
    return ChannelStatus::kUnknownSession;
  const Mac128 right = own_macs.First(packet.First(kReplyBytes - kMacBytes));
  if (!EqualConstantTime({right.data(), kMacBytes}, {packet.data + kReplyBytes - kMacBytes, kMacBytes}) ||
      packet.data[2] != static_cast<std::uint8_t>(peer->suite) || peer->forged_replies >= kMaxForgedReplies) {
    return ChannelStatus::kForged;
  }
  std::array<std::uint8_t, kIndexBytes> payload;
  NoiseKeys keys;
  const BytesView message = packet.From(kHeaderBytes).First(kNoiseReplyOverhead + kIndexBytes);
  if (!peer->handshake.ReadReply(message, payload.data(), keys)) {
    ++peer->forged_replies;
    return ChannelStatus::kForged;
  }
  // A session that the peer began and that we answered may already be in its use: it is newer than current.
  const std::size_t old = peer->next != kNoSession ? peer->next : peer->current;
  peer->EraseSession(peer->previous);
  const std::size_t place = peer->FreePlace();
  Begin(peer->sessions[place], true, peer->suite, keys, index, wire::Load32(payload.data()), now);
  Promote(*peer, place, old, now);
  peer->address = from;
  peer->is_unheard = true;
  peer->confirm_at = now + config.retry;
  SendRecord(*peer, *peer->Current(), kConfirm, {}, now, sink);
  peer->is_up = true;
  sink.OnSession(IndexOf(*peer));
  return ChannelStatus::kHandshakeReply;
}

ChannelStatus SecureEndpoint::State::TakeCookie(BytesView packet, Nanos now, ChannelSink& sink) {
  const std::uint32_t index = wire::Load32(packet.data + 4);
  Peer* const peer = PeerOf(index);
  if (peer == nullptr || !peer->is_seeking || peer->handshake_index != index)
    return ChannelStatus::kUnknownSession;
  Cookie cookie;
  if (!peer->macs.OpenCookie(packet.data + kHeaderBytes, peer->first_mac, cookie))
    return ChannelStatus::kForged;
  // Only a first cookie is used at once: whoever repeats cookies makes us send no faster than our timer.
  const bool is_first = now >= peer->cookie_until;
  peer->cookie = cookie;
  peer->cookie_until = now + CookieMint::kPeriod;
  if (is_first) SendInit(*peer, now, sink);
  return ChannelStatus::kCookie;
}

ChannelStatus SecureEndpoint::State::TakeRecord(MutableBytes packet, const ChannelAddress& from, Nanos now,
                                                ChannelSink& sink) {
  const std::uint32_t index = wire::Load32(packet.data + 4);
  Peer* const peer = PeerOf(index);
  if (peer == nullptr) return ChannelStatus::kUnknownSession;
  const auto found =
      std::find_if(peer->sessions.begin(), peer->sessions.end(),
                   [index](const Session& session) { return session.is_live && session.own_index == index; });
  if (found == peer->sessions.end()) return ChannelStatus::kUnknownSession;
  Session& session = *found;
  if (packet.size - kRecordOverhead > config.max_message_bytes) return ChannelStatus::kTruncated;
  if (IsDead(session, now)) return ChannelStatus::kExpired;
  const std::uint64_t number = wire::Load64(packet.data + kHeaderBytes);
  switch (session.window.Look(number, now)) {
    case ReplayWindow::Verdict::kFresh:
      break;
    case ReplayWindow::Verdict::kReplayed:
      return ChannelStatus::kReplayed;
    case ReplayWindow::Verdict::kStale:
      return ChannelStatus::kStale;
  }
  const MutableBytes text{packet.data + kRecordHeaderBytes, packet.size - kRecordOverhead};
  if (!session.receive.Open(NoiseNonce(session.cipher, number), BytesView{packet.data, kRecordHeaderBytes},
                            text, text.data + text.size, text.data)) {
    return ChannelStatus::kForged;
  }
  const bool is_newest = session.window.Take(number);
  ++session.received_records;
  session.received_bytes += text.size;
  const auto place = static_cast<std::size_t>(found - peer->sessions.begin());
  const bool is_new_session = place == peer->next;
  if (is_new_session) Promote(*peer, place, peer->current, now);
  peer->unanswered_since = kNever;
  if (place == peer->current) {
    peer->is_unheard = false;
    if (is_newest) peer->address = from;
  }
  if (is_new_session) {
    peer->is_up = true;
    sink.OnSession(IndexOf(*peer));
  }
  switch (packet.data[2]) {
    case kData:
      peer->owing_since = std::min(peer->owing_since, now);
      sink.OnMessage(IndexOf(*peer), text);
      return ChannelStatus::kMessage;
    case kConfirm:
      if (Session* current = peer->Current()) SendRecord(*peer, *current, kAlive, {}, now, sink);
      return ChannelStatus::kKeepalive;
    case kClose:
      if (place == peer->current) {
        End(*peer, ChannelEnd::kClosedByPeer, sink);
      } else {
        peer->EraseSession(peer->previous);  // late: there has been another session since
      }
      return ChannelStatus::kClosed;
    default:
      return ChannelStatus::kKeepalive;
  }
}

void SecureEndpoint::State::TickPeer(Peer& peer, Nanos now, ChannelSink& sink) {
  if (peer.previous != kNoSession && now >= peer.previous_until) peer.EraseSession(peer.previous);
  if (peer.next != kNoSession && now - peer.sessions[peer.next].born >= config.dead_after) {
    peer.EraseSession(peer.next);
  }
  if (Session* current = peer.Current(); current != nullptr && IsDead(*current, now)) {
    peer.EraseSession(peer.current);
    peer.is_unheard = false;
    peer.unanswered_since = peer.owing_since = kNever;
  }
  // Before what decides on new keys: a record may be the last that the keys are good for.
  if (Session* current = peer.Current()) {
    if (peer.is_unheard && now >= peer.confirm_at) {
      peer.confirm_at = now + config.retry;
      SendRecord(peer, *current, kConfirm, {}, now, sink);
    }
    if (peer.owing_since != kNever && now - peer.owing_since >= config.keepalive) {
      peer.owing_since = kNever;  // sent or, with a dead key, not
      SendRecord(peer, *current, kAlive, {}, now, sink);
    }
  }

  const bool is_unanswered =
      peer.unanswered_since != kNever && now - peer.unanswered_since >= config.dead_after;
  if (peer.is_seeking && now >= peer.retry_at) {
    if (now - peer.sought_since < config.give_up) {
      SendInit(peer, now, sink);
    } else if (peer.Current() != nullptr && !is_unanswered) {
      peer.StopSeeking();  // and begins anew below, if the keys are due
    } else {
      End(peer, ChannelEnd::kUnreachable, sink);
    }
  }
  if (peer.is_seeking) return;
  if (Session* current = peer.Current()) {
    if (is_unanswered || IsDue(*current, now)) Seek(peer, config.suite, now, sink);
  } else if (peer.next == kNoSession) {
    if (peer.is_wanted) {
      Seek(peer, config.suite, now, sink);
    } else if (peer.is_up) {
      End(peer, ChannelEnd::kUnreachable, sink);
    }
  }
}

// The times that TickPeer compares with.
Nanos SecureEndpoint::State::Next(const Peer& peer) const {
  Nanos at = kNever;
  const auto by = [&at](Nanos time) { at = std::min(at, time); };
  if (peer.previous != kNoSession) by(peer.previous_until);
  if (peer.next != kNoSession) by(peer.sessions[peer.next].born + config.dead_after);
  if (peer.is_seeking) by(peer.retry_at);
  if (peer.current == kNoSession) {
    if (!peer.is_seeking && peer.next == kNoSession && (peer.is_wanted || peer.is_up)) by(Nanos());
    return at;
  }
  const Session& current = peer.sessions[peer.current];
  by(current.born + config.rekey_after * 2);
  if (!peer.is_seeking) {
    by(IsDue(current, current.born) ? current.born
                                    : current.born + config.rekey_after * (current.is_initiator ? 2 : 3) / 2);
    if (peer.unanswered_since != kNever) by(peer.unanswered_since + config.dead_after);
  }
  if (peer.is_unheard) by(peer.confirm_at);
  if (peer.owing_since != kNever) by(peer.owing_since + config.keepalive);
  return at;
}

SecureEndpoint::SecureEndpoint(const ChannelConfig& config, const std::array<std::uint8_t, 32>& seed) {
  if (sodium_init() < 0) throw Refusal("libsodium cannot be initialised on this machine");
  CheckRange<std::size_t>("application, in bytes,", config.application.size(), 1, kMaxApplicationBytes);
  CheckRange<std::size_t>("number of peers", config.peers.size(), 1, kMaxPeers);
  CheckRange<std::size_t>("max_message_bytes", config.max_message_bytes, 1, kMaxMessageBytes);
  CheckRange<std::size_t>("replay_records", config.replay_records, 128, 1u << 20);
  if ((config.replay_records & (config.replay_records - 1)) != 0) {
    throw Refusal("secure channel", "replay_records", std::to_string(config.replay_records),
                  "a power of two");
  }
  CheckTime("replay_time, in ns,", config.replay_time);
  CheckTime("rekey_after, in ns,", config.rekey_after);
  CheckTime("retry, in ns,", config.retry);
  CheckTime("give_up, in ns,", config.give_up);
  CheckTime("keepalive, in ns,", config.keepalive);
  CheckTime("dead_after, in ns,", config.dead_after);
  CheckRange<std::uint64_t>("rekey_after_records", config.rekey_after_records, 1, 1u << 27);
  CheckRange<std::uint64_t>("rekey_after_bytes", config.rekey_after_bytes, 1, std::uint64_t{1} << 38);
  CheckRange<std::uint32_t>("handshakes_per_second", config.handshakes_per_second, 0, 1'000'000);
  CheckRange<std::uint32_t>("handshakes_per_address", config.handshakes_per_address, 1, 1'000'000);
  CheckSuite("suite", config.suite);
  for (std::size_t i = 0; i < config.peers.size(); ++i) {
    const PublicKey& key = config.peers[i].key;
    SecretKey shared;
    const bool is_own = key == PublicKeyOf(config.static_key);
    const bool is_known =
        std::any_of(config.peers.begin(), config.peers.begin() + static_cast<std::ptrdiff_t>(i),
                    [&key](const ChannelPeer& other) { return other.key == key; });
    if (is_own || is_known || !AgreeOnKey(config.static_key, key, shared)) {
      throw Refusal("secure channel", "public key of peer " + std::to_string(i),
                    is_own     ? "our own"
                    : is_known ? "that of another peer"
                               : "a point of small order",
                    "a public key that only this peer has");
    }
  }
  state_ = std::make_unique<State>(config, seed);
}

SecureEndpoint::~SecureEndpoint() = default;

void SecureEndpoint::Connect(PeerIndex peer, const ChannelAddress& to, Nanos now, ChannelSink& sink) {
  Peer& found = state_->peers[peer];
  found.address = to;
  found.is_wanted = true;
  if (!found.is_seeking) state_->Seek(found, state_->config.suite, now, sink);
}

ChannelStatus SecureEndpoint::Input(MutableBytes packet, const ChannelAddress& from, Nanos now,
                                    ChannelSink& sink) {
  ChannelStatus status = HeaderStatus(packet);
  if (packet.size > state_->out.size()) status = ChannelStatus::kTruncated;
  switch (status) {
    case ChannelStatus::kHandshakeInit:
      status = state_->TakeInit(packet, from, now, sink);
      break;
    case ChannelStatus::kHandshakeReply:
      status = state_->TakeReply(packet, from, now, sink);
      break;
    case ChannelStatus::kCookie:
      status = state_->TakeCookie(packet, now, sink);
      break;
    case ChannelStatus::kMessage:
      status = state_->TakeRecord(packet, from, now, sink);
      break;
    default:
      break;
  }
  ++state_->counts[static_cast<std::size_t>(status)];
  return status;
}

bool SecureEndpoint::Send(PeerIndex peer, BytesView message, Nanos now, ChannelSink& sink) {
  Peer& found = state_->peers[peer];
  Session* const current = found.Current();
  return current != nullptr && message.size <= state_->config.max_message_bytes &&
         state_->SendRecord(found, *current, kData, message, now, sink);
}

void SecureEndpoint::Close(PeerIndex peer, Nanos now, ChannelSink& sink) {
  Peer& found = state_->peers[peer];
  if (Session* current = found.Current()) state_->SendRecord(found, *current, kClose, {}, now, sink);
  found.EraseSessions();
  found.StopSeeking();
  found.is_wanted = found.is_up = false;
}

void SecureEndpoint::Tick(Nanos now, ChannelSink& sink) {
  for (Peer& peer : state_->peers) state_->TickPeer(peer, now, sink);
}

Nanos SecureEndpoint::NextTick() const {
  Nanos at = kNever;
  for (const Peer& peer : state_->peers) at = std::min(at, state_->Next(peer));
  return at;
}

bool SecureEndpoint::HasSession(PeerIndex peer) const { return state_->peers[peer].current != kNoSession; }
std::size_t SecureEndpoint::peers() const { return state_->peers.size(); }
std::uint32_t SecureEndpoint::rights(PeerIndex peer) const { return state_->peers[peer].rights; }

std::array<std::uint8_t, 32> SecureEndpoint::ChannelBinding(PeerIndex peer) const {
  const Peer& found = state_->peers[peer];
  return found.current == kNoSession ? Hash256{} : found.sessions[found.current].binding;
}

const SecureEndpoint::Counts& SecureEndpoint::counts() const { return state_->counts; }

}  // namespace foreflow::crypto
