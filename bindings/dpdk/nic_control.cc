// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/nic_control.h"

#include <algorithm>
#include <utility>

#include "models/base/refusal.h"

namespace foreflow::dpdk {

using control::Counter;
using control::DeviceRefusal;

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

std::optional<DeviceRefusal> NicControl::TakeProfile(std::uint16_t,
                                                     const std::vector<wire::ControlProfileRow>&) {
  return DeviceRefusal{wire::RefusalReason::kUnsupported, wire::ControlRefusal::kNoRule,
                       "profiles are learnt on the host here"};
}

std::optional<DeviceRefusal> NicControl::ReadStatistics(wire::StatisticsKind kind, std::uint32_t first,
                                                        std::size_t most,
                                                        std::vector<wire::ControlStatisticsRow>& rows,
                                                        std::uint32_t& next) {
  if (kind != wire::StatisticsKind::kCounters) {
    return DeviceRefusal{wire::RefusalReason::kUnsupported, wire::ControlRefusal::kNoRule,
                         "rules are not counted one by one here"};
  }
  const NicCount count = nic_.Count();
  std::vector<wire::ControlStatisticsRow> all = {
      {control::IdOf(Counter::kPacketsIn), count.packets.in, 0},
      {control::IdOf(Counter::kPacketsOut), count.packets.out, 0},
      {control::IdOf(Counter::kPacketsHeld), count.packets.held, 0},
      {control::IdOf(Counter::kPunts), count.path.punts, 0},
      {control::IdOf(Counter::kInstallsOnMiss), count.path.installs_on_miss, 0},
      {control::IdOf(Counter::kInstallsPredicted), count.path.installs_predicted, 0},
  };
  server_.AppendCounters(all);
  for (std::uint32_t reason = 0; reason < kReasons; ++reason) {
    all.push_back({control::IdOf(Counter::kDropped, reason), count.packets.dropped[reason], 0});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  for (const wire::ControlStatisticsRow& row : all) {
    if (row.id < first) continue;
    if (rows.size() == most) {
      next = row.id;
      break;
    }
    rows.push_back(row);
  }
  return std::nullopt;
}

}  // namespace foreflow::dpdk
