// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "models/base/rng.h"
#include "models/control/controller.h"
#include "models/control/device_agent.h"
#include "models/control/rule_codec.h"
#include "models/control/test_rules.h"
#include "models/rules/rule_table.h"

namespace foreflow::control {
namespace {

using rules::Rule;
using rules::RuleChange;
using rules::RuleOperation;
using wire::ControlType;
using wire::RefusalReason;
using Raw = std::vector<std::uint8_t>;

constexpr std::uint32_t kAllRights = kMayChangeRules | kMayRotateKeys | kMaySendProfiles | kMayReadStatistics;
constexpr std::uint32_t kBadRule = 66'666;
constexpr std::uint16_t kNoVm = 999;

// The set as text, made without RuleSetState.
std::string TextOf(std::vector<Rule> rules) {
  std::sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) { return a.id < b.id; });
  Raw bytes;
  for (const Rule& rule : rules) Append({RuleOperation::kInsert, rule}, bytes);
  return std::string(bytes.begin(), bytes.end());
}

// Follows what it is told by the changes alone, as a table that is changed in place does.
class TestDevice : public ControlledDevice {
 public:
  explicit TestDevice(const std::vector<Rule>& initial) {
    for (const Rule& rule : initial) rules_[rule.id] = rule;
  }

  std::optional<DeviceRefusal> Apply(const std::vector<RuleChange>& changes, bool is_whole,
                                     const RuleSetState& next, std::uint64_t generation) override {
    for (const RuleChange& change : changes) {
      if (change.operation != RuleOperation::kErase && change.rule.id == kBadRule) {
        return DeviceRefusal{RefusalReason::kRule, kBadRule, "no such rule here"};
      }
    }
    if (is_whole) rules_.clear();
    for (const RuleChange& change : changes) {
      EXPECT_EQ(rules_.count(change.rule.id), change.operation == RuleOperation::kInsert ? 0u : 1u);
      if (change.operation == RuleOperation::kErase) {
        rules_.erase(change.rule.id);
      } else {
        rules_[change.rule.id] = change.rule;
      }
    }
    EXPECT_EQ(TextOf(Rules()), TextOf(next.Rules()));
    EXPECT_GT(generation, generation_);
    generation_ = generation;
    ++applied;
    return std::nullopt;
  }
  std::optional<DeviceRefusal> RotateKeys(const wire::ControlKeyRotation& rotation, Nanos) override {
    if (rotation.epoch <= epoch)
      return DeviceRefusal{RefusalReason::kStale, wire::ControlRefusal::kNoRule, "old epoch"};
    epoch = rotation.epoch;
    ++rotations;
    return std::nullopt;
  }
  std::optional<DeviceRefusal> TakeProfile(std::uint16_t,
                                           const std::vector<wire::ControlProfileRow>& rows) override {
    profile_rows += rows.size();
    return std::nullopt;
  }
  // As many rows as the VM's number says.
  std::optional<DeviceRefusal> ReadProfile(std::uint16_t vm, std::size_t most,
                                           std::vector<wire::ControlProfileRow>& rows) override {
    if (vm == kNoVm) return DeviceRefusal{};
    for (std::uint16_t i = 0; i < vm && i < most; ++i) {
      rows.emplace_back();
      rows.back().destination_port = i;
      rows.back().confidence = static_cast<std::uint16_t>(60'000 - i);
    }
    ++profiles_read;
    return std::nullopt;
  }
  std::optional<DeviceRefusal> ReadStatistics(wire::StatisticsKind kind, std::uint32_t first,
                                              std::size_t most, std::vector<wire::ControlStatisticsRow>& rows,
                                              std::uint32_t& next) override {
    if (kind != wire::StatisticsKind::kRules) return DeviceRefusal{};
    for (const auto& [id, rule] : rules_) {
      if (id < first) continue;
      if (rows.size() == most) {
        next = id;
        return std::nullopt;
      }
      rows.push_back({id, id + 1u, 2u * id});
    }
    return std::nullopt;
  }

  std::vector<Rule> Rules() const {
    std::vector<Rule> rules;
    for (const auto& [id, rule] : rules_) rules.push_back(rule);
    return rules;
  }
  std::uint64_t generation() const { return generation_; }

  std::uint64_t applied = 0;
  std::uint64_t epoch = 0;
  std::uint64_t rotations = 0;
  std::uint64_t profile_rows = 0;
  std::uint64_t profiles_read = 0;

 private:
  std::map<std::uint32_t, Rule> rules_;
  std::uint64_t generation_ = 0;
};

struct LinkLaw {
  std::uint32_t lost = 0, repeated = 0, cut = 0;  // of 1000 messages
  Nanos delay = Micros(100);
  Nanos jitter = Micros(0);
};

// Controller, agent and the link between them, in virtual time. After every event the device's rules are
// compared with the sets that were issued.
class Link {
 public:
  Link(std::uint64_t seed, const ControllerConfig& config, const std::vector<Rule>& initial)
      : rng_(seed, "control_link"), config_(config), initial_(initial) {
    StartDevice();
    StartController();
  }

  void StartDevice() {
    // Its rules are the initial ones again.
    device = std::make_unique<TestDevice>(initial_);
    AgentConfig config;
    config.instance = ++instances_;
    config.most_rules = 5000;
    config.patience = Millis(50);
    agent = std::make_unique<DeviceAgent>(config, initial_, *device);
  }
  void StartController() {
    controller = std::make_unique<Controller>(config_, static_cast<std::uint64_t>(now.count()) + 1);
    recorded_ = 0;
    controller->Connected(now, ToDevice());
  }

  void Run(Nanos until) {
    for (;;) {
      const Nanos tick = std::max(controller->NextTick(), now);
      const Nanos arrival = queue_.empty() ? until : queue_.begin()->first;
      const Nanos next = std::min(tick, arrival);
      if (next >= until) break;
      now = next;
      if (arrival <= tick) {
        const Message message = queue_.begin()->second;
        queue_.erase(queue_.begin());
        Deliver(message);
      } else {
        controller->Tick(now, ToDevice());
      }
      Check();
    }
    now = until;
    controller->Tick(now, ToDevice());
    Check();
  }

  void Touch() {
    controller->Tick(now, ToDevice());
    Check();
  }

  // The rules in use are those of their generation, as one controller issued it.
  void Check() {
    if (controller->last_issued() > recorded_) {
      recorded_ = controller->last_issued();
      issued_[recorded_].insert(TextOf(controller->wanted().Rules()));
    }
    ++checks;
    ASSERT_EQ(agent->generation(), device->generation());
    const std::string held = TextOf(device->Rules());
    if (device->generation() == 0) {
      ASSERT_EQ(held, TextOf(initial_));
    } else {
      ASSERT_EQ(issued_[device->generation()].count(held), 1u) << "generation " << device->generation();
    }
  }

  bool Agrees() const { return TextOf(device->Rules()) == TextOf(controller->wanted().Rules()); }

  LinkLaw law;
  Nanos now = Seconds(1);
  std::unique_ptr<TestDevice> device;
  std::unique_ptr<DeviceAgent> agent;
  std::unique_ptr<Controller> controller;
  std::uint64_t checks = 0;
  std::uint32_t rights = kAllRights;

 private:
  struct Message {
    bool to_device;
    Raw bytes;
  };

  Send ToDevice() {
    return [this](BytesView bytes) { Carry(true, bytes); };
  }
  void Carry(bool to_device, BytesView bytes) {
    ASSERT_LE(bytes.size, kMostMessageBytes);
    if (rng_.Below(1000) < law.lost) return;
    const int copies = rng_.Below(1000) < law.repeated ? 3 : 1;
    for (int copy = 0; copy < copies; ++copy) {
      Raw carried(bytes.begin(), bytes.end());
      if (rng_.Below(1000) < law.cut) carried.resize(rng_.Below(static_cast<std::uint32_t>(carried.size())));
      const auto jitter = static_cast<std::int64_t>(rng_.Real() * static_cast<double>(law.jitter.count()));
      queue_.insert({now + law.delay + Nanos(jitter), {to_device, carried}});
    }
  }
  void Deliver(const Message& message) {
    const BytesView bytes{message.bytes.data(), message.bytes.size()};
    if (message.to_device) {
      agent->Input(0, rights, bytes, now, [this](BytesView answer) { Carry(false, answer); });
    } else {
      controller->Input(bytes, now, ToDevice());
    }
  }

  Rng rng_;
  ControllerConfig config_;
  std::vector<Rule> initial_;
  std::uint64_t instances_ = 0;
  std::multimap<Nanos, Message> queue_;
  std::map<std::uint64_t, std::set<std::string>> issued_;
  std::uint64_t recorded_ = 0;
};

// Changes what is wanted: one to `most` changes.
void ChangeSome(Controller& controller, Rng& rng, std::uint32_t ids, std::uint32_t most) {
  for (std::uint32_t n = rng.Below(most) + 1; n > 0; --n) {
    const auto id = static_cast<int>(rng.Below(ids));
    const bool is_there = controller.wanted().Find(static_cast<std::uint32_t>(id)) != nullptr;
    const RuleOperation operation = !is_there           ? RuleOperation::kInsert
                                    : rng.Below(2) == 0 ? RuleOperation::kModify
                                                        : RuleOperation::kErase;
    ASSERT_TRUE(controller.Change({operation, AnyRule(rng, id)}));
  }
}

std::vector<Rule> SomeRules(int count) {
  Rng rng(7, "some_rules");
  std::vector<Rule> rules;
  for (int id = 0; id < count; ++id) rules.push_back(AnyRule(rng, id));
  return rules;
}

ControllerConfig Quick() {
  ControllerConfig config;
  config.retransmit = Millis(2);
  config.hello_interval = Millis(20);
  return config;
}

TEST(Control, AnAgreedStartSendsNoRules) {
  const auto initial = SomeRules(10);
  Link link(1, Quick(), initial);
  link.controller->Replace(initial);
  link.Run(link.now + Millis(10));
  EXPECT_TRUE(link.controller->IsInForce());
  EXPECT_EQ(link.controller->counts().parts, 0u);
  EXPECT_EQ(link.agent->generation(), 0u);
}

TEST(Control, WhoWantsNothingChangesNothing) {
  Link link(1, Quick(), SomeRules(10));
  link.controller->ReadStatistics(wire::StatisticsKind::kRules, 0);
  link.Run(link.now + Millis(50));
  EXPECT_EQ(link.device->Rules().size(), 10u);
  EXPECT_EQ(link.agent->generation(), 0u);
  link.controller->Replace({});  // nothing at all is a wish too
  link.Touch();
  link.Run(link.now + Millis(50));
  EXPECT_TRUE(link.device->Rules().empty());
}

TEST(Control, AChangeCostsItsOwnRule) {
  const auto initial = SomeRules(3000);
  Link link(1, Quick(), initial);
  link.controller->Replace(initial);
  link.Run(link.now + Millis(5));
  Rule changed = initial[77];
  changed.priority += 1;
  const std::uint64_t before = link.controller->counts().bytes;
  ASSERT_TRUE(link.controller->Change({RuleOperation::kModify, changed}));
  link.Touch();
  link.Run(link.now + Millis(1));
  EXPECT_TRUE(link.controller->IsInForce());
  EXPECT_EQ(link.agent->generation(), 1u);
  EXPECT_LT(link.controller->counts().bytes - before, 200u);
  // A whole set goes in many parts, and is in force at once or not at all.
  link.controller->Replace(SomeRules(2000));
  link.controller->Disconnected();
  link.StartDevice();  // forgets: the whole set is needed
  link.controller->Connected(link.now, [](BytesView) {});
  link.Run(link.now + Millis(50));
  EXPECT_TRUE(link.controller->IsInForce());
  EXPECT_GT(link.controller->counts().parts, 50u);
  EXPECT_EQ(link.device->applied, 1u);
}

// FOREFLOW_LONG=1: a hundred times as many.
std::uint64_t Rounds(std::uint64_t usual) {
  return std::getenv("FOREFLOW_LONG") == nullptr ? usual : 100 * usual;
}

// Changes at random, over a link that loses, repeats, reorders and cuts, with restarts of either side at any
// moment.
void Torture(std::uint64_t seed, bool is_constant_work) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed, "control_torture");
  ControllerConfig config = Quick();
  config.is_constant_work = is_constant_work;
  config.update_interval = Micros(500);
  config.window = 1 + rng.Below(64);
  Link link(seed, config, SomeRules(20));
  const std::uint32_t ids = 20 + rng.Below(200);
  std::uint64_t restarts = 0;
  for (int round = 0; round < 60 && !::testing::Test::HasFatalFailure(); ++round) {
    link.law.lost = rng.Below(400);
    link.law.repeated = rng.Below(300);
    link.law.cut = rng.Below(100);
    link.law.jitter = Micros(rng.Below(5000));
    ChangeSome(*link.controller, rng, ids, 1 + rng.Below(40));
    link.Touch();
    link.Run(link.now + Micros(rng.Below(20'000)));
    switch (rng.Below(8)) {
      case 0:
        link.StartDevice();
        ++restarts;
        break;
      case 1: {
        // The new controller knows what should be, not what is.
        const std::vector<Rule> wanted = link.controller->wanted().Rules();
        link.StartController();
        link.controller->Replace(wanted);
        ++restarts;
        break;
      }
      case 2:
        link.controller->Connected(link.now, [](BytesView) {});
        break;
      default:
        break;
    }
  }
  EXPECT_GT(restarts, 0u);
  link.law = {};
  link.Run(link.now + Millis(400));
  EXPECT_TRUE(link.Agrees());
  EXPECT_TRUE(link.controller->IsInForce());
  EXPECT_GT(link.checks, 300u);
}

TEST(Control, EveryRuleSetIsOneThatWasIssued) {
  for (std::uint64_t seed = 1; seed <= Rounds(15) && !HasFatalFailure(); ++seed) Torture(seed, false);
}

TEST(Control, ConstantWorkToo) {
  for (std::uint64_t seed = 1; seed <= Rounds(5) && !HasFatalFailure(); ++seed) Torture(seed, true);
}

// Restarts at every single event of one exchange, not only at random ones.
TEST(Control, ARestartAtEveryEvent) {
  for (const bool of_device : {true, false}) {
    for (int at = 0; at < 40 && !HasFatalFailure(); ++at) {
      SCOPED_TRACE((of_device ? "device, event " : "controller, event ") + std::to_string(at));
      Link link(1, Quick(), SomeRules(5));
      link.controller->Replace(SomeRules(100));
      for (int step = 0; step < at; ++step) link.Run(link.now + Micros(37));
      if (of_device) {
        link.StartDevice();
      } else {
        link.StartController();
        link.controller->Replace(SomeRules(100));
      }
      link.Run(link.now + Millis(100));
      EXPECT_TRUE(link.Agrees());
      EXPECT_TRUE(link.controller->IsInForce());
    }
  }
}

TEST(Control, ADeadControllerLeavesTheLastGoodRules) {
  Link link(1, Quick(), SomeRules(5));
  link.controller->Replace(SomeRules(200));
  link.Run(link.now + Millis(20));
  ASSERT_TRUE(link.controller->IsInForce());
  const std::string good = TextOf(link.device->Rules());
  // Half of the next set arrives, and nothing more ever.
  link.controller->Replace(SomeRules(1000));
  Rng rng(1, "dead");
  link.Touch();
  link.controller->Disconnected();
  link.Run(link.now + Seconds(10));
  EXPECT_TRUE(link.Agrees() || TextOf(link.device->Rules()) == good);
}

TEST(Control, ConstantWorkCostsTheSameWhateverChanges) {
  ControllerConfig config = Quick();
  config.is_constant_work = true;
  config.update_interval = Millis(10);
  Link link(1, config, SomeRules(100));
  link.controller->Replace(SomeRules(100));
  link.Run(link.now + Millis(105));
  const std::uint64_t quiet = link.controller->counts().bytes;
  const std::uint64_t quiet_batches = link.controller->counts().batches;
  std::uint64_t applied = link.device->applied;
  EXPECT_GT(quiet_batches, 9u);
  EXPECT_EQ(applied, quiet_batches);
  Rng rng(5, "busy");
  for (int i = 0; i < 10; ++i) {
    Rule rule = link.controller->wanted().Rules()[rng.Below(100)];
    rule.priority += 1000 + i;
    ASSERT_TRUE(link.controller->Change({RuleOperation::kModify, rule}));
    link.Run(link.now + Millis(10));
  }
  EXPECT_EQ(link.controller->counts().batches - quiet_batches, 10u);
  const double ratio = static_cast<double>(link.controller->counts().bytes - quiet) / 10 /
                       (static_cast<double>(quiet) / static_cast<double>(quiet_batches));
  EXPECT_NEAR(ratio, 1.0, 0.02);
}

ControllerEvent Next(Controller& controller, ControllerEvent::Kind kind) {
  ControllerEvent event;
  while (controller.TakeEvent(event)) {
    if (event.kind == kind) return event;
  }
  ADD_FAILURE() << "no such event";
  return {};
}

TEST(Control, ARefusedRuleChangesNothingAndIsTold) {
  Link link(1, Quick(), SomeRules(5));
  link.controller->Replace(SomeRules(5));
  link.Run(link.now + Millis(10));
  Rng rng(1, "refused");
  ASSERT_TRUE(link.controller->Change({RuleOperation::kErase, link.controller->wanted().Rules()[0]}));
  ASSERT_TRUE(link.controller->Change({RuleOperation::kInsert, AnyRule(rng, kBadRule)}));
  link.Touch();
  link.Run(link.now + Millis(50));
  EXPECT_EQ(link.agent->generation(), 0u);
  EXPECT_EQ(TextOf(link.device->Rules()), TextOf(SomeRules(5)));
  EXPECT_FALSE(link.controller->IsInForce());
  const ControllerEvent event = Next(*link.controller, ControllerEvent::Kind::kRefused);
  EXPECT_EQ(event.refusal.reason, RefusalReason::kRule);
  EXPECT_EQ(event.refusal.rule, kBadRule);
  EXPECT_EQ(event.sentence, "no such rule here");
  EXPECT_EQ(link.agent->counts().refused[static_cast<std::size_t>(RefusalReason::kRule)],
            1u);  // not asked again
  // Without it the rest goes through.
  ASSERT_TRUE(link.controller->Change({RuleOperation::kErase, AnyRule(rng, kBadRule)}));
  link.Touch();
  link.Run(link.now + Millis(10));
  EXPECT_TRUE(link.controller->IsInForce());
  EXPECT_EQ(link.device->Rules().size(), 4u);
}

TEST(Control, MoreThanTheDeviceHoldsIsRefused) {
  Link link(1, Quick(), {});
  link.controller->Replace(SomeRules(5001));
  link.Run(link.now + Millis(100));
  EXPECT_EQ(Next(*link.controller, ControllerEvent::Kind::kRefused).refusal.reason, RefusalReason::kTooLarge);
  EXPECT_TRUE(link.device->Rules().empty());
  EXPECT_EQ(link.controller->device_most_rules(), 5000u);
}

TEST(Control, ARequestIsDoneOnce) {
  Link link(3, Quick(), SomeRules(200));
  link.law.lost = 300;
  link.law.repeated = 500;
  link.law.jitter = Millis(3);
  for (std::uint64_t epoch = 1; epoch <= 20; ++epoch) {
    wire::ControlKeyRotation rotation;
    rotation.epoch = epoch;
    EXPECT_NE(link.controller->RotateKeys(rotation), 0u);
    EXPECT_NE(link.controller->SendProfile(3, std::vector<wire::ControlProfileRow>(5)), 0u);
  }
  link.Run(link.now + Seconds(5));
  EXPECT_EQ(link.device->rotations, 20u);
  EXPECT_EQ(link.device->profile_rows, 100u);
  std::size_t done = 0;
  for (ControllerEvent event; link.controller->TakeEvent(event);)
    done += event.kind == ControllerEvent::Kind::kDone;
  EXPECT_EQ(done, 40u);
  // A new controller of the same peer goes on with later numbers.
  link.StartController();
  wire::ControlKeyRotation rotation;
  rotation.epoch = 21;
  link.controller->RotateKeys(rotation);
  rotation.epoch = 5;
  link.controller->RotateKeys(rotation);
  link.Run(link.now + Seconds(1));
  EXPECT_EQ(link.device->rotations, 21u);
  EXPECT_EQ(Next(*link.controller, ControllerEvent::Kind::kRefused).refusal.reason, RefusalReason::kStale);
}

TEST(Control, StatisticsComePageByPage) {
  const auto initial = SomeRules(150);
  Link link(1, Quick(), initial);
  link.controller->Replace(initial);
  std::vector<std::uint32_t> ids;
  std::uint32_t first = 0;
  while (first != wire::ControlStatisticsReport::kNoMore) {
    link.controller->ReadStatistics(wire::StatisticsKind::kRules, first);
    link.Run(link.now + Millis(5));
    const ControllerEvent event = Next(*link.controller, ControllerEvent::Kind::kReport);
    ASSERT_FALSE(event.rows.empty());
    for (const auto& row : event.rows) {
      ids.push_back(row.id);
      EXPECT_EQ(row.packets, row.id + 1u);
    }
    first = event.report.next;
  }
  ASSERT_EQ(ids.size(), 150u);
  for (std::uint32_t i = 0; i < 150; ++i) EXPECT_EQ(ids[i], i);
  link.controller->ReadStatistics(wire::StatisticsKind::kCounters, 0);
  link.Run(link.now + Millis(5));
  EXPECT_EQ(Next(*link.controller, ControllerEvent::Kind::kRefused).refusal.reason,
            RefusalReason::kUnsupported);
}

// Over a link that loses and repeats: what is asked is answered once, in order, row by row.
TEST(Control, ProfilesAreRead) {
  Link link(3, Quick(), {});
  link.law.lost = 200;
  link.law.repeated = 200;
  std::vector<std::uint64_t> numbers;
  const std::uint16_t vms[] = {0, 1, 5, 22, 23, 60, kNoVm};
  for (const std::uint16_t vm : vms) numbers.push_back(link.controller->ReadProfile(vm));
  link.Run(link.now + Seconds(5));
  for (std::size_t i = 0; i + 1 < std::size(vms); ++i) {
    SCOPED_TRACE(vms[i]);
    const ControllerEvent event = Next(*link.controller, ControllerEvent::Kind::kProfile);
    EXPECT_EQ(event.number, numbers[i]);
    EXPECT_EQ(event.vm, vms[i]);
    ASSERT_EQ(event.profile.size(), std::min<std::size_t>(vms[i], kMostProfileRows));
    for (std::uint16_t row = 0; row < event.profile.size(); ++row) {
      EXPECT_EQ(event.profile[row].destination_port, row);
      EXPECT_EQ(event.profile[row].confidence, 60'000 - row);
    }
  }
  const ControllerEvent refused = Next(*link.controller, ControllerEvent::Kind::kRefused);
  EXPECT_EQ(refused.number, numbers.back());
  EXPECT_EQ(refused.refusal.reason, RefusalReason::kUnsupported);
  EXPECT_GE(link.device->profiles_read, 6u);
}

TEST(Control, AProfileIsAsLongAsAMessage) {
  Link link(1, Quick(), {});
  EXPECT_NE(link.controller->SendProfile(1, std::vector<wire::ControlProfileRow>(kMostProfileRows)), 0u);
  EXPECT_EQ(link.controller->SendProfile(1, std::vector<wire::ControlProfileRow>(kMostProfileRows + 1)), 0u);
  link.Run(link.now + Seconds(1));
  EXPECT_EQ(link.device->profile_rows, kMostProfileRows);
}

TEST(Control, APeerDoesWhatItMay) {
  for (std::uint32_t rights = 0; rights <= kAllRights; ++rights) {
    SCOPED_TRACE(rights);
    Link link(1, Quick(), {});
    link.rights = rights;
    link.controller->Replace(SomeRules(3));
    wire::ControlKeyRotation rotation;
    rotation.epoch = 1;
    link.controller->RotateKeys(rotation);
    link.controller->SendProfile(1, std::vector<wire::ControlProfileRow>(1));
    link.controller->ReadStatistics(wire::StatisticsKind::kRules, 0);
    link.controller->ReadProfile(2);
    link.Run(link.now + Millis(50));
    EXPECT_EQ(link.device->Rules().size(), (rights & kMayChangeRules) != 0 ? 3u : 0u);
    EXPECT_EQ(link.device->profiles_read, (rights & kMayReadStatistics) != 0 ? 1u : 0u);
    EXPECT_EQ(link.device->rotations, (rights & kMayRotateKeys) != 0 ? 1u : 0u);
    EXPECT_EQ(link.device->profile_rows, (rights & kMaySendProfiles) != 0 ? 1u : 0u);
    const unsigned reads = (rights & kMayReadStatistics) != 0 ? 1 : 0;  // two requests by one right
    EXPECT_EQ(link.agent->counts().requests,
              static_cast<unsigned>(__builtin_popcount(rights & (kAllRights - kMayChangeRules))) + reads);
    EXPECT_EQ(link.agent->counts().refused[static_cast<std::size_t>(RefusalReason::kForbidden)],
              5u - static_cast<unsigned>(__builtin_popcount(rights)) - reads);
  }
}

// What an authentic peer gets wrong, or does with intent.
class Hostile : public ::testing::Test {
 protected:
  Hostile() : device_({}), agent_(Config(), {}, device_) {}
  static AgentConfig Config() {
    AgentConfig config;
    config.most_rules = 100;
    config.most_batch_bytes = 10'000;
    return config;
  }
  // The reason of the refusal that comes, or 0.
  int Say(const Raw& message) {
    int reason = 0;
    agent_.Input(0, kAllRights, {message.data(), message.size()}, Seconds(1), [&](BytesView answer) {
      if (answer.data[1] == static_cast<std::uint8_t>(ControlType::kRefusal)) reason = answer.data[4];
    });
    return reason;
  }
  int SayPart(wire::ControlRulePart part, const Raw& tail) {
    MessageBuilder builder;
    const BytesView bytes =
        builder.Begin(ControlType::kRulePart, part).Add(BytesView{tail.data(), tail.size()}).Finish();
    return Say({bytes.begin(), bytes.end()});
  }
  static int Of(RefusalReason reason) { return static_cast<int>(reason); }

  TestDevice device_;
  DeviceAgent agent_;
};

TEST_F(Hostile, PartsThatContradictThemselves) {
  wire::ControlRulePart part;
  part.generation = 1;
  part.is_whole = true;
  part.parts = 0;
  EXPECT_EQ(SayPart(part, {}), Of(RefusalReason::kMalformed));
  part.parts = 1;
  part.part = 1;
  EXPECT_EQ(SayPart(part, {}), Of(RefusalReason::kMalformed));
  part.part = 0;
  EXPECT_EQ(SayPart(part, {1}), Of(RefusalReason::kMalformed));
  part.batch_bytes = 2;
  EXPECT_EQ(SayPart(part, {1}), Of(RefusalReason::kMalformed));
  part.parts = 3;  // more parts than bytes
  EXPECT_EQ(SayPart(part, {1}), Of(RefusalReason::kMalformed));
  part.parts = UINT32_MAX;
  part.batch_bytes = UINT32_MAX;
  EXPECT_EQ(SayPart(part, {1}), Of(RefusalReason::kTooLarge));
  part.parts = 1;
  part.batch_bytes = 0;
  part.digest = RuleSetState::Of(SomeRules(1)).digest();
  EXPECT_EQ(SayPart(part, {}), Of(RefusalReason::kDigest));
  EXPECT_EQ(agent_.generation(), 0u);
  part.digest = {};
  EXPECT_EQ(SayPart(part, {}), 0);
  EXPECT_EQ(agent_.generation(), 1u);  // no rules: the empty set
}

TEST_F(Hostile, BatchesThatCannotBe) {
  const auto rules = SomeRules(3);
  const auto set = [&](const std::vector<RuleChange>& changes, bool is_whole) {
    Raw bytes;
    for (const RuleChange& change : changes) Append(change, bytes);
    wire::ControlRulePart part;
    part.generation = agent_.generation() + 1;
    part.base = agent_.generation();
    part.base_digest = agent_.rules().digest();
    part.digest = RuleSetState::Of(rules).digest();
    part.parts = 1;
    part.batch_bytes = static_cast<std::uint32_t>(bytes.size());
    part.is_whole = is_whole;
    return SayPart(part, bytes);
  };
  const RuleChange a{RuleOperation::kInsert, rules[0]}, b{RuleOperation::kInsert, rules[1]},
      c{RuleOperation::kInsert, rules[2]}, d{RuleOperation::kErase, rules[0]},
      e{RuleOperation::kModify, rules[0]};
  EXPECT_EQ(set({a, b}, true), Of(RefusalReason::kDigest));
  EXPECT_EQ(set({a, b, c, c}, true), Of(RefusalReason::kRule));
  EXPECT_EQ(set({a, b, c, d}, true), Of(RefusalReason::kRule));
  EXPECT_EQ(set({a, b}, false), Of(RefusalReason::kDigest));
  EXPECT_EQ(set({a, b, b}, false), Of(RefusalReason::kRule));
  EXPECT_EQ(set({e}, false), Of(RefusalReason::kRule));
  EXPECT_EQ(set({d}, false), Of(RefusalReason::kRule));
  EXPECT_EQ(agent_.rules().size(), 0u);
  EXPECT_TRUE(device_.Rules().empty());
  EXPECT_EQ(set({a, b, d, a, c, e}, false), 0);
  EXPECT_EQ(TextOf(device_.Rules()), TextOf(rules));
}

TEST_F(Hostile, BytesOfAnyKind) {
  Rng rng(11, "hostile");
  for (int round = 0; round < 20'000; ++round) {
    Raw message(rng.Below(200));
    for (std::uint8_t& byte : message) byte = static_cast<std::uint8_t>(rng.Next32() & rng.Next32());
    if (message.size() >= 4) {
      message[0] = 1;
      message[1] = static_cast<std::uint8_t>(rng.Below(10));
      message[2] = 0;
      message[3] = static_cast<std::uint8_t>(message.size() - 4);
    }
    Say(message);
  }
  EXPECT_EQ(device_.Rules().size(), agent_.rules().size());
  EXPECT_EQ(Say({2, 1, 0, 0}), Of(RefusalReason::kVersion));
}

TEST(Control, TheReadmesExample) {
  const std::vector<Rule> rules = SomeRules(5);
  const std::uint64_t utc_nanoseconds = 1;
  const Nanos now = Seconds(1);
  TestDevice device({});
  DeviceAgent agent(AgentConfig{}, {}, device);
  std::vector<Raw> answers;
  const auto send = [&](BytesView message) {
    agent.Input(0, kAllRights, message, now,
                [&](BytesView answer) { answers.emplace_back(answer.begin(), answer.end()); });
  };
  const auto received = [&] { return std::exchange(answers, {}); };
  Controller controller({}, utc_nanoseconds);
  controller.Replace(rules);         // what the device should have
  controller.Connected(now, send);   // the channel is up: says hello, learns what the device has
  while (!controller.IsInForce()) {  // the device said so
    for (const Raw& message : received()) controller.Input({message.data(), message.size()}, now, send);
    controller.Tick(now, send);  // at NextTick(), and after changes
  }
  EXPECT_EQ(TextOf(device.Rules()), TextOf(rules));
}

}  // namespace
}  // namespace foreflow::control
