// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_VERDICT_H_
#define FOREFLOW_MODELS_PATH_VERDICT_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/reason.h"
#include "models/flow/flow_key.h"
#include "models/predict/packet_type.h"
#include "models/rules/rule.h"
#include "models/tag/meter.h"
#include "models/tag/prediction_tag.h"

namespace foreflow::path {

// All that was decided about one packet. Two doors agree when these agree.
struct Verdict {
  rules::Verb verb = rules::Verb::kDrop;  // kTrap: decided and forwarded by the host
  Reason reason = Reason::kDefaultDrop;
  std::uint32_t rule = rules::kNoRule;  // standard rule
  std::uint32_t tag_rule = rules::kNoRule;
  std::uint8_t queue = 0;  // below rules::kQueues
  bool mirrored = false;
  tag::Colour colour = tag::Colour::kGreen;  // green without a meter
  tag::TagStatus tag_status = tag::TagStatus::kAbsent;
  predict::PacketType predicted = predict::PacketType::kControl;  // valid with a tag only
  std::uint16_t confidence = 0;                                   // 65535 = 1
  flow::VmId vm = 0;
  bool used_prediction = false;  // first use of an entry that prediction had installed

  bool sharded = false;                     // marked for the sharding unit
  std::uint16_t change = rules::kNoChange;  // what the rule changes in the packet that leaves

  bool punted = false;  // the packet went to the host's table: not the fast path
};

// The fingerprint's input: one fixed little-endian record a packet, of every field above.
constexpr std::size_t kVerdictBytes = 24;
std::array<std::uint8_t, kVerdictBytes> Encode(const Verdict& verdict);

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_VERDICT_H_
