// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-offload-pipeline.h"

#include <algorithm>
#include <string>

namespace ns3
{
namespace foreflow
{

namespace
{

using path::Stage;

/**
 * @param stage of the path
 * @return its place in a list by stage
 */
constexpr std::size_t
At(Stage stage)
{
    return static_cast<std::size_t>(stage);
}

constexpr std::array<Stage, 4> HOST_STAGES{
    Stage::kProfile, Stage::kPredict, Stage::kTagSeal, Stage::kPreinstall};

} // namespace

Cycles
SteeringCost(const hw::DeviceProfile& device)
{
    // The Ethernet header alone is looked at.
    Work steering;
    steering.Add(::foreflow::WorkItem::kHeader);
    steering.Add(::foreflow::WorkItem::kByteParsed, 14);
    return hw::CyclesOf(device, Stage::kParse, steering);
}

OffloadPipeline::OffloadPipeline(const OffloadProfiles& profiles)
    : m_profiles(profiles)
{
    m_steering = SteeringCost(profiles.device);

    const std::size_t hostQueue = profiles.host.queue_capacity;
    const std::size_t deviceQueue = profiles.device.queue_capacity;
    const std::array<hw::StationConfig, PLACES> configs{{
        {"host_core", profiles.host.engines, hostQueue},
        {"bus_transmit", 1, deviceQueue},
        {"device", profiles.device.engines, deviceQueue},
        {"bus_punt", 1, deviceQueue},
        {"slow_path", profiles.slowPathCores, hostQueue},
        {"bus_return", 1, deviceQueue},
        {"device_receive", profiles.device.engines, deviceQueue},
        {"bus_receive", 1, deviceQueue},
    }};
    for (const auto& config : configs)
    {
        m_stations.emplace_back(config);
    }
}

PacketCost
OffloadPipeline::Price(const path::Verdict& verdict, const path::StageWork& work) const
{
    PacketCost cost;
    for (std::size_t i = 0; i < path::kStages; ++i)
    {
        const auto stage = static_cast<Stage>(i);
        if (!hw::IsVisited(stage, verdict, work))
        {
            continue;
        }
        const bool alone = m_profiles.placement == hw::Placement::kHostCore;
        const bool onHost = alone || hw::IsOnHost(stage);
        const Cycles cycles =
            hw::CyclesOf(onHost ? m_profiles.host : m_profiles.device, stage, work[stage]);
        const auto count = static_cast<uint32_t>(cycles.count());
        const bool predicts = stage <= Stage::kPreinstall || stage == Stage::kTagCheck;
        cost.stage[i] = count;
        cost.all += count;
        if (!onHost)
        {
            cost.device += count;
        }
        else if (!predicts)
        {
            cost.host += count;
        }
        if (predicts)
        {
            cost.prediction += count;
        }
    }
    return cost;
}

bool
OffloadPipeline::Pass(Place place, Picos& time, Picos service, Picos latency)
{
    const hw::Station::Passage passage = m_stations[place].Enter(time, service, latency);
    if (!passage.accepted)
    {
        return false;
    }
    time = m_last[place] = std::max(m_last[place], passage.leave);
    return true;
}

OffloadPipeline::Passage
OffloadPipeline::Transmit(Picos now,
                          const path::Verdict& verdict,
                          const PacketCost& cost,
                          uint32_t bytes)
{
    Picos time = now;
    uint64_t hostCycles = 0;
    for (const Stage stage : HOST_STAGES)
    {
        hostCycles += cost.stage[At(stage)];
    }
    const Picos hostTime = hw::TimeOf(m_profiles.host, Cycles(hostCycles));
    const Picos transfer = hw::TransferTime(m_profiles.bus, bytes);
    const Picos fetch = transfer + ToPicos(m_profiles.bus.read_latency);
    if (!Pass(HOST_CORE, time, hostTime, hostTime) || !Pass(BUS_TRANSMIT, time, transfer, fetch))
    {
        return {};
    }

    const Cycles deviceCycles(cost.device);
    const Picos deviceTime = hw::TimeOf(m_profiles.device, deviceCycles);
    const Picos occupancy =
        hw::TimeOf(m_profiles.device, hw::OccupancyOf(m_profiles.device, deviceCycles, bytes));
    const hw::Station::Passage visit = m_stations[DEVICE].Enter(time, occupancy, deviceTime);
    if (!visit.accepted)
    {
        return {};
    }
    if (!verdict.punted)
    {
        m_last[DEVICE] = std::max(m_last[DEVICE], visit.leave);
        return {true, m_last[DEVICE]};
    }

    const Picos actTime = hw::TimeOf(m_profiles.device, Cycles(cost.stage[At(Stage::kAct)]));
    // The order of punts is that of arrivals: a punt never overtakes an earlier one.
    time = std::max(m_lastPunt, visit.start + (deviceTime - actTime));
    m_lastPunt = time;
    const Picos slowTime = hw::TimeOf(m_profiles.host, Cycles(cost.stage[At(Stage::kSlowPath)]));
    const Picos post = transfer + ToPicos(m_profiles.bus.write_latency);
    if (!Pass(BUS_PUNT, time, transfer, post) || !Pass(SLOW_PATH, time, slowTime, slowTime))
    {
        return {};
    }
    if (verdict.verb == rules::Verb::kDrop)
    {
        return {true, time};
    }
    if (!Pass(BUS_RETURN, time, transfer, fetch))
    {
        return {};
    }
    m_lastReturn = std::max(m_lastReturn, time + actTime);
    return {true, m_lastReturn};
}

OffloadPipeline::Passage
OffloadPipeline::Receive(Picos now, uint32_t bytes)
{
    Picos time = now;
    const Picos transfer = hw::TransferTime(m_profiles.bus, bytes);
    const bool accepted =
        Pass(DEVICE_RECEIVE,
             time,
             hw::TimeOf(m_profiles.device, hw::OccupancyOf(m_profiles.device, m_steering, bytes)),
             hw::TimeOf(m_profiles.device, m_steering)) &&
        Pass(BUS_RECEIVE, time, transfer, transfer + ToPicos(m_profiles.bus.write_latency));
    return {accepted, time};
}

const std::vector<hw::Station>&
OffloadPipeline::GetStations() const
{
    return m_stations;
}

} // namespace foreflow
} // namespace ns3
