// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-pdu-guest-driver.h"

#include "foreflow-packet-dynamics-unit.h"

#include "ns3/log.h"
#include "ns3/simulator.h"
#include "ns3/uinteger.h"

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowPduGuestDriver");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(PduGuestDriver);

TypeId
PduGuestDriver::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::PduGuestDriver")
            .SetParent<FrameDevice>()
            .SetGroupName("Foreflow")
            .AddConstructor<PduGuestDriver>()
            .AddAttribute("MailboxSize",
                          "Requests that may be under way at once.",
                          UintegerValue(64),
                          MakeUintegerAccessor(&PduGuestDriver::m_mailboxSize),
                          MakeUintegerChecker<uint32_t>(1))
            .AddAttribute("MessageType",
                          "The ethertype of messages; by default one for local experiments.",
                          UintegerValue(0x88b5),
                          MakeUintegerAccessor(&PduGuestDriver::m_messageType),
                          MakeUintegerChecker<uint16_t>(0x0600));
    return tid;
}

PduGuestDriver::PduGuestDriver() = default;
PduGuestDriver::~PduGuestDriver() = default;

void
PduGuestDriver::DoDispose()
{
    m_unit = nullptr;
    m_channel = nullptr;
    m_received = MessageCallback();
    FrameDevice::DoDispose();
}

void
PduGuestDriver::Attach(Ptr<PacketDynamicsUnit> unit, Ptr<InHostChannel> channel)
{
    NS_LOG_FUNCTION(this << unit);
    m_unit = unit;
    m_channel = channel;
    channel->Attach(this);
    m_guest = unit->AddGuest(this);
    NotifyLinkUp();
}

uint32_t
PduGuestDriver::GetGuest() const
{
    return m_guest;
}

bool
PduGuestDriver::Open(Mac48Address remote,
                     ::foreflow::shard::Preference preference,
                     ReplyCallback done)
{
    return Post({PduRequest::Kind::OPEN, 0, remote, preference}, done);
}

bool
PduGuestDriver::Close(uint32_t channel, ReplyCallback done)
{
    return Post({PduRequest::Kind::CLOSE, channel, {}, {}}, done);
}

bool
PduGuestDriver::SetPreference(uint32_t channel,
                              ::foreflow::shard::Preference preference,
                              ReplyCallback done)
{
    return Post({PduRequest::Kind::PREFER, channel, {}, preference}, done);
}

bool
PduGuestDriver::AskStatistics(uint32_t channel, ReplyCallback done)
{
    return Post({PduRequest::Kind::STATISTICS, channel, {}, {}}, done);
}

bool
PduGuestDriver::Post(const PduRequest& request, ReplyCallback done)
{
    NS_LOG_FUNCTION(this << static_cast<uint32_t>(request.kind) << request.channel);
    if (m_underWay == m_mailboxSize)
    {
        return false;
    }
    ++m_underWay;
    Simulator::ScheduleWithContext(m_unit->GetNode()->GetId(),
                                   m_channel->GetDelay(),
                                   &PduGuestDriver::Ask,
                                   Ptr<PduGuestDriver>(this),
                                   request,
                                   done);
    return true;
}

void
PduGuestDriver::Ask(PduRequest request, ReplyCallback done)
{
    Simulator::ScheduleWithContext(GetNode()->GetId(),
                                   m_channel->GetDelay(),
                                   &PduGuestDriver::Answer,
                                   Ptr<PduGuestDriver>(this),
                                   request,
                                   m_unit->Handle(m_guest, request),
                                   done);
}

void
PduGuestDriver::Answer(PduRequest request, PduReply reply, ReplyCallback done)
{
    --m_underWay;
    if (reply.status == PduReply::Status::DONE)
    {
        if (request.kind == PduRequest::Kind::OPEN)
        {
            m_remotes[reply.channel] = request.remote;
            m_channels[request.remote] = reply.channel;
        }
        else if (request.kind == PduRequest::Kind::CLOSE)
        {
            m_channels.erase(m_remotes[reply.channel]);
            m_remotes.erase(reply.channel);
        }
    }
    if (!done.IsNull())
    {
        done(reply);
    }
}

bool
PduGuestDriver::SendMessage(uint32_t channel, Ptr<Packet> message)
{
    const auto found = m_remotes.find(channel);
    return found != m_remotes.end() && Send(message->Copy(), found->second, m_messageType);
}

void
PduGuestDriver::SetMessageCallback(MessageCallback received)
{
    m_received = received;
}

uint64_t
PduGuestDriver::GetNUnexpected() const
{
    return m_unexpected;
}

Ptr<Channel>
PduGuestDriver::GetChannel() const
{
    return m_channel;
}

bool
PduGuestDriver::IsLinkUp() const
{
    return bool(m_unit);
}

bool
PduGuestDriver::IsPointToPoint() const
{
    return false;
}

bool
PduGuestDriver::TransmitFrame(Ptr<Packet> frame)
{
    Simulator::ScheduleWithContext(m_unit->GetNode()->GetId(),
                                   m_channel->GetDelay(),
                                   &PacketDynamicsUnit::SendFrame,
                                   m_unit,
                                   m_guest,
                                   frame);
    return true;
}

void
PduGuestDriver::Deliver(Ptr<Packet> frame)
{
    Simulator::ScheduleWithContext(GetNode()->GetId(),
                                   m_channel->GetDelay(),
                                   &PduGuestDriver::ReceiveFrame,
                                   Ptr<PduGuestDriver>(this),
                                   frame);
}

void
PduGuestDriver::ReceiveFrame(Ptr<Packet> frame)
{
    EthernetHeader header;
    frame->PeekHeader(header);
    if (header.GetLengthType() != m_messageType)
    {
        HandUp(frame);
        return;
    }
    const auto found = m_channels.find(header.GetSource());
    if (found == m_channels.end() || m_received.IsNull())
    {
        ++m_unexpected;
        return;
    }
    frame->RemoveHeader(header);
    m_received(found->second, frame);
}

} // namespace foreflow
} // namespace ns3
