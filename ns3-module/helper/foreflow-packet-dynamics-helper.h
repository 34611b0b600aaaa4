// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_PACKET_DYNAMICS_HELPER_H
#define FOREFLOW_PACKET_DYNAMICS_HELPER_H

#include "ns3/foreflow-packet-dynamics-unit.h"
#include "ns3/foreflow-pdu-guest-driver.h"
#include "ns3/foreflow-pdu-host-driver.h"
#include "ns3/net-device-container.h"
#include "ns3/node-container.h"
#include "ns3/object-factory.h"

#include <string>
#include <vector>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * What PacketDynamicsHelper::Install makes.
 */
struct PduHost
{
    Ptr<PacketDynamicsUnit> unit; //!< on the host's node; the device of the host's own stack
    Ptr<PduHostDriver> driver;    //!< of the unit
    NetDeviceContainer guests;    //!< PduGuestDrivers on the VMs' nodes, in their order
    NetDeviceContainer ports;     //!< what the unit's datagrams leave by, in the order of paths
    uint32_t peers{0};            //!< that have been connected
};

/**
 * @ingroup foreflow
 * Makes hosts with packet dynamics units, and makes units each other's peers.
 */
class PacketDynamicsHelper
{
  public:
    PacketDynamicsHelper();

    /**
     * @param name of an attribute of PacketDynamicsUnit
     * @param value for the units made from now on
     */
    void
    SetUnitAttribute(const std::string& name, const AttributeValue& value);

    /**
     * @param name of an attribute of PduGuestDriver
     * @param value for the guests' devices made from now on
     */
    void
    SetGuestAttribute(const std::string& name, const AttributeValue& value);

    /**
     * @param name of an attribute of InHostChannel
     * @param value for the hosts made from now on
     */
    void
    SetChannelAttribute(const std::string& name, const AttributeValue& value);

    /**
     * @param config of the units made from now on
     */
    void
    SetConfig(const PduConfig& config);

    /**
     * Makes one host.
     *
     * @param host its node
     * @param vms a node each; the first is guest 1
     * @param ports of the host's node, by path
     * @param address of the unit
     * @return its devices
     */
    PduHost
    Install(Ptr<Node> host,
            const NodeContainer& vms,
            const NetDeviceContainer& ports,
            Ipv4Address address) const;

    /**
     * Tells two hosts of each other, port i of the one being joined with port i of the other by a
     * cable: addresses, and routes to host and guests. The ports must have their addresses.
     * Sessions and keys are for them to agree on (Agree).
     *
     * @param a a host
     * @param b another
     */
    static void
    Join(PduHost& a, PduHost& b);

    /**
     * As Join, and tells them sessions and keys, which are a function of the seed and of which
     * peers these are.
     *
     * @param a a host
     * @param b another
     * @param seed of the keys
     */
    static void
    Connect(PduHost& a, PduHost& b, uint64_t seed);

    /**
     * @param unit address of a host's unit
     * @param seed of all hosts' static keys
     * @return the host's: for a simulation, which keeps nothing secret from anybody
     */
    static crypto::SecretKey
    StaticKey(Ipv4Address unit, uint64_t seed);

    /**
     * A host agrees on sessions and keys with all whom it has been joined with, or starts anew
     * (PduHostDriver::Agree).
     *
     * @param host that was joined with others
     * @param config when keys are replaced; static keys and cipher are filled in
     * @param seed of all hosts' static keys
     * @param start another number each time that one host starts
     */
    static void
    Agree(const PduHost& host, shard::SessionKeysConfig config, uint64_t seed, uint32_t start = 0);

    /**
     * New keys of the next epoch for both: first to receive by, then to send by.
     *
     * @param a a host
     * @param b another, which has been connected
     * @param peerOfA number of @p b at @p a
     * @param peerOfB number of @p a at @p b
     * @param epoch of the keys
     * @param seed of the keys
     */
    static void
    Rekey(const PduHost& a,
          const PduHost& b,
          uint32_t peerOfA,
          uint32_t peerOfB,
          uint8_t epoch,
          uint64_t seed);

  private:
    ObjectFactory m_unitFactory;    //!< of units
    ObjectFactory m_guestFactory;   //!< of guests' devices
    ObjectFactory m_channelFactory; //!< of what joins them
    PduConfig m_config;             //!< of units
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_PACKET_DYNAMICS_HELPER_H
