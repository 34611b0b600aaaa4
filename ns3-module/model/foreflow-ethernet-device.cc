// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-ethernet-device.h"

#include "ns3/log.h"
#include "ns3/uinteger.h"

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowEthernetDevice");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(EthernetDevice);

TypeId
EthernetDevice::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::EthernetDevice")
            .SetParent<FrameDevice>()
            .SetGroupName("Foreflow")
            .AddConstructor<EthernetDevice>()
            .AddAttribute("DataRate",
                          "The port's rate.",
                          DataRateValue(DataRate("10Gb/s")),
                          MakeDataRateAccessor(&EthernetDevice::m_rate),
                          MakeDataRateChecker())
            .AddAttribute("QueueSize",
                          "What may wait for the port, in packets or bytes.",
                          QueueSizeValue(QueueSize("256p")),
                          MakeQueueSizeAccessor(&EthernetDevice::m_queueSize),
                          MakeQueueSizeChecker())
            .AddAttribute(
                "FrameOverhead",
                "Bytes on the wire besides a frame: preamble 8, check sequence 4, gap 12.",
                UintegerValue(24),
                MakeUintegerAccessor(&EthernetDevice::m_overheadBytes),
                MakeUintegerChecker<uint32_t>(0, 256))
            .AddAttribute("MinimumFrame",
                          "Shorter frames are padded to this many bytes.",
                          UintegerValue(60),
                          MakeUintegerAccessor(&EthernetDevice::m_minimumBytes),
                          MakeUintegerChecker<uint32_t>(0, 60))
            .AddTraceSource("PhyTxBegin",
                            "The first bit of a frame leaves.",
                            MakeTraceSourceAccessor(&EthernetDevice::m_phyTxBeginTrace),
                            "ns3::Packet::TracedCallback")
            .AddTraceSource("PhyRxEnd",
                            "The last bit of a frame has arrived.",
                            MakeTraceSourceAccessor(&EthernetDevice::m_phyRxEndTrace),
                            "ns3::Packet::TracedCallback")
            .AddTraceSource("Drop",
                            "A frame found the queue full.",
                            MakeTraceSourceAccessor(&EthernetDevice::m_dropTrace),
                            "ns3::Packet::TracedCallback");
    return tid;
}

EthernetDevice::EthernetDevice() = default;
EthernetDevice::~EthernetDevice() = default;

void
EthernetDevice::DoDispose()
{
    m_channel = nullptr;
    m_queue.clear();
    FrameDevice::DoDispose();
}

void
EthernetDevice::Attach(Ptr<EthernetChannel> channel)
{
    NS_LOG_FUNCTION(this << channel);
    m_channel = channel;
    channel->Attach(this);
    NotifyLinkUp();
}

const EthernetDevice::Statistics&
EthernetDevice::GetStatistics() const
{
    return m_statistics;
}

std::size_t
EthernetDevice::GetNWaiting() const
{
    return m_queue.size();
}

Ptr<Channel>
EthernetDevice::GetChannel() const
{
    return m_channel;
}

bool
EthernetDevice::IsLinkUp() const
{
    return m_channel && m_channel->IsUp();
}

bool
EthernetDevice::IsPointToPoint() const
{
    return true;
}

bool
EthernetDevice::TransmitFrame(Ptr<Packet> frame)
{
    ++m_statistics.offered;
    const Picos now = PicosNow();
    if (m_queue.empty() && m_freeAt <= now)
    {
        Begin(frame, now);
        return true;
    }
    const bool countsPackets = m_queueSize.GetUnit() == QueueSizeUnit::PACKETS;
    const uint64_t after = countsPackets ? m_queue.size() + 1 : m_queueBytes + frame->GetSize();
    if (after > m_queueSize.GetValue())
    {
        ++m_statistics.dropped;
        m_dropTrace(frame);
        return false;
    }
    m_queueBytes += frame->GetSize();
    m_queue.push_back(frame);
    if (!m_nextScheduled)
    {
        m_nextScheduled = true;
        Simulator::Schedule(DelayUntil(m_freeAt), &EthernetDevice::Next, this);
    }
    return true;
}

void
EthernetDevice::Begin(Ptr<Packet> frame, Picos start)
{
    ++m_statistics.sent;
    m_phyTxBeginTrace(frame);
    m_freeAt = start + SerializationTime(m_rate, m_overheadBytes, m_minimumBytes, frame->GetSize());
    m_channel->Transmit(frame, this, DelayUntil(m_freeAt));
}

void
EthernetDevice::Next()
{
    m_nextScheduled = false;
    Ptr<Packet> frame = m_queue.front();
    m_queue.pop_front();
    m_queueBytes -= frame->GetSize();
    Begin(frame, m_freeAt);
    if (!m_queue.empty())
    {
        m_nextScheduled = true;
        Simulator::Schedule(DelayUntil(m_freeAt), &EthernetDevice::Next, this);
    }
}

void
EthernetDevice::ReceiveFrame(Ptr<Packet> frame)
{
    ++m_statistics.received;
    m_statistics.receivedBytes += frame->GetSize();
    m_phyRxEndTrace(frame);
    HandUp(frame);
}

} // namespace foreflow
} // namespace ns3
