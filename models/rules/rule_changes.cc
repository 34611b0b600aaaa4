// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_changes.h"

#include <algorithm>

#include "models/rules/match.h"

namespace foreflow::rules {
namespace {

std::uint32_t FirstHalf(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
// Of the last word of a flow key: VM, protocol and family.
std::uint32_t OtherOf(const MatchWords& words) {
  return static_cast<std::uint32_t>(words[kKeyWords - 1] >> 32);
}

}  // namespace

// Without a branch, so that compilers do it for several changes at a time.
bool RuleChanges::MayConcern(const Outlines& outlines, const MatchWords& words, std::uint32_t rule) {
  const std::uint32_t source = FirstHalf(words[0]);
  const std::uint32_t destination = FirstHalf(words[2]);
  const std::uint32_t other = OtherOf(words);
  const std::uint32_t gone = rule == kNoRule ? kNoRule - 1 : rule;  // those that came hold kNoRule
  std::array<std::uint32_t, kBlock> misses;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const std::uint32_t different = ((source ^ outlines.source[i]) & outlines.source_mask[i]) |
                                    ((destination ^ outlines.destination[i]) & outlines.destination_mask[i]) |
                                    ((other ^ outlines.other[i]) & outlines.other_mask[i]);
    const std::uint32_t came = (different | ~outlines.went[i]) != 0 ? ~0u : 0u;
    const std::uint32_t went = (outlines.went[i] ^ gone) != 0 ? ~0u : 0u;
    misses[i] = came & went;
  }
  std::uint32_t all = ~0u;
  for (std::size_t i = 0; i < kBlock; ++i) all &= misses[i];
  return all == 0;
}

bool RuleChanges::Concerns(const Change& change, const EntryKey& key, const MatchWords& words,
                           std::uint32_t rule) {
  if (change.went != kNoRule) return change.went == rule;
  std::uint64_t different = 0;
  for (std::size_t i = 0; i < kMatchWords; ++i) different |= (words[i] ^ change.value[i]) & change.mask[i];
  return different == 0 && key.fields.source_port >= change.source_port.low &&
         key.fields.source_port <= change.source_port.high &&
         key.fields.destination_port >= change.destination_port.low &&
         key.fields.destination_port <= change.destination_port.high;
}

std::size_t RuleChanges::LaterThan(std::uint64_t generation) const {
  if (generation_ - generation < kChanges) {
    return static_cast<std::size_t>(total_ - totals_[generation % kChanges]);
  }
  std::size_t later = 0;  // at least
  std::size_t most = count_;
  while (later < most) {
    const std::size_t middle = later + (most - later) / 2;  // the latest is 0
    const std::size_t at = (next_ + kChanges - 1 - middle) % kChanges;
    if (ring_[at].generation > generation) {
      later = middle + 1;
    } else {
      most = middle;
    }
  }
  return later;
}

bool RuleChanges::Holds(const EntryKey& key, const Decision& decision, std::uint64_t generation,
                        Work& work) const {
  if (generation == generation_) return true;
  if (!Reaches(generation)) return false;
  const MatchWords words = MatchWordsOf(key.fields, key.vlan);
  const std::size_t later = LaterThan(generation);
  bool holds = true;
  std::size_t compared = 0;
  // From the latest on; where nothing of a block may concern the decision, all of the block is passed.
  for (std::size_t end = next_; compared < later && holds;) {
    if (end == 0) end = kChanges;
    const std::size_t block = (end - 1) / kBlock;
    const std::size_t count = std::min(end - block * kBlock, later - compared);
    if (MayConcern(outlines_[block], words, decision.rule)) {
      for (std::size_t n = 0; n < count && holds; ++n) {
        holds = !Concerns(ring_[end - 1 - n], key, words, decision.rule);
        ++compared;
      }
    } else {
      compared += count;
    }
    end -= count;
  }
  work.Add(WorkItem::kRuleCompare, static_cast<std::uint32_t>(compared));
  work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(2 * compared));
  return holds;
}

void RuleChanges::Begin() {
  if (totals_.empty()) totals_.assign(kChanges, total_);
  totals_[generation_ % kChanges] = total_;
  ++generation_;
}

void RuleChanges::Restart(std::uint64_t generation) {
  generation_ = generation;
  oldest_ = generation;
  next_ = 0;
  count_ = 0;
}

void RuleChanges::Came(const Rule& rule) {
  Change change;
  change.mask = MaskOf(rule);
  change.value = MaskedKeyOf(rule);
  change.source_port = rule.source_port;
  change.destination_port = rule.destination_port;
  Add(change);
}

void RuleChanges::Went(std::uint32_t id) {
  Change change;
  change.went = id;
  Add(change);
}

void RuleChanges::Add(const Change& change) {
  if (ring_.empty()) {
    ring_.resize(kChanges);
    outlines_.resize(kChanges / kBlock);
  }
  if (count_ == kChanges) {
    oldest_ = ring_[next_].generation;
  } else {
    ++count_;
  }
  ring_[next_] = change;
  ring_[next_].generation = generation_;
  ++total_;
  Outlines& outlines = outlines_[next_ / kBlock];
  const std::size_t i = next_ % kBlock;
  outlines.source[i] = FirstHalf(change.value[0]);
  outlines.source_mask[i] = FirstHalf(change.mask[0]);
  outlines.destination[i] = FirstHalf(change.value[2]);
  outlines.destination_mask[i] = FirstHalf(change.mask[2]);
  outlines.other[i] = OtherOf(change.value);
  outlines.other_mask[i] = OtherOf(change.mask);
  outlines.went[i] = change.went;
  next_ = (next_ + 1) % kChanges;
}

}  // namespace foreflow::rules
