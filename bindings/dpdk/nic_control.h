// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_NIC_CONTROL_H_
#define FOREFLOW_BINDINGS_DPDK_NIC_CONTROL_H_

#include "bindings/control/control_server.h"
#include "bindings/dpdk/nic.h"

namespace foreflow::dpdk {

// A running Nic under control of peers. Called from the thread that set up the Nic: rules go to the workers
// by whole generations (Nic::ReplaceRules and ApplyRules), tag keys by epochs (RotateTagKeys), profiles as
// entries ahead of their packets (PacketPath::TakeExpectation); counts of rules and profiles are read off the
// lanes by the workers, a message's rows at a time.
class NicControl : private control::ControlledDevice {
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

  // All of them, by id.
  std::vector<wire::ControlStatisticsRow> Counters();
  std::vector<wire::ControlStatisticsRow> TagClasses();
  // Of rules or tag rules with these ids, in order; as of ReadStatistics.
  void ReadRules(const std::vector<std::uint32_t>& ids, bool of_tag_rules, std::size_t most,
                 std::vector<wire::ControlStatisticsRow>& rows, std::uint32_t& next);
  std::optional<control::DeviceRefusal> CheckVm(std::uint16_t vm) const;

  Nic& nic_;
  path::PathConfig config_;
  std::uint64_t profile_rows_ = 0;  // that were told
  std::uint64_t profile_installs_ = 0;
  control::ControlServer server_;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_NIC_CONTROL_H_
