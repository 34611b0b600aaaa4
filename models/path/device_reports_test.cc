// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/device_reports.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

#include "models/control/counter.h"
#include "models/path/test_traffic.h"

namespace foreflow::path {
namespace {

PathConfig Config(std::uint16_t lanes) {
  PathConfig config;
  config.arm = Arm::kPredictive;
  config.vms = 8;
  config.lanes = lanes;
  config.flow_entries = 64;
  config.tag_master_key.fill(7);
  for (std::uint32_t id = 1; id <= 6; ++id) {
    rules::Rule rule;
    rule.id = 10 * id;
    rule.priority = static_cast<std::int32_t>(id);
    rule.destination_port = {static_cast<std::uint16_t>(8000 + id), static_cast<std::uint16_t>(8000 + id)};
    rule.action.verb = id == 3 ? rules::Verb::kDrop : rules::Verb::kForward;
    config.rules.push_back(rule);
  }
  for (const std::uint32_t id : {104u, 103u}) {
    tag::TagRule rule;
    rule.id = id;
    rule.types = static_cast<std::uint8_t>(1u << (id - 100));  // bulk, stream
    rule.action.verb = rules::Verb::kForward;
    rule.action.queue = id == 104 ? 1 : 3;
    config.tag_rules.push_back(rule);
  }
  return config;
}

// Lanes that are looked at between packets.
class Door final : public ReportedDevice {
 public:
  explicit Door(const PathConfig& config) : lanes_(config, nullptr), reports_(config, *this) {}

  Lanes& path() { return lanes_; }
  DeviceReports& reports() { return reports_; }
  void SetTime(Nanos now) { now_ = now; }

  void Count(Packets& packets, Counters& counters) override {
    counters = lanes_.counters();
    packets.in = counters.packets;
    packets.dropped[static_cast<std::size_t>(Reason::kDenyRule)] = 5;
  }
  void AppendCounters(std::vector<wire::ControlStatisticsRow>& rows) override {
    rows.push_back({control::IdOf(control::Counter::kBatches), 77, 0});
  }
  std::size_t lanes() const override { return lanes_.size(); }
  void VisitLanes(const Visit& visit) override {
    for (std::size_t lane = 0; lane < lanes_.size(); ++lane) visit(lanes_.lane(lane), lane, now_);
  }
  std::vector<std::uint32_t> RuleIds(std::uint32_t first, std::size_t most) override {
    std::vector<std::uint32_t> ids;
    for (const rules::Rule& rule : lanes_.rules().Rules()) {
      if (rule.id >= first && ids.size() < most) ids.push_back(rule.id);
    }
    return ids;
  }

 private:
  Lanes lanes_;
  Nanos now_;
  DeviceReports reports_;
};

// Eight VMs that send streams to services in turn.
Traffic Streams(std::uint64_t seed, std::size_t packets) {
  std::mt19937_64 random(seed);
  Traffic traffic;
  for (std::size_t i = 0; i < packets; ++i) {
    traffic.Udp(static_cast<flow::VmId>(1 + random() % 8), static_cast<std::uint8_t>(20 + i % 5), 40'000,
                static_cast<std::uint16_t>(8000 + random() % 8), Micros(static_cast<int>(i) * 150),
                static_cast<std::uint16_t>(20 + random() % 900));
  }
  return traffic;
}

// Rows by id, asked for `most` at a time.
std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>> AllOf(DeviceReports& reports,
                                                                       wire::StatisticsKind kind,
                                                                       std::size_t most) {
  std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>> all;
  std::uint32_t next = 0;
  for (std::uint32_t first = 0; first != wire::ControlStatisticsReport::kNoMore; first = next) {
    std::vector<wire::ControlStatisticsRow> rows;
    next = wire::ControlStatisticsReport::kNoMore;
    EXPECT_FALSE(reports.ReadStatistics(kind, first, most, rows, next));
    EXPECT_LE(rows.size(), most);
    for (const auto& row : rows) {
      EXPECT_GE(row.id, first);
      EXPECT_TRUE(all.emplace(row.id, std::make_pair(row.packets, row.bytes)).second) << row.id;
    }
  }
  return all;
}

TEST(DeviceReports, CountWhatVerdictsSay) {
  for (const std::uint16_t lanes : {std::uint16_t{1}, std::uint16_t{4}}) {
    SCOPED_TRACE(lanes);
    Door door(Config(lanes));
    Traffic traffic = Streams(3, 9000);
    std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>> rules, tag_rules, classes;
    std::uint64_t unmatched = 0;
    for (const Arrival& arrival : traffic.arrivals()) {
      Verdict verdict;
      StageWork work;
      door.path().Process(&arrival, 1, &verdict, &work);
      if (verdict.rule == rules::kNoRule) ++unmatched;
      for (const auto& [id, counts] :
           {std::make_pair(verdict.rule, &rules), {verdict.tag_rule, &tag_rules}}) {
        if (id == rules::kNoRule) continue;
        ++(*counts)[id].first;
        (*counts)[id].second += arrival.wire_bytes;
      }
      if (verdict.tag_status == tag::TagStatus::kAbsent) continue;
      const auto status = static_cast<std::uint32_t>(verdict.tag_status);
      ++classes[control::TagClassOf(static_cast<std::uint32_t>(verdict.predicted), status)].first;
    }
    EXPECT_GT(tag_rules[104].first, 100u);
    for (const std::size_t most : {1u, 2u, 59u}) {
      EXPECT_EQ(AllOf(door.reports(), wire::StatisticsKind::kRules, most), rules);
      EXPECT_EQ(AllOf(door.reports(), wire::StatisticsKind::kTagRules, most), tag_rules);
      EXPECT_EQ(AllOf(door.reports(), wire::StatisticsKind::kTagClasses, most), classes);
      auto counters = AllOf(door.reports(), wire::StatisticsKind::kCounters, most);
      EXPECT_EQ(counters[control::IdOf(control::Counter::kPacketsIn)].first, 9000u);
      EXPECT_EQ(counters[control::IdOf(control::Counter::kPacketsOfNoRule)].first, unmatched);
      EXPECT_EQ(counters[control::IdOf(control::Counter::kPunts)].first, door.path().counters().punts);
      EXPECT_EQ(counters[control::IdOf(control::Counter::kBatches)].first, 77u);
      const auto denied = static_cast<std::uint32_t>(Reason::kDenyRule);
      EXPECT_EQ(counters[control::IdOf(control::Counter::kDropped, denied)].first, 5u);
    }
  }
}

// What one device expects, told to another: row by row, through a message's form.
TEST(DeviceReports, AProfileThatIsReadCanBeTold) {
  Door learned(Config(4)), other(Config(4));
  Traffic traffic = Streams(5, 9000);
  for (const Arrival& arrival : traffic.arrivals()) {
    Verdict verdict;
    StageWork work;
    learned.path().Process(&arrival, 1, &verdict, &work);
  }
  std::vector<wire::ControlProfileRow> rows;
  EXPECT_FALSE(learned.reports().ReadProfile(2, 5, rows));
  ASSERT_GT(rows.size(), 1u);
  for (std::size_t i = 1; i < rows.size(); ++i) EXPECT_GE(rows[i - 1].confidence, rows[i].confidence);
  for (wire::ControlProfileRow& row : rows) {
    row.confidence = 60'000;
    row.horizon_us = 0;
  }
  EXPECT_FALSE(other.reports().TakeProfile(2, rows));
  auto counters = AllOf(other.reports(), wire::StatisticsKind::kCounters, 100);
  EXPECT_EQ(counters[control::IdOf(control::Counter::kProfileRows)].first, rows.size());
  EXPECT_GT(counters[control::IdOf(control::Counter::kInstallsByProfile)].first, 0u);
  for (const std::uint16_t vm : {std::uint16_t{0}, std::uint16_t{9}}) {
    EXPECT_TRUE(other.reports().ReadProfile(vm, 5, rows)) << vm;
    EXPECT_TRUE(other.reports().TakeProfile(vm, rows)) << vm;
  }
  rows[0].packet_type = static_cast<std::uint8_t>(predict::kPacketTypes);
  EXPECT_TRUE(other.reports().TakeProfile(2, rows));
  PathConfig blind = Config(1);
  blind.arm = Arm::kReactive;
  Door reactive(blind);
  EXPECT_TRUE(reactive.reports().ReadProfile(2, 5, rows));
}

// Profiles told between the same packets: bursts, single packets, and host and device apart decide the same.
TEST(DeviceReports, AToldProfileIsTheSameToEveryDoor) {
  Traffic traffic = Streams(9, 9600);
  const std::vector<Arrival>& arrivals = traffic.arrivals();
  enum class Way { kBursts, kSingly, kHalves };
  std::vector<Verdict> first;
  for (const Way way : {Way::kBursts, Way::kSingly, Way::kHalves}) {
    Door door(Config(4));
    std::vector<Verdict> verdicts(arrivals.size());
    std::mt19937_64 random(11);
    for (std::size_t at = 0; at < arrivals.size(); at += kBurst) {
      wire::ControlProfileRow row;
      const auto vm = static_cast<std::uint16_t>(1 + random() % 8);
      row.source_address = {10, 0, 0, static_cast<std::uint8_t>(vm)};
      row.destination_address = {10, 0, 0, static_cast<std::uint8_t>(20 + random() % 5)};
      row.source_port = 40'000;
      row.destination_port = static_cast<std::uint16_t>(8000 + random() % 8);
      row.ip_protocol = 17;
      row.l3 = 2;
      row.confidence = 50'000;
      row.packet_type = static_cast<std::uint8_t>(3 + random() % 2);  // bulk, stream
      row.type_confidence = 65'535;
      door.SetTime(arrivals[at].time);
      EXPECT_FALSE(door.reports().TakeProfile(vm, {row}));
      std::vector<StageWork> work(kBurst);
      if (way == Way::kBursts) door.path().Process(&arrivals[at], kBurst, &verdicts[at], work.data());
      for (std::size_t i = at; i < at + kBurst; ++i) {
        if (way == Way::kSingly) door.path().Process(&arrivals[i], 1, &verdicts[i], work.data());
        if (way != Way::kHalves) continue;
        Tagged tagged;
        door.path().HostSide(arrivals[i], Parse(arrivals[i]), tagged, work[0]);
        door.path().DeviceSide(arrivals[i], tagged, verdicts[i], work[0]);
      }
    }
    EXPECT_GT(door.path().counters().tags_as_told, 50u);
    if (first.empty()) first = verdicts;
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
      ASSERT_EQ(Encode(verdicts[i]), Encode(first[i])) << i << ", way " << static_cast<int>(way);
    }
  }
}

}  // namespace
}  // namespace foreflow::path
