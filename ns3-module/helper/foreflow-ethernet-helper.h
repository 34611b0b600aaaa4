// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_ETHERNET_HELPER_H
#define FOREFLOW_ETHERNET_HELPER_H

#include "ns3/attribute.h"
#include "ns3/foreflow-ethernet-device.h"
#include "ns3/foreflow-offload-nic.h"
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
 * Makes plain Ethernet ports and the cables between ports, plain or offloading.
 */
class EthernetHelper
{
  public:
    EthernetHelper();

    /**
     * @param name of an attribute of EthernetDevice
     * @param value for the devices made from now on
     */
    void
    SetDeviceAttribute(const std::string& name, const AttributeValue& value);

    /**
     * @param name of an attribute of EthernetChannel
     * @param value for the cables made from now on
     */
    void
    SetChannelAttribute(const std::string& name, const AttributeValue& value);

    /**
     * Gives a node a plain port with a MAC address of its own.
     *
     * @param node to install on
     * @return the port, not yet plugged in
     */
    Ptr<EthernetDevice>
    InstallPort(Ptr<Node> node) const;

    /**
     * Gives two nodes a plain port each, with a cable between them.
     *
     * @param nodes exactly two
     * @return the ports
     */
    NetDeviceContainer
    Install(const NodeContainer& nodes) const;

    /**
     * Plugs a cable in at both ends.
     *
     * @param a an EthernetDevice or OffloadNic
     * @param b another
     * @return the cable
     */
    Ptr<EthernetChannel>
    Connect(Ptr<NetDevice> a, Ptr<NetDevice> b) const;

  private:
    ObjectFactory m_deviceFactory;  //!< of ports
    ObjectFactory m_channelFactory; //!< of cables
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_ETHERNET_HELPER_H
