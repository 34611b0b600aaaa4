// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/session_keys.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::shard {
namespace {

constexpr std::size_t kMostPeers = 256;
constexpr char kApplication[] = "foreflow shard keys 1";

// Overwrites what the compiler may not leave out.
template <typename Bytes>
void Wipe(Bytes& bytes) {
  volatile std::uint8_t* at = bytes.data();
  for (std::size_t i = 0; i < bytes.size(); ++i) at[i] = 0;
}

void Check(const char* key, std::uint64_t value, std::uint64_t least, std::uint64_t most) {
  if (value < least || value > most) {
    throw Refusal("session keys", key, std::to_string(value),
                  std::to_string(least) + " .. " + std::to_string(most));
  }
}
void Check(const char* key, Nanos value, Nanos least) {
  if (value < least) {
    throw Refusal("session keys", key, std::to_string(value.count()) + " ns",
                  "at least " + std::to_string(least.count()) + " ns");
  }
}

crypto::ChannelConfig ChannelOf(const SessionKeysConfig& config) {
  crypto::ChannelConfig channel;
  channel.static_key = config.own;
  channel.application = kApplication;
  for (const crypto::PublicKey& key : config.peers) channel.peers.push_back({key, 0});
  channel.max_message_bytes = wire::ShardKeyMessage::kBytes;
  return channel;
}

}  // namespace

// What the channel gives, during one call.
class SessionKeys::Sink final : public crypto::ChannelSink {
 public:
  Sink(SessionKeys& self, Nanos now, SessionKeysSink& sink) : self_(self), now_(now), sink_(sink) {}

  void OnPacket(const crypto::ChannelAddress& to, BytesView packet) override { sink_.OnPacket(to, packet); }
  void OnSession(crypto::PeerIndex peer) override { self_.OnChannel(peer, now_, sink_, *this); }
  void OnMessage(crypto::PeerIndex peer, BytesView bytes) override {
    wire::ShardKeyMessage message;
    const std::uint8_t* end = wire::Decode(bytes.begin(), bytes.end(), message);
    if (end == nullptr || end != bytes.end()) {
      ++self_.counts_.ignored;
      return;
    }
    self_.OnMessage(peer, message, now_, sink_, *this);
    Wipe(message.key);
  }
  void OnEnd(crypto::PeerIndex peer, crypto::ChannelEnd) override {
    self_.peers_[peer].has_channel = false;
    self_.peers_[peer].is_seeking = false;
    self_.EndSession(peer, sink_);
  }
  void Send(std::size_t peer, BytesView message) {
    self_.endpoint_->Send(static_cast<crypto::PeerIndex>(peer), message, now_, *this);
  }

 private:
  SessionKeys& self_;
  Nanos now_;
  SessionKeysSink& sink_;
};

SessionKeys::SessionKeys(const SessionKeysConfig& config, const std::array<std::uint8_t, 32>& seed,
                         std::size_t places)
    : config_(config), places_(places), random_(seed), peers_(config.peers.size()) {
  Check("peers", config.peers.size(), 1, kMostPeers);
  Check("rekey_after", config.rekey_after, Millis(10));
  Check("rekey_after_bytes", config.rekey_after_bytes, 1, UINT64_MAX);
  Check("overlap", config.overlap, Millis(1));
  if (config.overlap > config.rekey_after) {
    throw Refusal("session keys", "overlap", std::to_string(config.overlap.count()) + " ns",
                  "at most rekey_after, " + std::to_string(config.rekey_after.count()) + " ns");
  }
  Check("retry", config.retry, Millis(1));
  if (!crypto::Runs(config.cipher)) throw Refusal("session keys: this machine does not run the cipher");
  const crypto::PublicKey own = crypto::PublicKeyOf(config.own);
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    if (config.peers[i] == own) throw Refusal("session keys: a peer has our own key");
    peers_[i].leads = own < config.peers[i];
  }
  std::array<std::uint8_t, 32> channel_seed;
  random_.Fill({channel_seed.data(), channel_seed.size()});
  endpoint_ = std::make_unique<crypto::SecureEndpoint>(ChannelOf(config), channel_seed);
  Wipe(channel_seed);
}

SessionKeys::~SessionKeys() = default;

void SessionKeys::Connect(std::size_t peer, const crypto::ChannelAddress& to, Nanos now,
                          SessionKeysSink& sink) {
  Sink channel(*this, now, sink);
  peers_[peer].address = to;
  peers_[peer].has_address = peers_[peer].is_seeking = true;
  endpoint_->Connect(static_cast<crypto::PeerIndex>(peer), to, now, channel);
}

crypto::ChannelStatus SessionKeys::Input(MutableBytes packet, const crypto::ChannelAddress& from, Nanos now,
                                         SessionKeysSink& sink) {
  Sink channel(*this, now, sink);
  return endpoint_->Input(packet, from, now, channel);
}

void SessionKeys::Tick(Nanos now, SessionKeysSink& sink) {
  Sink channel(*this, now, sink);
  endpoint_->Tick(now, channel);
  for (std::size_t index = 0; index < peers_.size(); ++index) {
    Peer& peer = peers_[index];
    if (peer.has_address && !peer.is_seeking) Connect(index, peer.address, now, sink);
    if (peer.has_old_keys && now >= peer.retire_at) {
      peer.has_old_keys = false;
      sink.OnRetireKeys(index);
    }
    if (!peer.has_channel) continue;
    const bool is_again = now - peer.said_at >= config_.retry;
    const bool is_spent = peer.used >= config_.rekey_after_bytes;
    if (peer.state == State::kOffered && is_again) {
      Say(index, wire::ShardKeyType::kOffer, now, channel);
    } else if (peer.state == State::kAnswered && is_again) {
      Say(index, wire::ShardKeyType::kAnswer, now, channel);
    } else if (peer.state == State::kReady && peer.leads) {
      if (is_spent || now - peer.keyed_at >= config_.rekey_after) Offer(index, true, now, sink, channel);
    } else if (peer.state == State::kReady && is_spent && is_again) {
      Say(index, wire::ShardKeyType::kAsk, now, channel);
    }
  }
}

void SessionKeys::OnUse(std::size_t peer, std::uint64_t bytes) { peers_[peer].used = bytes; }

void SessionKeys::Close(Nanos now, SessionKeysSink& sink) {
  Sink channel(*this, now, sink);
  for (std::size_t index = 0; index < peers_.size(); ++index) {
    endpoint_->Close(static_cast<crypto::PeerIndex>(index), now, channel);
    peers_[index].has_channel = peers_[index].has_address = false;
    EndSession(index, sink);
  }
}

bool SessionKeys::IsReady(std::size_t peer) const { return peers_[peer].has_session; }

// A channel that is up anew: new keys, and, where the other host has forgotten the session, a new session.
void SessionKeys::OnChannel(std::size_t index, Nanos now, SessionKeysSink& sink, Sink& channel) {
  Peer& peer = peers_[index];
  peer.has_channel = peer.is_seeking = true;
  if (!peer.leads) return;
  if (peer.state == State::kOffered) {
    Say(index, wire::ShardKeyType::kOffer, now, channel);
  } else {
    Offer(index, peer.has_session, now, sink, channel);
  }
}

void SessionKeys::OnMessage(std::size_t index, const wire::ShardKeyMessage& message, Nanos now,
                            SessionKeysSink& sink, Sink& channel) {
  Peer& peer = peers_[index];
  const bool is_of_offer = message.offer == peer.offer;
  switch (message.type) {
    case wire::ShardKeyType::kOffer:
      if (!peer.leads) return TakeOffer(index, message, now, sink, channel);
      break;
    case wire::ShardKeyType::kAnswer:
      if (peer.leads && is_of_offer) return TakeAnswer(index, message, now, sink, channel);
      break;
    case wire::ShardKeyType::kDone:
      if (peer.leads || !is_of_offer || peer.state != State::kAnswered) break;
      if (!peer.is_rekey) sink.OnSendingKey(index, peer.epoch, peer.cipher, peer.sending_key.data());
      return Settle(peer, now);
    case wire::ShardKeyType::kLost:
      if (!peer.leads || !is_of_offer || peer.state != State::kOffered) break;
      return Offer(index, false, now, sink, channel);
    case wire::ShardKeyType::kAsk:
      if (!peer.leads || peer.state != State::kReady || message.epoch != peer.epoch) break;
      return Offer(index, true, now, sink, channel);
  }
  ++counts_.ignored;
}

void SessionKeys::Offer(std::size_t index, bool is_rekey, Nanos now, SessionKeysSink& sink, Sink& channel) {
  Peer& peer = peers_[index];
  last_offer_ = std::max(last_offer_ + 1, static_cast<std::uint64_t>(now.count()));
  peer.offer = last_offer_;
  peer.is_rekey = is_rekey;
  peer.cipher = config_.cipher;
  peer.receiving_key = random_.Secret();
  peer.state = State::kOffered;
  if (is_rekey) {
    ++peer.epoch;
    sink.OnReceivingKey(index, peer.epoch, peer.cipher, peer.receiving_key.data());
  } else {
    peer.epoch = 0;
    peer.receiving = NewSession(index, peer.receiving);
    peer.sending = 0;
    peer.has_session = peer.has_old_keys = false;
  }
  Say(index, wire::ShardKeyType::kOffer, now, channel);
}

void SessionKeys::TakeOffer(std::size_t index, const wire::ShardKeyMessage& message, Nanos now,
                            SessionKeysSink& sink, Sink& channel) {
  Peer& peer = peers_[index];
  const auto cipher = static_cast<crypto::AeadAlgorithm>(message.cipher);
  const bool is_known = message.cipher <= static_cast<std::uint8_t>(crypto::AeadAlgorithm::kChaCha20Poly1305);
  if (message.offer < peer.offer || !is_known || !crypto::Runs(cipher) || message.receiving == 0) {
    ++counts_.ignored;
    return;
  }
  if (message.offer == peer.offer) {  // what was said to it was lost
    if (peer.state == State::kReady) {
      ++counts_.ignored;
    } else {
      const bool is_answered = peer.state == State::kAnswered;
      Say(index, is_answered ? wire::ShardKeyType::kAnswer : wire::ShardKeyType::kLost, now, channel);
    }
    return;
  }
  const bool is_rekey = message.sending != 0;
  const bool is_next = peer.has_session && message.receiving == peer.sending &&
                       message.sending == peer.receiving &&
                       message.epoch == static_cast<std::uint8_t>(peer.epoch + 1);
  peer.offer = message.offer;
  if (is_rekey && !is_next) {
    peer.state = State::kNone;
    Say(index, wire::ShardKeyType::kLost, now, channel);
    return;
  }
  peer.is_rekey = is_rekey;
  peer.cipher = cipher;
  peer.epoch = message.epoch;
  peer.receiving_key = random_.Secret();
  peer.state = State::kAnswered;
  if (!is_rekey) {
    peer.receiving = NewSession(index, peer.receiving);
    peer.sending = message.receiving;
    peer.sending_key = crypto::SecretKey(message.key);
    peer.has_session = peer.has_old_keys = false;
    sink.OnBegin(index, peer.sending, peer.receiving);
  }
  sink.OnReceivingKey(index, peer.epoch, cipher, peer.receiving_key.data());
  if (is_rekey) sink.OnSendingKey(index, peer.epoch, cipher, message.key.data());
  Say(index, wire::ShardKeyType::kAnswer, now, channel);
}

void SessionKeys::TakeAnswer(std::size_t index, const wire::ShardKeyMessage& message, Nanos now,
                             SessionKeysSink& sink, Sink& channel) {
  Peer& peer = peers_[index];
  if (peer.state == State::kReady) return Say(index, wire::ShardKeyType::kDone, now, channel);
  const bool is_right = peer.state == State::kOffered && message.sending == peer.receiving &&
                        message.epoch == peer.epoch && message.receiving != 0 &&
                        (!peer.is_rekey || message.receiving == peer.sending);
  if (!is_right) {
    ++counts_.ignored;
    return;
  }
  if (!peer.is_rekey) {
    peer.sending = message.receiving;
    sink.OnBegin(index, peer.sending, peer.receiving);
    sink.OnReceivingKey(index, peer.epoch, peer.cipher, peer.receiving_key.data());
  }
  sink.OnSendingKey(index, peer.epoch, peer.cipher, message.key.data());
  Settle(peer, now);
  Say(index, wire::ShardKeyType::kDone, now, channel);
}

// Both directions have their keys.
void SessionKeys::Settle(Peer& peer, Nanos now) {
  peer.state = State::kReady;
  peer.has_session = true;
  peer.keyed_at = now;
  peer.used = 0;
  ++(peer.is_rekey ? counts_.rekeyed : counts_.begun);
  if (peer.is_rekey) {
    peer.has_old_keys = true;
    peer.retire_at = now + config_.overlap;
  }
  peer.receiving_key.Erase();
  peer.sending_key.Erase();
}

void SessionKeys::Say(std::size_t index, wire::ShardKeyType type, Nanos now, Sink& channel) {
  Peer& peer = peers_[index];
  wire::ShardKeyMessage message;
  message.type = type;
  message.epoch = peer.epoch;
  message.cipher = static_cast<std::uint8_t>(peer.cipher);
  message.offer = peer.offer;
  message.receiving = peer.receiving;
  message.sending = peer.sending;
  if (type == wire::ShardKeyType::kOffer || type == wire::ShardKeyType::kAnswer) {
    std::copy_n(peer.receiving_key.data(), message.key.size(), message.key.begin());
  }
  std::array<std::uint8_t, wire::ShardKeyMessage::kBytes> bytes;
  wire::Encode(bytes.data(), bytes.data() + bytes.size(), message);
  peer.said_at = now;
  channel.Send(index, {bytes.data(), bytes.size()});
  Wipe(bytes);
  Wipe(message.key);
}

// Its low bits are the peer's place, as Unit::Begin wants them.
std::uint32_t SessionKeys::NewSession(std::size_t index, std::uint32_t before) {
  const auto places = static_cast<std::uint32_t>(places_);
  for (;;) {
    const std::uint32_t session = random_.Next32() / places * places + static_cast<std::uint32_t>(index);
    if (session != 0 && session != before) return session;
  }
}

void SessionKeys::EndSession(std::size_t index, SessionKeysSink& sink) {
  Peer& peer = peers_[index];
  peer.state = State::kNone;
  peer.has_session = peer.has_old_keys = false;
  peer.receiving_key.Erase();
  peer.sending_key.Erase();
  sink.OnSessionEnd(index);
}

}  // namespace foreflow::shard
