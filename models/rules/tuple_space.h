// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_TUPLE_SPACE_H_
#define FOREFLOW_MODELS_RULES_TUPLE_SPACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/hash.h"
#include "models/base/work.h"
#include "models/rules/rule.h"

namespace foreflow::rules {

// What a rule compares, over the kWords words of a key of its family:
// 1: the last word of a flow key, for rules without addresses;
// 2: both IPv4 addresses in one word (the source's four bytes first), then the last word;
// 5: the flow key as it is;
// 6: the VLAN key, then the flow key as it is, of any family: for rules that name a VLAN.
// Ports are numbers of the last word's low half (source port lowest) and are compared as ranges.
template <std::size_t kWords>
struct Pattern {
  std::array<std::uint64_t, kWords> value{};  // the ports of `value` are the ranges' low ends
  std::array<std::uint64_t, kWords> mask{};   // without ports
  PortRange source_port;
  PortRange destination_port;
  std::uint64_t precedence = 0;  // the higher wins; no two are equal, none is 0
  Decision decision;
};

// The best pattern found so far, whatever family it is of; precedence 0: none.
struct PatternMatch {
  std::uint64_t precedence = 0;
  Decision decision;
};

// The rules of one family, found by hashing: tuple-space search (Srinivasan, Suri, Varghese 1999) with tuples
// merged (as in TupleMerge, Daly et al. 2019): a tuple may be coarser than its rules, as long as few of them
// share a bucket, and a bucket's rules are compared one after the other by precedence. A search visits only
// tuples that can hold a match of each field by itself, told by one bit a tuple in tables indexed by a few
// bits of each field (as the bit vectors of Lakshman and Stiliadis 1998, over tuples instead of rules), and
// only those whose best rule beats what was found. There are at most kTuples tuples, so a search computes at
// most as many hashes; the rules of one VM that fit nowhere else share a bucket of their own, so that they
// slow that VM's packets alone.
template <std::size_t kWords>
class TupleSpace {
 public:
  using Words = std::array<std::uint64_t, kWords>;
  using Place = std::uint32_t;  // of a pattern; until the next Build
  static constexpr std::size_t kTuples = 64;
  // Of which rules that name a VM have some, so that no VM's masks leave the rules of all without: and those
  // finer than prefixes cut to a few lengths (24 of them, at the most) have a part, so that whatever one VM
  // brings, another's rules find a tuple by their prefixes.
  static constexpr std::size_t kVmTuples = 32;
  static constexpr std::size_t kFineVmTuples = 8;

  // Replaces all patterns and lays them out afresh.
  void Build(const std::vector<Pattern<kWords>>& patterns);
  Place Insert(const Pattern<kWords>& pattern);
  void Erase(Place place);
  // Two steps of bringing nearer what Erase of the place will touch, some time apart.
  void PrefetchPattern(Place place) const;
  void PrefetchBucket(Place place) const;
  // For each pattern, the place it has and its rule's id.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (Place i = 0; i < patterns_.size(); ++i) {
      if (tuple_of_[i] != kFree) visit(i, patterns_[i].decision.rule);
    }
  }

  // Improves `best` by the rules that match `key` and outrank it. Counts kHash and two of kCacheLine for each
  // tuple, kProbe for each slot, kRuleCompare and kCacheLine for each rule, kCacheLine for each field.
  void Search(const Words& key, PatternMatch& best, Work& work) const {
    if (size_ == 0) return;
    SearchTuples(key, Candidates(key, work), best, work);
  }

  // Search in three steps, for a burst: each asks for the memory that the next one reads.
  struct Plan {
    static constexpr std::size_t kAhead = 6;  // tuples looked up ahead; the others follow one by one
    std::uint64_t rest = 0;
    std::uint32_t count = 0;
    std::array<std::uint32_t, kAhead> hash;
    std::array<std::uint32_t, kAhead> head;
    std::array<std::uint8_t, kAhead> tuple;
  };
  void PrefetchFields(const Words& key) const;
  void Begin(const Words& key, Plan& plan, Work& work) const;
  void Continue(Plan& plan, Work& work) const;
  void Finish(const Words& key, const Plan& plan, PatternMatch& best, Work& work) const;

  std::size_t size() const { return size_; }
  std::size_t tuples() const;
  // Erased since the last Build: what they left behind makes searches visit tuples in vain.
  std::size_t erased() const { return erased_; }
  std::size_t bytes() const;

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::uint8_t kFree = 0xff;
  static constexpr std::size_t kLongBucket = 8;  // rules; a fuller bucket takes none that fits elsewhere
  // Fields: both ports, protocol, VM, two stretches of each address, VID.
  static constexpr std::size_t kFields = kWords == 1 ? 4 : kWords == 6 ? 9 : 8;
  static constexpr unsigned kFieldBits = 12;
  static constexpr std::size_t kFieldValues = std::size_t{1} << kFieldBits;
  static constexpr std::size_t kFewTuples = 4;  // visited without asking the fields

  // Of its own cache lines: a rule of IPv4 is compared in one.
  struct alignas(64) Stored {
    Words value{};
    Words mask{};
    PortRange source_port;
    PortRange destination_port;
    std::uint64_t precedence = 0;
    Decision decision;
    std::uint32_t next = kNone;  // of the bucket, of less precedence

    bool Matches(const Words& key) const {
      const auto ports = static_cast<std::uint32_t>(key[kWords - 1]);
      const auto source = static_cast<std::uint16_t>(ports);
      const auto destination = static_cast<std::uint16_t>(ports >> 16);
      std::uint64_t different = 0;
      for (std::size_t i = 0; i < kWords; ++i) different |= (key[i] ^ value[i]) & mask[i];
      return different == 0 && source >= source_port.low && source <= source_port.high &&
             destination >= destination_port.low && destination <= destination_port.high;
    }
  };
  // A bucket: the rules whose masked key has this hash. Two keys of one hash share a bucket, which costs a
  // comparison and no more.
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t head = kNone;  // kNone: free
  };
  struct Tuple {
    Words mask{};            // with the leading bits of ports that all its rules fix
    bool is_fine = false;    // it has more than prefixes, VM and family
    unsigned bits = 0;       // of the mask
    std::uint64_t best = 0;  // at least the best precedence of its rules
    std::size_t size = 0;    // rules
    std::size_t buckets = 0;
    std::vector<Slot> slots;  // a power of two, at most half full: open addressing with linear probing
  };

  std::uint32_t HashOf(const Words& key, const Words& mask) const;
  std::uint64_t Candidates(const Words& key, Work& work) const;
  void SearchTuples(const Words& key, std::uint64_t candidates, PatternMatch& best, Work& work) const;
  void SearchBucket(const Words& key, std::uint32_t head, PatternMatch& best, Work& work) const;
  static std::uint32_t FindBucket(const Tuple& tuple, std::uint32_t hash, Work& work);

  static std::array<std::uint32_t, kFields> FieldsOf(const Words& key);
  void AddToFields(const Stored& stored, std::size_t tuple);
  void BuildFields();

  static Words FullMaskOf(const Stored& stored);
  static Words CoarseMaskOf(const Stored& stored, const Words& full);
  static bool Covers(const Words& coarse, const Words& full);
  std::size_t BucketSize(const Tuple& tuple, const Stored& stored, std::size_t enough) const;
  std::size_t FindTuple(const Words& mask) const;
  static bool IsFine(const Words& mask);
  bool MayAdd(const Words& mask) const;
  std::size_t AddTuple(const Words& mask);
  std::size_t Nearest(const Stored& stored, std::size_t room, std::uint64_t among) const;
  std::size_t ChooseTuple(const Stored& stored);
  void Link(std::uint32_t i, std::size_t tuple);
  void Unlink(std::uint32_t i);
  void Grow(Tuple& tuple);
  void DissolveSmallTuples();
  void LayOut();

  KeyHasher hasher_{0};
  std::vector<Stored> patterns_;
  std::vector<std::uint8_t> tuple_of_;  // by place; kFree: nothing there
  std::vector<std::uint32_t> free_;
  std::vector<Tuple> tuples_;
  std::uint64_t live_ = 0;  // bit i: tuple i has rules
  // Bit i of [field][value]: tuple i may have a rule that matches this value of the field. Rules that match
  // most values are in `any_` instead. Empty where there are few tuples.
  std::vector<std::array<std::uint64_t, kFieldValues>> fields_;
  std::array<std::uint64_t, kFields> any_{};
  std::size_t size_ = 0;
  std::size_t erased_ = 0;
  bool is_built_ = false;
};

extern template class TupleSpace<1>;
extern template class TupleSpace<2>;
extern template class TupleSpace<5>;
extern template class TupleSpace<6>;

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_TUPLE_SPACE_H_
