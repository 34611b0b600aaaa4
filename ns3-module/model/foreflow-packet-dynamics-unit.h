// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_PACKET_DYNAMICS_UNIT_H
#define FOREFLOW_PACKET_DYNAMICS_UNIT_H

#include "foreflow-frame-device.h"
#include "foreflow-pdu-mailbox.h"
#include "foreflow-pdu-pipeline.h"

#include "ns3/ipv4-address.h"

#include "models/base/token_bucket.h"

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

namespace ns3
{
namespace foreflow
{

class PduGuestDriver;
class PduHostDriver;

/**
 * @ingroup foreflow
 * What a packet dynamics unit is made from.
 */
struct PduConfig
{
    shard::UnitConfig unit; //!< peers, sizes, recovery, memory
    PduProfiles profiles;   //!< prices; unit prices of the device must be known
};

/**
 * @ingroup foreflow
 * Why a frame or datagram goes no further at a PacketDynamicsUnit.
 */
enum class PduDrop : uint8_t
{
    NO_ROUTE,      //!< no peer has its destination
    NOT_PERMITTED, //!< its sender may not speak to that peer
    SPOOFED,       //!< its source address is not its sender's
    OVER_QUOTA,    //!< its sender has sent as much as it may
    STATION_FULL,  //!< of the unit or its bus
    REFUSED,       //!< by the unit: shard::UnitVerdict says why
    MARKED,        //!< on the way, and its sender does not heed marks (RFC 6040)
    NOT_OURS,      //!< from the network, but no datagram for the unit
    PORT,          //!< the port did not take it
    COUNT
};

/**
 * @ingroup foreflow
 * A datagram of a unit on its way out.
 */
struct PduDatagram
{
    std::size_t peer; //!< to whom
    unsigned path;    //!< and by which path
    BytesView bytes;  //!< UDP payload, during the call
    Picos decided;    //!< when it was made
    Picos ready;      //!< when it leaves the engines
    bool accepted;    //!< false: a station has no room, and it is dropped
};

/**
 * @ingroup foreflow
 * A packet that was made whole.
 */
struct PduPacket
{
    std::size_t peer; //!< from whom
    uint64_t base;    //!< number of its first fragment in the peer's session: its name
    BytesView frame;  //!< during the call
    Nanos waited;     //!< since its first fragment came
    Picos decided;    //!< when its last one did
    Picos ready;      //!< when it is in the host's memory
};

/**
 * @ingroup foreflow
 * A packet dynamics unit beside a host's network port: a bump in the wire. What the host and its
 * VMs send to hosts that have a unit is cut, sealed and sent in UDP datagrams; what comes from
 * there is opened, put together and handed on. It is one Ethernet to those above: the host's own
 * stack uses this device, VMs use a PduGuestDriver each, and frames for groups go to all peers.
 *
 * models/shard decides, when something arrives or is due; what the decision cost becomes time in a
 * PduPipeline. Datagrams leave by ports that are any ns-3 devices of the same node which can
 * SendFrom: path i by port i modulo their number. The unit answers ARP for its address there.
 *
 * Two parties may tell it what to do: guests, through a mailbox, what concerns their own channels;
 * and the host's PduHostDriver everything else. Guests see neither keys nor fragments, datagrams,
 * addresses of peers or probes, and nothing that they send leaves the unit but sealed.
 *
 * Where the host agrees on keys with others (PduHostDriver::Agree), its datagrams pass the unit in
 * clear, by the bus and past all engines.
 *
 * Conservation, at any time: hostIn + flooded = sent + turnedRound + hostDropped, datagrams +
 * agreementOut = emitted + datagramDropped + held, wireIn = received + agreementIn + arpReplies +
 * wireDropped, packets = delivered + packetDropped + held (IsBalanced).
 */
class PacketDynamicsUnit : public FrameDevice, private shard::UnitSink
{
  public:
    /**
     * Counts by PduDrop.
     */
    using DropCounts = std::array<uint64_t, static_cast<std::size_t>(PduDrop::COUNT)>;

    /**
     * What the device has done since it was made.
     */
    struct Statistics
    {
        uint64_t hostIn{0};       //!< frames from the host and its VMs
        uint64_t flooded{0};      //!< further copies of frames for groups
        uint64_t sent{0};         //!< of both, that the unit took
        uint64_t turnedRound{0};  //!< of both, that went to somebody of this host
        uint64_t datagrams{0};    //!< that the unit made
        uint64_t agreementOut{0}; //!< that its host did, to agree on keys
        uint64_t emitted{0};      //!< of both, that ports took
        uint64_t wireIn{0};       //!< frames from ports
        uint64_t received{0};     //!< of them, datagrams that the unit was given
        uint64_t agreementIn{0};  //!< of them, datagrams that its host was given
        uint64_t arpReplies{0};   //!< of them, requests that were answered
        uint64_t packets{0};      //!< that the unit made whole
        uint64_t delivered{0};    //!< of them, handed on
        std::array<uint64_t, static_cast<std::size_t>(PduDrop::COUNT)> hostDropped{}; //!< frames
        std::array<uint64_t, static_cast<std::size_t>(PduDrop::COUNT)> datagramDropped{}; //!< made
        std::array<uint64_t, static_cast<std::size_t>(PduDrop::COUNT)> wireDropped{}; //!< received
        std::array<uint64_t, static_cast<std::size_t>(PduDrop::COUNT)> packetDropped{}; //!< whole
    };

    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    PacketDynamicsUnit();
    ~PacketDynamicsUnit() override;

    /**
     * Builds unit and stations; to be called once, before the first frame.
     *
     * @param config what it is made from; impossible values throw ::foreflow::Refusal
     */
    void
    Configure(const PduConfig& config);

    /**
     * Adds a way out. The port must be on the same node, with neither stack nor other user.
     *
     * @param port that the datagrams of the next path leave by
     */
    void
    AddPort(Ptr<NetDevice> port);

    /**
     * Of shard::GapRule::kClairvoyant: what could have come now was lost.
     *
     * @param peer who sent it
     * @param number of the peer's session
     */
    void
    TellLost(uint32_t peer, uint64_t number);

    /**
     * @return counts since the device was made
     */
    const Statistics&
    GetStatistics() const;

    /**
     * @return frames, datagrams and packets in the stations
     */
    uint64_t
    GetNHeld() const;

    /**
     * @return whether everything that came in is accounted for
     */
    bool
    IsBalanced() const;

    /**
     * @return the unit itself, to look at
     */
    const shard::Unit&
    GetUnit() const;

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
     * TracedCallback signature of Datagram.
     *
     * @param datagram on its way out
     */
    typedef void (*DatagramTracedCallback)(const PduDatagram& datagram);
    /**
     * TracedCallback signature of Received.
     *
     * @param verdict on a datagram
     * @param bytes its UDP payload, as it came
     */
    typedef void (*ReceivedTracedCallback)(shard::UnitVerdict verdict, uint32_t bytes);
    /**
     * TracedCallback signature of PacketWhole.
     *
     * @param packet that was made whole
     */
    typedef void (*PacketTracedCallback)(const PduPacket& packet);
    /**
     * TracedCallback signature of Drop.
     *
     * @param frame that is dropped; null where a datagram of the unit is
     * @param reason of the drop
     */
    typedef void (*DropTracedCallback)(Ptr<const Packet> frame, PduDrop reason);

  protected:
    void
    DoDispose() override;
    bool
    TransmitFrame(Ptr<Packet> frame) override;

  private:
    friend class PduGuestDriver;
    friend class PduHostDriver;

    static constexpr uint32_t HOST = 0; //!< the host itself among those who send

    /**
     * Where a peer is.
     */
    struct Peer
    {
        Ipv4Address address;                //!< of its unit
        std::vector<Mac48Address> nextHops; //!< by port
        shard::Preference preference{};     //!< of the host, for what is sent to it
    };

    /**
     * A conversation of a guest with one address.
     */
    struct GuestChannel
    {
        Mac48Address remote;             //!< the other side
        uint32_t peer{0};                //!< its unit
        shard::Preference preference{};  //!< of what is sent
        PduChannelStatistics statistics; //!< what the guest may know
    };

    /**
     * Somebody who sends: the host itself, or a VM.
     */
    struct Guest
    {
        Ptr<PduGuestDriver> driver;                    //!< null: the host
        Mac48Address mac;                              //!< its address
        std::optional<::foreflow::TokenBucket> bytes;  //!< that it may send; none: any number
        uint32_t channels{16};                         //!< that it may open
        std::set<uint32_t> forbidden;                  //!< peers
        std::map<uint32_t, GuestChannel> open;         //!< channels, by number
        std::map<Mac48Address, uint32_t> channelByMac; //!< channels, by the other side
        uint32_t nextChannel{1};                       //!< number of the next one
    };

    // From guests, through PduGuestDriver.

    /**
     * @param driver of a VM
     * @return its number
     */
    uint32_t
    AddGuest(Ptr<PduGuestDriver> driver);

    /**
     * A guest's frame is in the host's memory.
     *
     * @param guest who sends
     * @param frame with its Ethernet header
     */
    void
    SendFrame(uint32_t guest, Ptr<Packet> frame);

    /**
     * A guest asks for something.
     *
     * @param guest who asks
     * @param request what for
     * @return the answer
     */
    PduReply
    Handle(uint32_t guest, const PduRequest& request);

    // From the host, through PduHostDriver.

    /**
     * @param peer which
     * @return it
     */
    Peer&
    PeerAt(uint32_t peer);

    /**
     * @param guest which
     * @return it
     */
    Guest&
    GuestAt(uint32_t guest);

    // Between host and unit.

    /**
     * Gives a frame, which m_bytes has the bytes of, to the unit.
     *
     * @param frame with its Ethernet header
     * @param peer to whom
     * @return whether the unit took it
     */
    bool
    SendToPeer(Ptr<const Packet> frame, uint32_t peer);

    /**
     * Counts what was not sent, for the guest to know.
     *
     * @param sender whose frame it was
     * @param destination of the frame
     */
    void
    Refuse(uint32_t sender, Mac48Address destination);

    /**
     * @param guest who
     * @param remote the other side
     * @return what the guest may know of their channel; null where none is open
     */
    PduChannelStatistics*
    ChannelOf(uint32_t guest, Mac48Address remote);

    /**
     * What is sent to a peer is sent as the most careful of those wants it who have a channel
     * there: robustness before latency, latency before bandwidth.
     *
     * @param peer to whom
     */
    void
    Prefer(uint32_t peer);

    /**
     * Hands a frame to those of this host whose it is.
     *
     * @param frame with its Ethernet header
     * @param sender who is left out
     */
    void
    HandOn(Ptr<Packet> frame, uint32_t sender);

    /**
     * @param mac a unicast address
     * @return who of this host has it; UINT32_MAX: nobody
     */
    uint32_t
    OwnerOf(Mac48Address mac) const;

    /**
     * A packet is in the host's memory.
     *
     * @param frame with its Ethernet header
     */
    void
    Deliver(Ptr<Packet> frame);

    /**
     * A frame for others of this host turns round behind the bus.
     *
     * @param frame with its Ethernet header
     * @param sender whose it is
     */
    void
    TurnRound(Ptr<Packet> frame, uint32_t sender);

    /**
     * It is in the host's memory again.
     *
     * @param frame with its Ethernet header
     * @param sender whose it is
     */
    void
    EndTurn(Ptr<Packet> frame, uint32_t sender);

    // Between unit and network.

    /**
     * A port has received something.
     *
     * @param port which
     * @param packet without its Ethernet header
     * @param protocol ethertype
     * @param from source MAC address
     * @param to destination MAC address
     * @param type for whom
     * @return true
     */
    bool
    FromPort(Ptr<NetDevice> port,
             Ptr<const Packet> packet,
             uint16_t protocol,
             const Address& from,
             const Address& to,
             NetDevice::PacketType type);

    /**
     * Answers an ARP request for the unit's address, which m_bytes has.
     *
     * @param port that it came by
     * @param from who asks
     * @return whether it was one
     */
    bool
    AnswerArp(Ptr<NetDevice> port, const Address& from);

    /**
     * What the host says to another host, on its way out of its memory.
     *
     * @param peer whose host
     * @param bytes UDP payload
     */
    void
    SendAgreement(uint32_t peer, BytesView bytes);

    /**
     * A datagram is the host's, and on its way to its memory.
     *
     * @param packet from its IPv4 header on
     * @param bytes its UDP payload
     * @param from sender's address
     * @param port sender's UDP port
     */
    void
    ReceiveAgreement(Ptr<const Packet> packet, BytesView bytes, Ipv4Address from, uint16_t port);

    /**
     * It is there.
     *
     * @param bytes UDP payload
     * @param from sender's address
     * @param port sender's UDP port
     */
    void
    HandOverAgreement(std::vector<uint8_t> bytes, Ipv4Address from, uint16_t port);

    /**
     * Wraps a datagram, which leaves later.
     *
     * @param datagram UDP payload and what its headers say
     * @param sourcePort of UDP
     * @param ready when it leaves
     */
    void
    Launch(const shard::UnitDatagram& datagram, uint16_t sourcePort, Picos ready);

    /**
     * A datagram leaves.
     *
     * @param packet from its IPv4 header on
     * @param peer to whom
     * @param path by which
     */
    void
    Emit(Ptr<Packet> packet, uint32_t peer, unsigned path);

    void
    OnDatagram(const shard::UnitDatagram& datagram) override;
    void
    OnPacket(const shard::UnitPacket& packet) override;

    /**
     * Begins a call of the unit: what comes out of it goes this way.
     *
     * @param way whose work
     * @param time when it enters the stations
     */
    void
    BeginCall(PduPipeline::Way way, Picos time);

    /**
     * Ends it: what was done after the last output occupies the stations too.
     */
    void
    EndCall();

    /**
     * What is due by now is done.
     */
    void
    RunTimers();

    /**
     * Makes sure that the unit is called when its next timer is due.
     */
    void
    ArmTimer();

    /**
     * The timer's event.
     *
     * @param time for which this was armed: a call whose time was superseded does nothing
     */
    void
    OnTimer(Nanos time);

    /**
     * @param frame that is dropped, or null
     * @param reason why
     * @param counts by reason, of what it is
     */
    void
    Drop(Ptr<const Packet> frame, PduDrop reason, DropCounts& counts);

    Ipv4Address m_ip;                               //!< of the unit
    uint16_t m_udpPort{0};                          //!< of all units
    std::unique_ptr<shard::Unit> m_unit;            //!< decides
    std::unique_ptr<PduPipeline> m_pipeline;        //!< takes time
    std::vector<Ptr<NetDevice>> m_ports;            //!< by path
    std::vector<Peer> m_peers;                      //!< by number
    std::vector<Guest> m_guests;                    //!< the host first
    std::map<Mac48Address, uint32_t> m_routes;      //!< who has which address
    std::vector<uint8_t> m_bytes;                   //!< a frame, serialised
    std::vector<uint8_t> m_out;                     //!< a packet for the host
    PduPipeline::Way m_way{PduPipeline::Way::SEND}; //!< of the call under way
    Picos m_entry;                                  //!< its time
    shard::UnitWork m_work;                         //!< its work since the last output
    Nanos m_timerAt;                                //!< the timer is armed for then
    Ptr<PduHostDriver> m_host;                      //!< the host's, while it agrees on keys
    unsigned m_agreementPath{0};                    //!< of its next datagram
    uint64_t m_agreeing{0};                         //!< its datagrams from the network, on the bus
    uint64_t m_sealing{0};                          //!< datagrams in the stations
    uint64_t m_posting{0};                          //!< packets in the stations
    uint64_t m_turning{0};                          //!< frames between two of this host
    Statistics m_statistics;                        //!< counts

    TracedCallback<const PduDatagram&> m_datagramTrace;           //!< one is made
    TracedCallback<shard::UnitVerdict, uint32_t> m_receivedTrace; //!< one was looked at
    TracedCallback<const PduPacket&> m_packetTrace;               //!< one is whole
    TracedCallback<Ptr<const Packet>, PduDrop> m_dropTrace;       //!< something is dropped
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_PACKET_DYNAMICS_UNIT_H
