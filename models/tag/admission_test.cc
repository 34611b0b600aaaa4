// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "models/rules/flow_cache.h"
#include "models/rules/rule_table.h"
#include "models/tag/prediction_tag.h"
#include "models/tag/tag_rules.h"
#include "models/tag/test_tag_rules.h"

namespace foreflow::tag {
namespace {

using predict::PacketType;

constexpr crypto::Key128 kMaster = {9, 9, 9};
constexpr Nanos kInstallLatency = Nanos(50);

// The device's half of the path, put together from this room alone: check the tag, look into the flow cache,
// ask the table on a miss and for an entry with it; then let a verified tag choose queue, meter and mirror.
class Device {
 public:
  Device(std::size_t capacity, const std::vector<rules::Rule>& rules, const std::vector<TagRule>& tag_rules)
      : cache_(capacity), checker_(kMaster, rules::RuleDice::kVms) {
    table_.Load(rules);
    tag_rules_.Load(tag_rules);
  }

  struct Outcome {
    rules::Decision decision;  // the standard table's
    rules::Action applied;     // with what the tag chose
    TagStatus status = TagStatus::kAbsent;
    bool hit = false;
  };

  Outcome Decide(const flow::FlowKey& key, std::uint32_t bytes, const SealedTag* sealed, Nanos now) {
    Outcome out;
    PredictionTag tag;
    out.status = checker_.Check(sealed, key, bytes, tag, work_);
    const rules::EntryKey entry = table_.EntryKeyOf(key, work_);
    rules::FlowCache::Hit hit;
    out.hit = cache_.Lookup(entry, table_.changes(), now, hit, work_);
    if (out.hit) {
      out.decision = hit.decision;
    } else {
      out.decision = table_.Classify(key, work_);
      Install(entry, out.decision, rules::InstallCause::kMiss, now);
    }
    out.applied = out.decision.action;
    if (out.status == TagStatus::kValid) {
      if (const TagRule* rule = tag_rules_.Match(tag, work_)) {
        if (rule->action.queue != rules::kNoQueue) out.applied.queue = rule->action.queue;
        if (rule->action.meter != rules::kNoMeter) out.applied.meter = rule->action.meter;
        out.applied.mirror = out.applied.mirror || rule->action.mirror;
      }
    }
    return out;
  }

  // What prediction does: any key at all.
  void Preinstall(const flow::FlowKey& key, Nanos now) {
    Install(table_.EntryKeyOf(key, work_), table_.Classify(key, work_), rules::InstallCause::kPredicted, now);
  }

  void Reload(const std::vector<rules::Rule>& rules) { table_.Load(rules); }
  void Rotate(flow::VmId vm) { checker_.Rotate(vm); }

 private:
  void Install(const rules::EntryKey& key, const rules::Decision& decision, rules::InstallCause cause,
               Nanos now) {
    cache_.Put({key, decision, now + kInstallLatency, cause, 0}, table_.changes(), work_);
  }

  rules::RuleTable table_;
  rules::FlowCache cache_;
  TagRules tag_rules_;
  TagChecker checker_;
  Work work_;
};

// What a guest or a wire may do to a tag.
enum class Treatment { kAbsent, kHonest, kForged, kReplayed, kStale, kWrongVm, kMoved, kCount };

// A case is one packet: (rule set, key, cache state, tag). A rule set serves some hundred of them, so that
// caches fill and replays have something to repeat.
void RunCases(std::uint64_t cases, std::uint64_t first_seed) {
  constexpr std::uint64_t kPacketsPerSet = 250;
  std::array<std::uint64_t, static_cast<std::size_t>(TagStatus::kCount)> statuses{};
  std::uint64_t hits = 0;
  std::uint64_t permits = 0;
  std::uint64_t chosen_by_tag = 0;
  for (std::uint64_t done = 0; done < cases; done += kPacketsPerSet) {
    const std::uint64_t seed = first_seed + done / kPacketsPerSet;
    SCOPED_TRACE(seed);
    rules::RuleDice dice(seed);
    std::vector<rules::Rule> rules = dice.Rules(dice.Below(25));
    std::vector<TagRule> tag_rules;
    for (std::uint32_t id = 0; id < dice.Below(6); ++id) tag_rules.push_back(RandomTagRule(dice, id));
    const std::size_t capacity = 1 + dice.Below(40);
    Device tagged(capacity, rules, tag_rules);
    TagSealer sealer(kMaster, rules::RuleDice::kVms);
    TagSealer old_sealer(kMaster, rules::RuleDice::kVms);  // stays in epoch 0
    std::array<bool, rules::RuleDice::kVms + 1> is_rotated{};
    std::vector<flow::FlowKey> known;  // flows come back
    for (int i = 0; i < 30; ++i) known.push_back(dice.Key());
    SealedTag last{};
    std::array<std::uint8_t, rules::RuleDice::kVms + 1> has_last{};
    std::array<SealedTag, rules::RuleDice::kVms + 1> last_of{};
    std::array<flow::FlowKey, rules::RuleDice::kVms + 1> last_key{};
    Nanos now;
    Work work;

    for (std::uint64_t i = 0; i < kPacketsPerSet; ++i) {
      now += Nanos(static_cast<std::int64_t>(dice.Below(30)));
      flow::FlowKey key = dice.OneIn(5) ? dice.Key() : known[dice.Below(known.size())];
      std::uint32_t bytes = 64;
      if (dice.OneIn(100)) {
        rules = dice.Rules(dice.Below(25));
        tagged.Reload(rules);
      }
      if (dice.OneIn(60)) {
        const flow::VmId vm = dice.Vm();  // twice: epoch 0 is then stale
        for (int twice = 0; twice < 2; ++twice) {
          tagged.Rotate(vm);
          sealer.Rotate(vm);
        }
        is_rotated[vm] = true;
        has_last[vm] = false;
      }
      for (std::uint64_t guess = dice.Below(3); guess > 0; --guess) tagged.Preinstall(dice.Key(), now);

      const auto type = static_cast<PacketType>(dice.Below(predict::kPacketTypes));
      const auto confidence = static_cast<std::uint16_t>(dice.Below(65536));
      const auto treatment =
          static_cast<Treatment>(dice.Below(static_cast<std::uint64_t>(Treatment::kCount)));
      const SealedTag* sealed = &last;
      TagStatus expected = TagStatus::kValid;
      switch (treatment) {
        case Treatment::kAbsent:
          sealed = nullptr;
          expected = TagStatus::kAbsent;
          break;
        case Treatment::kHonest:
        case Treatment::kCount:
          last = sealer.Seal(key.vm, type, confidence, key, bytes, work);
          last_of[key.vm] = last;
          last_key[key.vm] = key;
          has_last[key.vm] = true;
          break;
        case Treatment::kForged: {
          last = sealer.Seal(key.vm, type, confidence, key, bytes, work);
          // Any bit but those of VM and epoch, which have statuses of their own.
          std::uint64_t byte = dice.Below(kTagBytes - 3);
          if (byte >= 4) byte += 3;
          last[byte] = static_cast<std::uint8_t>(last[byte] ^ (1u << dice.Below(8)));
          expected = TagStatus::kForged;
          break;
        }
        case Treatment::kReplayed:
          if (!has_last[key.vm]) {
            sealed = nullptr;
            expected = TagStatus::kAbsent;
            break;
          }
          last = last_of[key.vm];
          key = last_key[key.vm];
          expected = TagStatus::kReplayed;
          break;
        case Treatment::kStale:
          last = old_sealer.Seal(key.vm, type, confidence, key, bytes, work);
          // Without a rotation the old sealer's numbers are forgeries of nobody: true tags, perhaps seen
          // before.
          if (!is_rotated[key.vm]) {
            sealed = nullptr;
            expected = TagStatus::kAbsent;
          } else {
            expected = TagStatus::kStale;
          }
          break;
        case Treatment::kWrongVm: {
          flow::FlowKey other = key;
          other.vm = static_cast<flow::VmId>((key.vm + 1) % (rules::RuleDice::kVms + 1));
          last = sealer.Seal(other.vm, type, confidence, other, bytes, work);
          expected = TagStatus::kWrongVm;
          break;
        }
        case Treatment::kMoved:
          last = sealer.Seal(key.vm, type, confidence, key, bytes, work);
          if (dice.OneIn(2)) {
            ++bytes;
          } else {
            ++key.destination_port;
          }
          expected = TagStatus::kForged;
          break;
      }

      const Device::Outcome out = tagged.Decide(key, bytes, sealed, now);
      const rules::Decision reference = rules::ClassifyByLinearScan(rules, key);
      ASSERT_EQ(out.status, expected) << "packet " << i;
      ASSERT_EQ(out.decision, reference) << "packet " << i;
      ASSERT_EQ(out.applied.verb, reference.action.verb) << "packet " << i;
      if (out.status != TagStatus::kValid) {
        ASSERT_EQ(out.applied, reference.action) << "packet " << i;
      }
      ASSERT_TRUE(out.applied.mirror || !reference.action.mirror) << "packet " << i;
      ++statuses[static_cast<std::size_t>(out.status)];
      hits += out.hit;
      permits += reference.action.verb != rules::Verb::kDrop;
      chosen_by_tag += !(out.applied == reference.action);
    }
  }
  // The cases did reach what they are about.
  for (const std::uint64_t count : statuses) EXPECT_GT(count, cases / 100);
  EXPECT_GT(hits, cases / 10);
  EXPECT_GT(permits, cases / 10);
  EXPECT_LT(permits, cases - cases / 10);
  EXPECT_GT(chosen_by_tag, cases / 100);
}

TEST(Admission, NoTagAndNoCacheStateChangesPermitOrDrop) { RunCases(100'000, 1); }

TEST(Admission, LongMode) {
  if (std::getenv("FOREFLOW_LONG") == nullptr) GTEST_SKIP() << "10^7 cases: set FOREFLOW_LONG=1";
  RunCases(10'000'000, 1'000'000);
}

}  // namespace
}  // namespace foreflow::tag
