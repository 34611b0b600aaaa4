// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_OFFLOAD_PIPELINE_H
#define FOREFLOW_OFFLOAD_PIPELINE_H

#include "foreflow-cores.h"

#include <array>
#include <cstdint>
#include <vector>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * The prices of one host and its device.
 */
struct OffloadProfiles
{
    hw::DeviceProfile host;    //!< a host core: profiling, prediction, tagging and the slow path
    hw::DeviceProfile device;  //!< the NIC's pipeline
    hw::BusProfile bus;        //!< between them
    uint32_t slowPathCores{1}; //!< host cores that serve the slow path, beside those that profile
    hw::Placement placement{hw::Placement::kNic}; //!< host core and device in turn, or a core alone
};

/**
 * @ingroup foreflow
 * What one packet cost, in cycles of whoever did the work.
 */
struct PacketCost
{
    std::array<uint32_t, path::kStages> stage{}; //!< cycles, stage by stage
    uint32_t host{0};                            //!< on host cores, prediction left out
    uint32_t device{0};                          //!< on the device
    uint32_t prediction{0}; //!< on host cores for prediction, and the device's tag check
    uint32_t all{0};        //!< the stages' sum
};

/**
 * @param device that steers
 * @return the price of finding a received frame's virtual port
 */
Cycles
SteeringCost(const hw::DeviceProfile& device);

/**
 * @ingroup foreflow
 * The tandem of stations that a packet passes between a virtual port and the egress queues:
 *
 *     host core -> bus -> device --------------------------------------> egress     (fast path)
 *                           '-> bus -> slow-path core -> bus -> device -> egress    (slow path)
 *
 * Completion times are computed when a packet arrives, without events: every station is first come,
 * first served, is entered by one kind of packet only (each bus direction of each path has its own
 * queue pair), and stations of several engines give packets back in order, as descriptor rings do;
 * so a station is always entered in order of time. A packet's device cycles are reserved at its
 * first visit: acting on a packet that comes back from the slow path adds its latency, and no
 * second wait.
 */
class OffloadPipeline
{
  public:
    /**
     * @param profiles prices; a station without engines throws ::foreflow::Refusal
     */
    explicit OffloadPipeline(const OffloadProfiles& profiles);

    /**
     * Prices the work of a packet. Parsing and acting are always visited, acting only by packets
     * that could be decided; the slow path by those that were punted; every other stage where it
     * left work.
     *
     * @param verdict of the packet
     * @param work of the packet, stage by stage
     * @return cycles
     */
    PacketCost
    Price(const path::Verdict& verdict, const path::StageWork& work) const;

    /**
     * One passage through the tandem.
     */
    struct Passage
    {
        bool accepted{false}; //!< false: a station's queue was full
        Picos ready;          //!< at the end of the tandem
    };

    /**
     * A packet from a virtual port.
     *
     * @param now never runs backwards
     * @param verdict of the packet: decides the way
     * @param cost of the packet
     * @param bytes of the frame
     * @return when it may join an egress queue, or would have, had the verdict not been to drop it
     */
    Passage
    Transmit(Picos now, const path::Verdict& verdict, const PacketCost& cost, uint32_t bytes);

    /**
     * A frame from the wire, steered by its destination address.
     *
     * @param now never runs backwards
     * @param bytes of the frame
     * @return when it is in the host's memory
     */
    Passage
    Receive(Picos now, uint32_t bytes);

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
        HOST_CORE,
        BUS_TRANSMIT,
        DEVICE,
        BUS_PUNT,
        SLOW_PATH,
        BUS_RETURN,
        DEVICE_RECEIVE,
        BUS_RECEIVE,
        PLACES
    };

    /**
     * Passes a station that gives its jobs back in order.
     *
     * @param place the station
     * @param time in: arrival; out: departure, not before that of any earlier job
     * @param service how long the engine is kept
     * @param latency from the beginning of service to departure
     * @return whether there was room
     */
    bool
    Pass(Place place, Picos& time, Picos service, Picos latency);

    OffloadProfiles m_profiles;          //!< prices
    Cycles m_steering;                   //!< price of steering a received frame
    std::vector<hw::Station> m_stations; //!< by Place
    std::array<Picos, PLACES> m_last{};  //!< latest departure so far, by Place
    Picos m_lastPunt;                    //!< latest departure from the device towards the slow path
    Picos m_lastReturn;                  //!< latest departure from the slow path to egress
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_OFFLOAD_PIPELINE_H
