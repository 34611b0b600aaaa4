// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_WIRE_TIME_H
#define FOREFLOW_WIRE_TIME_H

#include "foreflow-cores.h"

#include "ns3/data-rate.h"
#include "ns3/nstime.h"
#include "ns3/simulator.h"

#include <algorithm>
#include <cstdint>

/**
 * @file
 * @ingroup foreflow
 * Device time is kept in picoseconds, whatever the simulator's resolution: at 100 Gb/s a frame of
 * 64 B lasts 6.72 ns, so whole nanoseconds would be 4 % wrong. Only events are rounded, and
 * upwards, so that no effect comes before its cause.
 */

namespace ns3
{
namespace foreflow
{

/**
 * @return the simulator's time
 */
inline Picos
PicosNow()
{
    return Picos(Simulator::Now().GetPicoSeconds());
}

/**
 * @param time a time, now or later
 * @return the delay from now until the first moment the simulator can name that is not before @p
 * time
 */
inline Time
DelayUntil(Picos time)
{
    const std::int64_t picos = std::max<std::int64_t>((time - PicosNow()).count(), 0);
    const Time delay = PicoSeconds(static_cast<std::uint64_t>(picos));
    return delay.GetPicoSeconds() < picos ? delay + TimeStep(1) : delay;
}

/**
 * @param rate of the port
 * @param overheadBytes preamble, frame check sequence and inter-frame gap
 * @param minimumBytes shorter frames are padded to this, before the overhead
 * @param frameBytes from the destination address to the last byte of payload
 * @return how long the frame keeps the port busy
 */
inline Picos
SerializationTime(const DataRate& rate,
                  std::uint32_t overheadBytes,
                  std::uint32_t minimumBytes,
                  std::uint32_t frameBytes)
{
    const std::uint64_t bits =
        8 * (std::uint64_t{std::max(frameBytes, minimumBytes)} + overheadBytes);
    const std::uint64_t rateBps = rate.GetBitRate();
    constexpr std::uint64_t PICOS = 1'000'000'000'000;
    // The product fits up to 2.3 MB; longer frames, that no link carries, need no exact picosecond.
    if (bits <= UINT64_MAX / PICOS - 1)
    {
        return Picos(static_cast<std::int64_t>((bits * PICOS + rateBps - 1) / rateBps));
    }
    const double seconds = static_cast<double>(bits) / static_cast<double>(rateBps);
    return Picos(static_cast<std::int64_t>(seconds * 1e12));
}

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_WIRE_TIME_H
