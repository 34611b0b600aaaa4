// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_VIRTUAL_PORT_H
#define FOREFLOW_VIRTUAL_PORT_H

#include "foreflow-cores.h"
#include "foreflow-frame-device.h"
#include "foreflow-in-host-channel.h"

namespace ns3
{
namespace foreflow
{

class OffloadNic;

/**
 * @ingroup foreflow
 * A VM's network device: what it sends goes through the host's OffloadNic as that VM's traffic. One
 * event a frame in each direction, since VM and host are different nodes.
 */
class VirtualPort : public FrameDevice
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    VirtualPort();
    ~VirtualPort() override;

    /**
     * Connects the port; to be called once, after it has been added to its node.
     *
     * @param nic the host's
     * @param channel of that host
     * @param vm which VM the frames are profiled as; 0 is not profiled
     */
    void
    Attach(Ptr<OffloadNic> nic, Ptr<InHostChannel> channel, flow::VmId vm);

    /**
     * @return which VM the port's frames are profiled as
     */
    flow::VmId
    GetVm() const;

    /**
     * Hands a frame from the host to the VM. Called in the context of the host's node.
     *
     * @param frame with its Ethernet header
     * @param delay from now until it is in the host's memory
     */
    void
    Deliver(Ptr<Packet> frame, Time delay);

    void
    ReceiveFrame(Ptr<Packet> frame) override;
    Ptr<Channel>
    GetChannel() const override;
    bool
    IsLinkUp() const override;
    bool
    IsPointToPoint() const override;

  protected:
    void
    DoDispose() override;
    bool
    TransmitFrame(Ptr<Packet> frame) override;

  private:
    Ptr<OffloadNic> m_nic;        //!< the host's
    Ptr<InHostChannel> m_channel; //!< to the host
    flow::VmId m_vm{0};           //!< whom the frames are profiled as
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_VIRTUAL_PORT_H
