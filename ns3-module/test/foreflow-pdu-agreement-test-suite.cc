// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-pdu-test-support.h"

#include "ns3/ipv4-header.h"
#include "ns3/udp-header.h"

#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <string>

namespace tests
{

using ff::crypto::ChannelStatus;
using ff::shard::UnitVerdict;

constexpr uint64_t STATIC_SEED = 5;

/**
 * @param micros when
 * @param action what
 */
static void
At(int64_t micros, std::function<void()> action)
{
    Simulator::Schedule(MicroSeconds(micros), [action] { action(); });
}

/**
 * Two hosts whose units have no keys but those that they agree on.
 */
class AgreeingPair : public UnitPair
{
  public:
    /**
     * @param delay of the cable
     * @param rate of the ports
     */
    explicit AgreeingPair(Time delay, const char* rate = "1Gb/s")
        : UnitPair(UnitConfig(), 1, {delay}, rate, false)
    {
        hosts[0].driver->TraceConnectWithoutContext("SendingKey",
                                                    MakeCallback(&AgreeingPair::Keyed<0>, this));
        hosts[1].driver->TraceConnectWithoutContext("SendingKey",
                                                    MakeCallback(&AgreeingPair::Keyed<1>, this));
        for (const ff::PduHost& host : hosts)
        {
            host.driver->TraceConnectWithoutContext("KeyLog",
                                                    MakeCallback(&AgreeingPair::Logged, this));
        }
    }

    /**
     * Both agree.
     *
     * @param config when keys are replaced
     */
    void
    Agree(const ff::shard::SessionKeysConfig& config = {})
    {
        for (const ff::PduHost& host : hosts)
        {
            ff::PacketDynamicsHelper::Agree(host, config, STATIC_SEED);
        }
    }

    /**
     * @return whether both units may send and receive
     */
    bool
    AreReady() const
    {
        return std::all_of(hosts.begin(), hosts.end(), [](const ff::PduHost& host) {
            return host.driver->HasAgreed(0) && host.unit->GetUnit().IsReady(0);
        });
    }

    /**
     * @param host whose
     * @return what came of its agreeing
     */
    ff::PduAgreement
    Agreement(std::size_t host) const
    {
        return hosts[host].driver->GetAgreement();
    }

    /**
     * @param host whose
     * @param status of datagrams that it was given
     * @return how many there were
     */
    uint64_t
    Came(std::size_t host, ChannelStatus status) const
    {
        return Agreement(host).channel[static_cast<std::size_t>(status)];
    }

    /**
     * @param host whose unit
     * @param verdict on datagrams
     * @return how many there were
     */
    uint64_t
    Verdicts(std::size_t host, UnitVerdict verdict) const
    {
        return hosts[host].unit->GetUnit().counts()[static_cast<std::size_t>(verdict)];
    }

    std::array<std::vector<Time>, 2> keyed; //!< by host: when its unit had a new key to send by
    std::vector<std::string> log;           //!< lines of the key log

  private:
    /**
     * The unit of Host has a new key to send by.
     */
    template <std::size_t Host>
    void
    Keyed(uint32_t, uint8_t)
    {
        keyed[Host].push_back(Simulator::Now());
    }

    /**
     * @param line of the key log
     */
    void
    Logged(const std::string& line)
    {
        log.push_back(line);
    }
};

/**
 * On a clean cable, the round trips that the protocol has.
 */
class PduHandshakeTestCase : public PduTestCase
{
  public:
    PduHandshakeTestCase()
        : PduTestCase("two hosts agree on keys in three round trips, and then all is sealed")
    {
    }

  private:
    void
    DoRun() override
    {
        AgreeingPair pair(MilliSeconds(10));
        NS_TEST_EXPECT_MSG_EQ(pair.AreReady(), false, "there are no keys to begin with");
        const auto publicKey = [&pair](std::size_t host) {
            return ff::crypto::PublicKeyOf(ff::PacketDynamicsHelper::StaticKey(
                pair.hosts[1 - host].driver->GetPeerAddress(0), STATIC_SEED));
        };
        pair.Agree();
        Ptr<NetDevice> to = pair.hosts[1].unit;
        At(1000, [&] { pair.hosts[0].unit->Send(Create<Packet>(100), to->GetAddress(), 0x88b5); });
        At(70'000,
           [&] { pair.hosts[0].unit->Send(Create<Packet>(100), to->GetAddress(), 0x88b5); });
        Simulator::Stop(MilliSeconds(500));
        Simulator::Run();
        NS_TEST_EXPECT_MSG_EQ(pair.AreReady(), true, "now there are");
        // Both seek at once, and the greater key's handshake goes on: message 1, message 2, and a
        // record by which the lesser one knows. That one leads: offer, answer, done.
        const std::size_t leader = publicKey(0) < publicKey(1) ? 0 : 1;
        const std::array<int, 2> ways{5, 6};
        for (std::size_t i = 0; i < 2; ++i)
        {
            const std::vector<Time>& keyed = pair.keyed[i == 0 ? leader : 1 - leader];
            NS_TEST_ASSERT_MSG_EQ(keyed.size(), 1, "one key to send by");
            const Time over = keyed[0] - MilliSeconds(10 * ways[i]);
            NS_TEST_EXPECT_MSG_EQ(over.IsStrictlyPositive(), true, "no sooner than the cable");
            // A way is under 200 B at 1 Gb/s, and twice over the bus.
            NS_TEST_EXPECT_MSG_LT(over, MicroSeconds(4 * ways[i]), "and no later");
        }
        const auto& statistics = pair.Statistics(0);
        NS_TEST_EXPECT_MSG_EQ(
            pair.Verdicts(0, UnitVerdict::kNoSession), 1, "without keys nothing is sent");
        NS_TEST_EXPECT_MSG_EQ(statistics.sent, 1, "with keys it is");
        NS_TEST_EXPECT_MSG_EQ(pair.Statistics(1).delivered, 1, "and comes");
        for (std::size_t i = 0; i < 2; ++i)
        {
            const ff::PduAgreement agreement = pair.Agreement(i);
            NS_TEST_EXPECT_MSG_EQ(agreement.sessions.begun, 1, "one session");
            NS_TEST_EXPECT_MSG_EQ(agreement.sessions.ignored, 0, "nothing twice");
            NS_TEST_EXPECT_MSG_EQ(agreement.refused, 0, "the unit did as it was told");
            NS_TEST_EXPECT_MSG_EQ(agreement.strangers, 0, "nobody else is there");
            const uint64_t came =
                std::accumulate(agreement.channel.begin(), agreement.channel.end(), uint64_t{0});
            NS_TEST_EXPECT_MSG_EQ(came, pair.Statistics(i).agreementIn, "all were looked at");
            NS_TEST_EXPECT_MSG_EQ(came, pair.Statistics(1 - i).agreementOut, "and none was lost");
        }
        NS_TEST_EXPECT_MSG_EQ(pair.log.size(), 4, "two keys, at both ends");
        NS_TEST_EXPECT_MSG_EQ(
            std::set<std::string>(pair.log.begin(), pair.log.end()).size(), 2, "the same at both");
        ExpectBalance(pair);
    }
};

/**
 * Keys are replaced again and again, while TCP runs over a cable that loses.
 */
class PduRekeyOverLossTestCase : public PduTestCase
{
  public:
    PduRekeyOverLossTestCase()
        : PduTestCase("keys are replaced by time and by volume over a lossy way, and all comes")
    {
    }

  private:
    void
    DoRun() override
    {
        AgreeingPair pair(MilliSeconds(1));
        pair.InstallStacks();
        ff::impair::ImpairmentConfig lossy;
        lossy.paths[0].loss = 0.05;
        pair.cables[0]->Configure(lossy, lossy, 3);
        ff::shard::SessionKeysConfig config;
        config.rekey_after = Millis(1000);
        config.rekey_after_bytes = 200'000;
        config.overlap = Millis(50);
        config.retry = Millis(10);
        pair.Agree(config);
        CheckedTransfer transfer(
            pair.vms[0].Get(0), pair.vms[1].Get(0), pair.addresses[1].GetAddress(0), 80, 2'000'000);
        uint64_t rekeyed = 0;
        At(4'500'000, [&] { rekeyed = pair.Agreement(0).sessions.rekeyed; });
        Simulator::Stop(Seconds(10));
        Simulator::Run();
        NS_TEST_EXPECT_MSG_EQ(transfer.received, 2'000'000, "everything comes");
        NS_TEST_EXPECT_MSG_EQ(transfer.wrong, 0, "as it was");
        NS_TEST_EXPECT_MSG_LT(transfer.done, MilliSeconds(4500), "while keys went by volume");
        const ff::PduAgreement first = pair.Agreement(0);
        // 2 MB by at most 200 kB and what passes while the next is agreed on; then by time alone.
        NS_TEST_EXPECT_MSG_GT(rekeyed, 6, "by volume: by time there would be 4");
        NS_TEST_EXPECT_MSG_GT(first.sessions.rekeyed, rekeyed + 3, "by time, each second");
        NS_TEST_EXPECT_MSG_LT(first.sessions.rekeyed, rekeyed + 7, "and no oftener");
        for (std::size_t i = 0; i < 2; ++i)
        {
            NS_TEST_EXPECT_MSG_EQ(pair.Agreement(i).sessions.begun, 1, "in one session");
            NS_TEST_EXPECT_MSG_EQ(pair.Agreement(i).refused, 0, "the unit did as it was told");
            NS_TEST_EXPECT_MSG_EQ(
                pair.Verdicts(i, UnitVerdict::kUnknownEpoch), 0, "no datagram outlived its key");
            NS_TEST_EXPECT_MSG_EQ(
                pair.Verdicts(i, UnitVerdict::kForged), 0, "nor was taken for another's");
        }
        const auto& counts = pair.cables[0]->GetCounts(0);
        NS_TEST_EXPECT_MSG_GT(counts.in - counts.fates[0], 50, "many were lost");
        ExpectBalance(pair);
    }
};

/**
 * A host forgets everything, or goes and comes back.
 */
class PduRestartTestCase : public PduTestCase
{
  public:
    PduRestartTestCase()
        : PduTestCase("either host starts anew in the middle, or leaves and returns")
    {
    }

  private:
    void
    DoRun() override
    {
        AgreeingPair pair(MilliSeconds(1), "50Mb/s");
        pair.InstallStacks();
        pair.Agree();
        CheckedTransfer transfer(pair.vms[0].Get(0),
                                 pair.vms[1].Get(0),
                                 pair.addresses[1].GetAddress(0),
                                 80,
                                 10'000'000);
        std::vector<uint32_t> received;
        std::vector<bool> ready;
        const auto look = [&] {
            received.push_back(transfer.received);
            ready.push_back(pair.AreReady());
        };
        const auto start = [&pair](uint32_t host, uint32_t number) {
            ff::PacketDynamicsHelper::Agree(pair.hosts[host], {}, STATIC_SEED, number);
        };
        // What TCP had under way is lost each time, and it waits a second.
        for (uint32_t i = 0; i < 2; ++i)
        {
            const int64_t at = 100'000 + 1'500'000 * i;
            At(at - 1000, look);
            At(at, [=] { start(i, 1); });
            At(at + 100, look);
            At(at + 100'000, look);
        }
        At(3'100'000, [&] { pair.hosts[1].driver->Leave(); });
        At(3'150'000, look);
        At(3'200'000, [=] { start(1, 2); });
        At(4'500'000, look);
        Simulator::Stop(Seconds(12));
        Simulator::Run();
        const std::vector<bool> expected{true, false, true, true, false, true, false, true};
        NS_TEST_EXPECT_MSG_EQ((ready == expected), true, "each time, and a few round trips later");
        NS_TEST_EXPECT_MSG_GT(received[0], 0, "it was under way");
        NS_TEST_EXPECT_MSG_GT(received[3], received[1], "it went on");
        NS_TEST_EXPECT_MSG_GT(received[6], received[4], "and on");
        NS_TEST_EXPECT_MSG_EQ(transfer.received, 10'000'000, "everything comes");
        NS_TEST_EXPECT_MSG_EQ(transfer.wrong, 0, "as it was");
        NS_TEST_EXPECT_MSG_GT(transfer.done, MilliSeconds(3200), "after all of that");
        NS_TEST_EXPECT_MSG_EQ(pair.Agreement(0).sessions.begun, 3, "since it started anew");
        NS_TEST_EXPECT_MSG_EQ(pair.Agreement(1).sessions.begun, 1, "since it came back");
        NS_TEST_EXPECT_MSG_EQ(pair.Came(0, ChannelStatus::kClosed), 1, "one farewell");
        uint64_t orphaned = 0;
        for (std::size_t i = 0; i < 2; ++i)
        {
            orphaned += pair.Verdicts(i, UnitVerdict::kUnknownSession) +
                        pair.Verdicts(i, UnitVerdict::kUnknownEpoch);
        }
        NS_TEST_EXPECT_MSG_GT(orphaned, 0, "what was under way is nobody's");
        std::map<std::string, std::string> of;
        for (const std::string& line : pair.log)
        {
            const std::size_t key = line.rfind(' ');
            const auto [known, isNew] = of.insert({line.substr(key), line.substr(0, key)});
            NS_TEST_EXPECT_MSG_EQ(known->second, line.substr(0, key), "no key is used twice");
        }
        NS_TEST_EXPECT_MSG_GT(of.size(), 7, "each session has its own");
        ExpectBalance(pair);
    }
};

/**
 * Datagrams of those who have no business there.
 */
class PduStrangersTestCase : public PduTestCase
{
  public:
    PduStrangersTestCase()
        : PduTestCase("strangers, old datagrams and wrong static keys change nothing")
    {
    }

  private:
    /**
     * Sends a datagram by the first host's port.
     *
     * @param pair of hosts
     * @param from sender's address
     * @param payload of UDP
     */
    static void
    Inject(const UnitPair& pair, const char* from, const std::vector<uint8_t>& payload)
    {
        auto packet = Create<Packet>(payload.data(), static_cast<uint32_t>(payload.size()));
        UdpHeader udp;
        udp.SetSourcePort(7800);
        udp.SetDestinationPort(7800);
        packet->AddHeader(udp);
        Ipv4Header ip;
        ip.SetSource(from);
        ip.SetDestination("192.0.2.2");
        ip.SetProtocol(17);
        ip.SetTtl(64);
        ip.SetPayloadSize(static_cast<uint16_t>(packet->GetSize()));
        ip.EnableChecksum();
        packet->AddHeader(ip);
        const Ptr<NetDevice> port = pair.hosts[0].ports.Get(0);
        port->SendFrom(
            packet, port->GetAddress(), pair.hosts[1].ports.Get(0)->GetAddress(), 0x0800);
    }

    /**
     * @param frame that the second host's port received
     */
    void
    Heard(Ptr<const Packet> frame)
    {
        std::vector<uint8_t> bytes(frame->GetSize());
        frame->CopyData(bytes.data(), frame->GetSize());
        constexpr std::size_t HEADERS = 14 + 20 + 8;
        if (bytes.size() > HEADERS && bytes[23] == 17 && bytes[HEADERS] >> 4 == 0)
        {
            m_heard.emplace_back(bytes.begin() + HEADERS, bytes.end());
        }
    }

    void
    Outsiders()
    {
        AgreeingPair pair(MilliSeconds(1));
        pair.hosts[1].ports.Get(0)->TraceConnectWithoutContext(
            "MacRx", MakeCallback(&PduStrangersTestCase::Heard, this));
        pair.Agree();
        ff::PduAgreement before;
        At(100'000, [&] {
            before = pair.Agreement(1);
            const std::vector<std::vector<uint8_t>> genuine = m_heard;
            for (const auto& bytes : genuine)
            {
                Inject(pair, "198.51.100.7", bytes);
                Inject(pair, "192.0.2.1", bytes);
                std::vector<uint8_t> changed = bytes;
                changed.back() ^= 1;
                Inject(pair, "192.0.2.1", changed);
            }
            Inject(pair, "192.0.2.1", {0});
            Inject(pair, "192.0.2.1", std::vector<uint8_t>(144, 1));
            m_injected = genuine.size();
        });
        Simulator::Stop(MilliSeconds(200));
        Simulator::Run();
        const ff::PduAgreement after = pair.Agreement(1);
        NS_TEST_EXPECT_MSG_GT(m_injected, 2, "message 1, records");
        NS_TEST_EXPECT_MSG_EQ(after.strangers, m_injected, "from nobody's address");
        uint64_t refused = 0;
        for (std::size_t i = 0; i < after.channel.size(); ++i)
        {
            if (!ff::crypto::IsTaken(static_cast<ChannelStatus>(i)))
            {
                refused += after.channel[i] - before.channel[i];
            }
        }
        NS_TEST_EXPECT_MSG_EQ(refused, 2 * m_injected + 2, "from the peer's: each by its reason");
        NS_TEST_EXPECT_MSG_EQ(after.sessions.begun, 1, "no session for it");
        NS_TEST_EXPECT_MSG_EQ(after.sessions.rekeyed, 0, "no keys for it");
        NS_TEST_EXPECT_MSG_EQ(pair.AreReady(), true, "and all is as it was");
        ExpectBalance(pair);
        Simulator::Destroy();
    }

    void
    WrongKeys()
    {
        AgreeingPair pair(MilliSeconds(1));
        ff::PacketDynamicsHelper::Agree(pair.hosts[0], {}, STATIC_SEED);
        ff::PacketDynamicsHelper::Agree(pair.hosts[1], {}, STATIC_SEED + 1);
        const Ptr<NetDevice> to = pair.hosts[1].unit;
        for (int i = 0; i < 50; ++i)
        {
            At(100'000 * i,
               [&] { pair.hosts[0].unit->Send(Create<Packet>(100), to->GetAddress(), 0x88b5); });
        }
        Simulator::Stop(Seconds(5));
        Simulator::Run();
        for (std::size_t i = 0; i < 2; ++i)
        {
            NS_TEST_EXPECT_MSG_EQ(pair.hosts[i].driver->HasAgreed(0), false, "no session");
            NS_TEST_EXPECT_MSG_EQ(pair.hosts[i].unit->GetUnit().IsReady(0), false, "no keys");
            NS_TEST_EXPECT_MSG_GT(pair.Came(i, ChannelStatus::kNotForUs), 3, "it was tried");
            NS_TEST_EXPECT_MSG_EQ(
                pair.Came(i, ChannelStatus::kNotForUs), pair.Statistics(i).agreementIn, "in vain");
        }
        NS_TEST_EXPECT_MSG_EQ(pair.log.size(), 0, "no key was ever told to a unit");
        NS_TEST_EXPECT_MSG_EQ(pair.Verdicts(0, UnitVerdict::kNoSession), 50, "nothing is sent");
        NS_TEST_EXPECT_MSG_EQ(pair.Statistics(1).received, 0, "in clear either");
        ExpectBalance(pair);
    }

    void
    DoRun() override
    {
        Outsiders();
        WrongKeys();
    }

    std::vector<std::vector<uint8_t>> m_heard; //!< datagrams of key agreement, in order
    std::size_t m_injected{0};                 //!< of them
};

/**
 * A guest sees its frames and the mailbox's few numbers, and nothing of all this.
 */
class PduBlindGuestTestCase : public PduTestCase
{
  public:
    PduBlindGuestTestCase()
        : PduTestCase("guests see no key, no session and no address of a unit")
    {
    }

  private:
    /**
     * @param bytes that reach a guest
     */
    void
    Seen(const std::vector<uint8_t>& bytes)
    {
        m_seen.insert(m_seen.end(), bytes.begin(), bytes.end());
        m_seen.insert(m_seen.end(), 8, 0xee);
    }

    /**
     * @param frame that a guest is shown
     */
    void
    Shown(Ptr<const Packet> frame)
    {
        std::vector<uint8_t> bytes(frame->GetSize());
        frame->CopyData(bytes.data(), frame->GetSize());
        m_frames += 1;
        Seen(bytes);
    }

    /**
     * @param reply to a request
     */
    void
    Answered(const ff::PduReply& reply)
    {
        // That these names suffice says that a reply holds nothing else.
        const auto& [status, channel, statistics] = reply;
        const auto& [sent, sentBytes, refused, delivered, deliveredBytes] = statistics;
        ++m_replies[status];
        for (uint64_t value :
             {uint64_t{channel}, sent, sentBytes, refused, delivered, deliveredBytes})
        {
            std::vector<uint8_t> bytes(8);
            for (uint8_t& byte : bytes)
            {
                byte = static_cast<uint8_t>(value);
                value >>= 8;
            }
            Seen(bytes);
        }
    }

    /**
     * @param secret bytes that guests must not see
     * @return whether they do, in either order
     */
    bool
    IsSeen(std::vector<uint8_t> secret) const
    {
        const auto has = [this](const std::vector<uint8_t>& bytes) {
            return std::search(m_seen.begin(), m_seen.end(), bytes.begin(), bytes.end()) !=
                   m_seen.end();
        };
        const bool isSeen = has(secret);
        std::reverse(secret.begin(), secret.end());
        return isSeen || has(secret);
    }

    /**
     * @param digits hexadecimal
     * @return the bytes
     */
    static std::vector<uint8_t>
    BytesOf(const std::string& digits)
    {
        std::vector<uint8_t> bytes;
        for (std::size_t i = 0; i < digits.size(); i += 2)
        {
            bytes.push_back(static_cast<uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
        }
        return bytes;
    }

    void
    DoRun() override
    {
        AgreeingPair pair(MilliSeconds(1));
        ff::shard::SessionKeysConfig config;
        config.rekey_after = Millis(50);
        config.overlap = Millis(10);
        pair.Agree(config);
        std::array<Ptr<ff::PduGuestDriver>, 2> guests{pair.Guest(0), pair.Guest(1)};
        const auto answer = MakeCallback(&PduBlindGuestTestCase::Answered, this);
        for (std::size_t i = 0; i < 2; ++i)
        {
            const Ptr<ff::PduGuestDriver> guest = guests[i];
            const Mac48Address remote = guests[1 - i]->GetMac();
            guest->TraceConnectWithoutContext("MacRx",
                                              MakeCallback(&PduBlindGuestTestCase::Shown, this));
            using ff::shard::Preference;
            At(20'000, [=] { guest->Open(remote, Preference::kLatency, answer); });
            At(30'000, [=] { guest->SetPreference(1, Preference::kRobustness, answer); });
            for (int k = 0; k < 100; ++k)
            {
                // Also what looks like a datagram between hosts.
                At(40'000 + 3000 * k, [=] {
                    const uint8_t type = static_cast<uint8_t>(k % 16);
                    std::vector<uint8_t> payload(144, type);
                    auto packet = Create<Packet>(payload.data(), 144);
                    UdpHeader udp;
                    udp.SetSourcePort(7800);
                    udp.SetDestinationPort(7800);
                    packet->AddHeader(udp);
                    Ipv4Header ip;
                    ip.SetSource("10.0.0.1");
                    ip.SetDestination("10.0.0.2");
                    ip.SetProtocol(17);
                    ip.SetPayloadSize(static_cast<uint16_t>(packet->GetSize()));
                    packet->AddHeader(ip);
                    guest->Send(packet, remote, 0x0800);
                });
                At(41'000 + 3000 * k, [=] { guest->AskStatistics(1, answer); });
            }
            At(400'000, [=] { guest->Close(1, answer); });
        }
        Simulator::Stop(MilliSeconds(450));
        Simulator::Run();
        NS_TEST_EXPECT_MSG_EQ(m_replies[ff::PduReply::Status::DONE], 206, "the mailbox answers");
        NS_TEST_EXPECT_MSG_EQ(m_frames, 200, "frames come");
        NS_TEST_EXPECT_MSG_GT(pair.log.size(), 20, "while keys are replaced");
        for (const std::string& line : pair.log)
        {
            const std::string session = line.substr(line.find(' ') + 1, 8);
            const std::string key = line.substr(line.rfind(' ') + 1, 64);
            NS_TEST_EXPECT_MSG_EQ(IsSeen(BytesOf(session)), false, "a session's number");
            for (std::size_t i = 0; i < 64; i += 8)
            {
                NS_TEST_EXPECT_MSG_EQ(IsSeen(BytesOf(key.substr(i, 8))), false, "part of a key");
            }
        }
        for (const char* unit : {"c0000201", "c0000202"})
        {
            NS_TEST_EXPECT_MSG_EQ(IsSeen(BytesOf(unit)), false, "an address of a unit");
        }
        NS_TEST_EXPECT_MSG_EQ(IsSeen({10, 0, 0, 2}), true, "and this finds what is there");
        for (std::size_t i = 0; i < 2; ++i)
        {
            NS_TEST_EXPECT_MSG_EQ(pair.Agreement(i).strangers, 0, "what guests send is sealed");
            NS_TEST_EXPECT_MSG_EQ(pair.Came(i, ChannelStatus::kTruncated) +
                                      pair.Came(i, ChannelStatus::kUnknownType),
                                  0,
                                  "and no host is given it");
        }
        ExpectBalance(pair);
    }

    std::vector<uint8_t> m_seen;                        //!< all that reached guests
    uint32_t m_frames{0};                               //!< of it
    std::map<ff::PduReply::Status, uint32_t> m_replies; //!< by status
};

/**
 * Hosts that agree on keys.
 */
class PduAgreementTestSuite : public TestSuite
{
  public:
    PduAgreementTestSuite()
        : TestSuite("foreflow-pdu-agreement", TestSuite::Type::UNIT)
    {
        AddTestCase(new PduHandshakeTestCase);
        AddTestCase(new PduRekeyOverLossTestCase);
        AddTestCase(new PduRestartTestCase);
        AddTestCase(new PduStrangersTestCase);
        AddTestCase(new PduBlindGuestTestCase);
    }
};

static PduAgreementTestSuite g_pduAgreementTestSuite; //!< registers itself

} // namespace tests
