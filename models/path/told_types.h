// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_TOLD_TYPES_H_
#define FOREFLOW_MODELS_PATH_TOLD_TYPES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/base/work.h"
#include "models/predict/packet_type.h"
#include "models/rules/rule_changes.h"

namespace foreflow::path {

// What others say that the packets of a VM's destinations are, the latest word on each: of kDestinations a VM
// at the most, where the one that lapses first gives way. A word lapses unless a packet comes within four
// times the horizon it was told with (kPause where none was), and when none has come for kPause. All memory
// is taken at construction: 2.3 kB a VM.
class ToldTypes {
 public:
  static constexpr std::size_t kDestinations = 32;
  static constexpr Nanos kPause = Seconds(1);

  struct Word {
    predict::PacketType type = predict::PacketType::kControl;
    std::uint16_t confidence = 0;  // 65535 = 1
  };

  // Of VMs 1..vms.
  explicit ToldTypes(std::size_t vms) : vms_(vms) {}

  // `hash` is the entry's, by one hasher for all calls; `entry` is of one of the VMs. Takes no memory.
  void Tell(const rules::EntryKey& entry, std::uint64_t hash, const Word& word, Nanos horizon, Nanos now);
  // A packet of the entry comes, by which the word goes on. Null where there is none. Counts kProbe for each
  // that is compared and kCacheLine for eight; nothing of a VM of which nothing was told.
  const Word* See(const rules::EntryKey& entry, std::uint64_t hash, Nanos now, Work& work);

 private:
  struct Place {
    rules::EntryKey entry;
    Word word;
    Nanos lapses;
  };
  struct Vm {
    std::size_t count = 0;
    std::array<std::uint64_t, kDestinations> hashes{};
    std::array<Place, kDestinations> places{};
  };
  static constexpr std::size_t kNone = kDestinations;
  // The place of the entry, or kNone.
  static std::size_t Find(const Vm& vm, const rules::EntryKey& entry, std::uint64_t hash);

  std::vector<Vm> vms_;  // by id - 1
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_TOLD_TYPES_H_
