// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/speculation.h"

namespace foreflow::path {

bool Outstanding::Add(const tag::EntryKey& entry, Source source, Nanos deadline,
                      std::array<predict::Governor, kPredictionSources>& governors, Outcome& outcome) {
  for (const Slot& slot : slots_) {
    if (slot.waits && slot.entry == entry) return false;
  }
  Slot& slot = slots_[next_];
  next_ = (next_ + 1) % kSlots;
  if (slot.waits) {
    // Pushed out unproved: counted as wrong, so that a flood of guesses cannot look good.
    governors[static_cast<std::size_t>(slot.source)].Record(false);
    ++outcome.misses;
  }
  slot = {entry, deadline, source, true};
  return true;
}

void Outstanding::Resolve(const tag::EntryKey& entry, Nanos now,
                          std::array<predict::Governor, kPredictionSources>& governors, Outcome& outcome) {
  for (Slot& slot : slots_) {
    if (!slot.waits) continue;
    const bool expired = slot.deadline < now;
    if (!expired && !(slot.entry == entry)) continue;
    slot.waits = false;
    governors[static_cast<std::size_t>(slot.source)].Record(!expired);
    ++(expired ? outcome.misses : outcome.hits);
  }
}

}  // namespace foreflow::path
