// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-packet-dynamics-helper.h"

#include "models/base/hash.h"
#include "models/base/rng.h"

#include <array>
#include <vector>

namespace ns3
{
namespace foreflow
{

namespace
{

constexpr crypto::AeadAlgorithm CIPHER = crypto::AeadAlgorithm::kChaCha20Poly1305;
static_assert(crypto::AeadKeyBytes(CIPHER) == 32, "MakeBytes makes as many");

/**
 * Bytes for a simulation, which keeps nothing secret from anybody.
 *
 * @param seed of the keys
 * @param name of the key's stream
 * @param number of the key in it
 * @return the bytes
 */
std::array<uint8_t, 32>
MakeBytes(uint64_t seed, const char* name, uint32_t number)
{
    ::foreflow::Rng rng(seed, name, number);
    std::array<uint8_t, 32> bytes;
    for (uint8_t& byte : bytes)
    {
        byte = static_cast<uint8_t>(rng.Next32());
    }
    return bytes;
}

/**
 * @param seed of the keys
 * @param name of the key's stream
 * @param epoch of the key
 * @return the key
 */
std::vector<uint8_t>
MakeKey(uint64_t seed, const char* name, uint8_t epoch)
{
    const std::array<uint8_t, 32> bytes = MakeBytes(seed, name, epoch);
    return {bytes.begin(), bytes.end()};
}

/**
 * @param ports of a host
 * @return their addresses
 */
std::vector<Mac48Address>
MacsOf(const NetDeviceContainer& ports)
{
    std::vector<Mac48Address> macs;
    for (uint32_t i = 0; i < ports.GetN(); ++i)
    {
        macs.push_back(Mac48Address::ConvertFrom(ports.Get(i)->GetAddress()));
    }
    return macs;
}

/**
 * @param host with a unit
 * @return the unit's address
 */
Ipv4Address
AddressOf(const PduHost& host)
{
    Ipv4AddressValue address;
    host.unit->GetAttribute("UnitAddress", address);
    return address.Get();
}

/**
 * Tells a host where another is.
 *
 * @param host that is told
 * @param peer number of the other there
 * @param other itself
 */
void
Introduce(const PduHost& host, uint32_t peer, const PduHost& other)
{
    host.driver->SetPeer(peer, AddressOf(other), MacsOf(other.ports));
    host.driver->Route(other.unit->GetMac(), peer);
    for (const Mac48Address& mac : MacsOf(other.guests))
    {
        host.driver->Route(mac, peer);
    }
}

} // namespace

PacketDynamicsHelper::PacketDynamicsHelper()
{
    m_unitFactory.SetTypeId(PacketDynamicsUnit::GetTypeId());
    m_guestFactory.SetTypeId(PduGuestDriver::GetTypeId());
    m_channelFactory.SetTypeId(InHostChannel::GetTypeId());
}

void
PacketDynamicsHelper::SetUnitAttribute(const std::string& name, const AttributeValue& value)
{
    m_unitFactory.Set(name, value);
}

void
PacketDynamicsHelper::SetGuestAttribute(const std::string& name, const AttributeValue& value)
{
    m_guestFactory.Set(name, value);
}

void
PacketDynamicsHelper::SetChannelAttribute(const std::string& name, const AttributeValue& value)
{
    m_channelFactory.Set(name, value);
}

void
PacketDynamicsHelper::SetConfig(const PduConfig& config)
{
    m_config = config;
}

PduHost
PacketDynamicsHelper::Install(Ptr<Node> host,
                              const NodeContainer& vms,
                              const NetDeviceContainer& ports,
                              Ipv4Address address) const
{
    PduHost made;
    made.unit = m_unitFactory.Create<PacketDynamicsUnit>();
    made.unit->SetAttribute("UnitAddress", Ipv4AddressValue(address));
    made.unit->SetAddress(Mac48Address::Allocate());
    host->AddDevice(made.unit);
    made.unit->Configure(m_config);
    made.ports = ports;
    for (uint32_t i = 0; i < ports.GetN(); ++i)
    {
        made.unit->AddPort(ports.Get(i));
    }
    made.driver = CreateObject<PduHostDriver>();
    made.driver->Attach(made.unit);
    auto channel = m_channelFactory.Create<InHostChannel>();
    for (uint32_t i = 0; i < vms.GetN(); ++i)
    {
        auto guest = m_guestFactory.Create<PduGuestDriver>();
        guest->SetAddress(Mac48Address::Allocate());
        vms.Get(i)->AddDevice(guest);
        guest->Attach(made.unit, channel);
        made.guests.Add(guest);
    }
    return made;
}

void
PacketDynamicsHelper::Join(PduHost& a, PduHost& b)
{
    Introduce(a, a.peers++, b);
    Introduce(b, b.peers++, a);
}

crypto::SecretKey
PacketDynamicsHelper::StaticKey(Ipv4Address unit, uint64_t seed)
{
    return crypto::SecretKey(MakeBytes(seed, "pdu.static", unit.Get()));
}

void
PacketDynamicsHelper::Agree(const PduHost& host,
                            shard::SessionKeysConfig config,
                            uint64_t seed,
                            uint32_t start)
{
    const Ipv4Address own = AddressOf(host);
    config.own = StaticKey(own, seed);
    config.cipher = CIPHER;
    config.peers.clear();
    for (uint32_t peer = 0; peer < host.peers; ++peer)
    {
        config.peers.push_back(
            crypto::PublicKeyOf(StaticKey(host.driver->GetPeerAddress(peer), seed)));
    }
    host.driver->Agree(config, MakeBytes(::foreflow::Mix64(seed ^ own.Get()), "pdu.agree", start));
}

void
PacketDynamicsHelper::Connect(PduHost& a, PduHost& b, uint64_t seed)
{
    const uint32_t peerOfA = a.peers;
    const uint32_t peerOfB = b.peers;
    Join(a, b);
    // Each chooses the number of what it receives: its low bits are its name of the other.
    const uint32_t toA = a.driver->GetPlaces() + peerOfA;
    const uint32_t toB = b.driver->GetPlaces() + peerOfB;
    a.driver->Begin(peerOfA, toB, toA);
    b.driver->Begin(peerOfB, toA, toB);
    Rekey(a, b, peerOfA, peerOfB, 0, seed);
}

void
PacketDynamicsHelper::Rekey(const PduHost& a,
                            const PduHost& b,
                            uint32_t peerOfA,
                            uint32_t peerOfB,
                            uint8_t epoch,
                            uint64_t seed)
{
    const uint64_t pair =
        ::foreflow::Mix64(uint64_t{AddressOf(a).Get()} << 32 | AddressOf(b).Get());
    const std::vector<uint8_t> forth = MakeKey(seed ^ pair, "pdu.forth", epoch);
    const std::vector<uint8_t> back = MakeKey(seed ^ pair, "pdu.back", epoch);
    a.driver->InstallReceivingKey(peerOfA, epoch, CIPHER, back);
    b.driver->InstallReceivingKey(peerOfB, epoch, CIPHER, forth);
    a.driver->InstallSendingKey(peerOfA, epoch, CIPHER, forth);
    b.driver->InstallSendingKey(peerOfB, epoch, CIPHER, back);
}

} // namespace foreflow
} // namespace ns3
