// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/device_reports.h"

#include <algorithm>
#include <string>

#include "models/control/counter.h"
#include "models/path/expectation.h"

namespace foreflow::path {

using control::Counter;
using control::DeviceRefusal;
using wire::ControlProfileRow;
using wire::ControlStatisticsRow;
using wire::RefusalReason;

namespace {

constexpr std::size_t kMostLookedAt = 1024;  // rules, for one message: lanes are asked for some at a time

DeviceRefusal Because(RefusalReason reason, const std::string& sentence) {
  return {reason, wire::ControlRefusal::kNoRule, sentence};
}

Expectation ExpectationOf(const ControlProfileRow& row, flow::VmId vm) {
  Expectation expected;
  expected.key.source_address = row.source_address;
  expected.key.destination_address = row.destination_address;
  expected.key.source_port = row.source_port;
  expected.key.destination_port = row.destination_port;
  expected.key.vm = vm;
  expected.key.ip_protocol = row.ip_protocol;
  expected.key.l3 = row.l3;
  expected.vlan = row.vlan;
  expected.confidence = row.confidence;
  expected.horizon = Micros(row.horizon_us);
  expected.type = static_cast<predict::PacketType>(row.packet_type);
  expected.type_confidence = row.type_confidence;
  return expected;
}

ControlProfileRow RowOf(const Expectation& expected) {
  ControlProfileRow row;
  row.source_address = expected.key.source_address;
  row.destination_address = expected.key.destination_address;
  row.source_port = expected.key.source_port;
  row.destination_port = expected.key.destination_port;
  row.ip_protocol = expected.key.ip_protocol;
  row.l3 = expected.key.l3;
  row.vlan = expected.vlan;
  row.confidence = expected.confidence;
  row.horizon_us = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(expected.horizon.count() / 1000, 0, std::int64_t{UINT32_MAX}));
  row.packet_type = static_cast<std::uint8_t>(expected.type);
  row.type_confidence = expected.type_confidence;
  return row;
}

void Add(const rules::RuleStatistics::Row& from, ControlStatisticsRow& to) {
  to.packets += from.packets;
  to.bytes += from.bytes;
}

std::vector<std::uint32_t> IdsOf(const std::vector<tag::TagRule>& rules) {
  std::vector<std::uint32_t> ids;
  for (const tag::TagRule& rule : rules) ids.push_back(rule.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace

DeviceReports::DeviceReports(const PathConfig& config, ReportedDevice& device)
    : arm_(config.arm), vms_(config.vms), tag_rules_(IdsOf(config.tag_rules)), device_(device) {}

std::optional<DeviceRefusal> DeviceReports::CheckVm(std::uint16_t vm) const {
  if (arm_ != Arm::kPredictive) {
    return Because(RefusalReason::kUnsupported,
                   "nothing is predicted here; start the device with arm predictive (--arm predictive)");
  }
  if (vm == 0 || vm > vms_) {
    return Because(RefusalReason::kMalformed, "vm = " + std::to_string(vm) + "; allowed is 1 .. " +
                                                  std::to_string(vms_) + " (host.vms)");
  }
  return std::nullopt;
}

std::optional<DeviceRefusal> DeviceReports::TakeProfile(std::uint16_t vm,
                                                        const std::vector<ControlProfileRow>& rows) {
  if (auto refusal = CheckVm(vm)) return refusal;
  std::vector<Expectation> told;
  for (const ControlProfileRow& row : rows) {
    if (row.l3 > static_cast<std::uint8_t>(wire::Layer3::kIpv6) || row.packet_type >= predict::kPacketTypes) {
      return Because(RefusalReason::kMalformed, "a row's l3 is 0 .. 3, its packet_type 0 .. " +
                                                    std::to_string(predict::kPacketTypes - 1));
    }
    told.push_back(ExpectationOf(row, vm));
  }
  const auto lanes = static_cast<std::uint16_t>(device_.lanes());
  device_.VisitLanes([&](PacketPath& lane, std::size_t number, Nanos now) {
    for (const Expectation& expected : told) {
      if (LaneOf(expected.key, lanes) == number && lane.TakeExpectation(expected, now)) ++profile_installs_;
    }
  });
  profile_rows_ += rows.size();
  return std::nullopt;
}

// The likeliest of all lanes; of equals, those of lower lanes and the nearer.
std::optional<DeviceRefusal> DeviceReports::ReadProfile(std::uint16_t vm, std::size_t most,
                                                        std::vector<ControlProfileRow>& rows) {
  if (auto refusal = CheckVm(vm)) return refusal;
  std::vector<std::size_t> counts(device_.lanes());
  std::vector<Expectation> by_lane(counts.size() * most);
  device_.VisitLanes([&](PacketPath& lane, std::size_t number, Nanos) {
    counts[number] = lane.Expect(vm, &by_lane[number * most], most);
  });
  std::vector<Expectation> found;
  for (std::size_t lane = 0; lane < counts.size(); ++lane) {
    const auto first = by_lane.begin() + static_cast<std::ptrdiff_t>(lane * most);
    found.insert(found.end(), first, first + static_cast<std::ptrdiff_t>(counts[lane]));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.confidence > b.confidence; });
  for (std::size_t i = 0; i < std::min(found.size(), most); ++i) rows.push_back(RowOf(found[i]));
  return std::nullopt;
}

std::optional<DeviceRefusal> DeviceReports::ReadStatistics(wire::StatisticsKind kind, std::uint32_t first,
                                                           std::size_t most,
                                                           std::vector<ControlStatisticsRow>& rows,
                                                           std::uint32_t& next) {
  if (kind == wire::StatisticsKind::kTagRules) {
    ReadRules({std::lower_bound(tag_rules_.begin(), tag_rules_.end(), first), tag_rules_.end()}, true, most,
              rows, next);
    return std::nullopt;
  }
  if (kind == wire::StatisticsKind::kRules) {
    // One more than is looked at: to go on with.
    ReadRules(device_.RuleIds(first, kMostLookedAt + 1), false, most, rows, next);
    return std::nullopt;
  }
  for (const auto& row : kind == wire::StatisticsKind::kCounters ? CounterRows() : TagClassRows()) {
    if (row.id < first) continue;
    if (rows.size() == most) {
      next = row.id;
      break;
    }
    rows.push_back(row);
  }
  return std::nullopt;
}

void DeviceReports::ReadRules(const std::vector<std::uint32_t>& ids, bool of_tag_rules, std::size_t most,
                              std::vector<ControlStatisticsRow>& rows, std::uint32_t& next) {
  std::size_t looked = 0;
  while (looked < ids.size() && looked < kMostLookedAt && rows.size() < most) {
    const std::size_t end = std::min({looked + most - rows.size(), ids.size(), kMostLookedAt});
    std::vector<ControlStatisticsRow> counts;
    for (std::size_t i = looked; i < end; ++i) counts.push_back({ids[i], 0, 0});
    device_.VisitLanes([&](PacketPath& lane, std::size_t, Nanos) {
      const rules::RuleStatistics& statistics =
          of_tag_rules ? lane.tag_rule_statistics() : lane.rule_statistics();
      for (ControlStatisticsRow& row : counts) Add(statistics.Of(row.id), row);
    });
    for (const ControlStatisticsRow& row : counts) {
      if (row.packets > 0) rows.push_back(row);
    }
    looked = end;
  }
  if (looked < ids.size()) next = ids[looked];
}

std::vector<ControlStatisticsRow> DeviceReports::TagClassRows() {
  ReportedDevice::Packets packets;
  Counters counters;
  device_.Count(packets, counters);
  std::vector<ControlStatisticsRow> rows;
  for (std::uint32_t type = 0; type < counters.tags_by_type.size(); ++type) {
    const auto& by_status = counters.tags_by_type[type];
    for (std::uint32_t status = 0; status < by_status.size(); ++status) {
      if (by_status[status] > 0) rows.push_back({control::TagClassOf(type, status), by_status[status], 0});
    }
  }
  return rows;
}

std::vector<ControlStatisticsRow> DeviceReports::CounterRows() {
  ReportedDevice::Packets packets;
  Counters counters;
  device_.Count(packets, counters);
  ControlStatisticsRow unmatched{control::IdOf(Counter::kPacketsOfNoRule), 0, 0};
  ControlStatisticsRow later{control::IdOf(Counter::kPacketsOfLaterRules), 0, 0};
  device_.VisitLanes([&](PacketPath& lane, std::size_t, Nanos) {
    Add(lane.rule_statistics().Of(rules::kNoRule), unmatched);
    Add(lane.rule_statistics().others(), later);
  });
  std::vector<ControlStatisticsRow> rows = {
      {control::IdOf(Counter::kPacketsIn), packets.in, 0},
      {control::IdOf(Counter::kPacketsOut), packets.out, 0},
      {control::IdOf(Counter::kPacketsHeld), packets.held, 0},
      {control::IdOf(Counter::kPunts), counters.punts, 0},
      {control::IdOf(Counter::kInstallsOnMiss), counters.installs_on_miss, 0},
      {control::IdOf(Counter::kInstallsPredicted), counters.installs_predicted, 0},
      {control::IdOf(Counter::kProfileRows), profile_rows_, 0},
      {control::IdOf(Counter::kInstallsByProfile), profile_installs_, 0},
      {control::IdOf(Counter::kToldDestinationsScored), counters.told_destinations_scored, 0},
      {control::IdOf(Counter::kToldDestinationsHit), counters.told_destinations_hit, 0},
      {control::IdOf(Counter::kToldTypesScored), counters.told_types_scored, 0},
      {control::IdOf(Counter::kToldTypesHit), counters.told_types_hit, 0},
      {control::IdOf(Counter::kTagsAsTold), counters.tags_as_told, 0},
      unmatched,
      later,
  };
  device_.AppendCounters(rows);
  for (std::uint32_t reason = 0; reason < kReasons; ++reason) {
    rows.push_back({control::IdOf(Counter::kDropped, reason), packets.dropped[reason], 0});
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return rows;
}

}  // namespace foreflow::path
