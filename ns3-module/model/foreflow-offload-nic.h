// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_OFFLOAD_NIC_H
#define FOREFLOW_OFFLOAD_NIC_H

#include "foreflow-cores.h"
#include "foreflow-ethernet-channel.h"
#include "foreflow-frame-device.h"
#include "foreflow-offload-pipeline.h"
#include "foreflow-wire-time.h"

#include "ns3/data-rate.h"
#include "ns3/queue-size.h"

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace ns3
{
namespace foreflow
{

class VirtualPort;

/**
 * @ingroup foreflow
 * What decides in an OffloadNic, and what it costs.
 */
struct OffloadNicConfig
{
    path::PathConfig path;               //!< arm, rules, prediction
    const path::Future* future{nullptr}; //!< for the oracle arms; must outlive the device
    OffloadProfiles profiles;            //!< prices
};

/**
 * @ingroup foreflow
 * One packet's decision, told when it arrives, hence in order of arrival.
 */
struct PacketDecision
{
    uint64_t packet;              //!< number, from 0, in order of arrival
    const path::Arrival& arrival; //!< bytes are valid during the call only
    const path::Verdict& verdict; //!< all that was decided
    const path::StageWork& work;  //!< what that took
    const PacketCost& cost;       //!< the same, priced
};

/**
 * @ingroup foreflow
 * One packet's fate, told when it is known: when it begins to leave, or is dropped.
 */
struct PacketRecord
{
    uint64_t packet{0};  //!< number, from 0, in order of arrival
    flow::VmId vm{0};    //!< whose it is
    uint8_t queue{0};    //!< egress queue
    bool dropped{false}; //!< or it leaves
    Reason reason{};     //!< of the drop, else of the way it went
    Picos arrival;       //!< at the virtual port
    Picos ready;         //!< joins the egress queue
    Picos departure; //!< last bit on the wire, or in the host's memory; meaningless when dropped
    uint32_t wireBytes{0};        //!< of the frame
    uint32_t hostCycles{0};       //!< on host cores, prediction left out
    uint32_t deviceCycles{0};     //!< on the device
    uint32_t predictionCycles{0}; //!< on host cores for prediction, and the device's tag check
};

/**
 * @ingroup foreflow
 * A host's network card with an offload pipeline, and the host's part of the work: profiling and
 * tagging before a packet reaches the card, the slow path for packets that the card cannot decide.
 *
 * The cores decide a packet when it arrives at its virtual port; what the decision cost becomes
 * time in an OffloadPipeline. After it the packet waits in one of the egress queues for the port.
 * One timer serves all of that: at most two events a unicast packet and device, usually one.
 *
 * With placement host_core there is no pipeline: what a packet cost in all, with receiving and
 * sending it, is one job on cores that poll for bursts of up to 32 and run each to completion
 * (hw::PollingStation), and frames from the wire are jobs of the same cores. Not modelled: which
 * core a conversation is kept on (all share one queue), and the time of a poll that finds nothing.
 *
 * Conservation: Statistics::in = out + all of dropped + GetNHeld() at any time.
 */
class OffloadNic : public FrameDevice
{
  public:
    /**
     * What the device has done since it was made.
     */
    struct Statistics
    {
        uint64_t in{0};       //!< packets from virtual ports
        uint64_t out{0};      //!< that began to leave by the wire, or reached a local VM
        uint64_t outBytes{0}; //!< their frames' bytes
        std::array<uint64_t, kReasons> dropped{}; //!< by reason
        uint64_t received{0};                     //!< frames from the wire and from local VMs
        uint64_t receiveDropped{0}; //!< of them, found a station full or had no header
    };

    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    OffloadNic();
    ~OffloadNic() override;

    /**
     * Builds the path and the stations; to be called once, before the first packet and after the
     * attributes have been set.
     *
     * @param config what decides, and what it costs; impossible values throw ::foreflow::Refusal
     */
    void
    Configure(const OffloadNicConfig& config);

    /**
     * @param channel the cable to plug in
     */
    void
    Attach(Ptr<EthernetChannel> channel);

    /**
     * Called by VirtualPort::Attach.
     *
     * @param port to deliver received frames to
     */
    void
    AddPort(Ptr<VirtualPort> port);

    /**
     * A packet arrives at a virtual port now, in the context of the host's node. Its bytes are
     * looked at before the call returns. Without a frame (as replay of captures needs) a
     * zero-filled one of the same length leaves by the wire.
     *
     * @param arrival bytes, VM and times; the path decides at arrival.time,
     *        whatever the simulator's clock says
     * @param frame the packet itself, or null
     */
    void
    Arrive(const path::Arrival& arrival, Ptr<Packet> frame);

    /**
     * A VM sends a frame, now. Frames to a VM of the same host turn round at the end of the
     * pipeline; frames to a group go both ways.
     *
     * @param port the VM's, or null for the host itself
     * @param frame with its Ethernet header
     */
    void
    SendFrame(Ptr<VirtualPort> port, Ptr<Packet> frame);

    /**
     * @return counts since the device was made
     */
    const Statistics&
    GetStatistics() const;

    /**
     * @return packets that have arrived and neither begun to leave nor been dropped
     */
    uint64_t
    GetNHeld() const;

    /**
     * @return the path's own counters
     */
    path::Counters
    GetPathCounters() const;

    /**
     * @return the path itself, to look at
     */
    const path::Lanes&
    GetPath() const;

    /**
     * Changes rules between two packets: all of the batch, or none of it.
     *
     * @param batch the changes
     * @throws Refusal where they cannot be had
     */
    void
    ApplyRules(const rules::RuleBatch& batch);

    /**
     * Takes all rules away and puts others into their place, between two packets.
     *
     * @param rules of which each packet from now on is decided
     * @throws Refusal where they cannot be had; the old ones stay
     */
    void
    ReplaceRules(const std::vector<rules::Rule>& rules);

    /**
     * @return what decides, with the rules that it was given last
     */
    const path::PathConfig&
    GetPathConfig() const;

    /**
     * Calls with each lane of the path, its number and the time, between two packets.
     *
     * @param visit what is called
     */
    void
    VisitLanes(
        const std::function<void(path::PacketPath& lane, std::size_t number, Nanos now)>& visit);

    /**
     * @return what the stations did, in the order in which packets pass them
     */
    std::vector<hw::StationReport>
    GetStations() const;

    void
    ReceiveFrame(Ptr<Packet> frame) override;
    Ptr<Channel>
    GetChannel() const override;
    bool
    IsLinkUp() const override;
    bool
    IsPointToPoint() const override;

    /**
     * TracedCallback signature of Decided.
     *
     * @param decision of a packet that arrived
     */
    typedef void (*DecisionTracedCallback)(const PacketDecision& decision);
    /**
     * TracedCallback signature of PacketDone and Drop.
     *
     * @param record of a packet whose fate is known
     */
    typedef void (*RecordTracedCallback)(const PacketRecord& record);

  protected:
    void
    DoDispose() override;
    bool
    TransmitFrame(Ptr<Packet> frame) override;

  private:
    /**
     * Where a packet goes after the pipeline.
     */
    enum class Way
    {
        WIRE,  //!< by the port
        LOCAL, //!< to a VM of this host
        BOTH   //!< a group
    };

    /**
     * A packet on its way through the device.
     */
    struct Slot
    {
        PacketRecord record;   //!< so far
        Ptr<Packet> frame;     //!< null: zero-filled when it leaves
        Way way{Way::WIRE};    //!< where it goes
        Ptr<VirtualPort> port; //!< where it came from, or null
    };

    /**
     * A packet arrives at a virtual port.
     *
     * @param arrival bytes, VM and times
     * @param frame the packet itself, or null
     * @param way where it goes
     * @param port where it came from, or null
     */
    void
    Process(const path::Arrival& arrival, Ptr<Packet> frame, Way way, Ptr<VirtualPort> port);

    /**
     * A decided packet joins the queue of the cores that do all of its work.
     *
     * @param record of the packet; says whether it is to be dropped
     * @param cost of the packet
     * @param frame the packet itself, or null
     * @param way where it goes
     * @param port where it came from, or null
     */
    void
    JoinCores(PacketRecord record,
              const PacketCost& cost,
              Ptr<Packet> frame,
              Way way,
              Ptr<VirtualPort> port);

    /**
     * Cores that are free take what waits.
     *
     * @param now the moment
     */
    void
    BeginBursts(Picos now);

    /**
     * A core has run its burst to completion.
     *
     * @param engine the core
     * @param done when it had
     */
    void
    EndBurst(std::size_t engine, Picos done);

    /**
     * @param cycles of stages, without carrying
     * @return how long a packet keeps its core
     */
    Picos
    ServiceOf(uint64_t cycles) const;

    /**
     * Counts and traces a drop.
     *
     * @param record of the packet
     * @param reason of the drop
     */
    void
    Drop(PacketRecord& record, Reason reason);

    /**
     * @param record of a packet
     * @param frame of the packet, or null
     * @return its handle
     */
    uint32_t
    TakeSlot(const PacketRecord& record, Ptr<Packet> frame);

    /**
     * @param handle of a packet that leaves the device
     * @return what the slot held
     */
    Slot
    GiveSlot(uint32_t handle);

    /**
     * Moves packets whose pipeline time is over to the egress queues, in order of that time.
     *
     * @param now the moment up to which they are moved
     */
    void
    Collect(Picos now);

    /**
     * Makes sure that the port is looked at no later than at a time.
     *
     * @param time when
     */
    void
    Arm(Picos time);

    /**
     * Arms the port's next step, if anything waits for it.
     */
    void
    ArmNext();

    /**
     * The port is looked at: collects, and begins to send the next packet.
     *
     * @param time for which this was armed: a call whose time was superseded does nothing
     */
    void
    Serve(Picos time);

    /**
     * Puts a packet on the wire.
     *
     * @param handle of the packet
     * @param start when its first bit leaves
     */
    void
    Begin(uint32_t handle, Picos start);

    /**
     * A packet for a VM of the same host turns round at the end of the pipeline.
     *
     * @param handle of the packet
     */
    void
    TurnRound(uint32_t handle);

    /**
     * A frame passes the receive stations, where there are any, and is then delivered.
     *
     * @param frame with its Ethernet header
     * @param sender the VM port it came from, or null when it came from the wire
     */
    void
    Steer(Ptr<Packet> frame, Ptr<VirtualPort> sender);

    /**
     * Counts and traces a received frame that is dropped.
     *
     * @param frame that was received
     */
    void
    DropReceived(Ptr<Packet> frame);

    /**
     * Hands a frame to the virtual ports of its destination.
     *
     * @param frame with its Ethernet header
     * @param sender the VM port it came from, or null when it came from the wire
     * @param delay until it is there
     */
    void
    Deliver(Ptr<Packet> frame, Ptr<VirtualPort> sender, Time delay);

    Ptr<EthernetChannel> m_channel;                   //!< the cable
    std::vector<Ptr<VirtualPort>> m_ports;            //!< of this host
    std::map<Mac48Address, VirtualPort*> m_portByMac; //!< to steer by

    DataRate m_rate;             //!< of the port
    uint32_t m_overheadBytes{0}; //!< on the wire besides a frame
    uint32_t m_minimumBytes{0};  //!< shorter frames are padded
    QueueSize m_queueSize;       //!< of each egress queue
    uint16_t m_vms{0};           //!< profiled VMs

    path::PathConfig m_pathConfig;               //!< of m_path, with the rules it was given last
    std::unique_ptr<path::Lanes> m_path;         //!< decides
    std::unique_ptr<OffloadPipeline> m_pipeline; //!< takes time
    std::unique_ptr<hw::PollingStation> m_cores; //!< take it instead, with placement host_core
    hw::DeviceProfile m_coreProfile;             //!< prices of m_cores
    Cycles m_steering;                           //!< price of steering a received frame
    std::map<uint32_t, Ptr<Packet>> m_incoming;  //!< received frames at m_cores, by job
    uint32_t m_nIncoming{0};                     //!< received so far
    std::unique_ptr<tag::Scheduler> m_scheduler; //!< order of departure

    std::vector<uint8_t> m_bytes; //!< a frame, serialised for the path
    std::vector<Slot> m_slots;    //!< packets in the device
    std::vector<uint32_t> m_free; //!< unused slots
    std::deque<uint32_t> m_fast;  //!< in the pipeline, in order of readiness
    std::deque<uint32_t> m_slow;  //!< by the slow path, in order of readiness
    Picos m_freeAt;               //!< when the last bit begun so far leaves
    Picos m_armedFor;             //!< the port is looked at then
    uint64_t m_held{0};           //!< in the device
    Statistics m_statistics;      //!< counts

    TracedCallback<const PacketDecision&> m_decidedTrace; //!< at arrival
    TracedCallback<const PacketRecord&> m_doneTrace;      //!< at departure or drop
    TracedCallback<const PacketRecord&> m_dropTrace;      //!< at a drop
    TracedCallback<const PacketDecision&> m_mirrorTrace;  //!< a copy for the mirror port
    TracedCallback<Ptr<const Packet>> m_phyTxBeginTrace;  //!< first bit leaves
    TracedCallback<Ptr<const Packet>> m_phyRxEndTrace;    //!< last bit has arrived
    TracedCallback<Ptr<const Packet>> m_receiveDropTrace; //!< received, but a station was full
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_OFFLOAD_NIC_H
