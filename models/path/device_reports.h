// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_DEVICE_REPORTS_H_
#define FOREFLOW_MODELS_PATH_DEVICE_REPORTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "models/base/reason.h"
#include "models/control/device_agent.h"
#include "models/path/lanes.h"

namespace foreflow::path {

// What of a door its controller is told, and how the door's lanes are reached.
class ReportedDevice {
 public:
  virtual ~ReportedDevice() = default;

  struct Packets {
    std::uint64_t in = 0;
    std::uint64_t out = 0;
    std::uint64_t held = 0;
    std::array<std::uint64_t, kReasons> dropped{};
  };
  // Where packets went so far, and what all lanes counted.
  virtual void Count(Packets& packets, Counters& counters) = 0;
  // Adds what the door counts besides, of its control channel.
  virtual void AppendCounters(std::vector<wire::ControlStatisticsRow>& rows) = 0;

  virtual std::size_t lanes() const = 0;
  // Called with each lane, its number and its time, between two of its packets. Takes neither memory nor
  // long: packets wait.
  using Visit = std::function<void(PacketPath& lane, std::size_t number, Nanos now)>;
  virtual void VisitLanes(const Visit& visit) = 0;
  // Ids of the standard rules in use, from `first` on, in order: `most` at the most.
  virtual std::vector<std::uint32_t> RuleIds(std::uint32_t first, std::size_t most) = 0;
};

// Statistics and profiles of control::ControlledDevice, the same for every door.
class DeviceReports {
 public:
  // Of `config` the arm, the VMs and the tag rules matter.
  DeviceReports(const PathConfig& config, ReportedDevice& device);

  // See control::ControlledDevice.
  std::optional<control::DeviceRefusal> TakeProfile(std::uint16_t vm,
                                                    const std::vector<wire::ControlProfileRow>& rows);
  std::optional<control::DeviceRefusal> ReadProfile(std::uint16_t vm, std::size_t most,
                                                    std::vector<wire::ControlProfileRow>& rows);
  std::optional<control::DeviceRefusal> ReadStatistics(wire::StatisticsKind kind, std::uint32_t first,
                                                       std::size_t most,
                                                       std::vector<wire::ControlStatisticsRow>& rows,
                                                       std::uint32_t& next);

 private:
  std::optional<control::DeviceRefusal> CheckVm(std::uint16_t vm) const;
  // All of them, by id.
  std::vector<wire::ControlStatisticsRow> CounterRows();
  std::vector<wire::ControlStatisticsRow> TagClassRows();
  // Of rules or tag rules with these ids, in order; as of ReadStatistics.
  void ReadRules(const std::vector<std::uint32_t>& ids, bool of_tag_rules, std::size_t most,
                 std::vector<wire::ControlStatisticsRow>& rows, std::uint32_t& next);

  Arm arm_;
  std::uint16_t vms_;
  std::vector<std::uint32_t> tag_rules_;  // ids, in order
  ReportedDevice& device_;
  std::uint64_t profile_rows_ = 0;  // that were told
  std::uint64_t profile_installs_ = 0;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_DEVICE_REPORTS_H_
