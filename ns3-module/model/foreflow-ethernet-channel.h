// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_ETHERNET_CHANNEL_H
#define FOREFLOW_ETHERNET_CHANNEL_H

#include "foreflow-frame-device.h"

#include "ns3/channel.h"
#include "ns3/nstime.h"

#include <array>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * A full-duplex cable between two devices. ns-3's parallel engines may cut it: it has exactly two
 * devices that report to be point-to-point, and an attribute called Delay, and hands frames over by
 * ScheduleWithContext no earlier than that delay.
 */
class EthernetChannel : public Channel
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    EthernetChannel();
    ~EthernetChannel() override;

    /**
     * Plugs a device in. A third one is a fatal error.
     *
     * @param device at one end
     */
    void
    Attach(Ptr<FrameDevice> device);

    /**
     * Carries a frame to the other end.
     *
     * @param frame with its Ethernet header; the channel hands over a copy
     * @param source the device that sends
     * @param lastBit how long from now until the last bit has left
     */
    virtual void
    Transmit(Ptr<const Packet> frame, const FrameDevice* source, Time lastBit);

    /**
     * @return whether both ends are plugged in
     */
    bool
    IsUp() const;

    std::size_t
    GetNDevices() const override;
    Ptr<NetDevice>
    GetDevice(std::size_t i) const override;

  protected:
    void
    DoDispose() override;

  private:
    Time m_delay;                              //!< propagation delay
    std::size_t m_count{0};                    //!< ends plugged in
    std::array<Ptr<FrameDevice>, 2> m_devices; //!< the ends
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_ETHERNET_CHANNEL_H
