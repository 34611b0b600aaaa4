// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-pdu-host-driver.h"

#include "foreflow-wire-time.h"

#include "models/shard/key_log.h"

#include "ns3/abort.h"
#include "ns3/log.h"
#include "ns3/simulator.h"

#include <algorithm>
#include <utility>

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

/**
 * @param address of a unit
 * @param port of its datagrams
 * @return both, as a mapped IPv6 address and a port
 */
crypto::ChannelAddress
ChannelAddressOf(Ipv4Address address, uint16_t port)
{
    crypto::ChannelAddress mapped;
    mapped.host[10] = mapped.host[11] = 0xff;
    address.Serialize(mapped.host.data() + 12);
    mapped.port = port;
    return mapped;
}

constexpr const char* EPOCHS = "an epoch that does not live, of a peer that has begun";

} // namespace

TypeId
PduHostDriver::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::PduHostDriver")
            .SetParent<Object>()
            .SetGroupName("Foreflow")
            .AddConstructor<PduHostDriver>()
            .AddAttribute("Interval",
                          "How often the host looks at what is due in agreeing on keys.",
                          TimeValue(MilliSeconds(1)),
                          MakeTimeAccessor(&PduHostDriver::m_interval),
                          MakeTimeChecker(MicroSeconds(1)))
            .AddTraceSource("SendingKey",
                            "The unit sends by keys that have just been agreed on.",
                            MakeTraceSourceAccessor(&PduHostDriver::m_sendingKeyTrace),
                            "ns3::foreflow::PduHostDriver::SendingKeyTracedCallback")
            .AddTraceSource("KeyLog",
                            "A key has been agreed on: whoever has it reads what it seals.",
                            MakeTraceSourceAccessor(&PduHostDriver::m_keyLogTrace),
                            "ns3::foreflow::PduHostDriver::KeyLogTracedCallback");
    return tid;
}

PduHostDriver::PduHostDriver() = default;
PduHostDriver::~PduHostDriver() = default;

void
PduHostDriver::DoDispose()
{
    m_tick.Cancel();
    m_keys.reset();
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
    RefuseUnless(BeginSession(peer, sending, receiving),
                 "receiving",
                 receiving,
                 "modulo GetPlaces () the peer's number");
}

bool
PduHostDriver::BeginSession(uint32_t peer, uint32_t sending, uint32_t receiving)
{
    m_unit->PeerAt(peer);
    const Picos now = PicosNow();
    m_unit->BeginCall(PduPipeline::Way::TIMERS, now);
    const bool isDone =
        m_unit->m_unit->Begin(peer, sending, receiving, ToNanosFloor(now), *m_unit, m_unit->m_work);
    m_unit->EndCall();
    return isDone;
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

Ipv4Address
PduHostDriver::GetPeerAddress(uint32_t peer) const
{
    return m_unit->PeerAt(peer).address;
}

crypto::ChannelAddress
PduHostDriver::AddressOf(uint32_t peer) const
{
    return ChannelAddressOf(GetPeerAddress(peer), m_unit->m_udpPort);
}

void
PduHostDriver::Agree(const shard::SessionKeysConfig& config, const std::array<uint8_t, 32>& seed)
{
    NS_LOG_FUNCTION(this);
    const std::size_t known = m_unit->m_peers.size();
    if (config.peers.size() > known)
    {
        throw ::foreflow::Refusal("ns3::foreflow::PduHostDriver",
                                  "peers",
                                  std::to_string(config.peers.size()),
                                  "1 .. " + std::to_string(known) + ", as many as the unit has");
    }
    auto keys = std::make_unique<shard::SessionKeys>(config, seed, GetPlaces());
    const auto peers = static_cast<uint32_t>(config.peers.size());
    for (uint32_t peer = 0; peer < peers; ++peer)
    {
        End(peer);
    }
    m_keys = std::move(keys);
    m_sessions.assign(peers, {});
    m_strangers = m_refused = 0;
    m_unit->m_host = this;
    for (uint32_t peer = 0; peer < peers; ++peer)
    {
        m_keys->Connect(peer, AddressOf(peer), ToNanosFloor(PicosNow()), *this);
    }
    m_tick.Cancel();
    Tick();
}

void
PduHostDriver::Leave()
{
    NS_LOG_FUNCTION(this);
    if (m_keys)
    {
        m_keys->Close(ToNanosFloor(PicosNow()), *this);
        m_keys.reset();
    }
    m_tick.Cancel();
    m_unit->m_host = nullptr;
}

bool
PduHostDriver::HasAgreed(uint32_t peer) const
{
    return m_keys && peer < m_sessions.size() && m_keys->IsReady(peer);
}

PduAgreement
PduHostDriver::GetAgreement() const
{
    PduAgreement agreement;
    agreement.strangers = m_strangers;
    agreement.refused = m_refused;
    if (m_keys)
    {
        agreement.sessions = m_keys->counts();
        agreement.channel = m_keys->channel();
    }
    return agreement;
}

void
PduHostDriver::Receive(MutableBytes datagram, Ipv4Address from, uint16_t port)
{
    const auto isThere = [from](const auto& peer) { return peer.address == from; };
    if (std::none_of(m_unit->m_peers.begin(), m_unit->m_peers.end(), isThere))
    {
        ++m_strangers;
        return;
    }
    m_keys->Input(datagram, ChannelAddressOf(from, port), ToNanosFloor(PicosNow()), *this);
}

void
PduHostDriver::Tick()
{
    for (uint32_t peer = 0; peer < m_sessions.size(); ++peer)
    {
        m_keys->OnUse(peer, m_unit->m_unit->key_use(peer).bytes);
    }
    m_keys->Tick(ToNanosFloor(PicosNow()), *this);
    m_tick = Simulator::Schedule(m_interval, &PduHostDriver::Tick, this);
}

void
PduHostDriver::OnPacket(const crypto::ChannelAddress& to, BytesView packet)
{
    for (uint32_t peer = 0; peer < m_sessions.size(); ++peer)
    {
        if (AddressOf(peer).host == to.host)
        {
            m_unit->SendAgreement(peer, packet);
            return;
        }
    }
}

void
PduHostDriver::CountUnless(bool isDone)
{
    m_refused += isDone ? 0 : 1;
}

void
PduHostDriver::OnBegin(std::size_t peer, uint32_t sendingSession, uint32_t receivingSession)
{
    m_sessions[peer] = {sendingSession, receivingSession};
    CountUnless(BeginSession(static_cast<uint32_t>(peer), sendingSession, receivingSession));
}

void
PduHostDriver::OnReceivingKey(std::size_t peer,
                              uint8_t epoch,
                              crypto::AeadAlgorithm cipher,
                              const uint8_t* key)
{
    CountUnless(m_unit->m_unit->InstallReceivingKey(peer, epoch, cipher, key));
    m_keyLogTrace(shard::KeyLogLine(m_sessions[peer].receiving, epoch, cipher, key));
}

void
PduHostDriver::OnSendingKey(std::size_t peer,
                            uint8_t epoch,
                            crypto::AeadAlgorithm cipher,
                            const uint8_t* key)
{
    CountUnless(m_unit->m_unit->InstallSendingKey(peer, epoch, cipher, key));
    m_keyLogTrace(shard::KeyLogLine(m_sessions[peer].sending, epoch, cipher, key));
    m_sendingKeyTrace(static_cast<uint32_t>(peer), epoch);
}

void
PduHostDriver::OnRetireKeys(std::size_t peer)
{
    RetireKeys(static_cast<uint32_t>(peer));
}

void
PduHostDriver::OnSessionEnd(std::size_t peer)
{
    m_sessions[peer] = {};
    End(static_cast<uint32_t>(peer));
}

shard::CongestionReport
PduHostDriver::GetReport(uint32_t peer, uint32_t path) const
{
    return m_unit->m_unit->Report(peer, ToNanosFloor(PicosNow()), path);
}

} // namespace foreflow
} // namespace ns3
