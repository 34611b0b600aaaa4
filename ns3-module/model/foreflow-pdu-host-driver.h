// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_PDU_HOST_DRIVER_H
#define FOREFLOW_PDU_HOST_DRIVER_H

#include "foreflow-packet-dynamics-unit.h"

#include "ns3/object.h"

#include <cstdint>
#include <vector>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * The host's side of a packet dynamics unit: keys, quotas, and who may speak to whom. It acts at
 * once, on the host's node; out-of-range numbers of peers and guests are fatal errors. Guest 0 is
 * the host itself.
 */
class PduHostDriver : public Object
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
     * @return what is known of the way to it
     */
    shard::CongestionReport
    GetReport(uint32_t peer) const;

  protected:
    void
    DoDispose() override;

  private:
    Ptr<PacketDynamicsUnit> m_unit; //!< the host's
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_PDU_HOST_DRIVER_H
