// SPDX-License-Identifier: BSD-3-Clause
// The ciphers, the records of a secure channel and its handshake, beside OpenSSL and libsodium in one
// process, in turns. Prints the JSON list of `foreflow bench`.
#include <openssl/evp.h>
#include <sodium.h>
#ifdef FOREFLOW_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bench/measure.h"
#include "models/crypto/aead.h"
#include "models/crypto/noise_ik.h"
#include "models/crypto/secure_channel.h"

namespace foreflow::bench {
namespace {

using crypto::AeadAlgorithm;
using crypto::AeadKey;
using crypto::AeadNonce;
using crypto::kAeadTagBytes;

constexpr double kNanosASecond = 1e9;
constexpr std::size_t kOperations = 4'000;
constexpr std::size_t kSizes[] = {64, 256, 512, 1400};
constexpr std::array<std::uint8_t, 32> kKey = {1, 2, 3};
constexpr std::array<std::uint8_t, 16> kAssociated = {4, 5, 6};

// Nanoseconds of this thread's CPU time an operation, the i-th of which is work(nonce of i).
template <typename F>
double NanosEach(const F& work) {
  const double begin = ThreadSeconds();
  for (std::size_t i = 0; i < kOperations; ++i) work(crypto::NoiseNonce(AeadAlgorithm::kAes256Gcm, i));
  return (ThreadSeconds() - begin) * kNanosASecond / kOperations;
}

// Text and tag of one operation, in place.
struct Buffer {
  explicit Buffer(std::size_t size) : text(size, 7) {}
  std::vector<std::uint8_t> text;
  std::array<std::uint8_t, kAeadTagBytes> tag{};
};

// Opening is timed on one sealed text: a copy of it each time, in all contenders alike.
void Check(bool opened) {
  if (!opened) throw std::logic_error("a text of our own was refused");
}

Contender Ours(AeadAlgorithm algorithm, std::size_t size, bool is_open) {
  auto key = std::make_shared<AeadKey>();
  key->Set(algorithm, kKey.data());
  return [key, size, is_open] {
    Buffer buffer(size);
    const BytesView associated{kAssociated.data(), kAssociated.size()};
    const BytesView text{buffer.text.data(), size};
    if (!is_open) {
      return NanosEach([&](const AeadNonce& nonce) {
        key->Seal(nonce, associated, text, buffer.text.data(), buffer.tag.data());
      });
    }
    key->Seal({}, associated, text, buffer.text.data(), buffer.tag.data());
    std::vector<std::uint8_t> out(size);
    return NanosEach(
        [&](const AeadNonce&) { Check(key->Open({}, associated, text, buffer.tag.data(), out.data())); });
  };
}

// With the key made ready beforehand where libsodium can.
Contender Sodium(AeadAlgorithm algorithm, std::size_t size, bool is_open) {
  auto key = std::make_shared<AeadKey>();
  key->Set(algorithm, crypto::AeadBackEnd::kSodium, kKey.data());
  auto state = std::make_shared<crypto_aead_aes256gcm_state>();
  crypto_aead_aes256gcm_beforenm(state.get(), kKey.data());
  return [algorithm, size, is_open, state] {
    Buffer buffer(size);
    std::uint8_t* const text = buffer.text.data();
    std::uint8_t* const tag = buffer.tag.data();
    const bool is_aes = algorithm == AeadAlgorithm::kAes256Gcm;
    const auto seal = [&](const AeadNonce& nonce) {
      if (is_aes) {
        crypto_aead_aes256gcm_encrypt_detached_afternm(text, tag, nullptr, text, size, kAssociated.data(),
                                                       kAssociated.size(), nullptr, nonce.data(),
                                                       state.get());
      } else {
        crypto_aead_chacha20poly1305_ietf_encrypt_detached(text, tag, nullptr, text, size, kAssociated.data(),
                                                           kAssociated.size(), nullptr, nonce.data(),
                                                           kKey.data());
      }
    };
    if (!is_open) return NanosEach(seal);
    const AeadNonce zero{};
    seal(zero);
    std::vector<std::uint8_t> out(size);
    return NanosEach([&](const AeadNonce&) {
      Check((is_aes ? crypto_aead_aes256gcm_decrypt_detached_afternm(out.data(), nullptr, text, size, tag,
                                                                     kAssociated.data(), kAssociated.size(),
                                                                     zero.data(), state.get())
                    : crypto_aead_chacha20poly1305_ietf_decrypt_detached(
                          out.data(), nullptr, text, size, tag, kAssociated.data(), kAssociated.size(),
                          zero.data(), kKey.data())) == 0);
    });
  };
}

#ifdef FOREFLOW_IPSEC_MB
Contender BareIpsecMb(std::size_t size, bool is_open) {
  const std::shared_ptr<IMB_MGR> manager(alloc_mb_mgr(0), free_mb_mgr);
  if (manager == nullptr) throw std::runtime_error("intel-ipsec-mb has no manager on this machine");
  init_mb_mgr_auto(manager.get(), nullptr);
  const auto key = std::make_shared<gcm_key_data>();
  IMB_AES256_GCM_PRE(manager.get(), kKey.data(), key.get());
  return [manager, key, size, is_open] {
    Buffer buffer(size);
    gcm_context_data context;
    const auto seal = [&](const AeadNonce& nonce) {
      IMB_AES256_GCM_ENC(manager.get(), key.get(), &context, buffer.text.data(), buffer.text.data(), size,
                         nonce.data(), kAssociated.data(), kAssociated.size(), buffer.tag.data(),
                         kAeadTagBytes);
    };
    if (!is_open) return NanosEach(seal);
    const AeadNonce zero{};
    seal(zero);
    std::vector<std::uint8_t> out(size);
    std::array<std::uint8_t, kAeadTagBytes> tag;
    return NanosEach([&](const AeadNonce&) {
      IMB_AES256_GCM_DEC(manager.get(), key.get(), &context, out.data(), buffer.text.data(), size,
                         zero.data(), kAssociated.data(), kAssociated.size(), tag.data(), kAeadTagBytes);
      Check(tag == buffer.tag);
    });
  };
}
#endif

// AES-256-GCM by the function of the library that serves it, with nothing of ours around it.
Contender Bare(std::size_t size, bool is_open) {
#ifdef FOREFLOW_IPSEC_MB
  if (FastestBackEnd(AeadAlgorithm::kAes256Gcm) == crypto::AeadBackEnd::kIpsecMb)
    return BareIpsecMb(size, is_open);
#endif
  return Sodium(AeadAlgorithm::kAes256Gcm, size, is_open);
}

// One context with its key, used again with a new nonce.
Contender OpenSsl(AeadAlgorithm algorithm, std::size_t size, bool is_open) {
  const EVP_CIPHER* const cipher = algorithm == AeadAlgorithm::kAes128Gcm   ? EVP_aes_128_gcm()
                                   : algorithm == AeadAlgorithm::kAes256Gcm ? EVP_aes_256_gcm()
                                                                            : EVP_chacha20_poly1305();
  const std::shared_ptr<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  return [cipher, context, size, is_open] {
    Buffer buffer(size);
    const int bytes = static_cast<int>(size);
    int written = 0;
    const auto seal = [&](const AeadNonce& nonce) {
      EVP_EncryptInit_ex(context.get(), nullptr, nullptr, nullptr, nonce.data());
      EVP_EncryptUpdate(context.get(), nullptr, &written, kAssociated.data(), kAssociated.size());
      EVP_EncryptUpdate(context.get(), buffer.text.data(), &written, buffer.text.data(), bytes);
      EVP_EncryptFinal_ex(context.get(), buffer.text.data() + size, &written);
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kAeadTagBytes, buffer.tag.data());
    };
    EVP_EncryptInit_ex(context.get(), cipher, nullptr, kKey.data(), nullptr);
    if (!is_open) return NanosEach(seal);
    const AeadNonce zero{};
    seal(zero);
    std::vector<std::uint8_t> out(size);
    EVP_DecryptInit_ex(context.get(), cipher, nullptr, kKey.data(), nullptr);
    return NanosEach([&](const AeadNonce&) {
      EVP_DecryptInit_ex(context.get(), nullptr, nullptr, nullptr, zero.data());
      EVP_DecryptUpdate(context.get(), nullptr, &written, kAssociated.data(), kAssociated.size());
      EVP_DecryptUpdate(context.get(), out.data(), &written, buffer.text.data(), bytes);
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kAeadTagBytes, buffer.tag.data());
      Check(EVP_DecryptFinal_ex(context.get(), out.data() + size, &written) == 1);
    });
  };
}

// Hands packets over without a network.
struct Wire final : crypto::ChannelSink {
  void OnPacket(const crypto::ChannelAddress&, BytesView packet) override {
    std::copy(packet.begin(), packet.end(), bytes.begin());
    size = packet.size;
  }
  void OnSession(crypto::PeerIndex) override { ++sessions; }
  void OnMessage(crypto::PeerIndex, BytesView message) override { received += message.size; }
  void OnEnd(crypto::PeerIndex, crypto::ChannelEnd) override {}

  MutableBytes Take() { return {bytes.data(), std::exchange(size, 0)}; }

  std::array<std::uint8_t, 20'000> bytes;
  std::size_t size = 0;
  std::size_t sessions = 0;
  std::size_t received = 0;
};

// Two ends of a channel in one thread.
struct Channel {
  Channel() : a(Config(1, 2), Seed(3)), b(Config(2, 1), Seed(4)) {}

  void Connect() {
    now += Seconds(1);
    a.Connect(0, {}, now, from_a);
    b.Input(from_a.Take(), {}, now, from_b);
    a.Input(from_b.Take(), {}, now, from_a);
    b.Input(from_a.Take(), {}, now, from_b);
    a.Input(from_b.Take(), {}, now, from_a);
  }
  static crypto::SecretKey Secret(std::uint8_t which) { return crypto::SecretKey(Seed(which)); }
  static std::array<std::uint8_t, 32> Seed(std::uint8_t which) {
    std::array<std::uint8_t, 32> seed;
    seed.fill(which);
    return seed;
  }
  static crypto::ChannelConfig Config(std::uint8_t own, std::uint8_t other) {
    crypto::ChannelConfig config;
    config.static_key = Secret(own);
    config.application = "bench";
    config.peers.push_back({PublicKeyOf(Secret(other)), 0});
    config.suite = crypto::NoiseSuite::kAesGcmSha256;
    config.rekey_after_records = 1u << 27;
    config.handshakes_per_second = 1'000'000;
    return config;
  }

  crypto::SecureEndpoint a, b;
  Wire from_a, from_b;
  Nanos now = Seconds(1000);
};

// Send, hand over and Input of one message: nanoseconds.
Contender Record(std::size_t size) {
  auto channel = std::make_shared<Channel>();
  channel->Connect();
  return [channel, size] {
    const std::vector<std::uint8_t> message(size, 7);
    const std::size_t before = channel->from_b.received;
    const double nanos = NanosEach([&](const AeadNonce&) {
      channel->a.Send(0, {message.data(), message.size()}, channel->now, channel->from_a);
      channel->b.Input(channel->from_a.Take(), {}, channel->now, channel->from_b);
    });
    if (channel->from_b.received != before + kOperations * size)
      throw std::logic_error("a record was refused");
    return nanos;
  };
}

// The bare seal, copy and open that a record takes.
Contender BareRecord(std::size_t size) {
  auto key = std::make_shared<AeadKey>();
  key->Set(AeadAlgorithm::kAes256Gcm, kKey.data());
  return [key, size] {
    const std::vector<std::uint8_t> message(size, 7);
    std::vector<std::uint8_t> sent(size + kAeadTagBytes), received(size + kAeadTagBytes);
    const BytesView associated{kAssociated.data(), kAssociated.size()};
    return NanosEach([&](const AeadNonce& nonce) {
      key->Seal(nonce, associated, {message.data(), size}, sent.data(), sent.data() + size);
      std::copy(sent.begin(), sent.end(), received.begin());
      Check(key->Open(nonce, associated, {received.data(), size}, received.data() + size, received.data()));
    });
  };
}

constexpr std::size_t kHandshakes = 40;

// Both ends' work, the confirmation included, in one thread.
Contender Handshakes() {
  auto channel = std::make_shared<Channel>();
  return [channel] {
    const std::size_t before = channel->from_b.sessions;
    const double begin = ThreadSeconds();
    for (std::size_t i = 0; i < kHandshakes; ++i) channel->Connect();
    const double seconds = ThreadSeconds() - begin;
    if (channel->from_b.sessions != before + kHandshakes) throw std::logic_error("a handshake failed");
    return static_cast<double>(kHandshakes) / seconds;
  };
}

// What of them cannot be saved: 8 agreements and 2 key pairs, by OpenSSL's X25519.
Contender OpenSslAgreements() {
  const std::shared_ptr<EVP_PKEY> own(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, kKey.data(), kKey.size()), EVP_PKEY_free);
  const std::shared_ptr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(own.get(), nullptr), EVP_PKEY_CTX_free);
  EVP_PKEY_derive_init(context.get());
  EVP_PKEY_derive_set_peer(context.get(), own.get());
  return [own, context] {
    std::array<std::uint8_t, 32> shared;
    const double begin = ThreadSeconds();
    for (std::size_t i = 0; i < kHandshakes; ++i) {
      for (int agreement = 0; agreement < 8; ++agreement) {
        std::size_t size = shared.size();
        if (EVP_PKEY_derive(context.get(), shared.data(), &size) != 1)
          throw std::logic_error("OpenSSL's X25519 failed");
      }
      for (int pair = 0; pair < 2; ++pair) {
        EVP_PKEY_free(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, shared.data(), shared.size()));
      }
    }
    return static_cast<double>(kHandshakes) / (ThreadSeconds() - begin);
  };
}

std::vector<Row> MeasureAll() {
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialised on this machine");
  std::vector<Comparison> comparisons;
  const std::pair<AeadAlgorithm, const char*> kAlgorithms[] = {
      {AeadAlgorithm::kAes128Gcm, "aes128gcm"},
      {AeadAlgorithm::kAes256Gcm, "aes256gcm"},
      {AeadAlgorithm::kChaCha20Poly1305, "chacha20poly1305"}};
  for (const auto& [algorithm, name] : kAlgorithms) {
    for (const bool is_open : {false, true}) {
      for (const std::size_t size : kSizes) {
        const std::string row =
            std::string("crypto/") + name + (is_open ? "_open_" : "_seal_") + std::to_string(size);
        comparisons.push_back({row, "ns", "OpenSSL EVP, context kept", Better::kLess,
                               Ours(algorithm, size, is_open), OpenSsl(algorithm, size, is_open)});
        if (algorithm == AeadAlgorithm::kAes128Gcm) continue;  // libsodium has none
        comparisons.push_back({row + "_beside_libsodium", "ns", "libsodium, key kept ready", Better::kLess,
                               Ours(algorithm, size, is_open), Sodium(algorithm, size, is_open)});
        if (algorithm != AeadAlgorithm::kAes256Gcm) continue;
        comparisons.push_back({row + "_beside_bare", "ns", "the library that does it, called bare",
                               Better::kLess, Ours(algorithm, size, is_open), Bare(size, is_open)});
      }
    }
  }
  for (const std::size_t size : kSizes) {
    comparisons.push_back({"crypto/record_" + std::to_string(size), "ns, sent and received",
                           "AES-256-GCM alone, and the copy", Better::kLess, Record(size), BareRecord(size)});
  }
  comparisons.push_back({"crypto/handshakes_per_s", "handshakes/s, both ends",
                         "their X25519 alone, by OpenSSL", Better::kMore, Handshakes(), OpenSslAgreements()});
  return Measure(comparisons);
}

}  // namespace
}  // namespace foreflow::bench

int main() { return foreflow::bench::Report(foreflow::bench::MeasureAll); }
