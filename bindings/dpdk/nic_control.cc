// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/nic_control.h"

#include "models/base/refusal.h"

namespace foreflow::dpdk {

using control::DeviceRefusal;

namespace {

class Visitor final : public Errand {
 public:
  explicit Visitor(const path::ReportedDevice::Visit& visit) : visit_(visit) {}
  void Do(path::PacketPath& lane, std::size_t number, Nanos now) override { visit_(lane, number, now); }

 private:
  const path::ReportedDevice::Visit& visit_;
};

}  // namespace

NicControl::NicControl(const control::ServerConfig& server, Nic& nic, const path::PathConfig& config)
    : nic_(nic), config_(config), reports_(config, *this), server_(server, config.rules, *this) {}

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

std::optional<DeviceRefusal> NicControl::TakeProfile(std::uint16_t vm,
                                                     const std::vector<wire::ControlProfileRow>& rows) {
  return reports_.TakeProfile(vm, rows);
}

std::optional<DeviceRefusal> NicControl::ReadProfile(std::uint16_t vm, std::size_t most,
                                                     std::vector<wire::ControlProfileRow>& rows) {
  return reports_.ReadProfile(vm, most, rows);
}

std::optional<DeviceRefusal> NicControl::ReadStatistics(wire::StatisticsKind kind, std::uint32_t first,
                                                        std::size_t most,
                                                        std::vector<wire::ControlStatisticsRow>& rows,
                                                        std::uint32_t& next) {
  return reports_.ReadStatistics(kind, first, most, rows, next);
}

void NicControl::Count(Packets& packets, path::Counters& counters) {
  const NicCount count = nic_.Count();
  packets.in = count.packets.in;
  packets.out = count.packets.out;
  packets.held = count.packets.held;
  packets.dropped = count.packets.dropped;
  counters = count.path;
}

void NicControl::AppendCounters(std::vector<wire::ControlStatisticsRow>& rows) {
  server_.agent().AppendCounters(rows);
}

void NicControl::VisitLanes(const Visit& visit) {
  Visitor visitor(visit);
  nic_.Run(visitor);
}

std::vector<std::uint32_t> NicControl::RuleIds(std::uint32_t first, std::size_t most) {
  const auto& entries = server_.agent().agent().rules().entries();
  std::vector<std::uint32_t> ids;
  for (auto entry = entries.lower_bound(first); entry != entries.end() && ids.size() < most; ++entry) {
    ids.push_back(entry->first);
  }
  return ids;
}

}  // namespace foreflow::dpdk
