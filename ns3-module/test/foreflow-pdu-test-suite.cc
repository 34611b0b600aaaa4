// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-pdu-test-support.h"

#include "models/base/rng.h"
#include "models/shard/unit_pair.h"

#include "ns3/foreflow-wire-time.h"
#include "ns3/ipv4-address-helper.h"
#include "ns3/ipv4-static-routing-helper.h"
#include "ns3/udp-socket-factory.h"

#include <functional>
#include <map>
#include <numeric>
#include <set>

namespace tests
{

using ff::Nanos;
using ff::shard::Preference;
using ff::shard::UnitVerdict;

/**
 * @param statistics of a unit's device
 * @param reason of drops on the host's side
 * @return how many there were
 */
static uint64_t
HostDropped(const ff::PacketDynamicsUnit::Statistics& statistics, ff::PduDrop reason)
{
    return statistics.hostDropped[static_cast<std::size_t>(reason)];
}

/**
 * One frame, alone: the sum of the stations, the port and the cable.
 */
class PduTimingTestCase : public PduTestCase
{
  public:
    PduTimingTestCase()
        : PduTestCase("an unloaded frame takes the sum of the stations, by hand")
    {
    }

  private:
    /**
     * @param device that heard
     * @return true
     */
    bool
    Heard(Ptr<NetDevice> device, Ptr<const Packet>, uint16_t, const Address&)
    {
        m_heard.push_back(Simulator::Now());
        m_device = device;
        return true;
    }

    void
    DoRun() override
    {
        ff::PduConfig config = UnitConfig();
        config.unit.mtu.most = config.unit.mtu.base;
        config.unit.monitor.is_probing = false;
        UnitPair pair(config);
        const Ptr<NetDevice> from = pair.hosts[0].unit;
        const Ptr<NetDevice> to = pair.hosts[1].unit;
        to->SetReceiveCallback(MakeCallback(&PduTimingTestCase::Heard, this));
        const Time start = MicroSeconds(100'303);
        Simulator::Schedule(
            start, &NetDevice::Send, from, Create<Packet>(986), to->GetAddress(), 0x0800);
        Simulator::Stop(MilliSeconds(101));
        Simulator::Run();
        NS_TEST_ASSERT_MSG_EQ(m_heard.size(), 1, "the frame arrives once");
        // 1000 B over the bus, split, seal; the datagram: 1000 + 24 + 16 in UDP, IPv4, Ethernet and
        // 24 B around that at 1 Gb/s; cable; open, reassemble, 1000 B over the bus.
        const int64_t wire = (1000 + 24 + 16 + 8 + 20 + 14 + 24) * 8;
        const int64_t sum = 1000 + 500 + 100 + 200 + wire + 5000 + 200 + 300 + 1000 + 300;
        NS_TEST_EXPECT_MSG_EQ(m_heard[0] - start, NanoSeconds(sum), "to the nanosecond");
        ExpectBalance(pair);
        NS_TEST_EXPECT_MSG_EQ(pair.hosts[0].unit->GetNHeld(), 0, "nothing is under way");
        for (const ff::hw::StationReport& station : pair.hosts[0].unit->GetStations())
        {
            NS_TEST_EXPECT_MSG_EQ(station.statistics.refused, 0, station.name);
        }
    }

    std::vector<Time> m_heard; //!< when
    Ptr<NetDevice> m_device;   //!< where
};

/**
 * The devices and what other doors replay captures through: the same packets whole, at the same
 * times.
 */
class PduPairTestCase : public PduTestCase
{
  public:
    PduPairTestCase()
        : PduTestCase("two devices do what two units and a network alone do")
    {
    }

  private:
    /**
     * @param packet that is whole
     */
    void
    Whole(const ff::PduPacket& packet)
    {
        m_whole.emplace_back(packet.decided.count() / 1000,
                             std::vector<uint8_t>(packet.frame.begin(), packet.frame.end()));
    }

    void
    DoRun() override
    {
        // A cycle is a picosecond, and all other times are picoseconds too: whatever leaves a unit
        // is on the cable two whole nanoseconds after it was decided.
        ff::PduConfig config = UnitConfig();
        config.profiles.device.clock_hz = 1'000'000'000'000;
        config.profiles.device.unit.base_millicycles = {1000, 1000, 1000, 1000};
        config.profiles.bus = {};
        config.profiles.bus.bandwidth = ff::BitsPerSecond(1'000'000'000'000'000);
        UnitPair pair(config, 0, {Time(0)}, "1000000Gb/s");
        pair.cables[0]->Configure(RoughWay(), RoughWay(), 5);
        pair.hosts[1].unit->TraceConnectWithoutContext("PacketWhole",
                                                       MakeCallback(&PduPairTestCase::Whole, this));

        ff::shard::UnitPairConfig alone;
        alone.unit = config.unit;
        alone.forth = RoughWay();
        alone.back = RoughWay();
        alone.forth.paths[0].delay += Nanos(2);
        alone.back.paths[0].delay += Nanos(2);
        alone.seed = 5;
        alone.warm_up = Nanos();
        ff::shard::UnitPair reference(alone);

        ::foreflow::Rng rng(9, "foreflow-pdu-test-suite.pair");
        const Ptr<ff::PacketDynamicsUnit> from = pair.hosts[0].unit;
        const Ptr<ff::PacketDynamicsUnit> to = pair.hosts[1].unit;
        std::vector<std::vector<uint8_t>> frames;
        Nanos now = Millis(20);
        for (int i = 0; i < 600; ++i)
        {
            now += Nanos(static_cast<int64_t>(rng.Exponential(250'000)));
            std::vector<uint8_t> frame(60 + rng.Below(1455));
            for (uint8_t& byte : frame)
            {
                byte = static_cast<uint8_t>(rng.Next32());
            }
            to->GetMac().CopyTo(frame.data());
            from->GetMac().CopyTo(frame.data() + 6);
            frame[12] = 0x88;
            frame[13] = 0xb5;
            frames.push_back(frame);
            const auto payload =
                Create<Packet>(frame.data() + 14, static_cast<uint32_t>(frame.size() - 14));
            Simulator::Schedule(NanoSeconds(now.count()), [from, to, payload] {
                from->Send(payload, to->GetAddress(), 0x88b5);
            });
            reference.Input({frame.data(), frame.size()}, now);
        }
        Simulator::Stop(Seconds(2));
        Simulator::Run();
        reference.Finish();

        std::multimap<int64_t, std::vector<uint8_t>> expected;
        for (std::size_t i = 0; i < frames.size(); ++i)
        {
            if (reference.frames()[i].fate == ff::shard::FrameFate::kOut)
            {
                expected.insert({reference.frames()[i].out.count(), frames[i]});
            }
        }
        NS_TEST_EXPECT_MSG_GT(expected.size(), 590, "nearly all come through");
        NS_TEST_EXPECT_MSG_EQ(m_whole.size(), expected.size(), "as many");
        const std::multimap<int64_t, std::vector<uint8_t>> heard(m_whole.begin(), m_whole.end());
        NS_TEST_EXPECT_MSG_EQ((heard == expected), true, "the same, to the nanosecond");
        for (std::size_t i = 0; i < 2; ++i)
        {
            const ff::shard::Unit& unit = pair.hosts[i].unit->GetUnit();
            NS_TEST_EXPECT_MSG_EQ(unit.sent().resent, reference.unit(i).sent().resent, "again");
            NS_TEST_EXPECT_MSG_EQ(unit.gaps(0).counts().requests,
                                  reference.unit(i).gaps(0).counts().requests,
                                  "asked for");
        }
        NS_TEST_EXPECT_MSG_GT(reference.unit(0).sent().resent, 10, "some were lost");
        ExpectBalance(pair);
    }

    std::vector<std::pair<int64_t, std::vector<uint8_t>>> m_whole; //!< time in ns, frame
};

/**
 * Datagrams of random bytes, each of which may come once, and as it was.
 */
class CheckedDatagrams
{
  public:
    /**
     * @param from sender's node
     * @param to receiver's node
     * @param address of the receiver
     * @param count of datagrams, one a millisecond
     */
    CheckedDatagrams(Ptr<Node> from, Ptr<Node> to, Ipv4Address address, uint32_t count)
        : m_rng(3, "foreflow-pdu-test-suite")
    {
        m_to = Socket::CreateSocket(to, UdpSocketFactory::GetTypeId());
        m_to->Bind(InetSocketAddress(Ipv4Address::GetAny(), 9));
        m_to->SetRecvCallback(MakeCallback(&CheckedDatagrams::Readable, this));
        m_from = Socket::CreateSocket(from, UdpSocketFactory::GetTypeId());
        m_from->Bind();
        m_from->Connect(InetSocketAddress(address, 9));
        for (uint32_t i = 0; i < count; ++i)
        {
            // The stack asks for addresses in the first 10 ms, and keeps three packets meanwhile.
            Simulator::Schedule(MilliSeconds(20 + i), &CheckedDatagrams::Send, this);
        }
    }

    uint32_t received{0}; //!< datagrams
    uint32_t wrong{0};    //!< of them: never sent, or twice

  private:
    /**
     * Sends one.
     */
    void
    Send()
    {
        std::vector<uint8_t> bytes(100 + m_rng.Below(1300));
        for (uint8_t& byte : bytes)
        {
            byte = static_cast<uint8_t>(m_rng.Next32());
        }
        m_from->Send(Create<Packet>(bytes.data(), static_cast<uint32_t>(bytes.size())));
        m_open.insert(bytes);
    }

    /**
     * @param socket with a datagram to read
     */
    void
    Readable(Ptr<Socket> socket)
    {
        while (Ptr<Packet> packet = socket->Recv())
        {
            std::vector<uint8_t> bytes(packet->GetSize());
            packet->CopyData(bytes.data(), packet->GetSize());
            wrong += m_open.erase(bytes) == 1 ? 0 : 1;
            ++received;
        }
    }

    ::foreflow::Rng m_rng;                 //!< of bytes
    Ptr<Socket> m_to;                      //!< receives
    Ptr<Socket> m_from;                    //!< sends
    std::set<std::vector<uint8_t>> m_open; //!< sent, not come
};

/**
 * TCP and UDP of ns-3 between VMs, over a way that loses, delays, repeats and changes.
 */
class PduTransportTestCase : public PduTestCase
{
  public:
    /**
     * @param preference of the host
     * @param isRough the way is
     */
    PduTransportTestCase(Preference preference, bool isRough)
        : PduTestCase(std::string("TCP and UDP over a ") + (isRough ? "rough" : "good") + " way, " +
                      ff::shard::Name(preference))
        , m_preference(preference)
        , m_isRough(isRough)
    {
    }

  private:
    void
    DoRun() override
    {
        UnitPair pair(UnitConfig());
        pair.InstallStacks();
        for (const ff::PduHost& host : pair.hosts)
        {
            host.driver->SetPreference(0, m_preference);
        }
        if (m_isRough)
        {
            pair.cables[0]->Configure(RoughWay(), RoughWay(), 5);
        }
        const Ipv4Address server = pair.addresses[1].GetAddress(0);
        CheckedTransfer transfer(pair.vms[0].Get(0), pair.vms[1].Get(0), server, 80, 400'000);
        CheckedDatagrams datagrams(pair.vms[0].Get(0), pair.vms[1].Get(0), server, 300);
        Simulator::Stop(Seconds(8));
        Simulator::Run();
        NS_TEST_EXPECT_MSG_EQ(transfer.received, 400'000, "TCP comes through");
        NS_TEST_EXPECT_MSG_EQ(transfer.wrong, 0, "with every byte as it was");
        NS_TEST_EXPECT_MSG_EQ(datagrams.wrong, 0, "datagrams come as they were, and once");
        if (m_isRough)
        {
            NS_TEST_EXPECT_MSG_GT(datagrams.received, 290, "nearly all of 300 datagrams");
            const auto& counts = pair.cables[0]->GetCounts(0);
            NS_TEST_EXPECT_MSG_GT(counts.in - counts.fates[0], 10, "the way did lose some");
            NS_TEST_EXPECT_MSG_GT(counts.corrupted, 0, "and changed some");
            const auto& verdicts = pair.hosts[1].unit->GetUnit().counts();
            NS_TEST_EXPECT_MSG_GT(pair.hosts[0].unit->GetUnit().sent().resent, 0, "sent again");
            NS_TEST_EXPECT_MSG_GT(
                verdicts[static_cast<std::size_t>(UnitVerdict::kForged)], 0, "not verified");
        }
        else
        {
            NS_TEST_EXPECT_MSG_EQ(datagrams.received, 300, "all datagrams");
        }
        ExpectBalance(pair);
        const ff::PacketDynamicsUnit::Statistics& sender = pair.Statistics(0);
        NS_TEST_EXPECT_MSG_EQ(sender.sent,
                              sender.hostIn + sender.flooded - sender.turnedRound,
                              "the unit took all that was for it");
        NS_TEST_EXPECT_MSG_EQ(
            (pair.Statistics(1).packets <= sender.sent), true, "and no more came");
    }

    Preference m_preference; //!< of the host
    bool m_isRough;          //!< the way is
};

/**
 * The cable says of each frame what its core says.
 */
class ImpairedChannelTestCase : public PduTestCase
{
  public:
    ImpairedChannelTestCase()
        : PduTestCase("an impaired cable does what the models say, frame by frame")
    {
    }

  private:
    /**
     * @param packet payload that arrived
     * @return true
     */
    bool
    Heard(Ptr<NetDevice>, Ptr<const Packet> packet, uint16_t, const Address&)
    {
        std::vector<uint8_t> bytes(packet->GetSize());
        packet->CopyData(bytes.data(), packet->GetSize());
        m_heard.insert({Simulator::Now().GetNanoSeconds(), bytes});
        return true;
    }

    /**
     * @param fate of a frame that is lost
     */
    void
    Lost(Ptr<const Packet>, ff::impair::Fate fate)
    {
        ++m_lost[fate];
    }

    /**
     * @param direction of a frame
     * @param passage what becomes of it
     */
    void
    Passed(Ptr<const Packet>, std::size_t direction, const ff::impair::Passage& passage)
    {
        NS_TEST_EXPECT_MSG_EQ(direction, 0, "from the first device");
        m_copies.push_back(passage.copies);
    }

    void
    DoRun() override
    {
        NodeContainer nodes;
        nodes.Create(2);
        ff::EthernetHelper ethernet;
        ethernet.SetDeviceAttribute("DataRate", DataRateValue(DataRate("1Gb/s")));
        ethernet.SetDeviceAttribute("FrameOverhead", UintegerValue(0));
        auto cable = CreateObject<ff::ImpairedChannel>();
        cable->SetAttribute("Delay", TimeValue(MicroSeconds(5)));
        std::array<Ptr<ff::EthernetDevice>, 2> ports;
        for (uint32_t i = 0; i < 2; ++i)
        {
            ports[i] = ethernet.InstallPort(nodes.Get(i));
            ports[i]->Attach(cable);
        }
        ff::impair::ImpairmentConfig way = RoughWay();
        way.paths[0].corrupt = 0.2;
        cable->Configure(way, {}, 11, 3);
        cable->TraceConnectWithoutContext("Loss",
                                          MakeCallback(&ImpairedChannelTestCase::Lost, this));
        cable->TraceConnectWithoutContext("Passage",
                                          MakeCallback(&ImpairedChannelTestCase::Passed, this));
        ports[1]->SetReceiveCallback(MakeCallback(&ImpairedChannelTestCase::Heard, this));

        ff::impair::Impairment impairment(way, 11, 6);
        std::vector<std::size_t> copies;
        std::multimap<int64_t, std::vector<uint8_t>> expected;
        std::map<ff::impair::Fate, uint64_t> lost;
        for (uint32_t i = 0; i < 2000; ++i)
        {
            const std::vector<uint8_t> bytes(86, static_cast<uint8_t>(i));
            const Time start = MicroSeconds(10 * i);
            Simulator::Schedule(start, [&ports, bytes] {
                ports[0]->Send(Create<Packet>(bytes.data(), 86), ports[1]->GetAddress(), 0x0800);
            });
            // 100 B at 1 Gb/s, of which 42 are headers to the cable and 28 to the receiver.
            const Nanos left(start.GetNanoSeconds() + 800);
            const ff::impair::Passage passage = impairment.Pass(0, 58, left);
            copies.push_back(passage.copies);
            if (passage.copies == 0)
            {
                ++lost[passage.fate];
            }
            for (std::size_t copy = 0; copy < passage.copies; ++copy)
            {
                std::vector<uint8_t> arriving = bytes;
                if (passage.copy[copy].flip != 0)
                {
                    arriving[28 + passage.copy[copy].place] ^= passage.copy[copy].flip;
                }
                expected.insert({passage.copy[copy].at.count() + 5000, arriving});
            }
        }
        Simulator::Run();
        NS_TEST_EXPECT_MSG_EQ(m_heard.size(), expected.size(), "as many arrive");
        NS_TEST_EXPECT_MSG_EQ((m_heard == expected), true, "when and as they should");
        NS_TEST_EXPECT_MSG_EQ((m_lost == lost), true, "the others are traced");
        NS_TEST_EXPECT_MSG_EQ(lost.size(), 2, "by two models");
        NS_TEST_EXPECT_MSG_EQ((m_copies == copies), true, "and so is what becomes of each");
        NS_TEST_EXPECT_MSG_EQ(cable->GetCounts(0).in, 2000, "counted");
        NS_TEST_EXPECT_MSG_EQ(cable->GetCounts(1).in, 0, "the other direction is another's");
    }

    std::multimap<int64_t, std::vector<uint8_t>> m_heard; //!< by time, ns
    std::map<ff::impair::Fate, uint64_t> m_lost;          //!< frames
    std::vector<std::size_t> m_copies;                    //!< that arrive of each frame
};

/**
 * What a guest may ask for, and what it may not do.
 */
class PduDriversTestCase : public PduTestCase
{
  public:
    PduDriversTestCase()
        : PduTestCase("mailbox, channels, quotas, policy, and what guests do not see")
    {
    }

  private:
    /**
     * Remembers an answer.
     *
     * @param reply itself
     */
    void
    Answered(const ff::PduReply& reply)
    {
        m_replies.push_back(reply);
        m_times.push_back(Simulator::Now());
    }

    /**
     * @param channel of a message
     * @param message itself
     */
    void
    Received(uint32_t channel, Ptr<Packet> message)
    {
        m_messages.emplace_back(channel, message->GetSize());
    }

    /**
     * @param frame that a guest is shown
     */
    void
    Shown(Ptr<const Packet> frame)
    {
        EthernetHeader header;
        frame->PeekHeader(header);
        m_shown.insert(header.GetSource());
    }

    void
    DoRun() override
    {
        using Status = ff::PduReply::Status;
        UnitPair pair(UnitConfig(), 2);
        const Ptr<ff::PduGuestDriver> guest = pair.Guest(0);
        const Ptr<ff::PduGuestDriver> other = pair.Guest(0, 1);
        const Ptr<ff::PduGuestDriver> remote = pair.Guest(1);
        const Mac48Address stranger("02:00:00:00:00:99");
        pair.hosts[0].driver->SetQuota(1, 1'000'000, 20'000, 1);
        pair.hosts[0].driver->Permit(2, 0, false);
        const auto answer = MakeCallback(&PduDriversTestCase::Answered, this);
        remote->SetMessageCallback(MakeCallback(&PduDriversTestCase::Received, this));
        remote->TraceConnectWithoutContext("MacRx", MakeCallback(&PduDriversTestCase::Shown, this));
        const auto at = [](int64_t micros, std::function<void()> action) {
            Simulator::Schedule(MicroSeconds(micros), [action] { action(); });
        };
        at(1000, [&] { guest->Open(stranger, Preference::kLatency, answer); });
        at(2000, [&] { guest->Open(remote->GetMac(), Preference::kRobustness, answer); });
        at(3000, [&] { guest->Open(remote->GetMac(), Preference::kLatency, answer); });
        at(4000, [&] { guest->Open(pair.Guest(1, 1)->GetMac(), Preference::kLatency, answer); });
        at(5000, [&] { other->Open(remote->GetMac(), Preference::kLatency, answer); });
        at(6000, [&] { remote->Open(guest->GetMac(), Preference::kBandwidth, answer); });
        at(7000, [&] { guest->SendMessage(1, Create<Packet>(1200)); });
        at(8000, [&] { guest->SendMessage(1, Create<Packet>(800)); });
        at(9000, [&] {
            NS_TEST_EXPECT_MSG_EQ(guest->SendMessage(2, Create<Packet>(10)), false, "no channel");
            NS_TEST_EXPECT_MSG_EQ(guest->SendMessage(1, Create<Packet>(1501)), false, "too long");
        });
        // As somebody else; to nobody; beyond its quota; to whom it may not.
        at(10'000,
           [&] { guest->SendFrom(Create<Packet>(100), stranger, remote->GetMac(), 0x0800); });
        at(11'000, [&] { guest->Send(Create<Packet>(100), stranger, 0x0800); });
        at(12'000, [&] {
            for (int i = 0; i < 30; ++i)
            {
                guest->SendMessage(1, Create<Packet>(986));
            }
        });
        at(13'000, [&] { other->Send(Create<Packet>(100), remote->GetMac(), 0x0800); });
        at(40'000, [&] { guest->AskStatistics(1, answer); });
        at(40'001, [&] { remote->AskStatistics(1, answer); });
        at(41'000, [&] { guest->SetPreference(1, Preference::kLatency, answer); });
        at(42'000, [&] { guest->Close(1, answer); });
        at(43'000, [&] { guest->AskStatistics(1, answer); });
        at(44'000, [&] {
            for (int i = 0; i < 64; ++i)
            {
                NS_TEST_EXPECT_MSG_EQ(guest->AskStatistics(1, answer), true, "there is room");
            }
            NS_TEST_EXPECT_MSG_EQ(guest->AskStatistics(1, answer), false, "the mailbox is full");
        });
        Simulator::Stop(MilliSeconds(60));
        Simulator::Run();
        NS_TEST_ASSERT_MSG_EQ(m_replies.size(), 11 + 64, "all requests are answered");
        const std::array<Status, 6> opened{Status::NO_ROUTE,
                                           Status::DONE,
                                           Status::ALREADY_OPEN,
                                           Status::NO_MORE,
                                           Status::NOT_PERMITTED,
                                           Status::DONE};
        for (std::size_t i = 0; i < opened.size(); ++i)
        {
            NS_TEST_EXPECT_MSG_EQ((m_replies[i].status == opened[i]), true, "answer " << i);
            NS_TEST_EXPECT_MSG_EQ(m_times[i],
                                  MicroSeconds(1000 * (static_cast<int64_t>(i) + 1)) +
                                      NanoSeconds(200),
                                  "there and back");
        }
        // 20 000 B at once and a byte a microsecond: the first two, and what is left at 12 ms, of
        // 1000 B each. All that earlier attempts took is earned again.
        const uint64_t burst = 20;
        const ff::PduChannelStatistics& sent = m_replies[6].statistics;
        NS_TEST_EXPECT_MSG_EQ(sent.sent, 2 + burst, "by the channel");
        NS_TEST_EXPECT_MSG_EQ(sent.sentBytes, 1214 + 814 + 1000 * burst, "bytes");
        NS_TEST_EXPECT_MSG_EQ(sent.refused, 30 - burst, "beyond the quota");
        NS_TEST_EXPECT_MSG_EQ(m_replies[7].statistics.delivered, sent.sent, "at the other side");
        NS_TEST_EXPECT_MSG_EQ(m_replies[7].statistics.deliveredBytes, sent.sentBytes, "bytes");
        NS_TEST_EXPECT_MSG_EQ(m_messages.size(), sent.sent, "as messages");
        NS_TEST_EXPECT_MSG_EQ(m_messages[0].second, 1200, "without any header");
        NS_TEST_EXPECT_MSG_EQ((m_replies[8].status == Status::DONE), true, "prefers");
        NS_TEST_EXPECT_MSG_EQ(m_replies[9].statistics.sent, sent.sent, "the last numbers");
        NS_TEST_EXPECT_MSG_EQ(
            (m_replies[10].status == Status::NO_SUCH_CHANNEL), true, "it is closed");

        const auto& statistics = pair.Statistics(0);
        NS_TEST_EXPECT_MSG_EQ(HostDropped(statistics, ff::PduDrop::SPOOFED), 1, "somebody else");
        NS_TEST_EXPECT_MSG_EQ(HostDropped(statistics, ff::PduDrop::NO_ROUTE), 1, "nobody");
        NS_TEST_EXPECT_MSG_EQ(
            HostDropped(statistics, ff::PduDrop::OVER_QUOTA), 30 - burst, "quota");
        NS_TEST_EXPECT_MSG_EQ(HostDropped(statistics, ff::PduDrop::NOT_PERMITTED), 1, "policy");
        NS_TEST_EXPECT_MSG_GT(pair.hosts[0].unit->GetUnit().sent().repairs, 0, "robustness");
        NS_TEST_EXPECT_MSG_GT(pair.hosts[1].unit->GetUnit().sent().feedback, 0, "was sent");
        NS_TEST_EXPECT_MSG_EQ(m_shown.size(), 0, "messages are no frames of the stack");
        ExpectBalance(pair);
    }

    std::vector<ff::PduReply> m_replies;                   //!< in order
    std::vector<Time> m_times;                             //!< of them
    std::vector<std::pair<uint32_t, uint32_t>> m_messages; //!< channel and bytes
    std::set<Mac48Address> m_shown;                        //!< senders of frames
};

/**
 * Frames between VMs of a host, for groups, and from peers that lie.
 */
class PduSwitchingTestCase : public PduTestCase
{
  public:
    PduSwitchingTestCase()
        : PduTestCase("frames within a host, for groups, and of peers that lie")
    {
    }

  private:
    /**
     * @param device that heard
     * @return true
     */
    bool
    Heard(Ptr<NetDevice> device,
          Ptr<const Packet>,
          uint16_t,
          const Address&,
          const Address&,
          NetDevice::PacketType)
    {
        ++m_heard[device];
        return true;
    }

    void
    DoRun() override
    {
        UnitPair pair(UnitConfig(), 2);
        std::array<Ptr<ff::PduGuestDriver>, 4> guests;
        for (uint32_t i = 0; i < 4; ++i)
        {
            guests[i] = pair.Guest(i / 2, i % 2);
            guests[i]->SetPromiscReceiveCallback(MakeCallback(&PduSwitchingTestCase::Heard, this));
        }
        const auto at = [](int64_t micros, std::function<void()> action) {
            Simulator::Schedule(MicroSeconds(micros), [action] { action(); });
        };
        at(1000, [&] { guests[0]->Send(Create<Packet>(50), guests[1]->GetAddress(), 0x0800); });
        at(2000, [&] { guests[0]->Send(Create<Packet>(50), guests[0]->GetBroadcast(), 0x0800); });
        at(3000, [&] { guests[0]->Send(Create<Packet>(50), guests[3]->GetAddress(), 0x0800); });
        // The second host believes that the first VM is somewhere else.
        at(10'000, [&] {
            pair.hosts[1].driver->Route(Mac48Address("02:00:00:00:00:98"), 0);
            pair.hosts[0].driver->Route(Mac48Address("02:00:00:00:00:98"), 0);
        });
        at(11'000,
           [&] { guests[0]->Send(Create<Packet>(50), Mac48Address("02:00:00:00:00:98"), 0x0800); });
        at(12'000, [&] {
            pair.hosts[0].unit->SendFrom(Create<Packet>(50),
                                         Mac48Address("02:00:00:00:00:97"),
                                         guests[2]->GetAddress(),
                                         0x0800);
        });
        Simulator::Stop(MilliSeconds(20));
        Simulator::Run();
        NS_TEST_EXPECT_MSG_EQ(m_heard[guests[0]], 0, "a sender hears nothing");
        NS_TEST_EXPECT_MSG_EQ(m_heard[guests[1]], 2, "its neighbour, and the group");
        NS_TEST_EXPECT_MSG_EQ(m_heard[guests[2]], 1, "the group alone");
        NS_TEST_EXPECT_MSG_EQ(m_heard[guests[3]], 2, "the group and its own");
        const auto& first = pair.Statistics(0);
        NS_TEST_EXPECT_MSG_EQ(first.turnedRound, 2, "the neighbour's and the group's");
        NS_TEST_EXPECT_MSG_EQ(first.flooded, 1, "a copy for the peer");
        NS_TEST_EXPECT_MSG_EQ(first.sent, 4, "to the peer");
        const auto& dropped = pair.Statistics(1).packetDropped;
        NS_TEST_EXPECT_MSG_EQ(
            dropped[static_cast<std::size_t>(ff::PduDrop::NO_ROUTE)], 1, "for nobody here");
        NS_TEST_EXPECT_MSG_EQ(
            dropped[static_cast<std::size_t>(ff::PduDrop::SPOOFED)], 1, "from nobody there");
        ExpectBalance(pair);
    }

    std::map<Ptr<NetDevice>, int> m_heard; //!< frames
};

/**
 * Marks of the network reach the packet inside.
 */
class PduEcnTestCase : public PduTestCase
{
  public:
    PduEcnTestCase()
        : PduTestCase("marks are carried across")
    {
    }

  private:
    /**
     * @param packet from its IPv4 header on
     * @return true
     */
    bool
    Heard(Ptr<NetDevice>, Ptr<const Packet> packet, uint16_t, const Address&)
    {
        Ipv4Header header;
        header.EnableChecksum();
        packet->PeekHeader(header);
        NS_TEST_EXPECT_MSG_EQ(header.IsChecksumOk(), true, "the checksum follows the mark");
        ++m_heard[header.GetEcn()];
        return true;
    }

    void
    DoRun() override
    {
        UnitPair pair(UnitConfig());
        ff::impair::ImpairmentConfig way;
        way.paths[0].rate = ff::BitsPerSecond(8'000'000); // a byte a microsecond
        way.paths[0].mark_bytes = 3000;
        way.paths[0].queue_bytes = 100'000;
        pair.cables[0]->Configure(way, {}, 1);
        const Ptr<NetDevice> to = pair.hosts[1].unit;
        to->SetReceiveCallback(MakeCallback(&PduEcnTestCase::Heard, this));
        for (const Ipv4Header::EcnType ecn : {Ipv4Header::ECN_ECT0, Ipv4Header::ECN_NotECT})
        {
            Simulator::Schedule(MilliSeconds(100 * (1 + ecn)), [&pair, to, ecn] {
                for (int i = 0; i < 20; ++i)
                {
                    auto packet = Create<Packet>(980);
                    Ipv4Header header;
                    header.SetSource("10.0.0.1");
                    header.SetDestination("10.0.0.2");
                    header.SetProtocol(253);
                    header.SetEcn(ecn);
                    header.SetPayloadSize(980);
                    header.EnableChecksum();
                    packet->AddHeader(header);
                    pair.hosts[0].unit->Send(packet, to->GetAddress(), 0x0800);
                }
            });
        }
        Simulator::Stop(MilliSeconds(500));
        Simulator::Run();
        NS_TEST_EXPECT_MSG_EQ(m_heard[Ipv4Header::ECN_NotECT], 20, "not marked, and not lost");
        NS_TEST_EXPECT_MSG_GT(m_heard[Ipv4Header::ECN_CE], 10, "behind a long queue");
        NS_TEST_EXPECT_MSG_EQ(m_heard[Ipv4Header::ECN_CE] + m_heard[Ipv4Header::ECN_ECT0],
                              20,
                              "the others as they were");
        ExpectBalance(pair);
    }

    std::map<Ipv4Header::EcnType, int> m_heard; //!< packets by mark
};

/**
 * New keys while packets are under way, and a side that starts anew.
 */
class PduRekeyTestCase : public PduTestCase
{
  public:
    PduRekeyTestCase()
        : PduTestCase("new keys in the middle, one side restarted, several paths")
    {
    }

  private:
    void
    DoRun() override
    {
        ff::PduConfig config = UnitConfig();
        config.unit.path_weights = {1, 1};
        config.unit.path_rule = ff::shard::PathRule::kFragment;
        UnitPair pair(config, 1, {MicroSeconds(50), MicroSeconds(450)});
        pair.InstallStacks();
        CheckedTransfer transfer(
            pair.vms[0].Get(0), pair.vms[1].Get(0), pair.addresses[1].GetAddress(0), 80, 2'000'000);
        for (uint8_t epoch = 1; epoch < 3; ++epoch)
        {
            Simulator::Schedule(MilliSeconds(13 + 2 * epoch), [&pair, epoch] {
                ff::PacketDynamicsHelper::Rekey(pair.hosts[0], pair.hosts[1], 0, 0, epoch, 7);
            });
        }
        Simulator::Schedule(MilliSeconds(19), [&pair] {
            // Other sessions, and keys from the beginning.
            const uint32_t places = pair.hosts[0].driver->GetPlaces();
            pair.hosts[0].driver->Begin(0, 9 * places, 8 * places);
            pair.hosts[1].driver->Begin(0, 8 * places, 9 * places);
            ff::PacketDynamicsHelper::Rekey(pair.hosts[0], pair.hosts[1], 0, 0, 0, 8);
        });
        Simulator::Stop(Seconds(4));
        Simulator::Run();
        NS_TEST_EXPECT_MSG_EQ(transfer.received, 2'000'000, "everything comes");
        NS_TEST_EXPECT_MSG_EQ(transfer.wrong, 0, "as it was");
        NS_TEST_EXPECT_MSG_GT(transfer.done, MilliSeconds(19), "after all of that");
        for (uint32_t i = 0; i < 2; ++i)
        {
            const auto port = DynamicCast<ff::EthernetDevice>(pair.hosts[0].ports.Get(i));
            NS_TEST_EXPECT_MSG_GT(port->GetStatistics().sent, 1000, "by path " << i);
        }
        uint64_t ofOldSessions = 0;
        uint64_t ofOldKeys = 0;
        for (const ff::PduHost& host : pair.hosts)
        {
            const auto& counts = host.unit->GetUnit().counts();
            ofOldSessions += counts[static_cast<std::size_t>(UnitVerdict::kUnknownSession)];
            ofOldKeys += counts[static_cast<std::size_t>(UnitVerdict::kUnknownEpoch)];
        }
        NS_TEST_EXPECT_MSG_EQ(ofOldKeys, 0, "new keys lose nothing");
        NS_TEST_EXPECT_MSG_GT(ofOldSessions, 0, "new sessions take nothing of old ones");
        ExpectBalance(pair);
    }
};

/**
 * A slow unit drops, and counts what it drops.
 */
class PduOverloadTestCase : public PduTestCase
{
  public:
    PduOverloadTestCase()
        : PduTestCase("full stations drop, and nothing else is lost")
    {
    }

  private:
    void
    DoRun() override
    {
        ff::PduConfig config = UnitConfig();
        config.profiles.device.queue_capacity = 8;
        config.profiles.device.unit.base_millicycles = {20'000'000, 10'000'000, 1000, 1000};
        UnitPair pair(config);
        const Ptr<NetDevice> to = pair.hosts[1].unit;
        for (int i = 0; i < 2000; ++i)
        {
            Simulator::Schedule(MilliSeconds(1) + MicroSeconds(5 * i), [&pair, to] {
                pair.hosts[0].unit->Send(Create<Packet>(500), to->GetAddress(), 0x0800);
            });
        }
        Simulator::Stop(MilliSeconds(100));
        Simulator::Run();
        const auto& statistics = pair.Statistics(0);
        NS_TEST_EXPECT_MSG_EQ(statistics.hostIn, 2000, "all came");
        // A frame each 20 us, over 10 ms, and what waits.
        NS_TEST_EXPECT_MSG_EQ_TOL(static_cast<double>(statistics.sent), 509.0, 5.0, "as fast as");
        NS_TEST_EXPECT_MSG_EQ(HostDropped(statistics, ff::PduDrop::STATION_FULL),
                              2000 - statistics.sent,
                              "all others");
        ExpectBalance(pair);
    }
};

/**
 * To routers in between, and to their ARP, the datagrams are ordinary UDP.
 */
class PduRoutedTestCase : public PduTestCase
{
  public:
    PduRoutedTestCase()
        : PduTestCase("over a router that knows nothing of units")
    {
    }

  private:
    void
    DoRun() override
    {
        NodeContainer nodes;
        nodes.Create(3);
        const Ptr<Node> router = nodes.Get(1);
        InternetStackHelper().Install(router);
        ff::EthernetHelper ethernet;
        ff::PacketDynamicsHelper helper;
        helper.SetConfig(UnitConfig());
        std::array<ff::PduHost, 2> hosts;
        std::array<NodeContainer, 2> vms;
        std::array<Ipv4InterfaceContainer, 2> addresses;
        std::array<Mac48Address, 2> hops;
        for (uint32_t i = 0; i < 2; ++i)
        {
            const NetDeviceContainer ends =
                ethernet.Install(NodeContainer(nodes.Get(2 * i), router));
            Ipv4AddressHelper(i == 0 ? "10.1.0.0" : "10.2.0.0", "255.255.255.0")
                .Assign(NetDeviceContainer(ends.Get(1)));
            hops[i] = Mac48Address::ConvertFrom(ends.Get(1)->GetAddress());
            vms[i].Create(1);
            hosts[i] = helper.Install(nodes.Get(2 * i),
                                      vms[i],
                                      NetDeviceContainer(ends.Get(0)),
                                      i == 0 ? "10.1.0.2" : "10.2.0.2");
            addresses[i] = ff::OffloadHostHelper::InstallStack(vms[i],
                                                               hosts[i].guests,
                                                               "10.0.0.0",
                                                               "255.255.255.0",
                                                               i == 0 ? "0.0.0.1" : "0.0.0.2");
        }
        ff::PacketDynamicsHelper::Connect(hosts[0], hosts[1], 7);
        hosts[0].driver->SetPeer(0, "10.2.0.2", {hops[0]});
        hosts[1].driver->SetPeer(0, "10.1.0.2", {hops[1]});
        CheckedTransfer transfer(
            vms[0].Get(0), vms[1].Get(0), addresses[1].GetAddress(0), 80, 100'000);
        Simulator::Stop(Seconds(4));
        Simulator::Run();
        NS_TEST_EXPECT_MSG_EQ(transfer.received, 100'000, "everything comes");
        NS_TEST_EXPECT_MSG_EQ(transfer.wrong, 0, "as it was");
        for (const ff::PduHost& host : hosts)
        {
            NS_TEST_EXPECT_MSG_GT(host.unit->GetStatistics().arpReplies, 0, "the router asked");
            NS_TEST_EXPECT_MSG_EQ(host.unit->IsBalanced(), true, "nothing is lost uncounted");
        }
    }
};

/**
 * What units and their ways do.
 */
class PduTestSuite : public TestSuite
{
  public:
    PduTestSuite()
        : TestSuite("foreflow-pdu", TestSuite::Type::UNIT)
    {
        AddTestCase(new ImpairedChannelTestCase);
        AddTestCase(new PduTimingTestCase);
        AddTestCase(new PduPairTestCase);
        AddTestCase(new PduTransportTestCase(Preference::kBandwidth, false));
        AddTestCase(new PduTransportTestCase(Preference::kBandwidth, true));
        AddTestCase(new PduTransportTestCase(Preference::kRobustness, true));
        AddTestCase(new PduDriversTestCase);
        AddTestCase(new PduSwitchingTestCase);
        AddTestCase(new PduEcnTestCase);
        AddTestCase(new PduRekeyTestCase);
        AddTestCase(new PduOverloadTestCase);
        AddTestCase(new PduRoutedTestCase);
    }
};

static PduTestSuite g_pduTestSuite; //!< registers itself

} // namespace tests
