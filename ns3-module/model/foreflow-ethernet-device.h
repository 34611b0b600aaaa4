// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_ETHERNET_DEVICE_H
#define FOREFLOW_ETHERNET_DEVICE_H

#include "foreflow-ethernet-channel.h"
#include "foreflow-frame-device.h"
#include "foreflow-wire-time.h"

#include "ns3/data-rate.h"
#include "ns3/queue-size.h"

#include <deque>
#include <utility>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * A plain full-duplex Ethernet port with one drop-tail queue. At most two events a frame: the port
 * falling free, where others wait, and the frame's arrival at the other end.
 */
class EthernetDevice : public FrameDevice
{
  public:
    /**
     * What the device has done since it was made. sent + dropped + waiting = offered.
     */
    struct Statistics
    {
        uint64_t offered{0};       //!< frames from above
        uint64_t sent{0};          //!< frames that began to leave
        uint64_t dropped{0};       //!< frames that found the queue full
        uint64_t received{0};      //!< frames from the wire
        uint64_t receivedBytes{0}; //!< their bytes, with Ethernet headers
    };

    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    EthernetDevice();
    ~EthernetDevice() override;

    /**
     * @param channel the cable to plug in
     */
    void
    Attach(Ptr<EthernetChannel> channel);

    /**
     * @return counts since the device was made
     */
    const Statistics&
    GetStatistics() const;

    /**
     * @return frames that wait in the queue
     */
    std::size_t
    GetNWaiting() const;

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
    /**
     * Puts a frame on the wire.
     *
     * @param frame with its Ethernet header
     * @param start when its first bit leaves
     */
    void
    Begin(Ptr<Packet> frame, Picos start);

    /**
     * The port fell free while frames waited.
     */
    void
    Next();

    DataRate m_rate;                 //!< of the port
    uint32_t m_overheadBytes{0};     //!< on the wire besides a frame
    uint32_t m_minimumBytes{0};      //!< shorter frames are padded
    QueueSize m_queueSize;           //!< frames or bytes that may wait
    std::deque<Ptr<Packet>> m_queue; //!< that wait
    uint64_t m_queueBytes{0};        //!< bytes that wait
    bool m_nextScheduled{false};     //!< Next is under way
    Picos m_freeAt;                  //!< when the last bit begun so far leaves
    Ptr<EthernetChannel> m_channel;  //!< the cable
    Statistics m_statistics;         //!< counts

    TracedCallback<Ptr<const Packet>> m_phyTxBeginTrace; //!< first bit leaves
    TracedCallback<Ptr<const Packet>> m_phyRxEndTrace;   //!< last bit has arrived
    TracedCallback<Ptr<const Packet>> m_dropTrace;       //!< queue full
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_ETHERNET_DEVICE_H
