// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/tuple_space.h"

#include <algorithm>
#include <map>
#include <utility>

namespace foreflow::rules {
namespace {

constexpr std::uint64_t kVmBits = std::uint64_t{0xffff} << 32;
constexpr std::uint64_t kProtocolBits = std::uint64_t{0xff} << 48;
constexpr std::uint64_t kFamilyBits = std::uint64_t{0xff} << 56;
constexpr std::size_t kLongestBucket = 512;  // of tuples that are not the rule's own
constexpr std::uint32_t kManyValues = 256;   // a port range of more counts as any

// The bits of a port that all of the range have in common.
std::uint64_t FixedBits(const PortRange& range) {
  const std::uint32_t different = static_cast<std::uint32_t>(range.low ^ range.high);
  if (different == 0) return 0xffff;
  const unsigned free_bits = 32u - static_cast<unsigned>(__builtin_clz(different));
  return 0xffffu & ~((1u << free_bits) - 1);
}

unsigned BitCount(std::uint64_t word) { return static_cast<unsigned>(__builtin_popcountll(word)); }

template <std::size_t kWords>
unsigned BitCount(const std::array<std::uint64_t, kWords>& words) {
  unsigned bits = 0;
  for (const std::uint64_t word : words) bits += BitCount(word);
  return bits;
}

std::uint32_t FirstBytes(std::uint64_t word) { return __builtin_bswap32(static_cast<std::uint32_t>(word)); }

std::uint32_t Spread(std::uint64_t word) { return static_cast<std::uint32_t>(Mix64(word) & 0xfff); }

// The mask of the first `bits` bits in network order of an address whose bytes lie in words as in memory.
std::uint64_t LeadingBits(unsigned bits) {
  if (bits == 0) return 0;
  return __builtin_bswap64(bits >= 64 ? ~std::uint64_t{0} : ~(~std::uint64_t{0} >> bits));
}

// Of patterns that hold a flow key as it is: where its addresses begin.
template <std::size_t kWords>
constexpr std::size_t kAddresses = kWords - 5;

constexpr std::uint64_t kAllTuples = ~std::uint64_t{0};
constexpr std::uint64_t kVidBits = 0x1fff;  // and that there is a tag
constexpr std::uint64_t kIpv4Family = std::uint64_t{2} << 56;

unsigned RoundedIpv4(unsigned length) { return length & ~7u; }

unsigned RoundedIpv6(unsigned length) {
  for (const unsigned step : {128u, 64u, 48u, 32u}) {
    if (length >= step) return step;
  }
  return 0;
}

}  // namespace

template <std::size_t kWords>
std::uint32_t TupleSpace<kWords>::HashOf(const Words& key, const Words& mask) const {
  if constexpr (kWords == 5) {
    Words masked;
    for (std::size_t i = 0; i < kWords; ++i) masked[i] = key[i] & mask[i];
    return static_cast<std::uint32_t>(hasher_(masked.data()) >> 32);
  } else if constexpr (kWords == 6) {
    Words masked;
    for (std::size_t i = 0; i < kWords; ++i) masked[i] = key[i] & mask[i];
    return static_cast<std::uint32_t>((hasher_(&masked[1]) ^ Mix64(masked[0])) >> 32);
  } else if constexpr (kWords == 2) {
    __extension__ using Wide = unsigned __int128;
    const std::uint64_t a = (key[0] & mask[0]) ^ 0x9e3779b97f4a7c15u;
    const std::uint64_t b = (key[1] & mask[1]) ^ 0xd1b54a32d192ed03u;
    const Wide product = static_cast<Wide>(a) * b;
    const std::uint64_t folded =
        static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    return static_cast<std::uint32_t>((folded ^ (a + b)) >> 32 ^ folded);
  } else {
    return static_cast<std::uint32_t>(Mix64(key[0] & mask[0]) >> 32);
  }
}

template <std::size_t kWords>
std::array<std::uint32_t, TupleSpace<kWords>::kFields> TupleSpace<kWords>::FieldsOf(const Words& key) {
  std::array<std::uint32_t, kFields> fields;
  const std::uint64_t last = key[kWords - 1];
  fields[0] = static_cast<std::uint32_t>(last) & 0xfff;
  fields[1] = static_cast<std::uint32_t>(last >> 16) & 0xfff;
  fields[2] = static_cast<std::uint32_t>(last >> 48) & 0xff;
  fields[3] = static_cast<std::uint32_t>(last >> 32) & 0xfff;
  if constexpr (kWords == 2) {
    const std::uint32_t source = FirstBytes(key[0]);
    const std::uint32_t destination = FirstBytes(key[0] >> 32);
    fields[4] = source >> 20;
    fields[5] = source >> 8 & 0xfff;
    fields[6] = destination >> 20;
    fields[7] = destination >> 8 & 0xfff;
  } else if constexpr (kWords >= 5) {
    constexpr std::size_t kAt = kAddresses<kWords>;
    fields[4] = Spread(static_cast<std::uint32_t>(key[kAt]));
    fields[5] = Spread(key[kAt]);
    fields[6] = Spread(static_cast<std::uint32_t>(key[kAt + 2]));
    fields[7] = Spread(key[kAt + 2]);
  }
  if constexpr (kWords == 6) fields[8] = static_cast<std::uint32_t>(key[0]) & 0xfff;
  return fields;
}

template <std::size_t kWords>
void TupleSpace<kWords>::AddToFields(const Stored& stored, std::size_t tuple) {
  if (fields_.empty()) return;
  const std::uint64_t bit = std::uint64_t{1} << tuple;
  const std::array<std::uint32_t, kFields> at = FieldsOf(stored.value);
  const std::uint64_t last = stored.mask[kWords - 1];
  // Most bits are there already: their lines stay clean.
  const auto set = [&](std::size_t field, std::uint32_t value) {
    if ((fields_[field][value] & bit) == 0) fields_[field][value] |= bit;
  };
  const auto add_ports = [&](std::size_t field, const PortRange& range) {
    const std::uint32_t count = range.high - range.low + 1u;
    if (count > kManyValues) {
      any_[field] |= bit;
      return;
    }
    for (std::uint32_t i = 0; i < count; ++i) set(field, (range.low + i) & (kFieldValues - 1));
  };
  const auto add = [&](std::size_t field, bool is_fixed) {
    if (is_fixed) {
      set(field, at[field]);
    } else {
      any_[field] |= bit;
    }
  };
  add_ports(0, stored.source_port);
  add_ports(1, stored.destination_port);
  add(2, (last & kProtocolBits) != 0);
  add(3, (last & kVmBits) != 0);
  if constexpr (kWords == 2) {
    // `length` bits of the address are fixed; the stretch is of the 12 from `first` on.
    const auto add_stretch = [&](std::size_t field, unsigned first, unsigned length) {
      if (length <= first) {
        any_[field] |= bit;
        return;
      }
      const unsigned free_bits = length >= first + kFieldBits ? 0 : first + kFieldBits - length;
      for (std::uint32_t i = 0; i < 1u << free_bits; ++i) {
        set(field, (at[field] & ~((1u << free_bits) - 1)) | i);
      }
    };
    const unsigned source = BitCount(stored.mask[0] & 0xffffffffu);
    const unsigned destination = BitCount(stored.mask[0] >> 32);
    add_stretch(4, 0, source);
    add_stretch(5, 12, source);
    add_stretch(6, 0, destination);
    add_stretch(7, 12, destination);
  } else if constexpr (kWords >= 5) {
    const unsigned source = BitCount(stored.mask[kAddresses<kWords>]);
    const unsigned destination = BitCount(stored.mask[kAddresses<kWords> + 2]);
    add(4, source >= 32);
    add(5, source >= 64);
    add(6, destination >= 32);
    add(7, destination >= 64);
  }
  if constexpr (kWords == 6) add(8, (stored.mask[0] & kVidBits) == kVidBits);
}

template <std::size_t kWords>
void TupleSpace<kWords>::BuildFields() {
  fields_.clear();
  any_ = {};
  if (tuples_.size() <= kFewTuples) return;
  fields_.resize(kFields);
  for (std::array<std::uint64_t, kFieldValues>& field : fields_) field.fill(0);
  for (std::uint32_t i = 0; i < patterns_.size(); ++i) {
    if (tuple_of_[i] != kFree) AddToFields(patterns_[i], tuple_of_[i]);
  }
}

template <std::size_t kWords>
inline std::uint64_t TupleSpace<kWords>::Candidates(const Words& key, Work& work) const {
  std::uint64_t candidates = live_;
  if (fields_.empty()) return candidates;
  const std::array<std::uint32_t, kFields> at = FieldsOf(key);
  for (std::size_t field = 0; field < kFields; ++field) {
    candidates &= fields_[field][at[field]] | any_[field];
  }
  work.Add(WorkItem::kCacheLine, kFields);
  return candidates;
}

template <std::size_t kWords>
inline std::uint32_t TupleSpace<kWords>::FindBucket(const Tuple& tuple, std::uint32_t hash, Work& work) {
  const std::size_t last = tuple.slots.size() - 1;
  std::uint32_t probes = 0;
  std::uint32_t head = kNone;
  for (std::size_t position = hash & last;; position = (position + 1) & last) {
    const Slot& slot = tuple.slots[position];
    ++probes;
    head = slot.head;
    if (head == kNone || slot.hash == hash) break;
  }
  work.Add(WorkItem::kHash);
  work.Add(WorkItem::kCacheLine, 2);
  work.Add(WorkItem::kProbe, probes);
  return head;
}

template <std::size_t kWords>
inline void TupleSpace<kWords>::SearchBucket(const Words& key, std::uint32_t head, PatternMatch& best,
                                             Work& work) const {
  std::uint32_t compared = 0;
  for (std::uint32_t i = head; i != kNone; i = patterns_[i].next) {
    const Stored& stored = patterns_[i];
    ++compared;
    if (stored.precedence <= best.precedence) break;
    if (stored.Matches(key)) {
      best = {stored.precedence, stored.decision};
      break;
    }
  }
  work.Add(WorkItem::kRuleCompare, compared);
  work.Add(WorkItem::kCacheLine, compared);
}

template <std::size_t kWords>
inline void TupleSpace<kWords>::SearchTuples(const Words& key, std::uint64_t candidates, PatternMatch& best,
                                             Work& work) const {
  for (; candidates != 0; candidates &= candidates - 1) {
    const Tuple& tuple = tuples_[static_cast<unsigned>(__builtin_ctzll(candidates))];
    if (tuple.best <= best.precedence) continue;
    SearchBucket(key, FindBucket(tuple, HashOf(key, tuple.mask), work), best, work);
  }
}

template <std::size_t kWords>
void TupleSpace<kWords>::PrefetchFields(const Words& key) const {
  if (fields_.empty()) return;
  const std::array<std::uint32_t, kFields> at = FieldsOf(key);
  for (std::size_t field = 0; field < kFields; ++field) __builtin_prefetch(&fields_[field][at[field]]);
}

template <std::size_t kWords>
void TupleSpace<kWords>::Begin(const Words& key, Plan& plan, Work& work) const {
  plan.count = 0;
  plan.rest = 0;
  if (size_ == 0) return;
  std::uint64_t candidates = Candidates(key, work);
  for (; candidates != 0 && plan.count < Plan::kAhead; candidates &= candidates - 1) {
    const auto t = static_cast<unsigned>(__builtin_ctzll(candidates));
    const Tuple& tuple = tuples_[t];
    const std::uint32_t hash = HashOf(key, tuple.mask);
    __builtin_prefetch(&tuple.slots[hash & (tuple.slots.size() - 1)]);
    plan.hash[plan.count] = hash;
    plan.tuple[plan.count++] = static_cast<std::uint8_t>(t);
  }
  plan.rest = candidates;
}

template <std::size_t kWords>
void TupleSpace<kWords>::Continue(Plan& plan, Work& work) const {
  for (std::uint32_t i = 0; i < plan.count; ++i) {
    const std::uint32_t head = FindBucket(tuples_[plan.tuple[i]], plan.hash[i], work);
    plan.head[i] = head;
    if (head != kNone) __builtin_prefetch(&patterns_[head]);
  }
}

template <std::size_t kWords>
void TupleSpace<kWords>::Finish(const Words& key, const Plan& plan, PatternMatch& best, Work& work) const {
  for (std::uint32_t i = 0; i < plan.count; ++i) SearchBucket(key, plan.head[i], best, work);
  SearchTuples(key, plan.rest, best, work);
}

template <std::size_t kWords>
typename TupleSpace<kWords>::Words TupleSpace<kWords>::FullMaskOf(const Stored& stored) {
  Words mask = stored.mask;
  mask[kWords - 1] |= FixedBits(stored.source_port) | FixedBits(stored.destination_port) << 16;
  return mask;
}

// Addresses to the lower step, VM, VLAN and family; protocol and ports only where the addresses say little.
template <std::size_t kWords>
typename TupleSpace<kWords>::Words TupleSpace<kWords>::CoarseMaskOf(const Stored& stored, const Words& full) {
  if constexpr (kWords == 1) {
    return full;
  } else {
    Words coarse{};
    unsigned bits = 0;
    if constexpr (kWords == 2) {
      const unsigned source = RoundedIpv4(BitCount(stored.mask[0] & 0xffffffffu));
      const unsigned destination = RoundedIpv4(BitCount(stored.mask[0] >> 32));
      coarse[0] = (LeadingBits(source) & 0xffffffffu) | LeadingBits(destination) << 32;
      bits = source + destination;
    } else {
      constexpr std::size_t kAt = kAddresses<kWords>;
      // A rule of one family and VLAN may be of IPv4, which has its addresses' first words to itself.
      const bool is_ipv4 = (stored.value[kWords - 1] & kFamilyBits) == kIpv4Family;
      const auto rounded = [&](std::size_t at) {
        const unsigned length = BitCount(stored.mask[at]) + BitCount(stored.mask[at + 1]);
        return is_ipv4 ? RoundedIpv4(length) : RoundedIpv6(length);
      };
      const unsigned source = rounded(kAt);
      const unsigned destination = rounded(kAt + 2);
      coarse[kAt] = LeadingBits(source);
      coarse[kAt + 1] = LeadingBits(source > 64 ? source - 64 : 0);
      coarse[kAt + 2] = LeadingBits(destination);
      coarse[kAt + 3] = LeadingBits(destination > 64 ? destination - 64 : 0);
      bits = source + destination;
    }
    coarse[kWords - 1] = full[kWords - 1] & (kVmBits | kFamilyBits);
    if (bits < 16) coarse[kWords - 1] = full[kWords - 1];
    if constexpr (kWords == 6) coarse[0] = full[0];
    return coarse;
  }
}

template <std::size_t kWords>
bool TupleSpace<kWords>::Covers(const Words& coarse, const Words& full) {
  for (std::size_t i = 0; i < kWords; ++i) {
    if ((coarse[i] & ~full[i]) != 0) return false;
  }
  return true;
}

// Of the bucket for the pattern; `enough` stands for more.
template <std::size_t kWords>
std::size_t TupleSpace<kWords>::BucketSize(const Tuple& tuple, const Stored& stored,
                                           std::size_t enough) const {
  Work uncounted;
  std::size_t size = 0;
  for (std::uint32_t i = FindBucket(tuple, HashOf(stored.value, tuple.mask), uncounted);
       i != kNone && size < enough; i = patterns_[i].next) {
    ++size;
  }
  return size;
}

template <std::size_t kWords>
std::size_t TupleSpace<kWords>::FindTuple(const Words& mask) const {
  for (std::size_t t = 0; t < tuples_.size(); ++t) {
    if (tuples_[t].size > 0 && tuples_[t].mask == mask) return t;
  }
  return kTuples;
}

template <std::size_t kWords>
bool TupleSpace<kWords>::IsFine(const Words& mask) {
  bool is_cut = true;
  if constexpr (kWords == 2) {
    for (const std::uint64_t address : {mask[0] & 0xffffffffu, mask[0] >> 32}) {
      is_cut = is_cut && RoundedIpv4(BitCount(address)) == BitCount(address);
    }
  } else if constexpr (kWords >= 5) {
    for (const std::size_t at : {kAddresses<kWords>, kAddresses<kWords> + 2}) {
      const unsigned length = BitCount(mask[at]) + BitCount(mask[at + 1]);
      is_cut = is_cut && RoundedIpv6(length) == length;
    }
  }
  return !is_cut || (mask[kWords - 1] & ~(kVmBits | kFamilyBits)) != 0;
}

// Two are kept back for what fits nowhere else: one for the rules of any VM, one for those of some VM.
template <std::size_t kWords>
bool TupleSpace<kWords>::MayAdd(const Words& mask) const {
  std::size_t used = 0, of_vms = 0, fine_of_vms = 0;
  for (const Tuple& tuple : tuples_) {
    if (tuple.size == 0) continue;
    ++used;
    if ((tuple.mask[kWords - 1] & kVmBits) == 0) continue;
    ++of_vms;
    if (tuple.is_fine) ++fine_of_vms;
  }
  if (used + 2 >= kTuples) return false;
  if ((mask[kWords - 1] & kVmBits) == 0) return true;
  return of_vms < kVmTuples && (!IsFine(mask) || fine_of_vms < kFineVmTuples);
}

template <std::size_t kWords>
std::size_t TupleSpace<kWords>::AddTuple(const Words& mask) {
  std::size_t t = 0;
  while (t < tuples_.size() && tuples_[t].size > 0) ++t;
  if (t == tuples_.size()) tuples_.emplace_back();
  tuples_[t].mask = mask;
  tuples_[t].is_fine = IsFine(mask);
  tuples_[t].bits = BitCount(mask);
  tuples_[t].best = 0;
  tuples_[t].buckets = 0;
  tuples_[t].slots.assign(2, Slot{});
  return t;
}

// The finest tuple of those with a bit in `among` whose bucket for the pattern holds less than `room`; of
// equals, the first. Buckets are memory that nobody has asked for yet: the finest are looked at first.
template <std::size_t kWords>
std::size_t TupleSpace<kWords>::Nearest(const Stored& stored, std::size_t room, std::uint64_t among) const {
  const Words full = FullMaskOf(stored);
  std::array<std::uint32_t, kTuples> finest;  // a heap: bits, then the lower index
  std::size_t count = 0;
  for (std::size_t t = 0; t < tuples_.size(); ++t) {
    const Tuple& tuple = tuples_[t];
    if (tuple.size == 0 || (among >> t & 1) == 0 || !Covers(tuple.mask, full)) continue;
    // A VM's rules stay among such: nothing that a VM brings is in the way of others.
    if (((tuple.mask[kWords - 1] ^ full[kWords - 1]) & kVmBits) != 0) continue;
    finest[count++] = static_cast<std::uint32_t>(tuple.bits * kTuples + (kTuples - 1 - t));
  }
  const auto begin = finest.begin();
  std::make_heap(begin, begin + static_cast<std::ptrdiff_t>(count));
  for (; count > 0; --count) {
    const std::size_t t = kTuples - 1 - finest[0] % kTuples;
    if (BucketSize(tuples_[t], stored, room) < room) return t;
    std::pop_heap(begin, begin + static_cast<std::ptrdiff_t>(count));
  }
  return kTuples;
}

template <std::size_t kWords>
std::size_t TupleSpace<kWords>::ChooseTuple(const Stored& stored) {
  if (is_built_) {
    const std::size_t nearest = Nearest(stored, kLongBucket, kAllTuples);
    if (nearest != kTuples) return nearest;
  }
  const Words full = FullMaskOf(stored);
  const Words coarse = CoarseMaskOf(stored, full);
  Words middle = coarse;
  middle[kWords - 1] = full[kWords - 1];
  for (const Words& mask : {coarse, middle, full}) {
    const std::size_t t = FindTuple(mask);
    if (t != kTuples) {
      if (BucketSize(tuples_[t], stored, kLongBucket) < kLongBucket) return t;
    } else if (MayAdd(mask)) {
      return AddTuple(mask);
    }
  }
  for (std::size_t room = kLongBucket; room <= kLongestBucket; room *= 4) {
    const std::size_t nearest = Nearest(stored, room, kAllTuples);
    if (nearest != kTuples) return nearest;
  }
  const std::size_t exact = FindTuple(full);
  if (exact != kTuples) return exact;
  Words last{};
  last[kWords - 1] = full[kWords - 1] & kVmBits;
  const std::size_t t = FindTuple(last);
  return t != kTuples ? t : AddTuple(last);
}

template <std::size_t kWords>
void TupleSpace<kWords>::Grow(Tuple& tuple) {
  std::vector<Slot> old(tuple.slots.size() * 2);
  old.swap(tuple.slots);
  const std::size_t last = tuple.slots.size() - 1;
  for (const Slot& slot : old) {
    if (slot.head == kNone) continue;
    std::size_t position = slot.hash & last;
    while (tuple.slots[position].head != kNone) position = (position + 1) & last;
    tuple.slots[position] = slot;
  }
}

template <std::size_t kWords>
void TupleSpace<kWords>::Link(std::uint32_t i, std::size_t t) {
  Tuple& tuple = tuples_[t];
  if (2 * (tuple.buckets + 1) > tuple.slots.size()) Grow(tuple);
  Stored& stored = patterns_[i];
  const std::uint32_t hash = HashOf(stored.value, tuple.mask);
  const std::size_t last = tuple.slots.size() - 1;
  std::size_t position = hash & last;
  while (tuple.slots[position].head != kNone && tuple.slots[position].hash != hash) {
    position = (position + 1) & last;
  }
  Slot& slot = tuple.slots[position];
  if (slot.head == kNone) {
    slot.hash = hash;
    ++tuple.buckets;
  }
  std::uint32_t* link = &slot.head;
  while (*link != kNone && patterns_[*link].precedence > stored.precedence) link = &patterns_[*link].next;
  stored.next = *link;
  *link = i;
  tuple_of_[i] = static_cast<std::uint8_t>(t);
  tuple.best = std::max(tuple.best, stored.precedence);
  ++tuple.size;
  live_ |= std::uint64_t{1} << t;
}

template <std::size_t kWords>
void TupleSpace<kWords>::Unlink(std::uint32_t i) {
  const std::size_t t = tuple_of_[i];
  Tuple& tuple = tuples_[t];
  const Stored& stored = patterns_[i];
  const std::uint32_t hash = HashOf(stored.value, tuple.mask);
  const std::size_t last = tuple.slots.size() - 1;
  std::size_t position = hash & last;
  while (tuple.slots[position].hash != hash || tuple.slots[position].head == kNone) {
    position = (position + 1) & last;
  }
  std::uint32_t* link = &tuple.slots[position].head;
  while (*link != i) link = &patterns_[*link].next;
  *link = stored.next;
  if (--tuple.size == 0) live_ &= ~(std::uint64_t{1} << t);
  if (tuple.slots[position].head != kNone) return;
  --tuple.buckets;
  // Later slots of the run move up, so that probing still ends at the first free one (Knuth 6.4, R).
  for (std::size_t hole = position, next = (hole + 1) & last; tuple.slots[next].head != kNone;
       next = (next + 1) & last) {
    const std::size_t home = tuple.slots[next].hash & last;
    if (((next - home) & last) < ((next - hole) & last)) continue;
    tuple.slots[hole] = tuple.slots[next];
    tuple.slots[next] = Slot{};
    hole = next;
  }
}

template <std::size_t kWords>
typename TupleSpace<kWords>::Place TupleSpace<kWords>::Insert(const Pattern<kWords>& pattern) {
  Place i;
  if (free_.empty()) {
    i = static_cast<Place>(patterns_.size());
    patterns_.emplace_back();
    tuple_of_.push_back(kFree);
  } else {
    i = free_.back();
    free_.pop_back();
  }
  patterns_[i] = {
      pattern.value,    pattern.mask, pattern.source_port, pattern.destination_port, pattern.precedence,
      pattern.decision, kNone};
  const std::size_t t = ChooseTuple(patterns_[i]);
  Link(i, t);
  ++size_;
  if (is_built_) {
    if (fields_.empty() && tuples_.size() > kFewTuples) {
      BuildFields();
    } else {
      AddToFields(patterns_[i], t);
    }
  }
  return i;
}

template <std::size_t kWords>
void TupleSpace<kWords>::Erase(Place place) {
  Unlink(place);
  tuple_of_[place] = kFree;
  free_.push_back(place);
  --size_;
  ++erased_;
}

template <std::size_t kWords>
void TupleSpace<kWords>::PrefetchPattern(Place place) const {
  __builtin_prefetch(&patterns_[place], 1);
  if constexpr (sizeof(Stored) > 64) __builtin_prefetch(&patterns_[place].precedence, 1);
  __builtin_prefetch(&tuple_of_[place], 1);
}

template <std::size_t kWords>
void TupleSpace<kWords>::PrefetchBucket(Place place) const {
  const Tuple& tuple = tuples_[tuple_of_[place]];
  const std::uint32_t hash = HashOf(patterns_[place].value, tuple.mask);
  __builtin_prefetch(&tuple.slots[hash & (tuple.slots.size() - 1)], 1);
}

// Small tuples go where their rules fit elsewhere. Of tuples that name a VM each VM's rules do so by
// themselves: how many another has there is nothing to them.
template <std::size_t kWords>
void TupleSpace<kWords>::DissolveSmallTuples() {
  constexpr std::size_t kSmall = 32;
  using Group = std::pair<std::size_t, std::uint64_t>;  // tuple, VM
  std::map<Group, std::vector<std::uint32_t>> members;
  std::map<std::uint64_t, std::size_t> rules_of_vm;
  const auto vm_of = [this](std::uint32_t i, std::size_t t) {
    return patterns_[i].value[kWords - 1] & tuples_[t].mask[kWords - 1] & kVmBits;
  };
  const auto names_vm = [this](std::size_t t) { return (tuples_[t].mask[kWords - 1] & kVmBits) != 0; };
  for (std::uint32_t i = 0; i < patterns_.size(); ++i) {
    const std::uint64_t vm = vm_of(i, tuple_of_[i]);
    members[{tuple_of_[i], vm}].push_back(i);
    if (names_vm(tuple_of_[i])) ++rules_of_vm[vm];
  }
  std::vector<Group> order;
  for (const auto& [group, rules] : members) order.push_back(group);
  std::stable_sort(order.begin(), order.end(),
                   [&](const Group& a, const Group& b) { return members[a].size() < members[b].size(); });
  for (const Group& group : order) {
    const std::size_t t = group.first;
    const std::size_t of_all = names_vm(t) ? rules_of_vm[group.second] : size_;
    const std::vector<std::uint32_t> leaving = members[group];
    if (leaving.size() > std::max(kSmall, of_all / kSmall)) continue;
    // Where the VM has rules already: elsewhere they would cost its packets a hash more.
    std::uint64_t among = names_vm(t) ? 0 : kAllTuples;
    for (const auto& [other, rules] : members) {
      if (names_vm(t) && other.second == group.second && !rules.empty())
        among |= std::uint64_t{1} << other.first;
    }
    among &= ~(std::uint64_t{1} << t);
    const bool all_fit = std::all_of(leaving.begin(), leaving.end(), [&](std::uint32_t i) {
      return Nearest(patterns_[i], kLongBucket, among) != kTuples;
    });
    if (!all_fit) continue;
    for (const std::uint32_t i : leaving) {
      const std::size_t to = Nearest(patterns_[i], kLongBucket, among);
      if (to == kTuples) break;  // those before took the room
      Unlink(i);
      Link(i, to);
      members[{to, vm_of(i, to)}].push_back(i);
    }
    members[group].clear();
  }
}

// Tuples by their best rule, so that a search that has found it can skip the rest; patterns in the order of
// their buckets, so that those of one lie side by side.
template <std::size_t kWords>
void TupleSpace<kWords>::LayOut() {
  tuples_.erase(std::remove_if(tuples_.begin(), tuples_.end(), [](const Tuple& t) { return t.size == 0; }),
                tuples_.end());
  for (Tuple& tuple : tuples_) {
    tuple.best = 0;
    for (const Slot& slot : tuple.slots) {
      if (slot.head != kNone) tuple.best = std::max(tuple.best, patterns_[slot.head].precedence);
    }
  }
  std::sort(tuples_.begin(), tuples_.end(), [](const Tuple& a, const Tuple& b) { return a.best > b.best; });
  std::vector<Stored> laid_out;
  laid_out.reserve(size_);
  tuple_of_.clear();
  live_ = 0;
  for (std::size_t t = 0; t < tuples_.size(); ++t) {
    live_ |= std::uint64_t{1} << t;
    for (Slot& slot : tuples_[t].slots) {
      std::uint32_t i = slot.head;
      if (i == kNone) continue;
      slot.head = static_cast<std::uint32_t>(laid_out.size());
      for (; i != kNone; i = patterns_[i].next) {
        laid_out.push_back(patterns_[i]);
        laid_out.back().next = static_cast<std::uint32_t>(laid_out.size());
        tuple_of_.push_back(static_cast<std::uint8_t>(t));
      }
      laid_out.back().next = kNone;
    }
  }
  patterns_ = std::move(laid_out);
}

template <std::size_t kWords>
void TupleSpace<kWords>::Build(const std::vector<Pattern<kWords>>& patterns) {
  patterns_.clear();
  patterns_.reserve(patterns.size());
  tuple_of_.clear();
  free_.clear();
  tuples_.clear();
  live_ = 0;
  size_ = 0;
  erased_ = 0;
  fields_.clear();
  is_built_ = false;
  for (const Pattern<kWords>& pattern : patterns) Insert(pattern);
  DissolveSmallTuples();
  LayOut();
  BuildFields();
  is_built_ = true;
}

template <std::size_t kWords>
std::size_t TupleSpace<kWords>::tuples() const {
  return BitCount(live_);
}

template <std::size_t kWords>
std::size_t TupleSpace<kWords>::bytes() const {
  std::size_t bytes = patterns_.capacity() * sizeof(Stored) + tuple_of_.capacity() +
                      free_.capacity() * sizeof(std::uint32_t) + fields_.size() * sizeof(fields_[0]);
  for (const Tuple& tuple : tuples_) bytes += sizeof(tuple) + tuple.slots.capacity() * sizeof(Slot);
  return bytes;
}

template class TupleSpace<1>;
template class TupleSpace<2>;
template class TupleSpace<5>;
template class TupleSpace<6>;

}  // namespace foreflow::rules
