// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_PDU_GUEST_DRIVER_H
#define FOREFLOW_PDU_GUEST_DRIVER_H

#include "foreflow-frame-device.h"
#include "foreflow-in-host-channel.h"
#include "foreflow-pdu-mailbox.h"

#include "ns3/callback.h"

#include <cstdint>
#include <map>

namespace ns3
{
namespace foreflow
{

class PacketDynamicsUnit;

/**
 * @ingroup foreflow
 * A VM's device at its host's packet dynamics unit, and what its software may ask of the unit.
 *
 * As a device it is plain Ethernet: the VM's stack knows nothing of units. Beside that there is a
 * mailbox: the VM opens channels to addresses, says what it prefers for them, sends and receives
 * messages by them, and asks how many there were. A request takes InHostChannel::Delay to the host,
 * and its answer as long back. That is all there is: keys, fragments, datagrams, the addresses of
 * units and their probes stay on the other side.
 */
class PduGuestDriver : public FrameDevice
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    PduGuestDriver();
    ~PduGuestDriver() override;

    /**
     * Called with the answer to a request.
     */
    using ReplyCallback = Callback<void, const PduReply&>;
    /**
     * Called with the channel's number and a message without header.
     */
    using MessageCallback = Callback<void, uint32_t, Ptr<Packet>>;

    /**
     * Connects the device; to be called once, after it has been added to its node.
     *
     * @param unit the host's
     * @param channel of that host
     */
    void
    Attach(Ptr<PacketDynamicsUnit> unit, Ptr<InHostChannel> channel);

    /**
     * @return the guest's number at its unit, from 1; what PduHostDriver calls it by
     */
    uint32_t
    GetGuest() const;

    /**
     * Opens a channel. The answer has its number.
     *
     * @param remote the other side's MAC address
     * @param preference for what is sent
     * @param done is called with the answer
     * @return false: the mailbox is full
     */
    bool
    Open(Mac48Address remote, ::foreflow::shard::Preference preference, ReplyCallback done);

    /**
     * @param channel to be closed
     * @param done is called with the answer, which has the last statistics
     * @return false: the mailbox is full
     */
    bool
    Close(uint32_t channel, ReplyCallback done);

    /**
     * @param channel whose
     * @param preference for what is sent from now on
     * @param done is called with the answer
     * @return false: the mailbox is full
     */
    bool
    SetPreference(uint32_t channel, ::foreflow::shard::Preference preference, ReplyCallback done);

    /**
     * @param channel whose
     * @param done is called with the answer
     * @return false: the mailbox is full
     */
    bool
    AskStatistics(uint32_t channel, ReplyCallback done);

    /**
     * Sends a message of at most Mtu bytes.
     *
     * @param channel that is open
     * @param message without any header
     * @return false: no such channel, or the message is too long
     */
    bool
    SendMessage(uint32_t channel, Ptr<Packet> message);

    /**
     * @param received is called with each message for which a channel to its sender is open
     */
    void
    SetMessageCallback(MessageCallback received);

    /**
     * @return messages from those to whom no channel is open
     */
    uint64_t
    GetNUnexpected() const;

    /**
     * Hands a frame from the host to the VM. Called in the context of the host's node.
     *
     * @param frame with its Ethernet header
     */
    void
    Deliver(Ptr<Packet> frame);

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
     * Puts a request into the mailbox.
     *
     * @param request to the unit
     * @param done is called with the answer
     * @return false: the mailbox is full
     */
    bool
    Post(const PduRequest& request, ReplyCallback done);

    /**
     * A request is at the host. Called in the context of its node.
     *
     * @param request to the unit
     * @param done is called with the answer
     */
    void
    Ask(PduRequest request, ReplyCallback done);

    /**
     * The answer is back.
     *
     * @param request it answers
     * @param reply itself
     * @param done is called with it
     */
    void
    Answer(PduRequest request, PduReply reply, ReplyCallback done);

    Ptr<PacketDynamicsUnit> m_unit;              //!< the host's
    Ptr<InHostChannel> m_channel;                //!< to the host
    uint32_t m_guest{0};                         //!< number at the unit
    uint32_t m_mailboxSize{0};                   //!< requests that may be under way
    uint32_t m_underWay{0};                      //!< requests that are
    uint16_t m_messageType{0};                   //!< ethertype of messages
    uint64_t m_unexpected{0};                    //!< messages without a channel
    MessageCallback m_received;                  //!< takes messages
    std::map<uint32_t, Mac48Address> m_remotes;  //!< by channel
    std::map<Mac48Address, uint32_t> m_channels; //!< by the other side
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_PDU_GUEST_DRIVER_H
