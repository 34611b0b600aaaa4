// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <random>
#include <vector>

#include "models/path/packet_path.h"

namespace foreflow::path {
namespace {

constexpr flow::VmId kVictim = 1;
constexpr flow::VmId kAttacker = 2;
constexpr flow::VmId kNeighbour = 3;
constexpr std::uint32_t kSlots = 16;  // of the device
constexpr int kTrials = 2000;

// One VM learns of another by what its own packets' punts tell (it times them, and is never wrong about one:
// the most that it could see). It fills the device with flows of its own, waits while the victim either sends
// to new destinations (1) or to one that it always sends to (0), and looks how many of its flows are still
// there.
struct Setting {
  std::uint32_t flow_entries = kSlots;
  std::uint32_t rule_slots = 0;
  std::uint32_t vm_installs_per_second = 100'000;
  int victim_packets = 4;
  int neighbour_packets = 0;  // at most, to new destinations: noise
};

struct Learnt {
  double advantage = 0;    // of the best threshold: P(says 1 | 1) - P(says 1 | 0)
  double information = 0;  // mutual, in bits a trial
};

class Observed {
 public:
  explicit Observed(const Setting& setting) : setting_(setting), path_(Config(setting), nullptr) {}

  Learnt Measure() {
    std::map<int, std::array<int, 2>> seen;  // trials by punts and secret
    for (int trial = 0; trial < kTrials; ++trial) {
      const int secret = static_cast<int>(random_() % 2);
      for (int round = 0; round < 2; ++round) {
        for (std::uint8_t i = 0; i < kSlots; ++i) Send(kAttacker, i);
      }
      for (int i = 0; i < setting_.victim_packets; ++i) {
        Send(kVictim, secret == 1 ? static_cast<std::uint8_t>(64 + random_() % 64) : std::uint8_t{63});
      }
      const int noise =
          setting_.neighbour_packets == 0
              ? 0
              : static_cast<int>(random_() % static_cast<unsigned>(setting_.neighbour_packets + 1));
      for (int i = 0; i < noise; ++i) Send(kNeighbour, static_cast<std::uint8_t>(128 + random_() % 64));
      // The latest first: in the order of filling, each miss would evict the flow that is looked at next.
      int punts = 0;
      for (std::uint8_t i = kSlots; i-- > 0;) punts += Send(kAttacker, i);
      ++seen[punts][static_cast<std::size_t>(secret)];
    }
    return Learn(seen);
  }

 private:
  static PathConfig Config(const Setting& setting) {
    PathConfig config;
    config.vms = 4;
    config.flow_entries = setting.flow_entries;
    config.rule_slots = setting.rule_slots;
    config.vm_installs_per_second = setting.vm_installs_per_second;
    config.label_pending = 16;
    for (std::uint32_t id = 0; id < 256; ++id) {
      rules::Rule rule;
      rule.id = id;
      rule.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
      rule.destination.address = {10, 0, 0, static_cast<std::uint8_t>(id)};
      rule.destination.length = 32;
      rule.action.verb = rules::Verb::kForward;
      config.rules.push_back(rule);
    }
    return config;
  }

  bool Send(flow::VmId vm, std::uint8_t destination) {
    now_ += Micros(20);
    Parsed parsed;
    parsed.decidable = true;
    parsed.key.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
    parsed.key.vm = vm;
    parsed.key.source_address = {10, 1, 0, static_cast<std::uint8_t>(vm)};
    parsed.key.destination_address = {10, 0, 0, destination};
    parsed.key.ip_protocol = 17;
    Arrival arrival;
    arrival.wire_bytes = 64;
    arrival.vm = vm;
    arrival.time = arrival.sent = now_;
    Tagged tagged;
    StageWork work;
    Verdict verdict;
    path_.HostSide(arrival, parsed, tagged, work);
    path_.DeviceSide(arrival, tagged, verdict, work);
    return verdict.punted;
  }

  static Learnt Learn(const std::map<int, std::array<int, 2>>& seen) {
    double of[2] = {0, 0};
    for (const auto& [punts, trials] : seen) {
      for (std::size_t secret : {0u, 1u}) of[secret] += trials[secret];
    }
    Learnt learnt;
    double above[2] = {of[0], of[1]};
    for (const auto& [punts, trials] : seen) {
      for (std::size_t secret : {0u, 1u}) {
        above[secret] -= trials[secret];
        const double joint = trials[secret] / (of[0] + of[1]);
        if (joint == 0) continue;
        const double apart = (trials[0] + trials[1]) / (of[0] + of[1]) * of[secret] / (of[0] + of[1]);
        learnt.information += joint * std::log2(joint / apart);
      }
      learnt.advantage = std::max(learnt.advantage, std::abs(above[1] / of[1] - above[0] / of[0]));
    }
    return learnt;
  }

  Setting setting_;
  PacketPath path_;
  std::mt19937_64 random_{2026};
  Nanos now_;
};

Learnt Show(const char* name, const Setting& setting) {
  const Learnt learnt = Observed(setting).Measure();
  std::printf("%-46s advantage %.3f, %.3f bits a trial\n", name, learnt.advantage, learnt.information);
  return learnt;
}

TEST(SideChannel, ASharedDeviceTellsAndRoomOrABudgetKeepsQuiet) {
  const Learnt shared = Show("shared flow cache", {});
  EXPECT_GT(shared.advantage, 0.95);

  Setting noisy;
  noisy.neighbour_packets = 8;
  const Learnt in_noise = Show("shared flow cache, a busy neighbour", noisy);
  EXPECT_LT(in_noise.information, shared.information);

  Setting roomy;
  roomy.flow_entries = 1024;
  EXPECT_LT(Show("room for all flows", roomy).advantage, 0.05);

  Setting rule_table;
  rule_table.flow_entries = 0;
  rule_table.rule_slots = kSlots;
  const Learnt table = Show("shared rule table", rule_table);
  rule_table.vm_installs_per_second = 100;
  const Learnt budgeted = Show("shared rule table, 100 installs a second and VM", rule_table);
  EXPECT_LT(budgeted.advantage, table.advantage);
}

}  // namespace
}  // namespace foreflow::path
