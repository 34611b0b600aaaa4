// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-ethernet-helper.h"

#include "ns3/abort.h"

namespace ns3
{
namespace foreflow
{

EthernetHelper::EthernetHelper()
{
    m_deviceFactory.SetTypeId(EthernetDevice::GetTypeId());
    m_channelFactory.SetTypeId(EthernetChannel::GetTypeId());
}

void
EthernetHelper::SetDeviceAttribute(const std::string& name, const AttributeValue& value)
{
    m_deviceFactory.Set(name, value);
}

void
EthernetHelper::SetChannelAttribute(const std::string& name, const AttributeValue& value)
{
    m_channelFactory.Set(name, value);
}

Ptr<EthernetDevice>
EthernetHelper::InstallPort(Ptr<Node> node) const
{
    auto device = m_deviceFactory.Create<EthernetDevice>();
    device->SetAddress(Mac48Address::Allocate());
    node->AddDevice(device);
    return device;
}

NetDeviceContainer
EthernetHelper::Install(const NodeContainer& nodes) const
{
    NS_ABORT_MSG_IF(nodes.GetN() != 2, "a cable joins two nodes");
    NetDeviceContainer devices;
    devices.Add(InstallPort(nodes.Get(0)));
    devices.Add(InstallPort(nodes.Get(1)));
    Connect(devices.Get(0), devices.Get(1));
    return devices;
}

Ptr<EthernetChannel>
EthernetHelper::Connect(Ptr<NetDevice> a, Ptr<NetDevice> b) const
{
    auto channel = m_channelFactory.Create<EthernetChannel>();
    for (const Ptr<NetDevice>& end : {a, b})
    {
        if (auto port = DynamicCast<EthernetDevice>(end))
        {
            port->Attach(channel);
        }
        else if (auto nic = DynamicCast<OffloadNic>(end))
        {
            nic->Attach(channel);
        }
        else
        {
            NS_ABORT_MSG("a cable ends at an EthernetDevice or an OffloadNic");
        }
    }
    return channel;
}

} // namespace foreflow
} // namespace ns3
