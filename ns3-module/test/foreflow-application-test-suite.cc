// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-test-support.h"

#include "ns3/double.h"
#include "ns3/enum.h"
#include "ns3/foreflow-flow-size-application.h"
#include "ns3/foreflow-replay-application.h"
#include "ns3/foreflow-request-client.h"
#include "ns3/foreflow-request-server.h"
#include "ns3/pointer.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "ns3/test.h"

#include <fstream>
#include <vector>

using namespace ns3;

namespace tests
{

using ff::path::Arm;

/**
 * Packets are fed at their times, counted from the application's start, one event ahead.
 */
class ReplayTimesTestCase : public TestCase
{
  public:
    ReplayTimesTestCase()
        : TestCase("replay: times, start and stop")
    {
    }

  private:
    /**
     * @param decision of a packet
     */
    void
    Decided(const ff::PacketDecision& decision)
    {
        m_times.push_back(Simulator::Now());
        NS_TEST_EXPECT_MSG_EQ(decision.arrival.time.count(),
                              Simulator::Now().GetNanoSeconds(),
                              "the path is told the simulated time");
    }

    void
    DoRun() override
    {
        Frames frames;
        for (const int64_t time : {0, 0, 10, 25, 1'000'000})
        {
            frames.Add(1, 9, 80, 100, ff::Nanos(time));
        }
        NodeContainer nodes;
        nodes.Create(1);
        ff::OffloadHostHelper helper;
        helper.SetConfig(Config(Arm::kReactive));
        const auto host = helper.Install(nodes.Get(0), NodeContainer());
        host.nic->TraceConnectWithoutContext("Decided",
                                             MakeCallback(&ReplayTimesTestCase::Decided, this));
        auto application = CreateObject<ff::ReplayApplication>();
        application->SetTraffic(host.nic, &frames.Get());
        application->SetStartTime(MicroSeconds(3));
        application->SetStopTime(MicroSeconds(100));
        nodes.Get(0)->AddApplication(application);
        Simulator::Run();
        NS_TEST_ASSERT_MSG_EQ(m_times.size(), 4, "the last is after the stop");
        NS_TEST_EXPECT_MSG_EQ(m_times[0], NanoSeconds(3000), "first");
        NS_TEST_EXPECT_MSG_EQ(m_times[1], NanoSeconds(3000), "at the same time");
        NS_TEST_EXPECT_MSG_EQ(m_times[2], NanoSeconds(3010), "10 ns later");
        NS_TEST_EXPECT_MSG_EQ(m_times[3], NanoSeconds(3025), "25 ns after the first");
        NS_TEST_EXPECT_MSG_EQ(application->GetNReplayed(), 4, "counted");
        Simulator::Destroy();
    }

    std::vector<Time> m_times; //!< of decisions
};

/**
 * Flows over TCP between VMs of two hosts.
 */
class FlowSizeTestCase : public TestCase
{
  public:
    /**
     * @param mode what starts the next flow
     * @param name of the test
     */
    FlowSizeTestCase(ff::FlowSizeApplication::Mode mode, const std::string& name)
        : TestCase(name)
        , m_mode(mode)
    {
    }

  private:
    /**
     * @param record of a flow
     */
    void
    Done(const ff::FlowRecord& record)
    {
        m_records.push_back(record);
    }

    /**
     * Runs ten flows.
     *
     * @return what they were
     */
    std::vector<ff::FlowRecord>
    RunOnce()
    {
        m_records.clear();
        TwoHosts world(Config(Arm::kPredictive));
        InternetStackHelper().AssignStreams(NodeContainer(world.vms[0], world.vms[1]), 1000);
        CountingSink sink;
        sink.Listen(world.vms[1].Get(0), 5001);
        auto application = CreateObject<ff::FlowSizeApplication>();
        application->SetAttribute(
            "Remote", AddressValue(InetSocketAddress(world.addresses[1].GetAddress(0), 5001)));
        application->SetAttribute("Mode", EnumValue(m_mode));
        application->SetAttribute("Concurrency", UintegerValue(3));
        application->SetAttribute("MaxFlows", UintegerValue(10));
        application->SetAttribute("FlowSize",
                                  StringValue("ns3::UniformRandomVariable[Min=1|Max=300000]"));
        application->SetAttribute("Gap",
                                  StringValue("ns3::ExponentialRandomVariable[Mean=0.0001]"));
        NS_TEST_EXPECT_MSG_EQ(application->AssignStreams(100), 2, "two variables");
        application->TraceConnectWithoutContext("FlowDone",
                                                MakeCallback(&FlowSizeTestCase::Done, this));
        world.vms[0].Get(1)->AddApplication(application);
        Simulator::Run();

        uint64_t bytes = 0;
        for (const auto& record : m_records)
        {
            bytes += record.bytes;
            // No faster than the wire: 10 Gb/s, and a round trip of the cable before the first
            // byte.
            const auto floor = NanoSeconds(2000) + NanoSeconds(record.bytes * 8 / 10);
            NS_TEST_EXPECT_MSG_GT(record.end - record.start, floor, "completion takes its time");
        }
        NS_TEST_EXPECT_MSG_EQ(application->GetNDone(), 10, "all end");
        NS_TEST_EXPECT_MSG_EQ(application->GetNFailed(), 0, "none fails");
        NS_TEST_EXPECT_MSG_EQ(sink.connections, 10, "a connection each");
        NS_TEST_EXPECT_MSG_EQ(sink.bytes, bytes, "all bytes arrive, and no others");
        if (m_mode == ff::FlowSizeApplication::CLOSED)
        {
            // One may still say goodbye while its successor begins.
            NS_TEST_EXPECT_MSG_LT_OR_EQ(sink.mostOpen, 6, "closed loop");
        }
        Simulator::Destroy();
        return m_records;
    }

    void
    DoRun() override
    {
        const auto first = RunOnce();
        const auto again = RunOnce();
        NS_TEST_ASSERT_MSG_EQ(first.size(), again.size(), "the same streams");
        for (std::size_t i = 0; i < first.size(); ++i)
        {
            NS_TEST_EXPECT_MSG_EQ(first[i].bytes, again[i].bytes, "the same sizes");
            NS_TEST_EXPECT_MSG_EQ(first[i].end, again[i].end, "the same times");
        }
    }

    ff::FlowSizeApplication::Mode m_mode;  //!< what starts the next flow
    std::vector<ff::FlowRecord> m_records; //!< in order of their end
};

/**
 * Distributions are read, or refused with a sentence that names the place.
 */
class FlowSizeFileTestCase : public TestCase
{
  public:
    FlowSizeFileTestCase()
        : TestCase("flow-size files: good rows and error rows")
    {
    }

  private:
    /**
     * @param text of a file
     * @return its name
     */
    std::string
    Write(const std::string& text)
    {
        const std::string name = CreateTempDirFilename("sizes.txt");
        std::ofstream(name) << text;
        return name;
    }

    /**
     * @param text of a file
     * @return the refusal, or nothing
     */
    std::string
    RefusalOf(const std::string& text)
    {
        try
        {
            ff::LoadFlowSizes(Write(text));
        }
        catch (const ::foreflow::Refusal& refusal)
        {
            return refusal.what();
        }
        return "";
    }

    void
    DoRun() override
    {
        auto sizes =
            ff::LoadFlowSizes(Write("# bytes probability\n100 0\n\n200 0.5 # half\n1000 1\n"));
        sizes->SetStream(3);
        uint64_t small = 0;
        constexpr uint64_t DRAWS = 10000;
        for (uint64_t i = 0; i < DRAWS; ++i)
        {
            const double size = sizes->GetValue();
            NS_TEST_EXPECT_MSG_GT_OR_EQ(size, 100, "within the table");
            NS_TEST_EXPECT_MSG_LT_OR_EQ(size, 1000, "within the table");
            small += size <= 200 ? 1 : 0;
        }
        // Half of 10000 draws, six standard deviations of 50 either way.
        NS_TEST_EXPECT_MSG_EQ_TOL(small, DRAWS / 2, 300, "half are small");
        NS_TEST_EXPECT_MSG_NE(RefusalOf("100 0\n200 0.5\n").find("last probability"),
                              std::string::npos,
                              "does not end at 1");
        NS_TEST_EXPECT_MSG_NE(RefusalOf("").find("missing"), std::string::npos, "empty");
        for (const char* bad :
             {"100 0.5\n200 0.4\n", "200 0\n100 1\n", "100 1.5\n", "a b\n", "100\n", "100 0 7\n"})
        {
            NS_TEST_EXPECT_MSG_NE(RefusalOf(bad).find(" line "), std::string::npos, bad);
        }
        bool refused = false;
        try
        {
            ff::LoadFlowSizes("/nonexistent/sizes.txt");
        }
        catch (const ::foreflow::Refusal&)
        {
            refused = true;
        }
        NS_TEST_EXPECT_MSG_EQ(refused, true, "no such file");
    }
};

/**
 * Requests and responses over TCP between VMs of two hosts.
 */
class RequestTestCase : public TestCase
{
  public:
    /**
     * @param responseBytes of each response
     */
    explicit RequestTestCase(uint32_t responseBytes)
        : TestCase("requests with responses of " + std::to_string(responseBytes) + " B")
        , m_responseBytes(responseBytes)
    {
    }

  private:
    /**
     * @param record of a request
     */
    void
    Done(const ff::RequestRecord& record)
    {
        m_records.push_back(record);
    }

    void
    DoRun() override
    {
        TwoHosts world(Config(Arm::kPredictive));
        auto server = CreateObject<ff::RequestServer>();
        const InetSocketAddress address(world.addresses[1].GetAddress(1), 6000);
        server->SetAttribute("Local", AddressValue(address));
        world.vms[1].Get(1)->AddApplication(server);
        auto client = CreateObject<ff::RequestClient>();
        client->SetAttribute("Remote", AddressValue(address));
        client->SetAttribute("MaxRequests", UintegerValue(20));
        client->SetAttribute("RequestSize",
                             StringValue("ns3::UniformRandomVariable[Min=1|Max=3000]"));
        client->SetAttribute("ResponseSize",
                             StringValue("ns3::ConstantRandomVariable[Constant=" +
                                         std::to_string(m_responseBytes) + "]"));
        client->SetAttribute("ThinkTime",
                             StringValue("ns3::ExponentialRandomVariable[Mean=0.0005]"));
        NS_TEST_EXPECT_MSG_EQ(client->AssignStreams(200), 3, "three variables");
        client->TraceConnectWithoutContext("RequestDone",
                                           MakeCallback(&RequestTestCase::Done, this));
        world.vms[0].Get(0)->AddApplication(client);
        Simulator::Run();
        NS_TEST_ASSERT_MSG_EQ(m_records.size(), 20, "all are answered");
        NS_TEST_EXPECT_MSG_EQ(server->GetNAnswered(), 20, "by the server");
        Time previous;
        for (const auto& record : m_records)
        {
            NS_TEST_EXPECT_MSG_GT_OR_EQ(record.sent, previous, "one at a time");
            previous = record.done;
            // Two cables of 1 us, and the bytes by the bus's 8 Gb/s at least once each way.
            const auto floor = NanoSeconds(2000 + record.requestBytes + record.responseBytes);
            NS_TEST_EXPECT_MSG_GT(record.done - record.sent, floor, "latency has a floor");
            NS_TEST_EXPECT_MSG_GT_OR_EQ(record.requestBytes, 16, "room for the header");
            NS_TEST_EXPECT_MSG_EQ(record.responseBytes, std::max(m_responseBytes, 16U), "as asked");
        }
        Simulator::Destroy();
    }

    uint32_t m_responseBytes;                 //!< of each response
    std::vector<ff::RequestRecord> m_records; //!< in order
};

/**
 * What the applications do.
 */
class ApplicationTestSuite : public TestSuite
{
  public:
    ApplicationTestSuite()
        : TestSuite("foreflow-application", TestSuite::Type::SYSTEM)
    {
        AddTestCase(new ReplayTimesTestCase);
        AddTestCase(
            new FlowSizeTestCase(ff::FlowSizeApplication::CLOSED, "flows over TCP, closed loop"));
        AddTestCase(
            new FlowSizeTestCase(ff::FlowSizeApplication::OPEN, "flows over TCP, open loop"));
        AddTestCase(new FlowSizeFileTestCase);
        AddTestCase(new RequestTestCase(1));
        AddTestCase(new RequestTestCase(1000));
        AddTestCase(new RequestTestCase(1'000'000));
    }
};

static ApplicationTestSuite g_applicationTestSuite; //!< registers itself

} // namespace tests
