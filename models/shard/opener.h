// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_OPENER_H_
#define FOREFLOW_MODELS_SHARD_OPENER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/base/work.h"
#include "models/crypto/replay_window.h"
#include "models/shard/epoch_keys.h"
#include "models/wire/fragment.h"

namespace foreflow::shard {

// What became of a datagram. Before kForged nothing was decrypted; what is counted as kReplayed and kStale
// may be forged too.
enum class OpenStatus : std::uint8_t {
  kOpened,
  kMalformed,       // its wire::ShardFault tells how
  kUnknownSession,  // none with this number
  kUnknownEpoch,    // no live key
  kReplayed,        // a number that was taken before
  kStale,           // a number older than the replay window, or late by more than its time
  kForged,          // the tag does not verify
};
constexpr std::size_t kOpenStatuses = static_cast<std::size_t>(OpenStatus::kForged) + 1;
// The snake_case name; nullptr out of range.
const char* Name(OpenStatus status);

struct OpenerConfig {
  std::size_t sessions = 1;           // 1 .. 65536, a power of two
  std::size_t replay_records = 8192;  // bits of a session's replay window: 128 .. 2^20, a power of two,
                                      // what arrives in replay_time
  Nanos replay_time = Millis(500);    // a message this much later than its successors is stale: 1 ms ..
};

// Verifies and decrypts what comes in, in the order that makes a lie cheapest to refuse: format, session,
// epoch, replay window, tag. Only a datagram whose tag verifies changes anything here, or may change anything
// behind here.
//
// A session's low bits are its place, so that none is searched for: whoever receives names the sessions.
// Memory: sessions x (3 KiB + replay_records / 8), all taken at set-up. One thread. Work: a header each
// datagram that is of this protocol, a cache_line for the session.
class Opener {
 public:
  // Throws Refusal on values outside the ranges above.
  explicit Opener(const OpenerConfig& config);
  ~Opener();
  Opener(const Opener&) = delete;
  Opener& operator=(const Opener&) = delete;

  // Gives the session's place, whoever had it, to this one: no key, nothing received.
  void Begin(std::uint32_t session);
  // nullptr where it has not begun.
  EpochKeys* keys(std::uint32_t session);

  // The datagram's payload is decrypted in place: message.sealed is then plaintext. Of what is not opened the
  // content is lost.
  OpenStatus Open(MutableBytes datagram, Nanos now, wire::ShardMessage& message, Work& work);

  // A session's place, below OpenerConfig::sessions.
  std::size_t IndexOf(std::uint32_t session) const { return session & mask_; }

 private:
  struct Session {
    std::uint32_t id = 0;
    bool has_begun = false;
    crypto::ReplayWindow window;
    EpochKeys keys;
  };

  std::size_t mask_;
  std::unique_ptr<Session[]> sessions_;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_OPENER_H_
