// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-offload-host-helper.h"

#include "ns3/internet-stack-helper.h"
#include "ns3/ipv4-address-helper.h"

namespace ns3
{
namespace foreflow
{

OffloadHostHelper::OffloadHostHelper()
{
    m_nicFactory.SetTypeId(OffloadNic::GetTypeId());
    m_portFactory.SetTypeId(VirtualPort::GetTypeId());
    m_channelFactory.SetTypeId(InHostChannel::GetTypeId());
}

void
OffloadHostHelper::SetNicAttribute(const std::string& name, const AttributeValue& value)
{
    m_nicFactory.Set(name, value);
}

void
OffloadHostHelper::SetPortAttribute(const std::string& name, const AttributeValue& value)
{
    m_portFactory.Set(name, value);
}

void
OffloadHostHelper::SetChannelAttribute(const std::string& name, const AttributeValue& value)
{
    m_channelFactory.Set(name, value);
}

void
OffloadHostHelper::SetConfig(const OffloadNicConfig& config)
{
    m_config = config;
}

OffloadHost
OffloadHostHelper::Install(Ptr<Node> host, const NodeContainer& vms) const
{
    OffloadHost made;
    made.nic = m_nicFactory.Create<OffloadNic>();
    made.nic->SetAddress(Mac48Address::Allocate());
    host->AddDevice(made.nic);
    made.nic->Configure(m_config);

    auto channel = m_channelFactory.Create<InHostChannel>();
    const auto addPort = [&](Ptr<Node> node, flow::VmId vm) {
        auto port = m_portFactory.Create<VirtualPort>();
        port->SetAddress(Mac48Address::Allocate());
        node->AddDevice(port);
        port->Attach(made.nic, channel, vm);
        return port;
    };
    made.hostPort = addPort(host, 0);
    for (uint32_t i = 0; i < vms.GetN(); ++i)
    {
        made.ports.Add(addPort(vms.Get(i), static_cast<flow::VmId>(i + 1)));
    }
    return made;
}

Ipv4InterfaceContainer
OffloadHostHelper::InstallStack(const NodeContainer& vms,
                                const NetDeviceContainer& ports,
                                Ipv4Address network,
                                Ipv4Mask mask,
                                Ipv4Address first)
{
    InternetStackHelper stack;
    stack.Install(vms);
    Ipv4AddressHelper addresses(network, mask, first);
    return addresses.Assign(ports);
}

} // namespace foreflow
} // namespace ns3
