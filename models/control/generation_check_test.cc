// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/generation_check.h"

#include <gtest/gtest.h>

#include <string>

#include "models/base/rng.h"
#include "models/control/test_rules.h"
#include "models/control/update_work.h"
#include "models/rules/rule_table.h"

namespace foreflow::control {
namespace {

constexpr std::uint16_t kPorts = 40;

// A rule for one destination port.
rules::Rule Port(std::uint32_t id, std::uint16_t port, rules::Verb verb) {
  rules::Rule rule;
  rule.id = id;
  rule.destination_port = {port, port};
  rule.action.verb = verb;
  return rule;
}

flow::FlowKey To(std::uint16_t port) {
  flow::FlowKey key;
  key.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  key.ip_protocol = 17;
  key.destination_port = port;
  return key;
}

// A device that takes batches, and the check that watches it.
class Watched {
 public:
  explicit Watched(std::uint64_t seed) : rng_(seed, "watched") {
    for (std::uint32_t id = 0; id < 10; ++id) initial_.push_back(AnyPort(id));
    wanted_ = RuleSetState::Of(initial_);
    table_.Load(initial_);
    digest_ = wanted_.digest();
    check_.Start(initial_);
  }

  // The next generation, of `changes` rules.
  std::vector<rules::RuleChange> Issue(std::size_t changes) {
    std::vector<rules::RuleChange> batch;
    for (std::size_t i = 0; i < changes; ++i) {
      batch.push_back({rules::RuleOperation::kModify, AnyPort(static_cast<std::uint32_t>(i))});
      wanted_.Apply(batch.back());
    }
    check_.Issue(++issued_, wanted_);
    return batch;
  }
  void Make(const std::vector<rules::RuleChange>& changes) { table_.Apply({table_.generation(), changes}); }
  void InForce() {
    generation_ = issued_;
    digest_ = wanted_.digest();
  }
  bool Decide() {
    Work work;
    const flow::FlowKey key = To(static_cast<std::uint16_t>(rng_.Below(kPorts)));
    const rules::Decision decision = table_.Classify(key, work);
    return check_.Packet(key, decision.rule, decision.action.verb, generation_, digest_);
  }
  const GenerationCheck::Counts& counts() const { return check_.counts(); }
  void Pretend(std::uint64_t generation) { generation_ = generation; }

 private:
  rules::Rule AnyPort(std::uint32_t id) {
    return Port(id, static_cast<std::uint16_t>(rng_.Below(kPorts)),
                rng_.Below(2) == 0 ? rules::Verb::kForward : rules::Verb::kTrap);
  }

  Rng rng_;
  std::vector<rules::Rule> initial_;
  RuleSetState wanted_;
  rules::RuleTable table_;
  GenerationCheck check_;
  std::uint64_t issued_ = 0;
  std::uint64_t generation_ = 0;
  wire::SetDigest digest_;
};

TEST(GenerationCheck, FindsNothingWhereBatchesAreWhole) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Watched device(seed);
    for (int batch = 0; batch < 100; ++batch) {
      for (int packet = 0; packet < 20; ++packet) ASSERT_TRUE(device.Decide());
      const auto changes = device.Issue(5);
      for (int packet = 0; packet < 20; ++packet) ASSERT_TRUE(device.Decide());  // on its way
      device.Make(changes);
      device.InForce();
    }
    EXPECT_EQ(device.counts().packets, 4000u);
    EXPECT_EQ(device.counts().mixed + device.counts().unissued, 0u);
  }
}

TEST(GenerationCheck, FindsHalfABatch) {
  Watched device(7);
  for (int batch = 0; batch < 50; ++batch) {
    auto changes = device.Issue(10);
    const std::vector<rules::RuleChange> first(changes.begin(), changes.begin() + 5);
    changes.erase(changes.begin(), changes.begin() + 5);
    device.Make(first);
    for (int packet = 0; packet < 20; ++packet) device.Decide();
    device.Make(changes);
    device.InForce();
    for (int packet = 0; packet < 20; ++packet) ASSERT_TRUE(device.Decide());
  }
  EXPECT_GT(device.counts().mixed, 100u);
  EXPECT_EQ(device.counts().unissued, 0u);
}

TEST(GenerationCheck, FindsASetThatNobodyIssued) {
  Watched device(9);
  device.Issue(3);
  device.Pretend(2);
  EXPECT_FALSE(device.Decide());
  device.Pretend(1);  // whose digest is another
  EXPECT_FALSE(device.Decide());
  EXPECT_EQ(device.counts().unissued, 2u);
}

TEST(UpdateWork, GrowsWithRecordsBytesAndChanges) {
  const Work record = WorkOfRecords(3, 161);
  EXPECT_EQ(record[WorkItem::kHeader], 12u);
  EXPECT_EQ(record[WorkItem::kMacWord], 321u);
  EXPECT_EQ(record[WorkItem::kByteCopied], 161u);
  EXPECT_EQ(WorkOfRecords(0, 0), Work());
  EXPECT_EQ(WorkOfWishes(0), Work());
  // 67 bytes at the most: 9 words, twice.
  EXPECT_EQ(WorkOfWishes(2)[WorkItem::kMacWord], 36u);
  EXPECT_EQ(WorkOfWishes(2)[WorkItem::kInstall], 0u);
  EXPECT_EQ(WorkOfChanges(2)[WorkItem::kInstall], 2u);
}

}  // namespace
}  // namespace foreflow::control
