// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/rehearsal.h"

#include <gtest/gtest.h>

namespace foreflow::path {
namespace {

rules::EntryKey Entry(std::uint16_t number) {
  rules::EntryKey entry;
  entry.fields.destination_port = number;
  return entry;
}

// Twelve entries in turn, room for four, each announced one step ahead when `announced`.
Rehearsal Rounds(int packets, bool announced, bool device_follows) {
  Rehearsal rehearsal(4, Micros(1));
  Work work;
  for (int i = 0; i < packets; ++i) {
    const Nanos now = Micros(10 * i);
    const bool allowed = rehearsal.AllowsPredictions();
    const rules::EntryKey entry = Entry(static_cast<std::uint16_t>(i % 12));
    rehearsal.See(entry, rehearsal.HashOf(entry), rules::RuleChanges(), now, work);
    if (!(device_follows && allowed)) rehearsal.SeePunt(rehearsal.HashOf(entry));
    const int next = announced ? (i + 1) % 12 : 100 + i % 7;
    const rules::EntryKey predicted = Entry(static_cast<std::uint16_t>(next));
    rehearsal.Predict(predicted, rehearsal.HashOf(predicted), rules::RuleChanges(), now, work);
  }
  return rehearsal;
}

TEST(Rehearsal, OpensWhenPredictionsSavePunts) {
  EXPECT_FALSE(Rounds(1, true, true).AllowsPredictions());  // nothing is known yet
  EXPECT_TRUE(Rounds(100, true, true).AllowsPredictions());
  EXPECT_TRUE(Rounds(20000, true, true).AllowsPredictions());
}

TEST(Rehearsal, StaysShutWhenPredictionsAreWrong) {
  for (const int packets : {10, 100, 1000, 20000}) {
    EXPECT_FALSE(Rounds(packets, false, true).AllowsPredictions()) << packets;
  }
}

TEST(Rehearsal, ShutsWhenTheDeviceDoesWorseThanItsReactiveTwin) {
  Rehearsal rehearsal = Rounds(1000, true, true);
  ASSERT_TRUE(rehearsal.AllowsPredictions());
  for (int i = 0; i < 2000; ++i) rehearsal.SeePunt(0);
  EXPECT_FALSE(rehearsal.AllowsPredictions());
}

// Three times as many entries in turn as there is room for.
TEST(Rehearsal, OfALargeDeviceASampleTellsTheSame) {
  constexpr std::size_t kCapacity = 8192;
  constexpr int kInTurn = 3 * kCapacity;
  for (const bool is_announced : {true, false}) {
    Rehearsal rehearsal(kCapacity, Micros(1));
    Work work;
    int rehearsed = 0;
    for (int i = 0; i < 10 * kInTurn; ++i) {
      const Nanos now = Micros(10 * i);
      const rules::EntryKey entry = Entry(static_cast<std::uint16_t>(i % kInTurn));
      const std::uint64_t hash = rehearsal.HashOf(entry);
      rehearsed += rehearsal.Rehearses(hash) ? 1 : 0;
      rehearsal.See(entry, hash, rules::RuleChanges(), now, work);
      rehearsal.SeePunt(hash);
      const int next = is_announced ? (i + 1) % kInTurn : kInTurn + i % kInTurn;
      const rules::EntryKey predicted = Entry(static_cast<std::uint16_t>(next));
      rehearsal.Predict(predicted, rehearsal.HashOf(predicted), rules::RuleChanges(), now, work);
    }
    EXPECT_EQ(rehearsal.AllowsPredictions(), is_announced);
    EXPECT_NEAR(rehearsed, 10 * kInTurn / 8, 10 * kInTurn / 80);
  }
}

}  // namespace
}  // namespace foreflow::path
