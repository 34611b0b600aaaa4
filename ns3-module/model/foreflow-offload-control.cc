// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-offload-control.h"

#include "models/base/refusal.h"

namespace ns3
{
namespace foreflow
{

OffloadControl::OffloadControl(Ptr<OffloadNic> nic)
    : m_nic(nic)
    , m_reports(nic->GetPathConfig(), *this)
{
}

void
OffloadControl::SetAgent(Ptr<const ControlAgent> agent)
{
    m_agent = agent;
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
OffloadControl::RotateKeys(const ::foreflow::wire::ControlKeyRotation& rotation, Nanos)
{
    const auto refuse = [](::foreflow::wire::RefusalReason reason, const char* sentence) {
        return control::DeviceRefusal{reason, ::foreflow::wire::ControlRefusal::kNoRule, sentence};
    };
    if (m_nic->GetPathConfig().tag_rotation > Nanos())
    {
        return refuse(::foreflow::wire::RefusalReason::kUnsupported,
                      "tag keys rotate by time here (tags.rotation_s)");
    }
    bool isLater = true; // on all lanes, or on none
    m_nic->VisitLanes([&](path::PacketPath& lane, std::size_t, Nanos now) {
        isLater = lane.RotateTagKeys(
            rotation.epoch, rotation.key, now, ::foreflow::Micros(rotation.overlap_us));
    });
    if (!isLater)
    {
        return refuse(::foreflow::wire::RefusalReason::kStale,
                      "the epoch is not later than the one in use");
    }
    return std::nullopt;
}

std::optional<control::DeviceRefusal>
OffloadControl::TakeProfile(uint16_t vm,
                            const std::vector<::foreflow::wire::ControlProfileRow>& rows)
{
    return m_reports.TakeProfile(vm, rows);
}

std::optional<control::DeviceRefusal>
OffloadControl::ReadProfile(uint16_t vm,
                            std::size_t most,
                            std::vector<::foreflow::wire::ControlProfileRow>& rows)
{
    return m_reports.ReadProfile(vm, most, rows);
}

std::optional<control::DeviceRefusal>
OffloadControl::ReadStatistics(::foreflow::wire::StatisticsKind kind,
                               uint32_t first,
                               std::size_t most,
                               std::vector<::foreflow::wire::ControlStatisticsRow>& rows,
                               uint32_t& next)
{
    return m_reports.ReadStatistics(kind, first, most, rows, next);
}

void
OffloadControl::Count(Packets& packets, path::Counters& counters)
{
    const OffloadNic::Statistics& statistics = m_nic->GetStatistics();
    packets.in = statistics.in;
    packets.out = statistics.out;
    packets.held = m_nic->GetNHeld();
    packets.dropped = statistics.dropped;
    counters = m_nic->GetPathCounters();
}

void
OffloadControl::AppendCounters(std::vector<::foreflow::wire::ControlStatisticsRow>& rows)
{
    if (m_agent)
    {
        m_agent->GetAgent().AppendCounters(rows);
    }
}

std::size_t
OffloadControl::lanes() const
{
    return m_nic->GetPath().size();
}

void
OffloadControl::VisitLanes(const Visit& visit)
{
    m_nic->VisitLanes(visit);
}

std::vector<uint32_t>
OffloadControl::RuleIds(uint32_t first, std::size_t most)
{
    std::vector<uint32_t> ids;
    for (const rules::Rule& rule : m_nic->GetPath().rules().Rules())
    {
        if (rule.id >= first && ids.size() < most)
        {
            ids.push_back(rule.id);
        }
    }
    return ids;
}

} // namespace foreflow
} // namespace ns3
