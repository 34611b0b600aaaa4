// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_PDU_HOST_DRIVER_H
#define FOREFLOW_PDU_HOST_DRIVER_H

#include "foreflow-packet-dynamics-unit.h"

#include "models/shard/session_keys.h"

#include "ns3/event-id.h"
#include "ns3/nstime.h"
#include "ns3/object.h"
#include "ns3/traced-callback.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * What came of agreeing on keys, since PduHostDriver::Agree was last called.
 */
struct PduAgreement
{
    shard::SessionKeys::Counts sessions;    //!< of its peers
    crypto::SecureEndpoint::Counts channel; //!< datagrams by crypto::ChannelStatus
    uint64_t strangers{0};                  //!< datagrams from where no peer is, not looked at
    uint64_t refused{0};                    //!< what the unit was told to do and could not
};

/**
 * @ingroup foreflow
 * The host's side of a packet dynamics unit: keys, quotas, and who may speak to whom. It acts at
 * once, on the host's node; out-of-range numbers of peers and guests are fatal errors. Guest 0 is
 * the host itself.
 *
 * Sessions and keys are either told (Begin, InstallKeys), or agreed on with the hosts of the peers
 * (Agree): over the simulated network, by datagrams that the unit carries past its engines.
 */
class PduHostDriver : public Object, private shard::SessionKeysSink
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    PduHostDriver();
    ~PduHostDriver() override;

    /**
     * @param unit that has been configured
     */
    void
    Attach(Ptr<PacketDynamicsUnit> unit);

    /**
     * @param peer number
     * @param address of its unit
     * @param nextHops MAC address to which datagrams for it go, by port
     */
    void
    SetPeer(uint32_t peer, Ipv4Address address, const std::vector<Mac48Address>& nextHops);

    /**
     * @param peer number
     * @param preference for what is sent to it, where no guest with a channel is more careful
     */
    void
    SetPreference(uint32_t peer, shard::Preference preference);

    /**
     * Frames to this address go to this peer, and come from it: those that come from another are
     * dropped.
     *
     * @param mac of somebody behind the peer
     * @param peer number
     */
    void
    Route(Mac48Address mac, uint32_t peer);

    /**
     * @param guest who
     * @param peer to whom it may, or may not, speak; all may to all at the beginning
     * @param isPermitted whether it may
     */
    void
    Permit(uint32_t guest, uint32_t peer, bool isPermitted);

    /**
     * @param guest who
     * @param bytesPerSecond of frames that it may send
     * @param burstBytes at once, below 2^31
     * @param channels that it may have open, 16 at the beginning
     */
    void
    SetQuota(uint32_t guest, uint32_t bytesPerSecond, uint32_t burstBytes, uint32_t channels);

    /**
     * @return session numbers in one round: shard::Unit::places
     */
    uint32_t
    GetPlaces() const;

    /**
     * The peer is there, or starts anew.
     *
     * @param peer number
     * @param sending session of what is sent to it, which its unit has chosen
     * @param receiving session of what it sends; modulo GetPlaces it is @p peer
     * @throws Refusal where it is not
     */
    void
    Begin(uint32_t peer, uint32_t sending, uint32_t receiving);

    /**
     * New keys for both directions. Both ends need the receiving key of an epoch before either
     * sends by it: where packets are under way, InstallReceivingKey comes first at both.
     *
     * @param peer number
     * @param epoch of the keys
     * @param cipher of the keys
     * @param sending key, crypto::AeadKeyBytes (cipher) bytes
     * @param receiving key
     * @throws Refusal where the epoch lives or the peer has not begun
     */
    void
    InstallKeys(uint32_t peer,
                uint8_t epoch,
                crypto::AeadAlgorithm cipher,
                const std::vector<uint8_t>& sending,
                const std::vector<uint8_t>& receiving);

    /**
     * As InstallKeys, of one direction.
     *
     * @param peer number
     * @param epoch of the key
     * @param cipher of the key
     * @param key itself
     */
    void
    InstallReceivingKey(uint32_t peer,
                        uint8_t epoch,
                        crypto::AeadAlgorithm cipher,
                        const std::vector<uint8_t>& key);

    /**
     * As InstallKeys, of one direction.
     *
     * @param peer number
     * @param epoch of the key
     * @param cipher of the key
     * @param key itself
     */
    void
    InstallSendingKey(uint32_t peer,
                      uint8_t epoch,
                      crypto::AeadAlgorithm cipher,
                      const std::vector<uint8_t>& key);

    /**
     * @param peer whose keys before the newest are erased
     */
    void
    RetireKeys(uint32_t peer);

    /**
     * @param peer whose keys are erased and sessions forgotten
     */
    void
    End(uint32_t peer);

    /**
     * @param peer number
     * @return the address of its unit
     */
    Ipv4Address
    GetPeerAddress(uint32_t peer) const;

    /**
     * Agrees on sessions and keys with the hosts of the first peers, as many as have a public key,
     * from now on and for as long as it takes. Where it did so before, the host starts anew: its
     * unit forgets all sessions, and nobody is told. SetPeer comes first. The clock is the
     * simulator's.
     *
     * @param config own and peers' static keys, peers by number; when keys are replaced
     * @param seed of all keys; never used twice with one static key
     * @throws Refusal as shard::SessionKeys does, and where the unit has fewer peers
     */
    void
    Agree(const shard::SessionKeysConfig& config, const std::array<uint8_t, 32>& seed);

    /**
     * Tells the peers that nobody is here any more, and ends all sessions that were agreed on.
     */
    void
    Leave();

    /**
     * @param peer number
     * @return whether sessions and keys have been agreed on with it
     */
    bool
    HasAgreed(uint32_t peer) const;

    /**
     * @return what came of it
     */
    PduAgreement
    GetAgreement() const;

    /**
     * @param peer number
     * @param path to it, below PacketDynamicsUnit::GetUnit().paths()
     * @return what is known of that way
     */
    shard::CongestionReport
    GetReport(uint32_t peer, uint32_t path = 0) const;

    /**
     * TracedCallback signature of SendingKey.
     *
     * @param peer number
     * @param epoch of the keys that the unit sends by from now on
     */
    typedef void (*SendingKeyTracedCallback)(uint32_t peer, uint8_t epoch);
    /**
     * TracedCallback signature of KeyLog.
     *
     * @param line as shard::KeyLogLine has it
     */
    typedef void (*KeyLogTracedCallback)(const std::string& line);

  protected:
    void
    DoDispose() override;

  private:
    friend class PacketDynamicsUnit;

    /**
     * The sessions of a peer that were agreed on.
     */
    struct Session
    {
        uint32_t sending{0};   //!< of what is sent to it
        uint32_t receiving{0}; //!< of what it sends
    };

    /**
     * A datagram of another host is in the memory of this one.
     *
     * @param datagram UDP payload, which is decrypted in place
     * @param from sender's address
     * @param port sender's UDP port
     */
    void
    Receive(MutableBytes datagram, Ipv4Address from, uint16_t port);

    /**
     * Looks at what is due, now and again after Interval.
     */
    void
    Tick();

    /**
     * @param peer number
     * @return where it is, as SessionKeys has it
     */
    crypto::ChannelAddress
    AddressOf(uint32_t peer) const;

    /**
     * As Begin.
     *
     * @param peer number
     * @param sending session of what is sent to it
     * @param receiving session of what it sends
     * @return whether the unit did
     */
    bool
    BeginSession(uint32_t peer, uint32_t sending, uint32_t receiving);

    /**
     * @param isDone whether the unit did as it was told
     */
    void
    CountUnless(bool isDone);

    void
    OnPacket(const crypto::ChannelAddress& to, BytesView packet) override;
    void
    OnBegin(std::size_t peer, uint32_t sendingSession, uint32_t receivingSession) override;
    void
    OnReceivingKey(std::size_t peer,
                   uint8_t epoch,
                   crypto::AeadAlgorithm cipher,
                   const uint8_t* key) override;
    void
    OnSendingKey(std::size_t peer,
                 uint8_t epoch,
                 crypto::AeadAlgorithm cipher,
                 const uint8_t* key) override;
    void
    OnRetireKeys(std::size_t peer) override;
    void
    OnSessionEnd(std::size_t peer) override;

    Ptr<PacketDynamicsUnit> m_unit;             //!< the host's
    Time m_interval;                            //!< between looks at what is due
    std::unique_ptr<shard::SessionKeys> m_keys; //!< agrees; none: keys are told
    std::vector<Session> m_sessions;            //!< by peer, agreed on
    EventId m_tick;                             //!< the next look
    uint64_t m_strangers{0};                    //!< datagrams from where no peer is
    uint64_t m_refused{0};                      //!< orders

    TracedCallback<uint32_t, uint8_t> m_sendingKeyTrace; //!< the unit sends by new keys
    TracedCallback<const std::string&> m_keyLogTrace;    //!< a key is agreed on
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_PDU_HOST_DRIVER_H
