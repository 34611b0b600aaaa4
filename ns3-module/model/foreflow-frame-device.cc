// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-frame-device.h"

#include "ns3/log.h"
#include "ns3/uinteger.h"

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowFrameDevice");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(FrameDevice);

TypeId
FrameDevice::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::FrameDevice")
            .SetParent<NetDevice>()
            .SetGroupName("Foreflow")
            .AddAttribute("Address",
                          "The MAC address of this device.",
                          Mac48AddressValue(Mac48Address("00:00:00:00:00:00")),
                          MakeMac48AddressAccessor(&FrameDevice::m_address),
                          MakeMac48AddressChecker())
            .AddAttribute("Mtu",
                          "The largest payload of a frame, in bytes.",
                          UintegerValue(1500),
                          MakeUintegerAccessor(&FrameDevice::SetMtu, &FrameDevice::GetMtu),
                          MakeUintegerChecker<uint16_t>(68, 9216))
            .AddTraceSource("MacTxDrop",
                            "A packet was refused by Send: too large, or no link.",
                            MakeTraceSourceAccessor(&FrameDevice::m_macTxDropTrace),
                            "ns3::Packet::TracedCallback")
            .AddTraceSource("MacRx",
                            "A frame, with its header, is handed to the node.",
                            MakeTraceSourceAccessor(&FrameDevice::m_macRxTrace),
                            "ns3::Packet::TracedCallback")
            .AddTraceSource("PhyRxDrop",
                            "A frame was shorter than an Ethernet header.",
                            MakeTraceSourceAccessor(&FrameDevice::m_phyRxDropTrace),
                            "ns3::Packet::TracedCallback");
    return tid;
}

FrameDevice::FrameDevice() = default;
FrameDevice::~FrameDevice() = default;

void
FrameDevice::DoDispose()
{
    m_node = nullptr;
    m_rxCallback = ReceiveCallback();
    m_promiscRxCallback = PromiscReceiveCallback();
    NetDevice::DoDispose();
}

void
FrameDevice::SetIfIndex(const uint32_t index)
{
    m_ifIndex = index;
}

uint32_t
FrameDevice::GetIfIndex() const
{
    return m_ifIndex;
}

void
FrameDevice::SetAddress(Address address)
{
    m_address = Mac48Address::ConvertFrom(address);
}

Address
FrameDevice::GetAddress() const
{
    return m_address;
}

Mac48Address
FrameDevice::GetMac() const
{
    return m_address;
}

bool
FrameDevice::SetMtu(const uint16_t mtu)
{
    m_mtu = mtu;
    return true;
}

uint16_t
FrameDevice::GetMtu() const
{
    return m_mtu;
}

void
FrameDevice::AddLinkChangeCallback(Callback<void> callback)
{
    m_linkChangeCallbacks.ConnectWithoutContext(callback);
}

void
FrameDevice::NotifyLinkUp()
{
    m_linkChangeCallbacks();
}

bool
FrameDevice::IsBroadcast() const
{
    return true;
}

Address
FrameDevice::GetBroadcast() const
{
    return Mac48Address::GetBroadcast();
}

bool
FrameDevice::IsMulticast() const
{
    return true;
}

Address
FrameDevice::GetMulticast(Ipv4Address multicastGroup) const
{
    return Mac48Address::GetMulticast(multicastGroup);
}

Address
FrameDevice::GetMulticast(Ipv6Address addr) const
{
    return Mac48Address::GetMulticast(addr);
}

bool
FrameDevice::IsBridge() const
{
    return false;
}

bool
FrameDevice::NeedsArp() const
{
    return true;
}

bool
FrameDevice::SupportsSendFrom() const
{
    return true;
}

Ptr<Node>
FrameDevice::GetNode() const
{
    return m_node;
}

void
FrameDevice::SetNode(Ptr<Node> node)
{
    m_node = node;
}

void
FrameDevice::SetReceiveCallback(ReceiveCallback cb)
{
    m_rxCallback = cb;
}

void
FrameDevice::SetPromiscReceiveCallback(PromiscReceiveCallback cb)
{
    m_promiscRxCallback = cb;
}

bool
FrameDevice::Send(Ptr<Packet> packet, const Address& dest, uint16_t protocolNumber)
{
    return SendFrom(packet, m_address, dest, protocolNumber);
}

bool
FrameDevice::SendFrom(Ptr<Packet> packet,
                      const Address& source,
                      const Address& dest,
                      uint16_t protocolNumber)
{
    NS_LOG_FUNCTION(this << packet << source << dest << protocolNumber);
    if (!IsLinkUp() || packet->GetSize() > m_mtu)
    {
        m_macTxDropTrace(packet);
        return false;
    }
    EthernetHeader header;
    header.SetSource(Mac48Address::ConvertFrom(source));
    header.SetDestination(Mac48Address::ConvertFrom(dest));
    header.SetLengthType(protocolNumber);
    packet->AddHeader(header);
    return TransmitFrame(packet);
}

void
FrameDevice::HandUp(Ptr<Packet> frame)
{
    EthernetHeader header;
    if (frame->GetSize() < header.GetSerializedSize())
    {
        m_phyRxDropTrace(frame);
        return;
    }
    m_macRxTrace(frame);
    if (m_rxCallback.IsNull() && m_promiscRxCallback.IsNull())
    {
        return;
    }
    frame->RemoveHeader(header);
    const Mac48Address destination = header.GetDestination();
    PacketType type = PACKET_OTHERHOST;
    if (destination.IsBroadcast())
    {
        type = PACKET_BROADCAST;
    }
    else if (destination.IsGroup())
    {
        type = PACKET_MULTICAST;
    }
    else if (destination == m_address)
    {
        type = PACKET_HOST;
    }
    const uint16_t protocol = header.GetLengthType();
    if (!m_promiscRxCallback.IsNull())
    {
        m_promiscRxCallback(
            this, frame, protocol, header.GetSource(), header.GetDestination(), type);
    }
    if (type != PACKET_OTHERHOST && !m_rxCallback.IsNull())
    {
        m_rxCallback(this, frame, protocol, header.GetSource());
    }
}

} // namespace foreflow
} // namespace ns3
