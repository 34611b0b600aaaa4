// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-ethernet-channel.h"

#include "ns3/abort.h"
#include "ns3/log.h"
#include "ns3/simulator.h"

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowEthernetChannel");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(EthernetChannel);

TypeId
EthernetChannel::GetTypeId()
{
    static TypeId tid = TypeId("ns3::foreflow::EthernetChannel")
                            .SetParent<Channel>()
                            .SetGroupName("Foreflow")
                            .AddConstructor<EthernetChannel>()
                            .AddAttribute("Delay",
                                          "Propagation delay of the cable.",
                                          TimeValue(MicroSeconds(1)),
                                          MakeTimeAccessor(&EthernetChannel::m_delay),
                                          MakeTimeChecker(Time(0)));
    return tid;
}

EthernetChannel::EthernetChannel() = default;
EthernetChannel::~EthernetChannel() = default;

void
EthernetChannel::DoDispose()
{
    m_devices = {};
    m_count = 0;
    Channel::DoDispose();
}

void
EthernetChannel::Attach(Ptr<FrameDevice> device)
{
    NS_LOG_FUNCTION(this << device);
    NS_ABORT_MSG_IF(m_count == m_devices.size(), "an Ethernet cable has two ends");
    m_devices[m_count++] = device;
}

bool
EthernetChannel::IsUp() const
{
    return m_count == m_devices.size();
}

void
EthernetChannel::Transmit(Ptr<const Packet> frame, const FrameDevice* source, Time lastBit)
{
    NS_LOG_FUNCTION(this << frame << lastBit);
    FrameDevice* peer = PeekPointer(m_devices[source == PeekPointer(m_devices[0]) ? 1 : 0]);
    Simulator::ScheduleWithContext(peer->GetNode()->GetId(),
                                   lastBit + m_delay,
                                   &FrameDevice::ReceiveFrame,
                                   Ptr<FrameDevice>(peer),
                                   frame->Copy());
}

std::size_t
EthernetChannel::GetNDevices() const
{
    return m_count;
}

Ptr<NetDevice>
EthernetChannel::GetDevice(std::size_t i) const
{
    return m_devices.at(i);
}

} // namespace foreflow
} // namespace ns3
