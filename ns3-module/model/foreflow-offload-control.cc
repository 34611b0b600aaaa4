// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-offload-control.h"

#include "models/base/refusal.h"

namespace ns3
{
namespace foreflow
{

namespace
{

/**
 * @param what cannot be done here
 * @return the refusal that says so
 */
control::DeviceRefusal
Unsupported(const char* what)
{
    return {::foreflow::wire::RefusalReason::kUnsupported,
            ::foreflow::wire::ControlRefusal::kNoRule,
            what};
}

} // namespace

OffloadControl::OffloadControl(Ptr<OffloadNic> nic)
    : m_nic(nic)
{
}

std::optional<control::DeviceRefusal>
OffloadControl::Apply(const std::vector<rules::RuleChange>& changes,
                      bool isWhole,
                      const control::RuleSetState& next,
                      uint64_t)
{
    try
    {
        if (isWhole)
        {
            m_nic->ReplaceRules(next.Rules());
        }
        else if (!changes.empty())
        {
            m_nic->ApplyRules({m_nic->GetPath().rules().generation(), changes});
        }
    }
    catch (const ::foreflow::Refusal& refusal)
    {
        return control::DeviceRefusal{::foreflow::wire::RefusalReason::kRule,
                                      ::foreflow::wire::ControlRefusal::kNoRule,
                                      refusal.what()};
    }
    return std::nullopt;
}

std::optional<control::DeviceRefusal>
OffloadControl::RotateKeys(const ::foreflow::wire::ControlKeyRotation&, Nanos)
{
    return Unsupported("tag keys rotate by time here (tags.rotation_s)");
}

std::optional<control::DeviceRefusal>
OffloadControl::TakeProfile(uint16_t, const std::vector<::foreflow::wire::ControlProfileRow>&)
{
    return Unsupported("profiles are learnt on the host here, and come as rules");
}

std::optional<control::DeviceRefusal>
OffloadControl::ReadProfile(uint16_t,
                            std::size_t,
                            std::vector<::foreflow::wire::ControlProfileRow>&)
{
    return Unsupported("profiles are in the trace here");
}

std::optional<control::DeviceRefusal>
OffloadControl::ReadStatistics(::foreflow::wire::StatisticsKind,
                               uint32_t,
                               std::size_t,
                               std::vector<::foreflow::wire::ControlStatisticsRow>&,
                               uint32_t&)
{
    return Unsupported("statistics are in the trace here");
}

} // namespace foreflow
} // namespace ns3
