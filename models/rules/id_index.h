// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_ID_INDEX_H_
#define FOREFLOW_MODELS_RULES_ID_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace foreflow::rules {

// A position for each id, found by hashing: a cache line or two, where a tree of 100 000 ids takes a dozen. A
// power of two slots, at most half full: open addressing with linear probing. Looked up only, never iterated.
class IdIndex {
 public:
  using Position = std::uint32_t;
  static constexpr Position kNone = 0xffffffff;

  IdIndex() : slots_(2) {}

  void Reserve(std::size_t ids) {
    std::size_t slots = slots_.size();
    while (slots < 2 * ids) slots *= 2;
    if (slots > slots_.size()) Rehash(slots);
  }
  // kNone: the id is not there.
  Position Find(std::uint32_t id) const { return slots_[SlotOf(id)].position; }
  void Set(std::uint32_t id, Position position) {
    std::size_t at = SlotOf(id);
    if (slots_[at].position == kNone) {
      if (2 * (size_ + 1) > slots_.size()) {
        Rehash(2 * slots_.size());
        at = SlotOf(id);
      }
      ++size_;
    }
    slots_[at] = {id, position};
  }
  // The id is there.
  void Erase(std::uint32_t id) {
    const std::size_t last = slots_.size() - 1;
    std::size_t hole = SlotOf(id);
    // Later slots of the run move up, so that probing still ends at the first free one (Knuth 6.4, R).
    for (std::size_t next = (hole + 1) & last; slots_[next].position != kNone; next = (next + 1) & last) {
      if (((next - HomeOf(slots_[next].id)) & last) < ((next - hole) & last)) continue;
      slots_[hole] = slots_[next];
      hole = next;
    }
    slots_[hole] = Slot{};
    --size_;
  }
  void Prefetch(std::uint32_t id) const { __builtin_prefetch(&slots_[HomeOf(id)]); }

  std::size_t bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    std::uint32_t id = 0;
    Position position = kNone;
  };

  // Ids are often consecutive: multiplied (Knuth 6.4), so that runs of them do not meet.
  std::size_t HomeOf(std::uint32_t id) const {
    const std::uint64_t product = std::uint64_t{id} * 0x9e3779b97f4a7c15u;
    return static_cast<std::size_t>(product >> 32) & (slots_.size() - 1);
  }
  // Where the id is, or would be.
  std::size_t SlotOf(std::uint32_t id) const {
    const std::size_t last = slots_.size() - 1;
    std::size_t at = HomeOf(id);
    while (slots_[at].position != kNone && slots_[at].id != id) at = (at + 1) & last;
    return at;
  }
  void Rehash(std::size_t slots) {
    std::vector<Slot> old(slots);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.position != kNone) slots_[SlotOf(slot.id)] = slot;
    }
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_ID_INDEX_H_
