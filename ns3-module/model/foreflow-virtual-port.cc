// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-virtual-port.h"

#include "foreflow-offload-nic.h"

#include "ns3/log.h"
#include "ns3/simulator.h"

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowVirtualPort");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(VirtualPort);

TypeId
VirtualPort::GetTypeId()
{
    static TypeId tid = TypeId("ns3::foreflow::VirtualPort")
                            .SetParent<FrameDevice>()
                            .SetGroupName("Foreflow")
                            .AddConstructor<VirtualPort>();
    return tid;
}

VirtualPort::VirtualPort() = default;
VirtualPort::~VirtualPort() = default;

void
VirtualPort::DoDispose()
{
    m_nic = nullptr;
    m_channel = nullptr;
    FrameDevice::DoDispose();
}

void
VirtualPort::Attach(Ptr<OffloadNic> nic, Ptr<InHostChannel> channel, flow::VmId vm)
{
    NS_LOG_FUNCTION(this << nic << vm);
    m_nic = nic;
    m_channel = channel;
    m_vm = vm;
    channel->Attach(this);
    nic->AddPort(this);
    NotifyLinkUp();
}

flow::VmId
VirtualPort::GetVm() const
{
    return m_vm;
}

Ptr<Channel>
VirtualPort::GetChannel() const
{
    return m_channel;
}

bool
VirtualPort::IsLinkUp() const
{
    return bool(m_nic);
}

bool
VirtualPort::IsPointToPoint() const
{
    return false;
}

bool
VirtualPort::TransmitFrame(Ptr<Packet> frame)
{
    Simulator::ScheduleWithContext(m_nic->GetNode()->GetId(),
                                   m_channel->GetDelay(),
                                   &OffloadNic::SendFrame,
                                   m_nic,
                                   Ptr<VirtualPort>(this),
                                   frame);
    return true;
}

void
VirtualPort::Deliver(Ptr<Packet> frame, Time delay)
{
    Simulator::ScheduleWithContext(GetNode()->GetId(),
                                   delay + m_channel->GetDelay(),
                                   &VirtualPort::ReceiveFrame,
                                   Ptr<VirtualPort>(this),
                                   frame);
}

void
VirtualPort::ReceiveFrame(Ptr<Packet> frame)
{
    HandUp(frame);
}

} // namespace foreflow
} // namespace ns3
