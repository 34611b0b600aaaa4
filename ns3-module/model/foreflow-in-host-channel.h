// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_IN_HOST_CHANNEL_H
#define FOREFLOW_IN_HOST_CHANNEL_H

#include "ns3/channel.h"
#include "ns3/nstime.h"

#include <vector>

namespace ns3
{
namespace foreflow
{

class FrameDevice;

/**
 * @ingroup foreflow
 * Joins a host and the devices of its VMs. It is not point-to-point, so that ns-3's parallel
 * engines keep the host and its VMs in one logical process.
 */
class InHostChannel : public Channel
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    InHostChannel();
    ~InHostChannel() override;

    /**
     * @param port a further device of a VM of the host
     */
    void
    Attach(Ptr<FrameDevice> port);

    /**
     * @return how long a frame takes from a VM to the host's virtual switch port, or back
     */
    Time
    GetDelay() const;

    std::size_t
    GetNDevices() const override;
    Ptr<NetDevice>
    GetDevice(std::size_t i) const override;

  protected:
    void
    DoDispose() override;

  private:
    Time m_delay;                          //!< between a VM and the host
    std::vector<Ptr<FrameDevice>> m_ports; //!< of the host
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_IN_HOST_CHANNEL_H
