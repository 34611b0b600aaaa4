// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-packet-dynamics-unit.h"

#include "foreflow-pdu-guest-driver.h"
#include "foreflow-pdu-host-driver.h"
#include "foreflow-wire-time.h"

#include "models/shard/host_frame.h"
#include "models/shard/session_keys.h"
#include "models/wire/arp.h"

#include "ns3/abort.h"
#include "ns3/ipv4-header.h"
#include "ns3/log.h"
#include "ns3/udp-header.h"
#include "ns3/uinteger.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowPacketDynamicsUnit");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(PacketDynamicsUnit);

namespace
{

constexpr Nanos NEVER{std::numeric_limits<int64_t>::max()};
constexpr uint32_t MAC_BYTES = 6;
constexpr uint32_t HEADER_BYTES = wire::EthernetHeader::kBytes;
constexpr uint32_t NOBODY = std::numeric_limits<uint32_t>::max();

/**
 * @param bytes of a frame
 * @return its destination
 */
Mac48Address
DestinationOf(const uint8_t* bytes)
{
    Mac48Address mac;
    mac.CopyFrom(bytes);
    return mac;
}

/**
 * @param bytes of a frame
 * @return its source
 */
Mac48Address
SourceOf(const uint8_t* bytes)
{
    return DestinationOf(bytes + MAC_BYTES);
}

/**
 * @param reason of a drop
 * @return its place in a list by reason
 */
constexpr std::size_t
At(PduDrop reason)
{
    return static_cast<std::size_t>(reason);
}

/**
 * @param counts by reason
 * @return their sum
 */
template <std::size_t N>
uint64_t
SumOf(const std::array<uint64_t, N>& counts)
{
    return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

} // namespace

TypeId
PacketDynamicsUnit::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::PacketDynamicsUnit")
            .SetParent<FrameDevice>()
            .SetGroupName("Foreflow")
            .AddConstructor<PacketDynamicsUnit>()
            .AddAttribute("UnitAddress",
                          "The IPv4 address from which and at which datagrams go and come.",
                          Ipv4AddressValue(Ipv4Address("192.0.2.1")),
                          MakeIpv4AddressAccessor(&PacketDynamicsUnit::m_ip),
                          MakeIpv4AddressChecker())
            .AddAttribute("UdpPort",
                          "The UDP port at which all units are reached.",
                          UintegerValue(7800),
                          MakeUintegerAccessor(&PacketDynamicsUnit::m_udpPort),
                          MakeUintegerChecker<uint16_t>(1))
            .AddTraceSource("Datagram",
                            "A datagram is made, and when it will leave.",
                            MakeTraceSourceAccessor(&PacketDynamicsUnit::m_datagramTrace),
                            "ns3::foreflow::PacketDynamicsUnit::DatagramTracedCallback")
            .AddTraceSource("Received",
                            "A datagram has been looked at.",
                            MakeTraceSourceAccessor(&PacketDynamicsUnit::m_receivedTrace),
                            "ns3::foreflow::PacketDynamicsUnit::ReceivedTracedCallback")
            .AddTraceSource("PacketWhole",
                            "A packet is whole, and when the host will have it.",
                            MakeTraceSourceAccessor(&PacketDynamicsUnit::m_packetTrace),
                            "ns3::foreflow::PacketDynamicsUnit::PacketTracedCallback")
            .AddTraceSource("Drop",
                            "A frame or a datagram is dropped, with its reason.",
                            MakeTraceSourceAccessor(&PacketDynamicsUnit::m_dropTrace),
                            "ns3::foreflow::PacketDynamicsUnit::DropTracedCallback");
    return tid;
}

PacketDynamicsUnit::PacketDynamicsUnit()
    : m_guests(1)
    , m_timerAt(NEVER)
{
}

PacketDynamicsUnit::~PacketDynamicsUnit() = default;

void
PacketDynamicsUnit::DoDispose()
{
    m_ports.clear();
    m_guests.clear();
    m_host = nullptr;
    m_unit.reset();
    FrameDevice::DoDispose();
}

void
PacketDynamicsUnit::Configure(const PduConfig& config)
{
    NS_LOG_FUNCTION(this);
    if (!config.profiles.device.unit.is_known)
    {
        throw ::foreflow::Refusal("device " + config.profiles.device.name,
                                  "unit",
                                  "missing",
                                  "the prices of a packet dynamics unit's engines");
    }
    if (config.unit.most_packet_bytes < GetMtu() + HEADER_BYTES)
    {
        throw ::foreflow::Refusal("ns3::foreflow::PacketDynamicsUnit",
                                  "most_packet_bytes",
                                  std::to_string(config.unit.most_packet_bytes),
                                  "Mtu + 14 or more, " + std::to_string(GetMtu() + HEADER_BYTES));
    }
    m_unit = std::make_unique<shard::Unit>(config.unit);
    m_pipeline = std::make_unique<PduPipeline>(config.profiles);
    m_peers.resize(config.unit.peers);
    for (Peer& peer : m_peers)
    {
        peer.preference = config.unit.preference;
    }
    m_guests[HOST].mac = GetMac();
    m_out.reserve(config.unit.most_packet_bytes);
    ArmTimer();
}

void
PacketDynamicsUnit::AddPort(Ptr<NetDevice> port)
{
    NS_LOG_FUNCTION(this << port);
    NS_ABORT_MSG_IF(!port->SupportsSendFrom(), "a unit's port must be able to SendFrom");
    NS_ABORT_MSG_IF(port->GetNode() != GetNode(), "a unit and its ports are on one node");
    port->SetPromiscReceiveCallback(MakeCallback(&PacketDynamicsUnit::FromPort, this));
    m_ports.push_back(port);
    NotifyLinkUp();
}

void
PacketDynamicsUnit::TellLost(uint32_t peer, uint64_t number)
{
    NS_LOG_FUNCTION(this << peer << number);
    const Picos now = PicosNow();
    RunTimers();
    BeginCall(PduPipeline::Way::RECEIVE, now);
    m_unit->TellLost(peer, number, ToNanosFloor(now), *this, m_work);
    EndCall();
}

const PacketDynamicsUnit::Statistics&
PacketDynamicsUnit::GetStatistics() const
{
    return m_statistics;
}

uint64_t
PacketDynamicsUnit::GetNHeld() const
{
    return m_sealing + m_posting + m_turning + m_agreeing;
}

bool
PacketDynamicsUnit::IsBalanced() const
{
    const Statistics& s = m_statistics;
    return s.hostIn + s.flooded == s.sent + s.turnedRound + SumOf(s.hostDropped) &&
           s.datagrams + s.agreementOut == s.emitted + SumOf(s.datagramDropped) + m_sealing &&
           s.wireIn == s.received + s.agreementIn + s.arpReplies + SumOf(s.wireDropped) &&
           s.packets == s.delivered + SumOf(s.packetDropped) + m_posting;
}

const shard::Unit&
PacketDynamicsUnit::GetUnit() const
{
    return *m_unit;
}

std::vector<hw::StationReport>
PacketDynamicsUnit::GetStations() const
{
    std::vector<hw::StationReport> reports;
    for (const hw::Station& station : m_pipeline->GetStations())
    {
        reports.push_back({station.name(), station.engines(), station.statistics()});
    }
    return reports;
}

Ptr<Channel>
PacketDynamicsUnit::GetChannel() const
{
    // Its ports have channels; between it and them there is none.
    return nullptr;
}

bool
PacketDynamicsUnit::IsLinkUp() const
{
    return m_unit && !m_ports.empty();
}

bool
PacketDynamicsUnit::IsPointToPoint() const
{
    return false;
}

void
PacketDynamicsUnit::Drop(Ptr<const Packet> frame, PduDrop reason, DropCounts& counts)
{
    ++counts[At(reason)];
    m_dropTrace(frame, reason);
}

uint32_t
PacketDynamicsUnit::AddGuest(Ptr<PduGuestDriver> driver)
{
    NS_LOG_FUNCTION(this << driver);
    const Mac48Address mac = driver->GetMac();
    NS_ABORT_MSG_IF(OwnerOf(mac) != NOBODY, "two guests of one host have the MAC " << mac);
    Guest guest;
    guest.driver = driver;
    guest.mac = mac;
    m_guests.push_back(guest);
    return static_cast<uint32_t>(m_guests.size() - 1);
}

PacketDynamicsUnit::Peer&
PacketDynamicsUnit::PeerAt(uint32_t peer)
{
    NS_ABORT_MSG_IF(peer >= m_peers.size(), "there is no peer " << peer);
    return m_peers[peer];
}

PacketDynamicsUnit::Guest&
PacketDynamicsUnit::GuestAt(uint32_t guest)
{
    NS_ABORT_MSG_IF(guest >= m_guests.size(), "there is no guest " << guest);
    return m_guests[guest];
}

uint32_t
PacketDynamicsUnit::OwnerOf(Mac48Address mac) const
{
    for (uint32_t i = 0; i < m_guests.size(); ++i)
    {
        if (m_guests[i].mac == mac)
        {
            return i;
        }
    }
    return NOBODY;
}

PduReply
PacketDynamicsUnit::Handle(uint32_t guestIndex, const PduRequest& request)
{
    using Status = PduReply::Status;
    Guest& guest = m_guests[guestIndex];
    PduReply reply;
    reply.channel = request.channel;
    if (request.kind == PduRequest::Kind::OPEN)
    {
        const auto route = m_routes.find(request.remote);
        if (guest.channelByMac.count(request.remote) != 0)
        {
            reply.status = Status::ALREADY_OPEN;
        }
        else if (route == m_routes.end())
        {
            reply.status = Status::NO_ROUTE;
        }
        else if (guest.forbidden.count(route->second) != 0)
        {
            reply.status = Status::NOT_PERMITTED;
        }
        else if (guest.open.size() >= guest.channels)
        {
            reply.status = Status::NO_MORE;
        }
        else
        {
            reply.channel = guest.nextChannel++;
            GuestChannel& channel = guest.open[reply.channel];
            channel.remote = request.remote;
            channel.peer = route->second;
            channel.preference = request.preference;
            guest.channelByMac[request.remote] = reply.channel;
            Prefer(channel.peer);
        }
        return reply;
    }
    const auto found = guest.open.find(request.channel);
    if (found == guest.open.end())
    {
        reply.status = Status::NO_SUCH_CHANNEL;
        return reply;
    }
    GuestChannel& channel = found->second;
    reply.statistics = channel.statistics;
    const uint32_t peer = channel.peer;
    if (request.kind == PduRequest::Kind::CLOSE)
    {
        guest.channelByMac.erase(channel.remote);
        guest.open.erase(found);
        Prefer(peer);
    }
    else if (request.kind == PduRequest::Kind::PREFER)
    {
        channel.preference = request.preference;
        Prefer(peer);
    }
    return reply;
}

void
PacketDynamicsUnit::Prefer(uint32_t peer)
{
    shard::Preference strongest = PeerAt(peer).preference;
    for (const Guest& guest : m_guests)
    {
        for (const auto& [number, channel] : guest.open)
        {
            if (channel.peer == peer)
            {
                strongest = std::max(strongest, channel.preference);
            }
        }
    }
    m_unit->SetPreference(peer, strongest);
}

PduChannelStatistics*
PacketDynamicsUnit::ChannelOf(uint32_t guest, Mac48Address remote)
{
    const auto found = m_guests[guest].channelByMac.find(remote);
    return found == m_guests[guest].channelByMac.end()
               ? nullptr
               : &m_guests[guest].open[found->second].statistics;
}

bool
PacketDynamicsUnit::TransmitFrame(Ptr<Packet> frame)
{
    SendFrame(HOST, frame);
    return true;
}

void
PacketDynamicsUnit::SendFrame(uint32_t sender, Ptr<Packet> frame)
{
    NS_LOG_FUNCTION(this << sender << frame);
    ++m_statistics.hostIn;
    const uint32_t size = frame->GetSize();
    m_bytes.resize(size);
    frame->CopyData(m_bytes.data(), size);
    Guest& guest = m_guests[sender];
    const Mac48Address destination = DestinationOf(m_bytes.data());
    if (sender != HOST && SourceOf(m_bytes.data()) != guest.mac)
    {
        Drop(frame, PduDrop::SPOOFED, m_statistics.hostDropped);
        return;
    }
    if (guest.bytes && !guest.bytes->Take(ToNanosFloor(PicosNow()), size))
    {
        Drop(frame, PduDrop::OVER_QUOTA, m_statistics.hostDropped);
        Refuse(sender, destination);
        return;
    }
    if (destination.IsGroup())
    {
        std::vector<uint32_t> peers;
        for (uint32_t peer = 0; peer < m_peers.size(); ++peer)
        {
            if (m_unit->IsReady(peer) && guest.forbidden.count(peer) == 0)
            {
                peers.push_back(peer);
            }
        }
        m_statistics.flooded += peers.size();
        TurnRound(frame, sender);
        for (const uint32_t peer : peers)
        {
            SendToPeer(frame, peer);
        }
        return;
    }
    if (OwnerOf(destination) != NOBODY)
    {
        TurnRound(frame, sender);
        return;
    }
    const auto route = m_routes.find(destination);
    if (route == m_routes.end())
    {
        Drop(frame, PduDrop::NO_ROUTE, m_statistics.hostDropped);
        return;
    }
    if (guest.forbidden.count(route->second) != 0)
    {
        Drop(frame, PduDrop::NOT_PERMITTED, m_statistics.hostDropped);
        return;
    }
    if (!SendToPeer(frame, route->second))
    {
        Refuse(sender, destination);
        return;
    }
    if (PduChannelStatistics* statistics = ChannelOf(sender, destination))
    {
        ++statistics->sent;
        statistics->sentBytes += size;
    }
}

void
PacketDynamicsUnit::Refuse(uint32_t sender, Mac48Address destination)
{
    if (PduChannelStatistics* statistics = ChannelOf(sender, destination))
    {
        ++statistics->refused;
    }
}

bool
PacketDynamicsUnit::SendToPeer(Ptr<const Packet> frame, uint32_t peer)
{
    const Picos now = PicosNow();
    const BytesView bytes{m_bytes.data(), m_bytes.size()};
    const bool hasRoom = m_pipeline->HasRoom(PduPipeline::Way::SEND, now);
    const PduPipeline::Passage fetch =
        hasRoom ? m_pipeline->Fetch(now, frame->GetSize()) : PduPipeline::Passage{};
    if (!fetch.accepted)
    {
        Drop(frame, PduDrop::STATION_FULL, m_statistics.hostDropped);
        return false;
    }
    RunTimers();
    BeginCall(PduPipeline::Way::SEND, fetch.ready);
    const shard::HostFrame read = shard::ReadHostFrame(bytes, m_work[shard::UnitEngine::kSplit]);
    shard::HostPacket packet;
    packet.peer = peer;
    packet.bytes = bytes;
    packet.ecn = read.ecn;
    packet.flow = read.flow;
    const shard::UnitVerdict verdict = m_unit->Send(packet, ToNanosFloor(now), *this, m_work);
    EndCall();
    if (verdict != shard::UnitVerdict::kSent)
    {
        Drop(frame, PduDrop::REFUSED, m_statistics.hostDropped);
        return false;
    }
    ++m_statistics.sent;
    return true;
}

void
PacketDynamicsUnit::TurnRound(Ptr<Packet> frame, uint32_t sender)
{
    const Picos now = PicosNow();
    PduPipeline::Passage passage = m_pipeline->Fetch(now, frame->GetSize());
    if (passage.accepted)
    {
        passage = m_pipeline->Post(passage.ready, frame->GetSize());
    }
    if (!passage.accepted)
    {
        Drop(frame, PduDrop::STATION_FULL, m_statistics.hostDropped);
        return;
    }
    ++m_statistics.turnedRound;
    ++m_turning;
    Simulator::Schedule(
        DelayUntil(passage.ready), &PacketDynamicsUnit::EndTurn, this, frame->Copy(), sender);
}

void
PacketDynamicsUnit::EndTurn(Ptr<Packet> frame, uint32_t sender)
{
    --m_turning;
    HandOn(frame, sender);
}

void
PacketDynamicsUnit::HandOn(Ptr<Packet> frame, uint32_t sender)
{
    std::array<uint8_t, 2 * MAC_BYTES> addresses;
    frame->CopyData(addresses.data(), addresses.size());
    const Mac48Address destination = DestinationOf(addresses.data());
    for (uint32_t i = 0; i < m_guests.size(); ++i)
    {
        if (i == sender || (!destination.IsGroup() && destination != m_guests[i].mac))
        {
            continue;
        }
        if (i == HOST)
        {
            HandUp(frame->Copy());
        }
        else
        {
            m_guests[i].driver->Deliver(frame->Copy());
        }
    }
}

void
PacketDynamicsUnit::Deliver(Ptr<Packet> frame)
{
    --m_posting;
    ++m_statistics.delivered;
    std::array<uint8_t, 2 * MAC_BYTES> addresses;
    frame->CopyData(addresses.data(), addresses.size());
    const Mac48Address source = SourceOf(addresses.data());
    const uint32_t owner = OwnerOf(DestinationOf(addresses.data()));
    if (owner != NOBODY)
    {
        if (PduChannelStatistics* statistics = ChannelOf(owner, source))
        {
            ++statistics->delivered;
            statistics->deliveredBytes += frame->GetSize();
        }
    }
    HandOn(frame, NOBODY);
}

void
PacketDynamicsUnit::ReceiveFrame(Ptr<Packet> frame)
{
    HandUp(frame);
}

bool
PacketDynamicsUnit::FromPort(Ptr<NetDevice> port,
                             Ptr<const Packet> packet,
                             uint16_t protocol,
                             const Address& from,
                             const Address&,
                             NetDevice::PacketType type)
{
    NS_LOG_FUNCTION(this << port << packet << protocol);
    ++m_statistics.wireIn;
    m_bytes.resize(packet->GetSize());
    packet->CopyData(m_bytes.data(), packet->GetSize());
    if (protocol == wire::kEthertypeArp && AnswerArp(port, from))
    {
        ++m_statistics.arpReplies;
        return true;
    }
    wire::Dissection outer;
    Work parsing;
    const BytesView bytes{m_bytes.data(), m_bytes.size()};
    wire::Dissect(wire::Link::kRawIp, bytes, packet->GetSize(), outer, parsing);
    uint32_t destination = 0;
    for (std::size_t i = 0; i < 4; ++i)
    {
        destination = destination << 8 | outer.destination_address[i];
    }
    if (protocol != wire::kEthertypeIpv4 || type != NetDevice::PACKET_HOST ||
        outer.status != wire::DissectStatus::kOk || outer.l3 != wire::Layer3::kIpv4 ||
        outer.l4 != wire::Layer4::kUdp || outer.is_fragment ||
        outer.destination_port != m_udpPort || Ipv4Address(destination) != m_ip ||
        outer.payload_offset + std::size_t{outer.payload_bytes} > m_bytes.size())
    {
        Drop(packet, PduDrop::NOT_OURS, m_statistics.wireDropped);
        return true;
    }
    const Picos now = PicosNow();
    const MutableBytes datagram{m_bytes.data() + outer.payload_offset, outer.payload_bytes};
    if (m_host && shard::IsKeyAgreement(datagram))
    {
        ReceiveAgreement(packet,
                         datagram,
                         Ipv4Address::Deserialize(outer.source_address.data()),
                         outer.source_port);
        return true;
    }
    if (!m_pipeline->HasRoom(PduPipeline::Way::RECEIVE, now))
    {
        Drop(packet, PduDrop::STATION_FULL, m_statistics.wireDropped);
        return true;
    }
    ++m_statistics.received;
    RunTimers();
    BeginCall(PduPipeline::Way::RECEIVE, now);
    m_work[shard::UnitEngine::kReassembly] += parsing;
    const shard::Received received =
        m_unit->Receive(datagram, outer.ecn, ToNanosFloor(now), *this, m_work);
    EndCall();
    m_receivedTrace(received.verdict, outer.payload_bytes);
    return true;
}

bool
PacketDynamicsUnit::AnswerArp(Ptr<NetDevice> port, const Address& from)
{
    const uint8_t* end = m_bytes.data() + m_bytes.size();
    wire::ArpHeader header;
    wire::ArpAddresses addresses;
    const uint8_t* at = wire::Decode(m_bytes.data(), end, header);
    if (at == nullptr || header.hardware_type != wire::kArpEthernet ||
        header.protocol_type != wire::kEthertypeIpv4 || header.hardware_bytes != MAC_BYTES ||
        header.protocol_bytes != 4 || header.operation != wire::kArpRequest ||
        wire::Decode(at, end, addresses) == nullptr ||
        Ipv4Address::Deserialize(addresses.target.data()) != m_ip)
    {
        return false;
    }
    header.operation = wire::kArpReply;
    addresses.target_mac = addresses.sender_mac;
    std::swap(addresses.target, addresses.sender);
    Mac48Address::ConvertFrom(port->GetAddress()).CopyTo(addresses.sender_mac.data());
    std::array<uint8_t, wire::ArpHeader::kBytes + wire::ArpAddresses::kBytes> reply;
    uint8_t* next = wire::Encode(reply.data(), reply.data() + reply.size(), header);
    wire::Encode(next, reply.data() + reply.size(), addresses);
    port->SendFrom(
        Create<Packet>(reply.data(), reply.size()), port->GetAddress(), from, wire::kEthertypeArp);
    return true;
}

void
PacketDynamicsUnit::OnDatagram(const shard::UnitDatagram& datagram)
{
    ++m_statistics.datagrams;
    const shard::UnitWork work = std::exchange(m_work, shard::UnitWork());
    const auto size = static_cast<uint32_t>(datagram.bytes.size);
    const PduPipeline::Passage passage = m_pipeline->Pass(m_way, m_entry, work, size);
    m_datagramTrace({datagram.peer,
                     datagram.path,
                     datagram.bytes,
                     PicosNow(),
                     passage.ready,
                     passage.accepted});
    if (!passage.accepted)
    {
        Drop(nullptr, PduDrop::STATION_FULL, m_statistics.datagramDropped);
        return;
    }
    Launch(datagram, shard::SourcePortOf(datagram.flow), passage.ready);
}

void
PacketDynamicsUnit::SendAgreement(uint32_t peer, BytesView bytes)
{
    ++m_statistics.agreementOut;
    const PduPipeline::Passage passage =
        m_pipeline->Fetch(PicosNow(), static_cast<uint32_t>(bytes.size));
    if (!passage.accepted)
    {
        Drop(nullptr, PduDrop::STATION_FULL, m_statistics.datagramDropped);
        return;
    }
    shard::UnitDatagram datagram;
    datagram.peer = peer;
    // Each by the next path: one that is cut keeps nobody from agreeing.
    datagram.path = m_agreementPath++;
    datagram.bytes = bytes;
    Launch(datagram, m_udpPort, passage.ready);
}

void
PacketDynamicsUnit::ReceiveAgreement(Ptr<const Packet> packet,
                                     BytesView bytes,
                                     Ipv4Address from,
                                     uint16_t port)
{
    const PduPipeline::Passage passage =
        m_pipeline->Post(PicosNow(), static_cast<uint32_t>(bytes.size));
    if (!passage.accepted)
    {
        Drop(packet, PduDrop::STATION_FULL, m_statistics.wireDropped);
        return;
    }
    ++m_statistics.agreementIn;
    ++m_agreeing;
    Simulator::Schedule(DelayUntil(passage.ready),
                        &PacketDynamicsUnit::HandOverAgreement,
                        this,
                        std::vector<uint8_t>(bytes.begin(), bytes.end()),
                        from,
                        port);
}

void
PacketDynamicsUnit::HandOverAgreement(std::vector<uint8_t> bytes, Ipv4Address from, uint16_t port)
{
    --m_agreeing;
    if (m_host)
    {
        m_host->Receive({bytes.data(), bytes.size()}, from, port);
    }
}

void
PacketDynamicsUnit::Launch(const shard::UnitDatagram& datagram, uint16_t sourcePort, Picos ready)
{
    auto packet = Create<Packet>(datagram.bytes.data, static_cast<uint32_t>(datagram.bytes.size));
    UdpHeader udp;
    udp.SetSourcePort(sourcePort);
    udp.SetDestinationPort(m_udpPort);
    packet->AddHeader(udp);
    Ipv4Header ip;
    ip.SetSource(m_ip);
    ip.SetDestination(m_peers[datagram.peer].address);
    ip.SetProtocol(wire::kProtocolUdp);
    ip.SetTtl(64);
    ip.SetDontFragment();
    ip.SetEcn(static_cast<Ipv4Header::EcnType>(datagram.ecn));
    ip.SetPayloadSize(static_cast<uint16_t>(packet->GetSize()));
    ip.EnableChecksum();
    packet->AddHeader(ip);
    ++m_sealing;
    Simulator::Schedule(DelayUntil(ready),
                        &PacketDynamicsUnit::Emit,
                        this,
                        packet,
                        static_cast<uint32_t>(datagram.peer),
                        datagram.path);
}

void
PacketDynamicsUnit::Emit(Ptr<Packet> packet, uint32_t peer, unsigned path)
{
    --m_sealing;
    const Peer& to = m_peers[peer];
    const std::size_t way = m_ports.empty() ? 0 : path % m_ports.size();
    if (m_ports.empty() || way >= to.nextHops.size() ||
        !m_ports[way]->SendFrom(
            packet, m_ports[way]->GetAddress(), to.nextHops[way], wire::kEthertypeIpv4))
    {
        Drop(packet, PduDrop::PORT, m_statistics.datagramDropped);
        return;
    }
    ++m_statistics.emitted;
}

void
PacketDynamicsUnit::OnPacket(const shard::UnitPacket& packet)
{
    ++m_statistics.packets;
    const shard::UnitWork work = std::exchange(m_work, shard::UnitWork());
    const auto size = static_cast<uint32_t>(packet.bytes.size);
    m_out.assign(packet.bytes.begin(), packet.bytes.end());
    auto frame = Create<Packet>(packet.bytes.data, size);
    PduPipeline::Passage passage = m_pipeline->Pass(m_way, m_entry, work, size);
    if (!passage.accepted)
    {
        Drop(frame, PduDrop::STATION_FULL, m_statistics.packetDropped);
        return;
    }
    if (size < HEADER_BYTES)
    {
        Drop(frame, PduDrop::NOT_OURS, m_statistics.packetDropped);
        return;
    }
    const auto route = m_routes.find(SourceOf(m_out.data()));
    if (route == m_routes.end() || route->second != packet.peer)
    {
        Drop(frame, PduDrop::SPOOFED, m_statistics.packetDropped);
        return;
    }
    const Mac48Address destination = DestinationOf(m_out.data());
    if (!destination.IsGroup() && OwnerOf(destination) == NOBODY)
    {
        Drop(frame, PduDrop::NO_ROUTE, m_statistics.packetDropped);
        return;
    }
    Work marking;
    if (!shard::TakeOverEcn(packet.ecn, {m_out.data(), m_out.size()}, marking))
    {
        Drop(frame, PduDrop::MARKED, m_statistics.packetDropped);
        return;
    }
    passage = m_pipeline->Post(passage.ready, size);
    if (!passage.accepted)
    {
        Drop(frame, PduDrop::STATION_FULL, m_statistics.packetDropped);
        return;
    }
    m_packetTrace({packet.peer,
                   packet.base,
                   BytesView{m_out.data(), m_out.size()},
                   packet.waited,
                   PicosNow(),
                   passage.ready});
    ++m_posting;
    Simulator::Schedule(DelayUntil(passage.ready),
                        &PacketDynamicsUnit::Deliver,
                        this,
                        Create<Packet>(m_out.data(), size));
}

void
PacketDynamicsUnit::BeginCall(PduPipeline::Way way, Picos time)
{
    m_way = way;
    m_entry = time;
    m_work = shard::UnitWork();
}

void
PacketDynamicsUnit::EndCall()
{
    m_pipeline->Occupy(m_way, m_entry, m_work);
    ArmTimer();
}

void
PacketDynamicsUnit::RunTimers()
{
    const Picos now = PicosNow();
    BeginCall(PduPipeline::Way::TIMERS, now);
    m_unit->Advance(ToNanosFloor(now), *this, m_work);
    m_pipeline->Occupy(m_way, m_entry, m_work);
}

void
PacketDynamicsUnit::ArmTimer()
{
    const Nanos next = m_unit->NextTick();
    if (next >= m_timerAt)
    {
        return;
    }
    m_timerAt = next;
    Simulator::ScheduleWithContext(GetNode()->GetId(),
                                   DelayUntil(ToPicos(next)),
                                   &PacketDynamicsUnit::OnTimer,
                                   Ptr<PacketDynamicsUnit>(this),
                                   next);
}

void
PacketDynamicsUnit::OnTimer(Nanos time)
{
    if (time != m_timerAt || !m_unit)
    {
        return;
    }
    m_timerAt = NEVER;
    RunTimers();
    ArmTimer();
}

} // namespace foreflow
} // namespace ns3
