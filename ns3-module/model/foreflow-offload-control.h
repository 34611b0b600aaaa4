// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_OFFLOAD_CONTROL_H
#define FOREFLOW_OFFLOAD_CONTROL_H

#include "foreflow-control-application.h"
#include "foreflow-offload-nic.h"

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * An OffloadNic as a ControlAgent programs it: its rules, whole sets and batches of changes.
 */
class OffloadControl : public control::ControlledDevice
{
  public:
    /**
     * @param nic that is programmed
     */
    explicit OffloadControl(Ptr<OffloadNic> nic);

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
    Ptr<OffloadNic> m_nic; //!< that is programmed
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_OFFLOAD_CONTROL_H
