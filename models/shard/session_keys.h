// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_SESSION_KEYS_H_
#define FOREFLOW_MODELS_SHARD_SESSION_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/crypto/aead.h"
#include "models/crypto/random_stream.h"
#include "models/crypto/secure_channel.h"
#include "models/wire/shard_keys.h"

namespace foreflow::shard {

// Whether a datagram that came to a unit's UDP port is its host's: messages between units begin with their
// version, which is not 0, those of a secure channel with their type, which is below 16.
inline bool IsKeyAgreement(BytesView payload) { return payload.size > 0 && payload.data[0] >> 4 == 0; }

// What a host has its unit do about a peer, and what it sends to the peer's host. References are valid during
// the call. Nothing of SessionKeys may be called from here.
class SessionKeysSink {
 public:
  // One datagram to the peer's host.
  virtual void OnPacket(const crypto::ChannelAddress& to, BytesView packet) = 0;
  // As Unit::Begin, InstallReceivingKey, InstallSendingKey, RetireKeys and End.
  virtual void OnBegin(std::size_t peer, std::uint32_t sending_session, std::uint32_t receiving_session) = 0;
  virtual void OnReceivingKey(std::size_t peer, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                              const std::uint8_t* key) = 0;
  virtual void OnSendingKey(std::size_t peer, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                            const std::uint8_t* key) = 0;
  virtual void OnRetireKeys(std::size_t peer) = 0;
  virtual void OnSessionEnd(std::size_t peer) = 0;

 protected:
  ~SessionKeysSink() = default;
};

// A host's half; peers are numbered by their place in `peers`.
struct SessionKeysConfig {
  crypto::SecretKey own;                                             // static
  std::vector<crypto::PublicKey> peers;                              // 1 .. 256
  crypto::AeadAlgorithm cipher = crypto::AeadAlgorithm::kAes256Gcm;  // must run on this machine
  Nanos rekey_after = Seconds(120);                                  // by time: 10 ms ..
  std::uint64_t rekey_after_bytes = std::uint64_t{1} << 36;  // by text sealed, in either direction: 1 ..
  Nanos overlap = Seconds(1);  // the keys before live on for so long: 1 ms .. rekey_after
  Nanos retry = Millis(250);   // of what is not answered: 1 ms ..
};

// A host's half of agreeing on its unit's sessions and keys with the hosts of its peers, over a secure
// channel (Noise IK with cookies): packets in, packets out, no sockets. Of two hosts the one with the lesser
// public key leads: it offers, the other answers, each names the session by which it receives and makes the
// key for it. A unit sends by a key only when the other one is known to open it. Keys are replaced by time
// and by volume; when a host starts anew, both units begin anew, with new sessions and new keys, so no nonce
// is ever used twice. Keys are overwritten as soon as both units have them.
//
// Time: UTC, as crypto::SecureEndpoint wants it. Not for the data path.
class SessionKeys {
 public:
  // `seed` is secret and never used twice: all keys are drawn from it. `places` is Unit::places(). Throws
  // Refusal on values outside the ranges above, and on two equal keys.
  SessionKeys(const SessionKeysConfig& config, const std::array<std::uint8_t, 32>& seed, std::size_t places);
  ~SessionKeys();
  SessionKeys(const SessionKeys&) = delete;
  SessionKeys& operator=(const SessionKeys&) = delete;

  // Seeks the peer at this address, for as long as it takes.
  void Connect(std::size_t peer, const crypto::ChannelAddress& to, Nanos now, SessionKeysSink& sink);
  // A packet that came, which is decrypted in place.
  crypto::ChannelStatus Input(MutableBytes packet, const crypto::ChannelAddress& from, Nanos now,
                              SessionKeysSink& sink);
  // What is due at `now`: to be called some times in `retry`. Time never runs backwards.
  void Tick(Nanos now, SessionKeysSink& sink);
  // So much text has the newest sending key sealed (Unit::key_use).
  void OnUse(std::size_t peer, std::uint64_t bytes);
  // Tells the peers that nobody is here any more.
  void Close(Nanos now, SessionKeysSink& sink);

  // Whether both directions have keys.
  bool IsReady(std::size_t peer) const;
  struct Counts {
    std::uint64_t begun = 0;    // sessions begun anew
    std::uint64_t rekeyed = 0;  // keys replaced in a session
    std::uint64_t ignored = 0;  // messages that were late, repeated or said what cannot be
  };
  const Counts& counts() const { return counts_; }
  const crypto::SecureEndpoint::Counts& channel() const { return endpoint_->counts(); }

 private:
  class Sink;
  enum class State : std::uint8_t {
    kNone,      // no session
    kOffered,   // leading: an offer waits for its answer
    kAnswered,  // following: an answer waits for kDone
    kReady,
  };
  struct Peer {
    bool leads = false;
    crypto::ChannelAddress address;
    bool has_address = false;
    bool is_seeking = false;  // the endpoint has a session, or looks for one
    bool has_channel = false;
    State state = State::kNone;
    bool is_rekey = false;        // of the offer under way: the session goes on
    bool has_session = false;     // keys of both directions are in use
    std::uint32_t receiving = 0;  // sessions in use, or being agreed on
    std::uint32_t sending = 0;
    std::uint8_t epoch = 0;  // of the newest keys
    std::uint64_t offer = 0;
    crypto::AeadAlgorithm cipher = crypto::AeadAlgorithm::kAes256Gcm;
    crypto::SecretKey receiving_key;  // of the offer or answer under way
    crypto::SecretKey sending_key;    // following, a new session: until kDone
    Nanos said_at;                    // the last time
    Nanos keyed_at;
    bool has_old_keys = false;
    Nanos retire_at;
    std::uint64_t used = 0;
  };

  void OnChannel(std::size_t index, Nanos now, SessionKeysSink& sink, Sink& channel);
  void OnMessage(std::size_t index, const wire::ShardKeyMessage& message, Nanos now, SessionKeysSink& sink,
                 Sink& channel);
  void Offer(std::size_t index, bool is_rekey, Nanos now, SessionKeysSink& sink, Sink& channel);
  void TakeOffer(std::size_t index, const wire::ShardKeyMessage& message, Nanos now, SessionKeysSink& sink,
                 Sink& channel);
  void TakeAnswer(std::size_t index, const wire::ShardKeyMessage& message, Nanos now, SessionKeysSink& sink,
                  Sink& channel);
  void Say(std::size_t index, wire::ShardKeyType type, Nanos now, Sink& channel);
  void Settle(Peer& peer, Nanos now);
  std::uint32_t NewSession(std::size_t index, std::uint32_t before);
  void EndSession(std::size_t index, SessionKeysSink& sink);

  SessionKeysConfig config_;
  std::size_t places_;
  crypto::RandomStream random_;
  std::unique_ptr<crypto::SecureEndpoint> endpoint_;
  std::vector<Peer> peers_;
  std::uint64_t last_offer_ = 0;
  Counts counts_;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_SESSION_KEYS_H_
