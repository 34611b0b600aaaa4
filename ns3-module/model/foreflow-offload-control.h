// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_OFFLOAD_CONTROL_H
#define FOREFLOW_OFFLOAD_CONTROL_H

#include "foreflow-control-application.h"
#include "foreflow-offload-nic.h"

#include "models/path/device_reports.h"

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * An OffloadNic as a ControlAgent programs it: its rules, whole sets and batches of changes, its
 * tag keys, what others say of its VMs; and what it tells: statistics and profiles. Answers as
 * every door does (path::DeviceReports).
 */
class OffloadControl : public control::ControlledDevice, private path::ReportedDevice
{
  public:
    /**
     * @param nic that is programmed; configured before
     */
    explicit OffloadControl(Ptr<OffloadNic> nic);

    /**
     * @param agent whose counts are among the statistics
     */
    void
    SetAgent(Ptr<const ControlAgent> agent);

    std::optional<control::DeviceRefusal>
    Apply(const std::vector<rules::RuleChange>& changes,
          bool isWhole,
          const control::RuleSetState& next,
          uint64_t generation) override;
    std::optional<control::DeviceRefusal>
    RotateKeys(const ::foreflow::wire::ControlKeyRotation& rotation, Nanos now) override;
    std::optional<control::DeviceRefusal>
    TakeProfile(uint16_t vm, const std::vector<::foreflow::wire::ControlProfileRow>& rows) override;
    std::optional<control::DeviceRefusal>
    ReadProfile(uint16_t vm,
                std::size_t most,
                std::vector<::foreflow::wire::ControlProfileRow>& rows) override;
    std::optional<control::DeviceRefusal>
    ReadStatistics(::foreflow::wire::StatisticsKind kind,
                   uint32_t first,
                   std::size_t most,
                   std::vector<::foreflow::wire::ControlStatisticsRow>& rows,
                   uint32_t& next) override;

  private:
    void
    Count(Packets& packets, path::Counters& counters) override;
    void
    AppendCounters(std::vector<::foreflow::wire::ControlStatisticsRow>& rows) override;
    std::size_t
    lanes() const override;
    void
    VisitLanes(const Visit& visit) override;
    std::vector<uint32_t>
    RuleIds(uint32_t first, std::size_t most) override;

    Ptr<OffloadNic> m_nic;           //!< that is programmed
    Ptr<const ControlAgent> m_agent; //!< that programs it, or null
    path::DeviceReports m_reports;   //!< statistics and profiles
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_OFFLOAD_CONTROL_H
