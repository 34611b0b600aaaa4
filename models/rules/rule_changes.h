// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RULE_CHANGES_H_
#define FOREFLOW_MODELS_RULES_RULE_CHANGES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/hash.h"
#include "models/base/work.h"
#include "models/rules/key_words.h"
#include "models/rules/rule.h"

namespace foreflow::rules {

// The key of a flow entry: a flow key whose ports are replaced by their port class, and of the VLAN key the
// bits that rules look at. Two packets with the same entry key get the same Decision from the table that made
// the key (RuleTable::EntryKeyOf).
struct EntryKey {
  flow::FlowKey fields;                // ports hold classes
  wire::VlanKey vlan = wire::kNoVlan;  // other bits are 0
  bool operator==(const EntryKey& other) const { return fields == other.fields && vlan == other.vlan; }
};
static_assert(sizeof(EntryKey) == 42, "compared as bytes");

inline std::uint64_t HashOf(const KeyHasher& hasher, const EntryKey& key) {
  const std::uint64_t hash = hasher(&key.fields);
  return key.vlan == wire::kNoVlan ? hash : Mix64(hash + key.vlan);
}

// The latest changes of a rule table, kChanges at the most: whether a decision that an older generation made
// is still the table's. Rules that went or were given another action matter to the decisions they had made;
// rules that came matter to every key that they match. A port class that a later rule split keeps its name
// for its lower part, and the rule's ranges hold all of a class or nothing of it, so that comparing the entry
// key is comparing every packet that shares it. Likewise a bit of the VLAN key that no rule looked at: the
// entry's name stays with those that have a 0 there.
class RuleChanges {
 public:
  static constexpr std::size_t kChanges = 1024;

  // Changes with every change of the rules, upwards only.
  std::uint64_t generation() const { return generation_; }
  // Whether all changes since `generation` are known.
  bool Reaches(std::uint64_t generation) const { return oldest_ <= generation && generation <= generation_; }
  // Whether the decision that `generation` made for the key is the present generation's: true only if it is
  // known to be. Counts kRuleCompare and kCacheLine for each change looked at, kChanges at the most.
  bool Holds(const EntryKey& key, const Decision& decision, std::uint64_t generation, Work& work) const;

  std::size_t bytes() const {
    return ring_.capacity() * sizeof(Change) + outlines_.capacity() * sizeof(Outlines) +
           totals_.capacity() * sizeof(totals_[0]);
  }

  // The rules are others from now on, of which nothing is known.
  void Restart(std::uint64_t generation);
  // Changes that come into force together: Begin, then each of them.
  void Begin();
  void Came(const Rule& rule);
  void Went(std::uint32_t id);

 private:
  struct Change {
    MatchWords value{};
    MatchWords mask{};  // without ports
    PortRange source_port;
    PortRange destination_port;
    std::uint32_t went = kNoRule;  // kNoRule: the rule came
    std::uint64_t generation = 0;
  };
  // What kBlock changes side by side look at first: the first four bytes of both addresses, VM, protocol and
  // family. Most changes are told from a key by these alone.
  static constexpr std::size_t kBlock = 16;
  using Column = std::array<std::uint32_t, kBlock>;
  struct alignas(64) Outlines {
    Column source, source_mask;
    Column destination, destination_mask;
    Column other, other_mask;
    Column went;  // kNoRule: the rule came
  };
  void Add(const Change& change);
  // Whether one of a block's changes may concern what `rule` decided for a key of these words.
  static bool MayConcern(const Outlines& outlines, const MatchWords& words, std::uint32_t rule);
  static bool Concerns(const Change& change, const EntryKey& key, const MatchWords& words,
                       std::uint32_t rule);
  // Of the latest changes, how many are later than the generation.
  std::size_t LaterThan(std::uint64_t generation) const;

  std::uint64_t generation_ = 0;
  std::uint64_t oldest_ = 0;  // changes since then are known
  std::vector<Change> ring_;
  std::vector<Outlines> outlines_;     // of the ring, block by block
  std::vector<std::uint64_t> totals_;  // of the latest kChanges generations: changes up to their end
  std::uint64_t total_ = 0;            // changes up to now
  std::size_t next_ = 0;
  std::size_t count_ = 0;
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RULE_CHANGES_H_
