// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_SEQUENCE_FEATURES_H_
#define FOREFLOW_MODELS_PREDICT_SEQUENCE_FEATURES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/predict/packet_type.h"

namespace foreflow::predict {

// What a model of sequences sees of a packet, within its conversation (flow::Canonical, both directions in
// order of arrival): one of kSequenceSymbols symbols and four numbers. The one place where they are computed:
// for training, evaluation and serving. Ports and addresses are left out on purpose, but for one bit, so that
// a model cannot learn the habits of one recording's hosts.
//
// The number changes with anything below that changes what comes out; a model says which it was trained on.
constexpr std::uint32_t kSequenceFeatureSet = 2;
constexpr std::size_t kSequenceSymbols = 126;
constexpr unsigned kSequenceFirstRole =
    4;  // symbols below are of no role, then kinds of the opener, of who answers
constexpr unsigned kSequenceKinds = 61;
constexpr std::size_t kSequenceInputs = 4;
// The names of the numbers, as data sets and models state them.
constexpr std::array<const char*, kSequenceInputs> kSequenceInputNames = {"conversation_gap", "sender_gap",
                                                                          "payload", "run"};

// log2(1 + x) / 32, so 0 to below 1, in steps of 2^-17, saturated at x = 2^32 - 2. In integers: the same bits
// everywhere.
float LogInput(std::uint64_t x);

// One conversation, both directions. Plain data, zero at the start.
struct ConversationState {
  struct Direction {
    std::uint32_t time = 0;    // of the last data, in 2^20 ns, modulo 2^32
    std::uint32_t volume = 0;  // data of the run in bytes, saturated; 0: none yet
  };

  Nanos last_arrival;
  Direction direction[2]{};
  std::uint8_t flags = 0;  // see sequence_features.cc
};
static_assert(sizeof(ConversationState) == 32);

// One virtual port: a VM, or the uplink. Plain data, zero at the start.
struct SenderState {
  Nanos last_arrival;
  bool has_arrival = false;
};

// What SequenceStep makes of one packet.
struct SequenceInputs {
  std::uint8_t symbol = 0;  // 0..kSequenceSymbols - 1
  // LogInput of: the gap since the conversation's, and since the sender's, previous packet in units of 1024
  // ns (the greatest where there was none), the payload in bytes, and the data of the run before this packet
  // in bytes.
  std::array<float, kSequenceInputs> value{};
};

// Makes the inputs of the next packet of a conversation and updates both states. Every packet is shown once,
// in order of arrival. `direction` is Canonical's `swapped`.
//
//   symbol    | packet
//   0, 1      | group-addressed; + 1 where the sender was idle
//   2, 3      | no data, not TCP (ICMP, ARP, other); + 1 where the sender was idle
//   4..64     | from the conversation's opener: kSequenceFirstRole + kind
//   65..125   | from who answers: kSequenceFirstRole + kSequenceKinds + kind
//
//   kind      | TCP or data
//   0..23     | data, the first of its direction for 200 ms: 8 * start + 2 * size, + 1 with PSH
//   24..53    | data of a run: 24 + 6 * run + 2 * size, + 1 with PSH
//   54, 55    | without data: SYN; + 1 where the sender was idle
//   56, 57    | without data: RST, FIN
//   58..60    | other without data (pure ACK): + 2 where the sender was idle, else + 1 after a silence of the
//             | conversation
//
// idle: the sender's previous packet lies more than 200 ms back, or there is none. silence: more than 5 ms.
// start: 2 of an idle sender, else 1 after a silence of the conversation, else 0. size: of the payload, below
// 64, 512, 1300 B, or more; in a run below 512, 1300 B, or more. run: data that the run had before, below 2,
// 4, 8, 16 KiB (where a transfer begins to count as bulk), or more. PSH: of TCP, where an application's write
// ends. opener: who sent the last SYN, or got the last SYN+ACK; without a handshake who first sent data after
// 200 ms without any; before that, the higher port.
void SequenceStep(const PacketSummary& packet, std::uint8_t direction, ConversationState& conversation,
                  SenderState& sender, SequenceInputs& inputs);

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_SEQUENCE_FEATURES_H_
