// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/unit_verdict.h"

#include <array>

namespace foreflow::shard {

const char* Name(UnitVerdict verdict) {
  static constexpr std::array<const char*, kUnitVerdicts> kNames = {
      "sent",          "empty",         "too_long",      "no_session", "key_spent",      "delivered",
      "held",          "feedback",      "old_feedback",  "probe",      "malformed",      "unknown_session",
      "unknown_epoch", "replayed",      "stale",         "forged",     "wrong_feedback", "wrong_probe",
      "duplicate",     "already_whole", "repair_unused", "too_late",   "old_packet",     "conflict",
      "mixed_epoch",   "too_many",      "too_small",     "ecn_mixed"};
  const auto index = static_cast<std::size_t>(verdict);
  return index < kNames.size() ? kNames[index] : nullptr;
}

UnitVerdict VerdictOf(OpenStatus status) {
  static constexpr std::array<UnitVerdict, kOpenStatuses> kVerdicts = {
      UnitVerdict::kDelivered,    UnitVerdict::kMalformed, UnitVerdict::kUnknownSession,
      UnitVerdict::kUnknownEpoch, UnitVerdict::kReplayed,  UnitVerdict::kStale,
      UnitVerdict::kForged};
  return kVerdicts[static_cast<std::size_t>(status)];
}

UnitVerdict VerdictOf(FragmentFate fate) {
  switch (fate) {
    case FragmentFate::kHeld:
      return UnitVerdict::kHeld;
    case FragmentFate::kDelivered:
      return UnitVerdict::kDelivered;
    case FragmentFate::kDuplicate:
      return UnitVerdict::kDuplicate;
    case FragmentFate::kAlreadyWhole:
      return UnitVerdict::kAlreadyWhole;
    case FragmentFate::kRepairUnused:
      return UnitVerdict::kRepairUnused;
    case FragmentFate::kTooLate:
      return UnitVerdict::kTooLate;
    case FragmentFate::kStale:
      return UnitVerdict::kOldPacket;
    case FragmentFate::kConflict:
      return UnitVerdict::kConflict;
    case FragmentFate::kMixedEpoch:
      return UnitVerdict::kMixedEpoch;
    case FragmentFate::kTooMany:
      return UnitVerdict::kTooMany;
    case FragmentFate::kTooSmall:
      return UnitVerdict::kTooSmall;
    case FragmentFate::kEcnMixed:
    case FragmentFate::kTimedOut:
    case FragmentFate::kOverrun:
    case FragmentFate::kEvicted:
    case FragmentFate::kForgotten:
      break;
  }
  return UnitVerdict::kEcnMixed;  // of what was held the others tell, and never of what comes in
}

}  // namespace foreflow::shard
