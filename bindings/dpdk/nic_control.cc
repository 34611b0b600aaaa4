// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/nic_control.h"

#include <algorithm>
#include <utility>

#include "models/base/refusal.h"

namespace foreflow::dpdk {

using control::Counter;
using control::DeviceRefusal;
using wire::RefusalReason;

namespace {

constexpr std::size_t kMostLookedAt = 1024;  // rules, for one message: workers are asked for some at a time

DeviceRefusal Because(RefusalReason reason, const std::string& sentence) {
  return {reason, wire::ControlRefusal::kNoRule, sentence};
}

// What some rules, or tag rules, decided, over all lanes; and all rules that are not counted by themselves.
class RuleCounts final : public Errand {
 public:
  RuleCounts(const std::vector<std::uint32_t>& ids, bool of_tag_rules) : of_tag_rules_(of_tag_rules) {
    for (const std::uint32_t id : ids) rows_.push_back({id, 0, 0});
  }
  void Do(path::PacketPath& lane, std::size_t, Nanos) override {
    const rules::RuleStatistics& statistics =
        of_tag_rules_ ? lane.tag_rule_statistics() : lane.rule_statistics();
    for (wire::ControlStatisticsRow& row : rows_) Add(statistics.Of(row.id), row);
    Add(statistics.others(), others_);
  }
  const std::vector<wire::ControlStatisticsRow>& rows() const { return rows_; }
  const wire::ControlStatisticsRow& others() const { return others_; }

 private:
  static void Add(const rules::RuleStatistics::Row& from, wire::ControlStatisticsRow& to) {
    to.packets += from.packets;
    to.bytes += from.bytes;
  }

  bool of_tag_rules_;
  std::vector<wire::ControlStatisticsRow> rows_;
  wire::ControlStatisticsRow others_;
};

// What the lanes expect of a VM.
class ProfileReader final : public Errand {
 public:
  ProfileReader(flow::VmId vm, std::size_t most, std::size_t lanes)
      : vm_(vm), most_(most), counts_(lanes), found_(lanes * most) {}
  void Do(path::PacketPath& lane, std::size_t number, Nanos) override {
    counts_[number] = lane.Expect(vm_, &found_[number * most_], most_);
  }
  // The likeliest of all lanes; of equals, those of lower lanes and the nearer.
  std::vector<path::Expectation> Found() const {
    std::vector<path::Expectation> found;
    for (std::size_t lane = 0; lane < counts_.size(); ++lane) {
      const auto first = found_.begin() + static_cast<std::ptrdiff_t>(lane * most_);
      found.insert(found.end(), first, first + static_cast<std::ptrdiff_t>(counts_[lane]));
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.confidence > b.confidence; });
    if (found.size() > most_) found.resize(most_);
    return found;
  }

 private:
  flow::VmId vm_;
  std::size_t most_;
  std::vector<std::size_t> counts_;       // by lane
  std::vector<path::Expectation> found_;  // `most_` a lane
};

// Tells each lane what is its own.
class Teller final : public Errand {
 public:
  Teller(const std::vector<path::Expectation>& told, std::size_t lanes)
      : told_(told), lanes_(static_cast<std::uint16_t>(lanes)) {}
  void Do(path::PacketPath& lane, std::size_t number, Nanos now) override {
    for (const path::Expectation& expected : told_) {
      if (path::LaneOf(expected.key, lanes_) == number && lane.TakeExpectation(expected, now)) ++installs_;
    }
  }
  std::uint64_t installs() const { return installs_; }

 private:
  const std::vector<path::Expectation>& told_;
  std::uint16_t lanes_;
  std::uint64_t installs_ = 0;
};

path::Expectation ExpectationOf(const wire::ControlProfileRow& row, flow::VmId vm) {
  path::Expectation expected;
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

wire::ControlProfileRow RowOf(const path::Expectation& expected) {
  wire::ControlProfileRow row;
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

}  // namespace

NicControl::NicControl(const control::ServerConfig& server, Nic& nic, const path::PathConfig& config)
    : nic_(nic), config_(config), server_(server, config.rules, *this) {}

std::optional<DeviceRefusal> NicControl::Apply(const std::vector<rules::RuleChange>& changes, bool is_whole,
                                               const control::RuleSetState& next, std::uint64_t) {
  if (changes.empty() && !is_whole) return std::nullopt;
  try {
    if (is_whole) {
      config_.rules = next.Rules();
      nic_.ReplaceRules(config_);
    } else {
      nic_.ApplyRules({nic_.rule_generation(), changes});
    }
  } catch (const Refusal& refusal) {
    return DeviceRefusal{wire::RefusalReason::kRule, wire::ControlRefusal::kNoRule, refusal.what()};
  }
  return std::nullopt;
}

std::optional<DeviceRefusal> NicControl::RotateKeys(const wire::ControlKeyRotation& rotation, Nanos) {
  if (config_.tag_rotation > Nanos()) {
    return DeviceRefusal{wire::RefusalReason::kUnsupported, wire::ControlRefusal::kNoRule,
                         "tag keys rotate by time here (tags.rotation_s)"};
  }
  if (!nic_.RotateTagKeys({rotation.epoch, rotation.key, Micros(rotation.overlap_us)})) {
    return DeviceRefusal{wire::RefusalReason::kStale, wire::ControlRefusal::kNoRule,
                         "the epoch is not later than the one in use"};
  }
  return std::nullopt;
}

std::optional<DeviceRefusal> NicControl::CheckVm(std::uint16_t vm) const {
  if (config_.arm != path::Arm::kPredictive) {
    return Because(RefusalReason::kUnsupported,
                   "nothing is predicted here; start the runner with --arm predictive");
  }
  if (vm == 0 || vm > config_.vms) {
    return Because(RefusalReason::kMalformed, "vm = " + std::to_string(vm) + "; allowed is 1 .. " +
                                                  std::to_string(config_.vms) + " (host.vms)");
  }
  return std::nullopt;
}

std::optional<DeviceRefusal> NicControl::TakeProfile(std::uint16_t vm,
                                                     const std::vector<wire::ControlProfileRow>& rows) {
  if (auto refusal = CheckVm(vm)) return refusal;
  std::vector<path::Expectation> told;
  for (const wire::ControlProfileRow& row : rows) {
    if (row.l3 > static_cast<std::uint8_t>(wire::Layer3::kIpv6) || row.packet_type >= predict::kPacketTypes) {
      return Because(RefusalReason::kMalformed, "a row's l3 is 0 .. 3, its packet_type 0 .. " +
                                                    std::to_string(predict::kPacketTypes - 1));
    }
    told.push_back(ExpectationOf(row, vm));
  }
  Teller teller(told, nic_.lanes());
  nic_.Run(teller);
  profile_rows_ += rows.size();
  profile_installs_ += teller.installs();
  return std::nullopt;
}

std::optional<DeviceRefusal> NicControl::ReadProfile(std::uint16_t vm, std::size_t most,
                                                     std::vector<wire::ControlProfileRow>& rows) {
  if (auto refusal = CheckVm(vm)) return refusal;
  ProfileReader reader(vm, most, nic_.lanes());
  nic_.Run(reader);
  for (const path::Expectation& expected : reader.Found()) rows.push_back(RowOf(expected));
  return std::nullopt;
}

std::optional<DeviceRefusal> NicControl::ReadStatistics(wire::StatisticsKind kind, std::uint32_t first,
                                                        std::size_t most,
                                                        std::vector<wire::ControlStatisticsRow>& rows,
                                                        std::uint32_t& next) {
  if (kind == wire::StatisticsKind::kRules || kind == wire::StatisticsKind::kTagRules) {
    const bool of_tag_rules = kind == wire::StatisticsKind::kTagRules;
    std::vector<std::uint32_t> ids;
    if (of_tag_rules) {
      for (const tag::TagRule& rule : config_.tag_rules) ids.push_back(rule.id);
      std::sort(ids.begin(), ids.end());
      ids.erase(ids.begin(), std::lower_bound(ids.begin(), ids.end(), first));
    } else {
      const auto& entries = server_.agent().agent().rules().entries();
      auto entry = entries.lower_bound(first);
      // One more than is looked at: to go on with.
      for (; entry != entries.end() && ids.size() <= kMostLookedAt; ++entry) ids.push_back(entry->first);
    }
    ReadRules(ids, of_tag_rules, most, rows, next);
    return std::nullopt;
  }
  for (const auto& row : kind == wire::StatisticsKind::kCounters ? Counters() : TagClasses()) {
    if (row.id < first) continue;
    if (rows.size() == most) {
      next = row.id;
      break;
    }
    rows.push_back(row);
  }
  return std::nullopt;
}

void NicControl::ReadRules(const std::vector<std::uint32_t>& ids, bool of_tag_rules, std::size_t most,
                           std::vector<wire::ControlStatisticsRow>& rows, std::uint32_t& next) {
  std::size_t looked = 0;
  while (looked < ids.size() && looked < kMostLookedAt && rows.size() < most) {
    const std::size_t end = std::min({looked + most - rows.size(), ids.size(), kMostLookedAt});
    RuleCounts counts(
        {ids.begin() + static_cast<std::ptrdiff_t>(looked), ids.begin() + static_cast<std::ptrdiff_t>(end)},
        of_tag_rules);
    nic_.Run(counts);
    for (const auto& row : counts.rows()) {
      if (row.packets > 0) rows.push_back(row);
    }
    looked = end;
  }
  if (looked < ids.size()) next = ids[looked];
}

std::vector<wire::ControlStatisticsRow> NicControl::TagClasses() {
  const auto counts = nic_.Count().path.tags_by_type;
  std::vector<wire::ControlStatisticsRow> rows;
  for (std::uint32_t type = 0; type < counts.size(); ++type) {
    for (std::uint32_t status = 0; status < counts[type].size(); ++status) {
      if (counts[type][status] > 0)
        rows.push_back({control::TagClassOf(type, status), counts[type][status], 0});
    }
  }
  return rows;
}

std::vector<wire::ControlStatisticsRow> NicControl::Counters() {
  const NicCount count = nic_.Count();
  RuleCounts unnamed({rules::kNoRule}, false);
  nic_.Run(unnamed);
  std::vector<wire::ControlStatisticsRow> rows = {
      {control::IdOf(Counter::kPacketsIn), count.packets.in, 0},
      {control::IdOf(Counter::kPacketsOut), count.packets.out, 0},
      {control::IdOf(Counter::kPacketsHeld), count.packets.held, 0},
      {control::IdOf(Counter::kPunts), count.path.punts, 0},
      {control::IdOf(Counter::kInstallsOnMiss), count.path.installs_on_miss, 0},
      {control::IdOf(Counter::kInstallsPredicted), count.path.installs_predicted, 0},
      {control::IdOf(Counter::kProfileRows), profile_rows_, 0},
      {control::IdOf(Counter::kInstallsByProfile), profile_installs_, 0},
      {control::IdOf(Counter::kPacketsOfNoRule), unnamed.rows()[0].packets, unnamed.rows()[0].bytes},
      {control::IdOf(Counter::kPacketsOfLaterRules), unnamed.others().packets, unnamed.others().bytes},
  };
  server_.AppendCounters(rows);
  for (std::uint32_t reason = 0; reason < kReasons; ++reason) {
    rows.push_back({control::IdOf(Counter::kDropped, reason), count.packets.dropped[reason], 0});
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return rows;
}

}  // namespace foreflow::dpdk
