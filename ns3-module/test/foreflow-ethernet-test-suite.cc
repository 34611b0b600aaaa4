// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-test-support.h"

#include "ns3/simulator.h"
#include "ns3/test.h"

#include <vector>

using namespace ns3;

namespace tests
{

/**
 * Two plain ports with a cable, and what the second one hears.
 */
class EthernetTestCase : public TestCase
{
  protected:
    using TestCase::TestCase;

    /**
     * @param rate of both ports
     * @param queue of both ports
     */
    void
    Build(const char* rate, const char* queue)
    {
        ff::EthernetHelper helper;
        helper.SetDeviceAttribute("DataRate", DataRateValue(DataRate(rate)));
        helper.SetDeviceAttribute("QueueSize", QueueSizeValue(QueueSize(queue)));
        helper.SetDeviceAttribute("FrameOverhead", UintegerValue(24));
        helper.SetChannelAttribute("Delay", TimeValue(MicroSeconds(5)));
        NodeContainer nodes;
        nodes.Create(2);
        const NetDeviceContainer devices = helper.Install(nodes);
        for (uint32_t i = 0; i < 2; ++i)
        {
            m_ports[i] = DynamicCast<ff::EthernetDevice>(devices.Get(i));
            m_ports[i]->SetPromiscReceiveCallback(MakeCallback(&EthernetTestCase::Heard, this));
        }
    }

    /**
     * @param payload bytes
     * @param from which port
     */
    void
    Send(uint32_t payload, std::size_t from = 0)
    {
        m_ports[from]->Send(Create<Packet>(payload), m_ports[1 - from]->GetAddress(), 0x0800);
    }

    /**
     * A frame that was heard.
     */
    struct Hearing
    {
        Time time;                  //!< when
        uint32_t bytes;             //!< payload
        Address source;             //!< from
        NetDevice::PacketType type; //!< for whom
        Ptr<NetDevice> device;      //!< where
    };

    std::array<Ptr<ff::EthernetDevice>, 2> m_ports; //!< the ends
    std::vector<Hearing> m_heard;                   //!< in order

  private:
    /**
     * @param device that heard
     * @param packet payload
     * @param source sender
     * @param type for whom
     * @return true
     */
    bool
    Heard(Ptr<NetDevice> device,
          Ptr<const Packet> packet,
          uint16_t,
          const Address& source,
          const Address&,
          NetDevice::PacketType type)
    {
        m_heard.push_back({Simulator::Now(), packet->GetSize(), source, type, device});
        return true;
    }

    void
    DoTeardown() override
    {
        m_ports = {};
        m_heard.clear();
        Simulator::Destroy();
    }
};

/**
 * A frame takes its bytes, padding and overhead by the rate, then the cable; the next waits for it;
 * both directions at once do not disturb each other.
 */
class EthernetTimingTestCase : public EthernetTestCase
{
  public:
    EthernetTimingTestCase()
        : EthernetTestCase("exact times of frames, padding and full duplex")
    {
    }

  private:
    void
    DoRun() override
    {
        Build("1Gb/s", "10p");
        Simulator::Schedule(MicroSeconds(1), &EthernetTimingTestCase::Send, this, 962, 0);
        Simulator::Schedule(MicroSeconds(1), &EthernetTimingTestCase::Send, this, 10, 0);
        Simulator::Schedule(MicroSeconds(1), &EthernetTimingTestCase::Send, this, 462, 1);
        Simulator::Run();
        NS_TEST_ASSERT_MSG_EQ(m_heard.size(), 3, "all frames arrive");
        // The other way: (14 + 462 + 24) B = 4000 ns, 5000 ns of cable.
        NS_TEST_EXPECT_MSG_EQ(m_heard[0].time, NanoSeconds(1000 + 4000 + 5000), "500 B");
        NS_TEST_EXPECT_MSG_EQ(m_heard[0].device, m_ports[0], "heard at the first end");
        // (14 + 962 + 24) B = 8000 ns.
        NS_TEST_EXPECT_MSG_EQ(m_heard[1].time, NanoSeconds(1000 + 8000 + 5000), "1000 B");
        // Padded to 60, with overhead 84 B = 672 ns, after the first.
        NS_TEST_EXPECT_MSG_EQ(m_heard[2].time, NanoSeconds(1000 + 8000 + 672 + 5000), "84 B");
        NS_TEST_EXPECT_MSG_EQ(m_heard[2].bytes, 10, "padding is not handed up");
    }
};

/**
 * Picoseconds add up although the simulator's clock has nanoseconds: a thousand minimum frames at
 * 100 Gb/s.
 */
class EthernetPrecisionTestCase : public EthernetTestCase
{
  public:
    EthernetPrecisionTestCase()
        : EthernetTestCase("fractions of nanoseconds are not lost")
    {
    }

  private:
    void
    DoRun() override
    {
        Build("100Gb/s", "2000p");
        for (int i = 0; i < 1000; ++i)
        {
            Simulator::Schedule(Time(0), &EthernetPrecisionTestCase::Send, this, 46, 0);
        }
        Simulator::Run();
        NS_TEST_ASSERT_MSG_EQ(m_heard.size(), 1000, "all frames arrive");
        NS_TEST_EXPECT_MSG_EQ(m_heard[0].time, NanoSeconds(7 + 5000), "6.72 ns, rounded up");
        NS_TEST_EXPECT_MSG_EQ(m_heard[999].time, NanoSeconds(6720 + 5000), "1000 times 6.72 ns");
        NS_TEST_EXPECT_MSG_EQ(ff::SerializationTime(DataRate("10Gb/s"), 24, 60, 1514).count(),
                              1'230'400,
                              "1538 B at 10 Gb/s");
    }
};

/**
 * The queue holds what it says, in packets or bytes, besides the frame that is leaving.
 */
class EthernetQueueTestCase : public EthernetTestCase
{
  public:
    /**
     * @param queue size
     * @param sent of 10 frames of 1000 B
     */
    EthernetQueueTestCase(const char* queue, uint64_t sent)
        : EthernetTestCase(std::string("drops behind a queue of ") + queue)
        , m_queue(queue)
        , m_sent(sent)
    {
    }

  private:
    void
    DoRun() override
    {
        Build("1Gb/s", m_queue);
        for (int i = 0; i < 10; ++i)
        {
            Simulator::Schedule(Time(0), &EthernetQueueTestCase::Send, this, 986, 0);
        }
        Simulator::Run();
        const ff::EthernetDevice::Statistics& statistics = m_ports[0]->GetStatistics();
        NS_TEST_EXPECT_MSG_EQ(statistics.offered, 10, "all were offered");
        NS_TEST_EXPECT_MSG_EQ(statistics.sent, m_sent, "one leaving, and what may wait");
        NS_TEST_EXPECT_MSG_EQ(statistics.dropped, 10 - m_sent, "the rest is counted");
        NS_TEST_EXPECT_MSG_EQ(m_heard.size(), m_sent, "what was sent arrives");
        NS_TEST_EXPECT_MSG_EQ(m_ports[1]->GetStatistics().receivedBytes, m_sent * 1000, "bytes");
    }

    const char* m_queue; //!< size
    uint64_t m_sent;     //!< expected
};

/**
 * Source addresses, frames for others, sizes and links.
 */
class EthernetRulesTestCase : public EthernetTestCase
{
  public:
    EthernetRulesTestCase()
        : EthernetTestCase("addresses, MTU, and what parallel engines ask for")
    {
    }

  private:
    void
    DoRun() override
    {
        Build("1Gb/s", "10p");
        const Mac48Address other("02:00:00:00:00:77");
        NS_TEST_EXPECT_MSG_EQ(m_ports[0]->SendFrom(Create<Packet>(100), other, other, 0x0800),
                              true,
                              "SendFrom is supported");
        NS_TEST_EXPECT_MSG_EQ(
            m_ports[0]->Send(Create<Packet>(100), m_ports[0]->GetBroadcast(), 0x0800),
            true,
            "broadcast");
        NS_TEST_EXPECT_MSG_EQ(
            m_ports[0]->Send(Create<Packet>(1501), m_ports[1]->GetAddress(), 0x0800),
            false,
            "more than the MTU");
        m_ports[0]->SetMtu(9000);
        NS_TEST_EXPECT_MSG_EQ(
            m_ports[0]->Send(Create<Packet>(9000), m_ports[1]->GetAddress(), 0x0800),
            true,
            "a jumbo frame");
        Simulator::Run();
        NS_TEST_ASSERT_MSG_EQ(m_heard.size(), 3, "what was taken arrives");
        NS_TEST_EXPECT_MSG_EQ(m_heard[0].source, Address(other), "as if from another");
        NS_TEST_EXPECT_MSG_EQ(m_heard[0].type, NetDevice::PACKET_OTHERHOST, "for another");
        NS_TEST_EXPECT_MSG_EQ(m_heard[1].type, NetDevice::PACKET_BROADCAST, "for all");
        NS_TEST_EXPECT_MSG_EQ(m_heard[2].type, NetDevice::PACKET_HOST, "for the port");

        const Ptr<Channel> cable = m_ports[0]->GetChannel();
        TimeValue delay;
        NS_TEST_EXPECT_MSG_EQ(cable->GetAttributeFailSafe("Delay", delay), true, "engines ask so");
        NS_TEST_EXPECT_MSG_EQ(delay.Get(), MicroSeconds(5), "the cable's");
        NS_TEST_EXPECT_MSG_EQ(cable->GetNDevices(), 2, "two ends");
        NS_TEST_EXPECT_MSG_EQ(m_ports[0]->IsPointToPoint(), true, "may be cut");
    }
};

/**
 * What plain ports and cables do.
 */
class EthernetTestSuite : public TestSuite
{
  public:
    EthernetTestSuite()
        : TestSuite("foreflow-ethernet", TestSuite::Type::UNIT)
    {
        AddTestCase(new EthernetTimingTestCase);
        AddTestCase(new EthernetPrecisionTestCase);
        AddTestCase(new EthernetQueueTestCase("3p", 4));
        AddTestCase(new EthernetQueueTestCase("2500B", 3));
        AddTestCase(new EthernetRulesTestCase);
    }
};

static EthernetTestSuite g_ethernetTestSuite; //!< registers itself

} // namespace tests
