// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_NIC_CONTROL_H_
#define FOREFLOW_BINDINGS_DPDK_NIC_CONTROL_H_

#include "bindings/control/control_server.h"
#include "bindings/dpdk/nic.h"
#include "models/path/device_reports.h"

namespace foreflow::dpdk {

// A running Nic under control of peers. Called from the thread that set up the Nic: rules go to the workers
// by whole generations (Nic::ReplaceRules and ApplyRules), tag keys by epochs (RotateTagKeys), profiles as
// entries ahead of their packets (PacketPath::TakeExpectation); counts of rules and profiles are read off the
// lanes by the workers, a message's rows at a time.
class NicControl : private control::ControlledDevice, private path::ReportedDevice {
 public:
  // `config` is what the Nic was made with. Throws Refusal as ControlServer does.
  NicControl(const control::ServerConfig& server, Nic& nic, const path::PathConfig& config);

  // See ControlServer::Poll.
  void Poll(int milliseconds) { server_.Poll(milliseconds); }
  const control::ControlServer& server() const { return server_; }

 private:
  std::optional<control::DeviceRefusal> Apply(const std::vector<rules::RuleChange>& changes, bool is_whole,
                                              const control::RuleSetState& next,
                                              std::uint64_t generation) override;
  std::optional<control::DeviceRefusal> RotateKeys(const wire::ControlKeyRotation& rotation,
                                                   Nanos now) override;
  std::optional<control::DeviceRefusal> TakeProfile(
      std::uint16_t vm, const std::vector<wire::ControlProfileRow>& rows) override;
  std::optional<control::DeviceRefusal> ReadProfile(std::uint16_t vm, std::size_t most,
                                                    std::vector<wire::ControlProfileRow>& rows) override;
  std::optional<control::DeviceRefusal> ReadStatistics(wire::StatisticsKind kind, std::uint32_t first,
                                                       std::size_t most,
                                                       std::vector<wire::ControlStatisticsRow>& rows,
                                                       std::uint32_t& next) override;

  void Count(Packets& packets, path::Counters& counters) override;
  void AppendCounters(std::vector<wire::ControlStatisticsRow>& rows) override;
  std::size_t lanes() const override { return nic_.lanes(); }
  void VisitLanes(const Visit& visit) override;
  std::vector<std::uint32_t> RuleIds(std::uint32_t first, std::size_t most) override;

  Nic& nic_;
  path::PathConfig config_;
  path::DeviceReports reports_;
  control::ControlServer server_;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_NIC_CONTROL_H_
