// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-pdu-host-driver.h"

#include "foreflow-wire-time.h"

#include "ns3/abort.h"
#include "ns3/log.h"

#include <string>

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowPduHostDriver");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(PduHostDriver);

namespace
{

/**
 * @param isDone whether a unit did as it was told
 * @param key what it was told
 * @param value of it
 * @param allowed instead
 */
void
RefuseUnless(bool isDone, const char* key, uint64_t value, const char* allowed)
{
    if (!isDone)
    {
        throw ::foreflow::Refusal(
            "ns3::foreflow::PduHostDriver", key, std::to_string(value), allowed);
    }
}

/**
 * @param cipher of a key
 * @param key itself
 */
void
CheckKey(crypto::AeadAlgorithm cipher, const std::vector<uint8_t>& key)
{
    NS_ABORT_MSG_IF(key.size() != crypto::AeadKeyBytes(cipher),
                    "a key of this cipher has " << crypto::AeadKeyBytes(cipher) << " bytes, not "
                                                << key.size());
}

constexpr const char* EPOCHS = "an epoch that does not live, of a peer that has begun";

} // namespace

TypeId
PduHostDriver::GetTypeId()
{
    static TypeId tid = TypeId("ns3::foreflow::PduHostDriver")
                            .SetParent<Object>()
                            .SetGroupName("Foreflow")
                            .AddConstructor<PduHostDriver>();
    return tid;
}

PduHostDriver::PduHostDriver() = default;
PduHostDriver::~PduHostDriver() = default;

void
PduHostDriver::DoDispose()
{
    m_unit = nullptr;
    Object::DoDispose();
}

void
PduHostDriver::Attach(Ptr<PacketDynamicsUnit> unit)
{
    NS_LOG_FUNCTION(this << unit);
    m_unit = unit;
}

void
PduHostDriver::SetPeer(uint32_t peer,
                       Ipv4Address address,
                       const std::vector<Mac48Address>& nextHops)
{
    PacketDynamicsUnit::Peer& entry = m_unit->PeerAt(peer);
    entry.address = address;
    entry.nextHops = nextHops;
}

void
PduHostDriver::SetPreference(uint32_t peer, shard::Preference preference)
{
    m_unit->PeerAt(peer).preference = preference;
    m_unit->Prefer(peer);
}

void
PduHostDriver::Route(Mac48Address mac, uint32_t peer)
{
    m_unit->PeerAt(peer);
    m_unit->m_routes[mac] = peer;
}

void
PduHostDriver::Permit(uint32_t guest, uint32_t peer, bool isPermitted)
{
    m_unit->PeerAt(peer);
    PacketDynamicsUnit::Guest& entry = m_unit->GuestAt(guest);
    if (isPermitted)
    {
        entry.forbidden.erase(peer);
    }
    else
    {
        entry.forbidden.insert(peer);
    }
}

void
PduHostDriver::SetQuota(uint32_t guest,
                        uint32_t bytesPerSecond,
                        uint32_t burstBytes,
                        uint32_t channels)
{
    PacketDynamicsUnit::Guest& entry = m_unit->GuestAt(guest);
    entry.bytes.emplace(bytesPerSecond, burstBytes);
    entry.channels = channels;
}

uint32_t
PduHostDriver::GetPlaces() const
{
    return static_cast<uint32_t>(m_unit->m_unit->places());
}

void
PduHostDriver::Begin(uint32_t peer, uint32_t sending, uint32_t receiving)
{
    m_unit->PeerAt(peer);
    const Picos now = PicosNow();
    m_unit->BeginCall(PduPipeline::Way::TIMERS, now);
    const bool isDone =
        m_unit->m_unit->Begin(peer, sending, receiving, ToNanosFloor(now), *m_unit, m_unit->m_work);
    m_unit->EndCall();
    RefuseUnless(isDone, "receiving", receiving, "modulo GetPlaces () the peer's number");
}

void
PduHostDriver::InstallKeys(uint32_t peer,
                           uint8_t epoch,
                           crypto::AeadAlgorithm cipher,
                           const std::vector<uint8_t>& sending,
                           const std::vector<uint8_t>& receiving)
{
    InstallReceivingKey(peer, epoch, cipher, receiving);
    InstallSendingKey(peer, epoch, cipher, sending);
}

void
PduHostDriver::InstallReceivingKey(uint32_t peer,
                                   uint8_t epoch,
                                   crypto::AeadAlgorithm cipher,
                                   const std::vector<uint8_t>& key)
{
    m_unit->PeerAt(peer);
    CheckKey(cipher, key);
    const bool isDone = m_unit->m_unit->InstallReceivingKey(peer, epoch, cipher, key.data());
    RefuseUnless(isDone, "epoch", epoch, EPOCHS);
}

void
PduHostDriver::InstallSendingKey(uint32_t peer,
                                 uint8_t epoch,
                                 crypto::AeadAlgorithm cipher,
                                 const std::vector<uint8_t>& key)
{
    m_unit->PeerAt(peer);
    CheckKey(cipher, key);
    const bool isDone = m_unit->m_unit->InstallSendingKey(peer, epoch, cipher, key.data());
    RefuseUnless(isDone, "epoch", epoch, EPOCHS);
}

void
PduHostDriver::RetireKeys(uint32_t peer)
{
    m_unit->PeerAt(peer);
    m_unit->m_unit->RetireKeys(peer);
}

void
PduHostDriver::End(uint32_t peer)
{
    m_unit->PeerAt(peer);
    const Picos now = PicosNow();
    m_unit->BeginCall(PduPipeline::Way::TIMERS, now);
    m_unit->m_unit->End(peer, ToNanosFloor(now), *m_unit, m_unit->m_work);
    m_unit->EndCall();
}

shard::CongestionReport
PduHostDriver::GetReport(uint32_t peer) const
{
    return m_unit->m_unit->Report(peer, ToNanosFloor(PicosNow()));
}

} // namespace foreflow
} // namespace ns3
