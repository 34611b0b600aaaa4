// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/rule_codec.h"

#include <gtest/gtest.h>

#include <vector>

#include "models/base/rng.h"
#include "models/control/rule_set_state.h"
#include "models/control/test_rules.h"

namespace foreflow::control {
namespace {

using rules::Rule;
using rules::RuleChange;
using rules::RuleOperation;
using Raw = std::vector<std::uint8_t>;

Raw Encoded(const RuleChange& change) {
  Raw bytes;
  Append(change, bytes);
  return bytes;
}

TEST(RuleCodec, LaysOutWhatTheHeaderSays) {
  Rule rule;
  rule.id = 0x01020304;
  rule.priority = -2;
  rule.l3 = 1;
  rule.vm = 7;
  rule.ip_protocol = 6;
  rule.source_port = {1, 2};
  rule.destination_port = {80, 443};
  rule.vlan = 0x0abc;
  rule.vlan_priority = 5;
  rule.action.verb = rules::Verb::kTrap;
  rule.action.mirror = true;
  rule.action.queue = 3;
  rule.action.shard = true;
  rule.action.meter = 9;
  rule.action.change = 0x0102;
  rule.source.address = {10, 1, 0xff};
  rule.source.length = 20;
  rule.destination.length = 0;
  const Raw expected = {1,  2,    0, 37,                                           // modify, layout, length
                        1,  2,    3, 4,    0xff, 0xff, 0xff, 0xfe, 1,              // id, priority, l3
                        0,  7,    0, 6,    0,    1,    0,    2,    0, 80, 1, 187,  // vm, protocol, ports
                        10, 0xbc, 5,                                               // vlan, its priority
                        2,  1,    3, 1,    0,    9,    1,    2,  // verb, mirror, queue, shard, meter, change
                        20, 10,   1, 0xf0, 0};                   // prefixes: bits 20.. are not carried
  EXPECT_EQ(Encoded({RuleOperation::kModify, rule}), expected);
  EXPECT_EQ(Encoded({RuleOperation::kErase, rule}), (Raw{2, 2, 0, 4, 1, 2, 3, 4}));
}

TEST(RuleCodec, ReadsWhatItWrote) {
  Rng rng(1, "rule_codec_test");
  for (int round = 0; round < 5000; ++round) {
    const RuleChange change{static_cast<RuleOperation>(rng.Below(3)), AnyRule(rng, round)};
    Raw bytes = Encoded(change);
    ASSERT_LE(bytes.size(), kMostChangeBytes);
    const std::size_t length = bytes.size();
    bytes.push_back(0xcc);  // what follows is not read
    RuleChange again;
    ASSERT_EQ(Read({bytes.data(), bytes.size()}, again), length);
    bytes.pop_back();
    EXPECT_EQ(Encoded(again), bytes);
    EXPECT_EQ(again.operation, change.operation);
    EXPECT_EQ(again.rule.id, change.rule.id);
    EXPECT_TRUE(change.operation == RuleOperation::kErase || again.rule.action == change.rule.action);
    for (std::size_t size = 0; size < length; ++size) EXPECT_EQ(Read({bytes.data(), size}, again), 0u);
  }
}

TEST(RuleCodec, WhatItReadsHasOneSpelling) {
  Rng rng(2, "rule_codec_test");
  std::size_t accepted = 0, refused = 0;
  for (int round = 0; round < 50'000; ++round) {
    Raw bytes = Encoded({static_cast<RuleOperation>(rng.Below(3)), AnyRule(rng, round)});
    bytes[rng.Below(static_cast<std::uint32_t>(bytes.size()))] ^=
        static_cast<std::uint8_t>(1u << rng.Below(8));
    RuleChange change;
    const std::size_t length = Read({bytes.data(), bytes.size()}, change);
    ++(length > 0 ? accepted : refused);
    if (length == 0) continue;
    const Raw again = Encoded(change);
    ASSERT_EQ(again, Raw(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)));
  }
  EXPECT_GT(accepted, 1000u);
  EXPECT_GT(refused, 1000u);
}

TEST(RuleSetState, DigestIsOfTheSetAlone) {
  Rng rng(3, "rule_codec_test");
  std::vector<Rule> rules;
  for (int i = 0; i < 100; ++i) rules.push_back(AnyRule(rng, i));
  const RuleSetState straight = RuleSetState::Of(rules);
  RuleSetState crooked;
  for (int i = 99; i >= 0; --i) {
    Rule other = AnyRule(rng, i);
    ASSERT_TRUE(crooked.Apply({RuleOperation::kInsert, other}));
    EXPECT_FALSE(crooked.Apply({RuleOperation::kInsert, other}));
  }
  EXPECT_NE(crooked.digest(), straight.digest());
  for (const Rule& rule : rules) {
    if (rule.id % 2 == 0) {
      ASSERT_TRUE(crooked.Apply({RuleOperation::kModify, rule}));
    } else {
      ASSERT_TRUE(crooked.Apply({RuleOperation::kErase, rule}));
      EXPECT_FALSE(crooked.Apply({RuleOperation::kErase, rule}));
      EXPECT_FALSE(crooked.Apply({RuleOperation::kModify, rule}));
      ASSERT_TRUE(crooked.Apply({RuleOperation::kInsert, rule}));
    }
  }
  EXPECT_EQ(crooked.digest(), straight.digest());
  // Of one rule, every field counts.
  RuleSetState one = RuleSetState::Of({rules[0]});
  const wire::SetDigest before = one.digest();
  Rule changed = rules[0];
  changed.action.queue ^= 1;
  RuleChange inverse;
  ASSERT_TRUE(one.Apply({RuleOperation::kModify, changed}, &inverse));
  EXPECT_NE(one.digest(), before);
  ASSERT_TRUE(one.Apply(inverse));
  EXPECT_EQ(one.digest(), before);
  one.Clear();
  EXPECT_EQ(one.digest(), RuleSetState().digest());
}

}  // namespace
}  // namespace foreflow::control
