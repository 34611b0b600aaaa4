// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_FRAME_DEVICE_H
#define FOREFLOW_FRAME_DEVICE_H

#include "ns3/ethernet-header.h"
#include "ns3/mac48-address.h"
#include "ns3/net-device.h"
#include "ns3/node.h"
#include "ns3/packet.h"
#include "ns3/traced-callback.h"

#include <cstdint>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * What the devices of this module share: an identity, Ethernet framing, and the callbacks of the
 * node above. A frame begins with its Ethernet header; preamble and frame check sequence are not in
 * the packet.
 */
class FrameDevice : public NetDevice
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    FrameDevice();
    ~FrameDevice() override;

    /**
     * The last bit of a frame has arrived. Called in the context of this device's node.
     *
     * @param frame with its Ethernet header
     */
    virtual void
    ReceiveFrame(Ptr<Packet> frame) = 0;

    void
    SetIfIndex(const uint32_t index) override;
    uint32_t
    GetIfIndex() const override;
    void
    SetAddress(Address address) override;
    Address
    GetAddress() const override;
    bool
    SetMtu(const uint16_t mtu) override;
    uint16_t
    GetMtu() const override;
    void
    AddLinkChangeCallback(Callback<void> callback) override;
    bool
    IsBroadcast() const override;
    Address
    GetBroadcast() const override;
    bool
    IsMulticast() const override;
    Address
    GetMulticast(Ipv4Address multicastGroup) const override;
    Address
    GetMulticast(Ipv6Address addr) const override;
    bool
    IsBridge() const override;
    /**
     * Refused, and traced as MacTxDrop, when the payload is larger than the MTU or the link is
     * down.
     *
     * @param packet payload
     * @param dest destination MAC address
     * @param protocolNumber ethertype
     * @return whether the device took the packet
     */
    bool
    Send(Ptr<Packet> packet, const Address& dest, uint16_t protocolNumber) override;
    /**
     * As Send, with another source MAC address than the device's own.
     *
     * @param packet payload
     * @param source source MAC address
     * @param dest destination MAC address
     * @param protocolNumber ethertype
     * @return whether the device took the packet
     */
    bool
    SendFrom(Ptr<Packet> packet,
             const Address& source,
             const Address& dest,
             uint16_t protocolNumber) override;
    Ptr<Node>
    GetNode() const override;
    void
    SetNode(Ptr<Node> node) override;
    bool
    NeedsArp() const override;
    void
    SetReceiveCallback(ReceiveCallback cb) override;
    void
    SetPromiscReceiveCallback(PromiscReceiveCallback cb) override;
    bool
    SupportsSendFrom() const override;

    /**
     * @return the device's MAC address
     */
    Mac48Address
    GetMac() const;

  protected:
    void
    DoDispose() override;

    /**
     * Takes over a complete frame for transmission.
     *
     * @param frame with its Ethernet header
     * @return whether it was taken
     */
    virtual bool
    TransmitFrame(Ptr<Packet> frame) = 0;

    /**
     * Takes the header off and hands the payload to the node, by destination address. Frames
     * shorter than an Ethernet header are traced as PhyRxDrop.
     *
     * @param frame with its Ethernet header
     */
    void
    HandUp(Ptr<Packet> frame);

    /**
     * Tells the node that the link came up.
     */
    void
    NotifyLinkUp();

    TracedCallback<Ptr<const Packet>> m_macTxDropTrace; //!< refused in Send
    TracedCallback<Ptr<const Packet>> m_macRxTrace;     //!< handed to the node
    TracedCallback<Ptr<const Packet>> m_phyRxDropTrace; //!< shorter than its header

  private:
    Ptr<Node> m_node;                           //!< where the device is installed
    uint32_t m_ifIndex{0};                      //!< number on its node
    Mac48Address m_address;                     //!< own MAC address
    uint16_t m_mtu{1500};                       //!< largest payload, bytes
    ReceiveCallback m_rxCallback;               //!< node's receiver
    PromiscReceiveCallback m_promiscRxCallback; //!< node's promiscuous receiver
    TracedCallback<> m_linkChangeCallbacks;     //!< who wants to know that the link changed
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_FRAME_DEVICE_H
