// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-in-host-channel.h"

#include "foreflow-frame-device.h"

namespace ns3
{
namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(InHostChannel);

TypeId
InHostChannel::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::InHostChannel")
            .SetParent<Channel>()
            .SetGroupName("Foreflow")
            .AddConstructor<InHostChannel>()
            .AddAttribute("Delay",
                          "From a VM to the host's end of its virtual port, or back.",
                          TimeValue(Time(0)),
                          MakeTimeAccessor(&InHostChannel::m_delay),
                          MakeTimeChecker(Time(0)));
    return tid;
}

InHostChannel::InHostChannel() = default;
InHostChannel::~InHostChannel() = default;

void
InHostChannel::DoDispose()
{
    m_ports.clear();
    Channel::DoDispose();
}

void
InHostChannel::Attach(Ptr<FrameDevice> port)
{
    m_ports.push_back(port);
}

Time
InHostChannel::GetDelay() const
{
    return m_delay;
}

std::size_t
InHostChannel::GetNDevices() const
{
    return m_ports.size();
}

Ptr<NetDevice>
InHostChannel::GetDevice(std::size_t i) const
{
    return m_ports.at(i);
}

} // namespace foreflow
} // namespace ns3
