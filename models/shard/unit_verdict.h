// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_UNIT_VERDICT_H_
#define FOREFLOW_MODELS_SHARD_UNIT_VERDICT_H_

#include <cstddef>
#include <cstdint>

#include "models/shard/opener.h"
#include "models/shard/reassembler.h"

namespace foreflow::shard {

// What a unit made of a packet from its host or of a datagram from the network. The numbers are what a run's
// fingerprint is taken over: new ones go to the end.
enum class UnitVerdict : std::uint8_t {
  // Of a packet from the host.
  kSent,
  kEmpty,      // it has no bytes
  kTooLong,    // it, or the packet of a fragment that came, is longer than allowed
  kNoSession,  // its peer has no sending key
  kKeySpent,   // the key has sealed as much as it may
  // Of a datagram that was taken.
  kDelivered,  // it made its packet whole
  kHeld,       // kept until its packet is whole
  kFeedback,
  kOldFeedback,  // overtaken by a newer one: what it asks for is done
  kProbe,
  // Of a datagram that did not verify: as OpenStatus.
  kMalformed,
  kUnknownSession,
  kUnknownEpoch,
  kReplayed,
  kStale,
  kForged,
  // Of a message that did, and says what cannot be.
  kWrongFeedback,
  kWrongProbe,
  // Of a fragment that did and was not needed or not allowed: as FragmentFate.
  kDuplicate,
  kAlreadyWhole,
  kRepairUnused,
  kTooLate,
  kOldPacket,  // its packet is older than the ring
  kConflict,
  kMixedEpoch,
  kTooMany,
  kTooSmall,
  kEcnMixed,
};
constexpr std::size_t kUnitVerdicts = static_cast<std::size_t>(UnitVerdict::kEcnMixed) + 1;
// The snake_case name; nullptr out of range.
const char* Name(UnitVerdict verdict);

// Of a verdict on a datagram: whether it was opened, so that its header is what the peer wrote.
constexpr bool IsOpened(UnitVerdict verdict) {
  return verdict < UnitVerdict::kMalformed || verdict > UnitVerdict::kForged;
}

// Of what is not opened: not kOpened.
UnitVerdict VerdictOf(OpenStatus status);
// Of what Reassembler::Input says.
UnitVerdict VerdictOf(FragmentFate fate);

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_UNIT_VERDICT_H_
