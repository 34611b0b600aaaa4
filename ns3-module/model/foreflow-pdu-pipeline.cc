// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-pdu-pipeline.h"

#include <algorithm>

namespace ns3
{
namespace foreflow
{

using shard::UnitEngine;

PduPipeline::PduPipeline(const PduProfiles& profiles)
    : m_profiles(profiles)
{
    const std::size_t engines = profiles.device.engines;
    const std::size_t queue = profiles.device.queue_capacity;
    const std::array<hw::StationConfig, PLACES> configs{{
        {"bus_transmit", 1, queue},
        {"split", engines, queue},
        {"timers", 1, queue},
        {"seal", engines, queue},
        {"open", engines, queue},
        {"reassembly", engines, queue},
        {"bus_receive", 1, queue},
    }};
    for (const auto& config : configs)
    {
        m_stations.emplace_back(config);
    }
}

std::array<PduPipeline::Place, 2>
PduPipeline::StationsOf(Way way)
{
    switch (way)
    {
    case Way::SEND:
        return {SPLIT, SEAL};
    case Way::RECEIVE:
        return {OPEN, REASSEMBLY};
    case Way::TIMERS:
        break;
    }
    return {TIMERS, SEAL};
}

std::array<Cycles, 2>
PduPipeline::Price(Way way, const shard::UnitWork& work) const
{
    Cycles cipher;
    Cycles others;
    for (std::size_t i = 0; i < shard::kUnitEngines; ++i)
    {
        const auto engine = static_cast<UnitEngine>(i);
        if (work[engine] == Work())
        {
            continue;
        }
        const Cycles cycles = hw::CyclesOf(m_profiles.device, engine, work[engine]);
        (engine == UnitEngine::kCipher ? cipher : others) += cycles;
    }
    if (way == Way::RECEIVE)
    {
        return {cipher, others};
    }
    return {others, cipher};
}

bool
PduPipeline::HasRoom(Way way, Picos now) const
{
    for (const Place place : StationsOf(way))
    {
        if (!m_stations[place].HasRoom(now))
        {
            return false;
        }
    }
    return true;
}

bool
PduPipeline::Enter(Place place, Picos& time, Picos service, Picos latency)
{
    const Picos now = m_entered[place] = std::max(m_entered[place], time);
    const hw::Station::Passage passage = m_stations[place].Enter(now, service, latency);
    if (!passage.accepted)
    {
        return false;
    }
    time = m_left[place] = std::max(m_left[place], passage.leave);
    return true;
}

PduPipeline::Passage
PduPipeline::Fetch(Picos now, uint32_t bytes)
{
    const Picos transfer = hw::TransferTime(m_profiles.bus, bytes);
    Picos time = now;
    const bool accepted =
        Enter(BUS_TRANSMIT, time, transfer, transfer + ToPicos(m_profiles.bus.read_latency));
    return {accepted, time};
}

PduPipeline::Passage
PduPipeline::Pass(Way way, Picos time, const shard::UnitWork& work, uint32_t bytes)
{
    const std::array<Cycles, 2> cycles = Price(way, work);
    const std::array<Place, 2> places = StationsOf(way);
    for (std::size_t i = 0; i < places.size(); ++i)
    {
        const Picos latency = hw::TimeOf(m_profiles.device, cycles[i]);
        const Picos service =
            hw::TimeOf(m_profiles.device, hw::OccupancyOf(m_profiles.device, cycles[i], bytes));
        if (!Enter(places[i], time, service, latency))
        {
            return {};
        }
    }
    return {true, time};
}

void
PduPipeline::Occupy(Way way, Picos time, const shard::UnitWork& work)
{
    const bool isIdle = std::all_of(
        work.engines.begin(), work.engines.end(), [](const Work& done) { return done == Work(); });
    if (!isIdle && HasRoom(way, time))
    {
        Pass(way, time, work, 0);
    }
}

PduPipeline::Passage
PduPipeline::Post(Picos time, uint32_t bytes)
{
    const Picos transfer = hw::TransferTime(m_profiles.bus, bytes);
    const bool accepted =
        Enter(BUS_RECEIVE, time, transfer, transfer + ToPicos(m_profiles.bus.write_latency));
    return {accepted, time};
}

const std::vector<hw::Station>&
PduPipeline::GetStations() const
{
    return m_stations;
}

} // namespace foreflow
} // namespace ns3
