// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_OFFLOAD_HOST_HELPER_H
#define FOREFLOW_OFFLOAD_HOST_HELPER_H

#include "ns3/attribute.h"
#include "ns3/foreflow-offload-nic.h"
#include "ns3/foreflow-virtual-port.h"
#include "ns3/ipv4-address.h"
#include "ns3/ipv4-interface-container.h"
#include "ns3/net-device-container.h"
#include "ns3/node-container.h"
#include "ns3/object-factory.h"

#include <string>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * What OffloadHostHelper::Install makes.
 */
struct OffloadHost
{
    Ptr<OffloadNic> nic;       //!< on the host's node
    Ptr<VirtualPort> hostPort; //!< on the host's node, for its own traffic
    NetDeviceContainer ports;  //!< on the VMs' nodes, in their order
};

/**
 * @ingroup foreflow
 * Makes a host: its node gets an OffloadNic, each VM's node a virtual port. The host itself gets a
 * port too, which is not profiled; it also ties the VMs into the host's logical process under a
 * parallel engine.
 */
class OffloadHostHelper
{
  public:
    OffloadHostHelper();

    /**
     * @param name of an attribute of OffloadNic
     * @param value for the cards made from now on
     */
    void
    SetNicAttribute(const std::string& name, const AttributeValue& value);

    /**
     * @param name of an attribute of VirtualPort
     * @param value for the ports made from now on
     */
    void
    SetPortAttribute(const std::string& name, const AttributeValue& value);

    /**
     * @param name of an attribute of InHostChannel
     * @param value for the hosts made from now on
     */
    void
    SetChannelAttribute(const std::string& name, const AttributeValue& value);

    /**
     * @param config what decides in the cards made from now on, and what it costs
     */
    void
    SetConfig(const OffloadNicConfig& config);

    /**
     * Makes one host.
     *
     * @param host its node
     * @param vms a node each; the first is VM 1
     * @return the devices
     */
    OffloadHost
    Install(Ptr<Node> host, const NodeContainer& vms) const;

    /**
     * Gives the VMs of a host an internet stack and addresses of one network.
     *
     * @param vms their nodes
     * @param ports their virtual ports
     * @param network e.g. 10.0.0.0
     * @param mask e.g. 255.255.255.0
     * @param first host part of the first address, e.g. 0.0.0.1
     * @return the addresses, in the VMs' order
     */
    static Ipv4InterfaceContainer
    InstallStack(const NodeContainer& vms,
                 const NetDeviceContainer& ports,
                 Ipv4Address network,
                 Ipv4Mask mask,
                 Ipv4Address first);

  private:
    ObjectFactory m_nicFactory;     //!< of cards
    ObjectFactory m_portFactory;    //!< of ports
    ObjectFactory m_channelFactory; //!< of what joins them
    OffloadNicConfig m_config;      //!< of cards
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_OFFLOAD_HOST_HELPER_H
