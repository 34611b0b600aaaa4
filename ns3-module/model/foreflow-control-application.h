// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_CONTROL_APPLICATION_H
#define FOREFLOW_CONTROL_APPLICATION_H

#include "foreflow-cores.h"

#include "ns3/address.h"
#include "ns3/application.h"
#include "ns3/event-id.h"
#include "ns3/socket.h"

#include "models/control/secure_peers.h"

#include <array>
#include <memory>
#include <vector>

namespace ns3
{
namespace foreflow
{

namespace control = ::foreflow::control;
namespace crypto = ::foreflow::crypto;

/**
 * @ingroup foreflow
 * One end of the control protocol on a UDP socket: packets to and from the core, and its clock.
 */
class ControlEnd : public Application
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    /**
     * Datagrams, and the bytes of their UDP payload.
     */
    struct Traffic
    {
        uint64_t packets{0}; //!< datagrams
        uint64_t bytes{0};   //!< of payload
    };

    /**
     * @return what this end has sent
     */
    const Traffic&
    GetSent() const;

    /**
     * @return what this end has received
     */
    const Traffic&
    GetReceived() const;

  protected:
    /**
     * What the core does with a packet.
     *
     * @param packet that came in
     * @param from the sender
     */
    virtual void
    Input(::foreflow::MutableBytes packet, const crypto::ChannelAddress& from) = 0;
    /**
     * The core does what is due.
     */
    virtual void
    Tick() = 0;
    /**
     * @return when it has something to do next
     */
    virtual Nanos
    NextTick() const = 0;

    void
    DoDispose() override;
    void
    StartApplication() override;
    void
    StopApplication() override;

    /**
     * @return whether it has been started, and not been stopped
     */
    bool
    IsRunning() const;

    /**
     * Ticks now, and again when the core says.
     */
    void
    Serve();

    /**
     * @return the simulated time as the channel wants it: it dates handshakes, and is never 0
     */
    static Nanos
    ChannelNow();

    /**
     * @param address of a peer
     * @return how the core names it
     */
    static crypto::ChannelAddress
    ToChannel(const Address& address);

    /**
     * @return what sends the core's packets
     */
    control::SendPacket
    Sender();

    Address m_local; //!< to bind to

  private:
    /**
     * @param socket that has packets
     */
    void
    HandleRead(Ptr<Socket> socket);

    Ptr<Socket> m_socket; //!< of this end
    EventId m_tick;       //!< the next
    Traffic m_sent;       //!< so far
    Traffic m_received;   //!< so far
};

/**
 * @ingroup foreflow
 * The device's end: an agent that programs a ControlledDevice. It starts anew, without anything it
 * knew, whenever SetUp is called.
 */
class ControlAgent : public ControlEnd
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    /**
     * To be called before the application starts, and again where the device starts anew.
     *
     * @param channel keys and peers; impossible values throw ::foreflow::Refusal
     * @param seed of its ephemeral keys
     * @param config of the agent
     * @param initial rules that the device has
     * @param device that it programs, which outlives this
     */
    void
    SetUp(const crypto::ChannelConfig& channel,
          const std::array<uint8_t, 32>& seed,
          const control::AgentConfig& config,
          const std::vector<rules::Rule>& initial,
          control::ControlledDevice& device);

    /**
     * @return the core
     */
    const control::SecureAgent&
    GetAgent() const;

  private:
    void
    Input(::foreflow::MutableBytes packet, const crypto::ChannelAddress& from) override;
    void
    Tick() override;
    Nanos
    NextTick() const override;

    std::unique_ptr<control::SecureAgent> m_agent; //!< the core
};

/**
 * @ingroup foreflow
 * The controller's end, for one device. It starts anew, without anything it knew, whenever SetUp is
 * called, and seeks the device again where it was running.
 */
class ControlController : public ControlEnd
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    /**
     * To be called before the application starts, Change and Replace after it.
     *
     * @param channel our key, and the device as the only peer; impossible values throw
     * ::foreflow::Refusal
     * @param seed of its ephemeral keys
     * @param config update interval, retransmission
     */
    void
    SetUp(const crypto::ChannelConfig& channel,
          const std::array<uint8_t, 32>& seed,
          const control::ControllerConfig& config);

    /**
     * Changes what the device should have; it is sent when the update interval allows.
     *
     * @param change of the wanted rules
     */
    void
    Change(const rules::RuleChange& change);

    /**
     * @param rules that the device should have, all of them
     */
    void
    Replace(const std::vector<rules::Rule>& rules);

    /**
     * @return the core; what is asked of it is sent by Serve
     */
    control::Controller&
    GetController();

    using ControlEnd::Serve;

  private:
    void
    StartApplication() override;
    void
    Input(::foreflow::MutableBytes packet, const crypto::ChannelAddress& from) override;
    void
    Tick() override;
    Nanos
    NextTick() const override;

    /**
     * Seeks the device.
     */
    void
    Connect();

    Address m_remote;                                        //!< the device
    std::unique_ptr<control::SecureController> m_controller; //!< the core
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_CONTROL_APPLICATION_H
