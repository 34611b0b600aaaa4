// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_PDU_PIPELINE_H
#define FOREFLOW_PDU_PIPELINE_H

#include "foreflow-pdu-cores.h"

#include <array>
#include <cstdint>
#include <vector>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * The prices of a packet dynamics unit.
 */
struct PduProfiles
{
    hw::DeviceProfile device; //!< every engine of the unit
    hw::BusProfile bus;       //!< between the host's memory and the unit
};

/**
 * @ingroup foreflow
 * The tandems of stations of a packet dynamics unit:
 *
 *     host -> bus_transmit -> split -> seal -> ports
 *                            timers -> seal -> ports
 *     ports -> open -> reassembly -> bus_receive -> host
 *                               '---------------> ports    (answers, fragments sent again)
 *
 * Completion times are computed when something arrives, without events. Every station is first
 * come, first served and gives its jobs back in order. The sealing engine has two entrances and
 * takes its jobs in the order in which they were decided, so that what the timers send waits
 * behind packets that were cut before.
 */
class PduPipeline
{
  public:
    /**
     * Whose work is done.
     */
    enum class Way
    {
        SEND,    //!< of a packet from the host
        RECEIVE, //!< of a datagram from the network
        TIMERS   //!< of what is due by time
    };

    /**
     * @param profiles prices; a station without engines throws ::foreflow::Refusal
     */
    explicit PduPipeline(const PduProfiles& profiles);

    /**
     * @param way whose work
     * @param work of each engine
     * @return cycles at the first and at the second station of the way
     */
    std::array<Cycles, 2>
    Price(Way way, const shard::UnitWork& work) const;

    /**
     * @param way whose work
     * @param now never runs backwards
     * @return whether the stations of the way have room for one more
     */
    bool
    HasRoom(Way way, Picos now) const;

    /**
     * One passage.
     */
    struct Passage
    {
        bool accepted{false}; //!< false: a station's queue was full
        Picos ready;          //!< at its end
    };

    /**
     * A frame from the host's memory.
     *
     * @param now never runs backwards
     * @param bytes of the frame
     * @return when it is in the unit
     */
    Passage
    Fetch(Picos now, uint32_t bytes);

    /**
     * The two stations of a way.
     *
     * @param way whose work
     * @param time when it enters the first
     * @param work of each engine
     * @param bytes of what comes out
     * @return when it leaves the second
     */
    Passage
    Pass(Way way, Picos time, const shard::UnitWork& work, uint32_t bytes);

    /**
     * Work of a way that nothing comes out of; where there is no room it is lost.
     *
     * @param way whose work
     * @param time when it enters the first station
     * @param work of each engine
     */
    void
    Occupy(Way way, Picos time, const shard::UnitWork& work);

    /**
     * A frame to the host's memory.
     *
     * @param time when it enters the bus
     * @param bytes of the frame
     * @return when it is there
     */
    Passage
    Post(Picos time, uint32_t bytes);

    /**
     * @return the stations, in the order in which packets pass them, with their statistics
     */
    const std::vector<hw::Station>&
    GetStations() const;

  private:
    /**
     * The stations' places in the list.
     */
    enum Place : std::size_t
    {
        BUS_TRANSMIT,
        SPLIT,
        TIMERS,
        SEAL,
        OPEN,
        REASSEMBLY,
        BUS_RECEIVE,
        PLACES
    };

    /**
     * @param way whose work
     * @return its two stations
     */
    static std::array<Place, 2>
    StationsOf(Way way);

    /**
     * Passes a station, in order of decision: not before what entered it last, and not out of it
     * before that left.
     *
     * @param place the station
     * @param time in: arrival; out: departure
     * @param service how long the engine is kept
     * @param latency from the beginning of service to departure
     * @return whether there was room
     */
    bool
    Enter(Place place, Picos& time, Picos service, Picos latency);

    PduProfiles m_profiles;                //!< prices
    std::vector<hw::Station> m_stations;   //!< by Place
    std::array<Picos, PLACES> m_entered{}; //!< latest arrival so far, by Place
    std::array<Picos, PLACES> m_left{};    //!< latest departure so far, by Place
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_PDU_PIPELINE_H
