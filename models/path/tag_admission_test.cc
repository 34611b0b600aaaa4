// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "models/path/packet_path.h"
#include "models/rules/rule_table.h"
#include "models/rules/test_rules.h"
#include "models/tag/queue_by_header.h"
#include "models/tag/test_tag_rules.h"

namespace foreflow::path {
namespace {

using rules::RuleDice;
using tag::TagStatus;

constexpr std::uint64_t kPacketsPerSet = 250;
constexpr Nanos kOverlap = Micros(2);
constexpr std::uint8_t kCovers = 5;
constexpr Nanos kBurstTime = Micros(3);

// The tag rules one after the other: highest priority, then lowest id.
const tag::TagRule* MatchInTurn(const std::vector<tag::TagRule>& tag_rules, flow::VmId vm,
                                predict::PacketType type, std::uint16_t confidence, bool& lacks_confidence) {
  const tag::TagRule* best = nullptr;
  lacks_confidence = false;
  for (const tag::TagRule& rule : tag_rules) {
    const bool is_for_it = (rule.vm == rules::kAnyVm || rule.vm == vm) &&
                           ((rule.types >> static_cast<unsigned>(type)) & 1u) != 0;
    if (!is_for_it) continue;
    if (confidence < rule.minimum_confidence) {
      lacks_confidence = true;
      continue;
    }
    const bool is_better = best == nullptr || rule.priority > best->priority ||
                           (rule.priority == best->priority && rule.id < best->id);
    if (is_better) best = &rule;
  }
  lacks_confidence = lacks_confidence && best == nullptr;
  return best;
}

// What a guest, a host or the way between host and device may do to a tag.
enum class Treatment {
  kAbsent,
  kHonest,
  kForged,
  kReplayed,
  kOfEpochBefore,
  kWrongVm,
  kMoved,
  kCovered,
  kCount
};

struct Seen {
  std::array<std::uint64_t, static_cast<std::size_t>(TagStatus::kCount)> statuses{};
  std::uint64_t low_confidence = 0, hits = 0, permits = 0, covered = 0, refused_cover = 0, decided_by_tag = 0,
                overlapped = 0, by_rule_table = 0, by_cover = 0, of_vlans = 0;
};

// One rule set, of which the device holds what its policy and its few slots and entries make of it, and
// packets that the whole path decides: permit, drop and every status must be what rules and tags say one by
// one.
class RuleSetUnderTest {
 public:
  RuleSetUnderTest(std::uint64_t seed, TagAuthority authority, Seen& seen)
      : dice_(seed), seen_(seen), config_(Config(authority)), path_(config_, nullptr) {
    for (int i = 0; i < 30; ++i) known_.push_back({dice_.Key(), dice_.Vlan()});
  }

  void Run() {
    for (std::uint64_t i = 0; i < kPacketsPerSet; ++i) {
      now_ += Nanos(static_cast<std::int64_t>(dice_.Below(60)));
      if (dice_.OneIn(100)) SwapRules();
      if (dice_.OneIn(60)) Rotate();
      Decide();
      if (::testing::Test::HasFatalFailure()) return;
    }
    const auto& counters = path_.counters();
    for (std::size_t status = 0; status < statuses_.size(); ++status) {
      ASSERT_EQ(counters.tags_by_status[status], statuses_[status]) << status;
      seen_.statuses[status] += statuses_[status];
    }
    ASSERT_EQ(counters.tags_low_confidence, low_confidence_);
    seen_.by_rule_table += counters.rule_hits;
    seen_.by_cover += counters.rule_covers;
    seen_.low_confidence += low_confidence_;
  }

 private:
  struct Burst {
    int left = 0;
    Nanos until;
    predict::PacketType type = predict::PacketType::kControl;
    std::uint16_t confidence = 0;
  };
  struct Known {
    flow::FlowKey key;
    wire::VlanKey vlan;
  };
  struct Sent {
    bool is_any = false;
    tag::SealedTag tag{};
    flow::FlowKey key;
  };

  std::vector<rules::Rule> Rules() {
    std::vector<rules::Rule> rules = dice_.Rules(dice_.Below(25));
    for (rules::Rule& rule : rules) rule.action.meter = rules::kNoMeter;  // meters drop for another reason
    return rules;
  }

  PathConfig Config(TagAuthority authority) {
    PathConfig config;
    config.arm = dice_.OneIn(8) ? Arm::kOff : Arm::kReactive;
    config.tag_authority = authority;
    config.tag_scope = TagScope::kPerBurst;
    config.burst_time = kBurstTime;
    config.vms = RuleDice::kVms;
    config.rule_slots = dice_.OneIn(2) ? 0 : static_cast<std::uint32_t>(1 + dice_.Below(30));
    static constexpr rules::Residency kPolicies[] = {rules::Residency::kLru, rules::Residency::kLfu,
                                                     rules::Residency::kRandom, rules::Residency::kGreedy};
    config.residency = dice_.Pick(kPolicies);
    const std::uint64_t least = config.rule_slots > 0 ? 0 : 1;
    config.flow_entries = static_cast<std::uint32_t>(least + dice_.Below(40));
    config.vm_flow_entries = static_cast<std::uint32_t>(dice_.Below(20));
    config.install_latency = Nanos(50);
    config.label_pending = 16;
    config.tag_master_key = kMaster;
    config.rules = Rules();
    for (std::uint32_t id = 0; id < dice_.Below(6); ++id) {
      config.tag_rules.push_back(tag::RandomTagRule(dice_, id));
      config.tag_rules.back().action.meter = rules::kNoMeter;
    }
    return config;
  }

  void SwapRules() {
    config_.rules = Rules();
    RuleSet set(config_);
    path_.SwapRules(set);
  }

  // The host's half as well: what it sealed before is of the epoch before.
  void Rotate() {
    ++epoch_;
    crypto::Key128 master = kMaster;
    master[1] = static_cast<std::uint8_t>(dice_.Below(256));
    before_ = sealer_;
    before_until_ = now_ + kOverlap;
    has_before_ = true;
    ASSERT_TRUE(path_.RotateTagKeys(epoch_, master, now_, kOverlap));
    ASSERT_FALSE(path_.RotateTagKeys(epoch_, master, now_, kOverlap));
    ASSERT_TRUE(sealer_.RotateKeys(epoch_, master));
    sent_ = {};
  }

  void Decide() {
    Parsed parsed;
    parsed.decidable = true;
    const Known sender =
        dice_.OneIn(5) ? Known{dice_.Key(), dice_.Vlan()} : known_[dice_.Below(known_.size())];
    parsed.key = sender.key;
    parsed.packet.outer_vlan = sender.vlan;
    Arrival arrival;
    arrival.wire_bytes = 64;
    arrival.time = arrival.sent = now_;
    const auto type = static_cast<predict::PacketType>(dice_.Below(predict::kPacketTypes));
    const auto confidence = static_cast<std::uint16_t>(dice_.Below(65536));
    flow::FlowKey& key = parsed.key;

    Tagged tagged;
    tagged.has_tag = true;
    TagStatus expected = TagStatus::kValid;
    const auto seal = [&](tag::TagSealer& by, const flow::FlowKey& flow) {
      tag::TagMac mac;
      by.Begin(flow.vm, type, confidence, flow, arrival.wire_bytes, tagged.tag, mac, work_, kCovers);
      tag::TagMac* const macs[] = {&mac};
      tag::ComputeMacs(macs, 1);
      tag::TagSealer::Finish(mac, tagged.tag);
    };
    const auto treatment = static_cast<Treatment>(dice_.Below(static_cast<std::uint64_t>(Treatment::kCount)));
    switch (treatment) {
      case Treatment::kAbsent:
      case Treatment::kCount:
        tagged.has_tag = false;
        expected = TagStatus::kAbsent;
        break;
      case Treatment::kHonest:
        seal(sealer_, key);
        sent_[key.vm] = {true, tagged.tag, key};
        break;
      case Treatment::kForged: {
        seal(sealer_, key);
        // Any bit but those of VM and epoch, which have statuses of their own.
        std::uint64_t byte = dice_.Below(tag::kTagBytes - 3);
        if (byte >= 4) byte += 3;
        tagged.tag[byte] = static_cast<std::uint8_t>(tagged.tag[byte] ^ (1u << dice_.Below(8)));
        expected = TagStatus::kForged;
        break;
      }
      case Treatment::kReplayed:
        tagged.has_tag = sent_[key.vm].is_any;
        expected = tagged.has_tag ? TagStatus::kReplayed : TagStatus::kAbsent;
        if (!tagged.has_tag) break;
        tagged.tag = sent_[key.vm].tag;
        key = sent_[key.vm].key;
        break;
      case Treatment::kOfEpochBefore:
        tagged.has_tag = has_before_;
        expected = !has_before_           ? TagStatus::kAbsent
                   : now_ < before_until_ ? TagStatus::kValid
                                          : TagStatus::kStale;
        if (has_before_) seal(before_, key);
        if (expected == TagStatus::kValid) ++seen_.overlapped;
        break;
      case Treatment::kWrongVm: {
        flow::FlowKey other = key;
        other.vm = static_cast<flow::VmId>((key.vm + 1) % (RuleDice::kVms + 1));
        seal(sealer_, other);
        expected = TagStatus::kWrongVm;
        break;
      }
      case Treatment::kMoved:
        seal(sealer_, key);
        if (dice_.OneIn(2)) {
          ++arrival.wire_bytes;
        } else {
          ++key.destination_port;
        }
        expected = TagStatus::kForged;
        break;
      case Treatment::kCovered:
        tagged.has_tag = false;
        tagged.is_covered = true;
        break;
    }
    arrival.vm = key.vm;

    Tagged unused;
    StageWork work;
    Verdict verdict;
    path_.HostSide(arrival, parsed, unused, work);
    path_.DeviceSide(arrival, tagged, verdict, work);

    bool is_tagged = expected == TagStatus::kValid;
    predict::PacketType said = type;
    std::uint16_t said_confidence = confidence;
    if (treatment == Treatment::kCovered) {
      // The device may have forgotten a burst, but never covers more than a tag said.
      Burst& burst = bursts_[TextOf(key)];
      is_tagged = verdict.tag_status == TagStatus::kValid;
      ASSERT_TRUE(is_tagged || verdict.tag_status == TagStatus::kStale);
      if (is_tagged) {
        ASSERT_GT(burst.left--, 0);
        ASSERT_LT(now_, burst.until);
        said = burst.type;
        said_confidence = burst.confidence;
        ++seen_.covered;
      } else {
        ++seen_.refused_cover;
      }
    } else {
      ASSERT_EQ(verdict.tag_status, expected);
      if (is_tagged) bursts_[TextOf(key)] = {kCovers, now_ + kBurstTime * 2, type, confidence};
    }
    ++statuses_[static_cast<std::size_t>(verdict.tag_status)];

    bool lacks_confidence = false;
    const tag::TagRule* chosen =
        is_tagged ? MatchInTurn(config_.tag_rules, key.vm, said, said_confidence, lacks_confidence) : nullptr;
    if (lacks_confidence) ++low_confidence_;
    const bool is_literal = config_.tag_authority == TagAuthority::kLiteral && chosen != nullptr;
    const rules::Decision standard =
        rules::ClassifyByLinearScan(config_.rules, key, parsed.packet.outer_vlan);
    const rules::Action& action = is_literal ? chosen->action : standard.action;
    ASSERT_EQ(verdict.verb, action.verb);
    ASSERT_EQ(verdict.rule, is_literal ? rules::kNoRule : standard.rule);
    ASSERT_EQ(verdict.tag_rule, chosen == nullptr ? rules::kNoRule : chosen->id);
    ASSERT_EQ(verdict.mirrored, action.mirror || (chosen != nullptr && chosen->action.mirror));
    const bool tag_has_queue = chosen != nullptr && chosen->action.queue != rules::kNoQueue;
    const std::uint8_t queue = tag_has_queue                     ? chosen->action.queue
                               : action.queue != rules::kNoQueue ? action.queue
                                                                 : tag::QueueByHeader(key, 0);
    ASSERT_EQ(verdict.queue, queue);
    seen_.hits += !is_literal && !verdict.punted;
    seen_.of_vlans += standard.rule != rules::kNoRule && parsed.packet.outer_vlan != wire::kNoVlan;
    seen_.permits += verdict.verb != rules::Verb::kDrop;
    seen_.decided_by_tag += is_literal && chosen->action.verb != standard.action.verb;
  }

  static std::string TextOf(const flow::FlowKey& key) {
    return {reinterpret_cast<const char*>(&key), sizeof(key)};
  }

  static constexpr crypto::Key128 kMaster = {9, 9, 9};

  RuleDice dice_;
  Seen& seen_;
  PathConfig config_;
  PacketPath path_;
  std::vector<Known> known_;  // flows come back
  tag::TagSealer sealer_{kMaster, RuleDice::kVms};
  tag::TagSealer before_{kMaster, RuleDice::kVms};
  bool has_before_ = false;
  Nanos before_until_;
  std::uint64_t epoch_ = 0;
  std::array<Sent, RuleDice::kVms + 1> sent_{};
  std::map<std::string, Burst> bursts_;
  std::array<std::uint64_t, static_cast<std::size_t>(TagStatus::kCount)> statuses_{};
  std::uint64_t low_confidence_ = 0;
  Nanos now_;
  Work work_;
};

void RunCases(std::uint64_t cases, std::uint64_t first_seed, TagAuthority authority) {
  Seen seen;
  for (std::uint64_t done = 0; done < cases; done += kPacketsPerSet) {
    const std::uint64_t seed = first_seed + done / kPacketsPerSet;
    SCOPED_TRACE("seed " + std::to_string(seed));
    RuleSetUnderTest(seed, authority, seen).Run();
    if (::testing::Test::HasFatalFailure()) return;
  }
  // The cases did reach what they are about.
  for (const std::uint64_t count : seen.statuses) EXPECT_GT(count, cases / 100);
  EXPECT_GT(seen.hits, cases / 10);
  EXPECT_GT(seen.permits, cases / 10);
  EXPECT_LT(seen.permits, cases - cases / 10);
  EXPECT_GT(seen.covered, cases / 100);
  EXPECT_GT(seen.refused_cover, cases / 100);
  EXPECT_GT(seen.low_confidence, cases / 100);
  EXPECT_GT(seen.overlapped, cases / 100);
  EXPECT_GT(seen.by_rule_table, cases / 100);
  EXPECT_GT(seen.by_cover, cases / 1000);
  EXPECT_GT(seen.of_vlans, cases / 10);
  EXPECT_EQ(seen.decided_by_tag > cases / 100, authority == TagAuthority::kLiteral);
}

TEST(TagAdmission, BoundedTagsNeverChangePermitOrDrop) { RunCases(500'000, 1, TagAuthority::kBounded); }

TEST(TagAdmission, LiteralTagsDecideWhereTheirRuleMatchesAndNowhereElse) {
  RunCases(500'000, 100'000, TagAuthority::kLiteral);
}

// Two tests, for two processes: --gtest_filter=*LongMode.Bounded and *LongMode.Literal.
class TagAdmissionLongMode : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("FOREFLOW_LONG") == nullptr) GTEST_SKIP() << "10^8 cases: set FOREFLOW_LONG=1";
  }
};

TEST_F(TagAdmissionLongMode, Bounded) { RunCases(50'000'000, 1'000'000, TagAuthority::kBounded); }

TEST_F(TagAdmissionLongMode, Literal) { RunCases(50'000'000, 2'000'000, TagAuthority::kLiteral); }

}  // namespace
}  // namespace foreflow::path
