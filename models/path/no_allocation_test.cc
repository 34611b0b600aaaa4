// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "models/base/count_allocations_test.h"
#include "models/path/packet_path.h"
#include "models/predict/types_model_test.h"

namespace foreflow::path {
namespace {

TEST(NoAllocation, DecidingPacketsTakesNoMemory) {
  const std::uint64_t seed = 5;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  // UDP over IPv4, addresses and ports at random: every table fills up and evicts.
  constexpr std::size_t kPackets = 20000;
  std::vector<std::array<std::uint8_t, 60>> frames(kPackets);
  std::vector<Arrival> arrivals(kPackets);
  Nanos now;
  for (std::size_t i = 0; i < kPackets; ++i) {
    auto& frame = frames[i];
    frame = {};
    frame[12] = 0x08;
    frame[14] = 0x45;
    frame[17] = 46;
    frame[22] = 64;
    frame[23] = 17;
    for (const std::size_t at : {29u, 32u, 33u, 34u, 35u, 37u})
      frame[at] = static_cast<std::uint8_t>(random() % 37);
    frame[39] = 26;
    now += Nanos(static_cast<std::int64_t>(random() % 3'000'000));
    Arrival& arrival = arrivals[i];
    arrival.captured = {frame.data(), frame.size()};
    arrival.wire_bytes = 60;
    arrival.vm = static_cast<flow::VmId>(random() % 6);
    arrival.time = arrival.sent = now;
  }
  const auto table = predict::TypesModel(predict::ModelKind::kAutomaton, {50}, 0, 1);
  const auto network = predict::TypesModel(predict::ModelKind::kGru, {16}, predict::kSequenceInputs, 2);
  struct Case {
    Arm arm;
    std::shared_ptr<const predict::Model> table;
    std::shared_ptr<const predict::Model> network;
  };
  const Case cases[] = {{Arm::kOff, nullptr, nullptr},        {Arm::kReactive, nullptr, nullptr},
                        {Arm::kPredictive, nullptr, nullptr}, {Arm::kOracle, nullptr, nullptr},
                        {Arm::kAntiOracle, nullptr, nullptr}, {Arm::kPredictive, table, nullptr},
                        {Arm::kPredictive, nullptr, network}, {Arm::kPredictive, table, network}};
  for (const Case& tested : cases) {
    PathConfig config;
    config.arm = tested.arm;
    config.table = tested.table;
    config.network = tested.network;
    config.conversations = 64;
    config.vms = 5;
    config.flow_entries = 100;
    config.peers_per_vm = 50;
    config.label_pending = 64;
    rules::Rule rule;
    rule.id = 1;
    rule.action.verb = rules::Verb::kForward;
    config.rules = {rule};
    const Future future(arrivals, config.label_horizon);
    PacketPath path(config, &future);
    Verdict verdict;
    Expectation expected;
    g_allocations = 0;
    g_counting = true;
    for (const Arrival& arrival : arrivals) {
      StageWork work;
      path.Process(&arrival, 1, &verdict, &work);
      if (path.Expect(arrival.vm, &expected, 1) > 0) path.TakeExpectation(expected, arrival.time);
    }
    g_counting = false;
    EXPECT_EQ(g_allocations, 0u) << "arm " << static_cast<int>(tested.arm)
                                 << (tested.table != nullptr ? ", table" : "")
                                 << (tested.network != nullptr ? ", network" : "");
  }
}

}  // namespace
}  // namespace foreflow::path
