// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "models/crypto/noise_ik.h"
#include "models/crypto/test_channel.h"

// Input: suite 1, what to do 1, length of the payload 1, then bytes. An honest initiator and an honest
// responder; the input is the payload and is laid over one of the two messages. A message that was changed is
// refused, by the reader of message 1 or, where only its payload's proof is concerned, by the second step;
// one that was not is taken, and both ends then agree. A message that is the input's alone is never taken.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foreflow;
  using namespace foreflow::crypto;
  if (size < 3) return 0;
  const auto suite = static_cast<NoiseSuite>(1 + data[0] % 4);
  const unsigned what = data[1] % 3;
  const BytesView rest = BytesView{data, size}.From(3);
  const BytesView payload = rest.First(data[2]);
  const BytesView over = rest.From(payload.size);
  static const SecretKey own = TestSecret(1), other = TestSecret(2);
  static const PublicKey own_public = PublicKeyOf(own), other_public = PublicKeyOf(other);

  // Lays the input over a message; whether that changed it.
  const auto change = [&over](std::vector<std::uint8_t>& message) {
    const std::vector<std::uint8_t> genuine = message;
    for (std::size_t i = 0; i < std::min(over.size, message.size()); ++i) {
      message[i] = static_cast<std::uint8_t>(message[i] ^ over.data[i]);
    }
    return message != genuine;
  };
  NoiseIkInitiator initiator;
  NoiseIkResponder responder;
  std::vector<std::uint8_t> message(payload.size + kNoiseInitOverhead);
  if (!initiator.WriteInit(suite, payload, own, own_public, other_public, TestSecret(3), payload,
                           message.data()))
    std::abort();
  bool is_changed = what == 0 && change(message);
  if (what == 2) {
    message.assign(over.begin(), over.end());
    is_changed = true;
  }
  PublicKey claimed;
  std::vector<std::uint8_t> text(std::max(message.size(), kNoiseInitOverhead) - kNoiseInitOverhead + 1);
  const bool is_taken = responder.ReadInitiator(suite, payload, other, other_public,
                                                {message.data(), message.size()}, claimed) &&
                        responder.ReadPayload(other, {message.data(), message.size()}, text.data());
  // The upper bit of a point is not part of it; the transcript is.
  if (is_taken == is_changed) std::abort();
  if (!is_taken) return 0;
  if (claimed != PublicKeyOf(own) || !std::equal(payload.begin(), payload.end(), text.begin())) std::abort();

  NoiseKeys at_responder, at_initiator;
  message.resize(payload.size + kNoiseReplyOverhead);
  if (!responder.WriteReply(TestSecret(4), payload, message.data(), at_responder)) std::abort();
  const std::vector<std::uint8_t> genuine = message;
  text.assign(payload.size + 1, 0);
  if (what == 1 && change(message) &&
      initiator.ReadReply({message.data(), message.size()}, text.data(), at_initiator)) {
    std::abort();
  }
  if (!initiator.ReadReply({genuine.data(), genuine.size()}, text.data(), at_initiator)) std::abort();
  if (at_initiator.hash != at_responder.hash ||
      std::memcmp(at_initiator.send.data(), at_responder.receive.data(), 32) != 0 ||
      std::memcmp(at_initiator.receive.data(), at_responder.send.data(), 32) != 0) {
    std::abort();
  }
  return 0;
}
