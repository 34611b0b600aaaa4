// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-test-support.h"

#include "models/crypto/digest.h"

#include "ns3/foreflow-replay-application.h"
#include "ns3/random-variable-stream.h"
#include "ns3/simulator.h"
#include "ns3/test.h"
#include "ns3/udp-socket-factory.h"

#include <map>
#include <memory>
#include <numeric>

using namespace ns3;

namespace tests
{

using ff::Nanos;
using ff::Picos;
using ff::Reason;
using ff::path::Arm;
using ff::path::Stage;
using ff::rules::Verb;

/**
 * The tandem alone, fed with work made by hand.
 */
class PipelineTestCase : public TestCase
{
  public:
    PipelineTestCase()
        : TestCase("completion times of the stations, by hand")
    {
    }

  private:
    /**
     * @param stages that a packet visited, besides parse and act
     * @return work in each
     */
    static ff::path::StageWork
    WorkIn(std::initializer_list<Stage> stages)
    {
        ff::path::StageWork work;
        for (const Stage stage : stages)
        {
            work[stage].Add(::foreflow::WorkItem::kUpdate);
        }
        return work;
    }

    /**
     * @param passage of a packet
     * @return its end, in nanoseconds, or -1
     */
    static int64_t
    End(const ff::OffloadPipeline::Passage& passage)
    {
        return passage.accepted ? passage.ready.count() / 1000 : -1;
    }

    void
    DoRun() override
    {
        ff::path::Verdict fast;
        fast.verb = Verb::kForward;
        fast.reason = Reason::kCacheHit;
        ff::path::Verdict slow = fast;
        slow.punted = true;
        slow.reason = Reason::kCacheMiss;
        const auto fastWork = WorkIn({Stage::kProfile,
                                      Stage::kPredict,
                                      Stage::kTagSeal,
                                      Stage::kPreinstall,
                                      Stage::kTagCheck,
                                      Stage::kFlowCache});
        {
            ff::OffloadPipeline pipeline(RoundPrices());
            const ff::PacketCost cost = pipeline.Price(fast, fastWork);
            NS_TEST_EXPECT_MSG_EQ(cost.host, 0, "no slow path");
            NS_TEST_EXPECT_MSG_EQ(cost.device, 400, "parse, tag check, flow cache, act");
            NS_TEST_EXPECT_MSG_EQ(cost.prediction, 500, "the host's four and the tag check");
            // host 400, bus 200 + 500, device 400
            NS_TEST_EXPECT_MSG_EQ(End(pipeline.Transmit(Picos(0), fast, cost, 200)), 1500, "alone");
            // host until 800, bus 1500, device 1900
            NS_TEST_EXPECT_MSG_EQ(
                End(pipeline.Transmit(Picos(0), fast, cost, 200)), 1900, "behind");
        }
        {
            ff::OffloadPipeline pipeline(RoundPrices());
            const auto cost = pipeline.Price(slow, WorkIn({Stage::kFlowCache, Stage::kSlowPath}));
            NS_TEST_EXPECT_MSG_EQ(cost.host, 100, "the slow path");
            NS_TEST_EXPECT_MSG_EQ(cost.device, 300, "parse, flow cache, act");
            NS_TEST_EXPECT_MSG_EQ(cost.prediction, 0, "nothing was predicted");
            // bus 1000 + 500, device 200, bus 1000 + 300, slow 100, bus 1000 + 500, device 100
            NS_TEST_EXPECT_MSG_EQ(
                End(pipeline.Transmit(Picos(0), slow, cost, 1000)), 4700, "alone");
            const auto hit = pipeline.Price(fast, WorkIn({Stage::kFlowCache}));
            // The bus is free at 1000, the packet across at 1000 + 100 + 500; the device was kept
            // for all of the first packet's 300 until 1800.
            NS_TEST_EXPECT_MSG_EQ(
                End(pipeline.Transmit(Picos(0), fast, hit, 100)), 2100, "a hit overtakes a punt");
        }
        {
            ff::OffloadProfiles profiles = RoundPrices();
            profiles.device.initiation_interval = 10;
            profiles.bus.bandwidth = ff::BitsPerSecond(8'000'000'000'000);
            ff::OffloadPipeline pipeline(profiles);
            const auto cost = pipeline.Price(fast, WorkIn({Stage::kFlowCache}));
            // A pipeline takes a packet every 10 ns, each stays 300: bus 100 B at 1000 B a ns, +
            // 500.
            NS_TEST_EXPECT_MSG_EQ(pipeline.Transmit(Picos(0), fast, cost, 100).ready.count(),
                                  800'100,
                                  "first through the pipeline");
            NS_TEST_EXPECT_MSG_EQ(pipeline.Transmit(Picos(0), fast, cost, 100).ready.count(),
                                  810'100,
                                  "second, an interval later");
        }
        {
            ff::OffloadProfiles profiles = RoundPrices();
            profiles.slowPathCores = 2;
            profiles.bus.bandwidth = ff::BitsPerSecond(8'000'000'000'000);
            profiles.host
                .item_millicycles[static_cast<std::size_t>(::foreflow::WorkItem::kRuleCompare)] =
                1000;
            ff::OffloadPipeline pipeline(profiles);
            auto heavy = WorkIn({Stage::kFlowCache});
            heavy[Stage::kSlowPath].Add(::foreflow::WorkItem::kRuleCompare, 5000);
            const auto longer = pipeline.Price(slow, heavy);
            const auto shorter = pipeline.Price(slow, WorkIn({Stage::kFlowCache}));
            const int64_t first = End(pipeline.Transmit(Picos(0), slow, longer, 0));
            const int64_t second = End(pipeline.Transmit(Picos(0), slow, shorter, 0));
            // 500 + 200 + 300 + 5100 + 500 + 100
            NS_TEST_EXPECT_MSG_EQ(first, 6700, "a long look-up");
            NS_TEST_EXPECT_MSG_EQ(second, 6700, "the other core is done early, order is kept");
        }
        {
            // Steering: parse alone, 100, then bus 200 + 300.
            ff::OffloadPipeline pipeline(RoundPrices());
            NS_TEST_EXPECT_MSG_EQ(End(pipeline.Receive(Picos(0), 200)), 600, "received");
        }
        {
            ff::OffloadProfiles profiles = RoundPrices();
            profiles.host.queue_capacity = 1;
            ff::OffloadPipeline pipeline(profiles);
            const auto cost = pipeline.Price(fast, fastWork);
            NS_TEST_EXPECT_MSG_EQ(
                End(pipeline.Transmit(Picos(0), fast, cost, 200)), 1500, "served");
            NS_TEST_EXPECT_MSG_EQ(End(pipeline.Transmit(Picos(0), fast, cost, 200)), 1900, "waits");
            NS_TEST_EXPECT_MSG_EQ(End(pipeline.Transmit(Picos(0), fast, cost, 200)), -1, "refused");
            NS_TEST_EXPECT_MSG_EQ(pipeline.GetStations()[0].statistics().refused, 1, "counted");
        }
    }
};

/**
 * A host that replays frames through its card to a sink, with a record of what happened.
 */
class ReplayTestCase : public TestCase
{
  protected:
    using TestCase::TestCase;

    /**
     * Builds the host and runs until all is over.
     *
     * @param config of the card
     * @param rate of its port
     * @param queue of each egress queue
     * @param frames that arrive
     */
    void
    Replay(const ff::OffloadNicConfig& config, const char* rate, const char* queue, Frames& frames)
    {
        ff::OffloadHostHelper hosts;
        hosts.SetConfig(config);
        hosts.SetNicAttribute("DataRate", DataRateValue(DataRate(rate)));
        hosts.SetNicAttribute("QueueSize", QueueSizeValue(QueueSize(queue)));
        hosts.SetNicAttribute("FrameOverhead", UintegerValue(0));
        hosts.SetNicAttribute("MinimumFrame", UintegerValue(0));
        NodeContainer nodes;
        nodes.Create(2);
        m_nic = hosts.Install(nodes.Get(0), NodeContainer()).nic;
        ff::EthernetHelper ethernet;
        ethernet.SetChannelAttribute("Delay", TimeValue(MicroSeconds(1)));
        m_sink = ethernet.InstallPort(nodes.Get(1));
        ethernet.Connect(m_nic, m_sink);
        m_nic->TraceConnectWithoutContext("Decided", MakeCallback(&ReplayTestCase::Decided, this));
        m_nic->TraceConnectWithoutContext("PacketDone", MakeCallback(&ReplayTestCase::Done, this));
        m_sink->TraceConnectWithoutContext("PhyRxEnd", MakeCallback(&ReplayTestCase::Heard, this));
        auto application = CreateObject<ff::ReplayApplication>();
        application->SetTraffic(m_nic, &frames.Get());
        nodes.Get(0)->AddApplication(application);
        Simulator::Run();
        m_events = Simulator::GetEventCount();
        NS_TEST_EXPECT_MSG_EQ(application->GetNReplayed(), frames.Get().size(), "all were fed");
        ExpectBalance();
        NS_TEST_EXPECT_MSG_EQ(m_nic->GetNHeld(), 0, "the device is drained");
        NS_TEST_EXPECT_MSG_EQ(m_heard.size(), m_nic->GetStatistics().out, "what leaves arrives");
    }

    /**
     * in = out + dropped + held
     */
    void
    ExpectBalance()
    {
        const ff::OffloadNic::Statistics& statistics = m_nic->GetStatistics();
        const uint64_t dropped =
            std::accumulate(statistics.dropped.begin(), statistics.dropped.end(), uint64_t{0});
        NS_TEST_EXPECT_MSG_EQ(
            statistics.in, statistics.out + dropped + m_nic->GetNHeld(), "no packet vanishes");
    }

    /**
     * @param reason of drops
     * @return how many packets were dropped for it
     */
    uint64_t
    Dropped(Reason reason) const
    {
        return m_nic->GetStatistics().dropped[static_cast<std::size_t>(reason)];
    }

    /**
     * @param packet number
     * @return when its last bit left, in nanoseconds
     */
    int64_t
    Departure(uint64_t packet) const
    {
        return m_records.at(packet).departure.count() / 1000;
    }

    Ptr<ff::OffloadNic> m_nic;                      //!< the card
    Ptr<ff::EthernetDevice> m_sink;                 //!< the other end
    std::map<uint64_t, ff::PacketRecord> m_records; //!< by packet
    std::vector<ff::path::Verdict> m_verdicts;      //!< by packet
    std::vector<Time> m_heard;                      //!< arrivals at the sink
    uint64_t m_events{0};                           //!< of the run
    bool m_checkBalance{false};                     //!< at each packet's end

  private:
    /**
     * @param decision of a packet
     */
    void
    Decided(const ff::PacketDecision& decision)
    {
        NS_TEST_EXPECT_MSG_EQ(decision.packet, m_verdicts.size(), "in order of arrival");
        m_verdicts.push_back(decision.verdict);
    }

    /**
     * @param record of a packet
     */
    void
    Done(const ff::PacketRecord& record)
    {
        NS_TEST_EXPECT_MSG_EQ(m_records.emplace(record.packet, record).second, true, "ends once");
    }

    /**
     * A frame has reached the sink.
     */
    void
    Heard(Ptr<const Packet>)
    {
        m_heard.push_back(Simulator::Now());
        if (m_checkBalance)
        {
            ExpectBalance();
        }
    }

    void
    DoTeardown() override
    {
        m_nic = nullptr;
        m_sink = nullptr;
        Simulator::Destroy();
    }
};

/**
 * Single packets at exact times.
 */
class SinglePacketTestCase : public ReplayTestCase
{
  public:
    SinglePacketTestCase()
        : ReplayTestCase("single packets: slow path, fast path, waiting, drop by rule")
    {
    }

  private:
    void
    DoRun() override
    {
        auto config = Config(Arm::kReactive);
        config.path.rules = {PortRule(1, 666, Verb::kDrop), PortRule(2, 0, Verb::kForward)};
        Frames frames;
        frames.Add(1, 9, 80, 1000, Nanos(0));
        // The entry is there 50 us later: hits from here on.
        frames.Add(1, 9, 80, 1000, Nanos(1'000'000));
        frames.Add(1, 9, 80, 1000, Nanos(2'000'000));
        frames.Add(1, 9, 80, 1000, Nanos(2'000'000));
        frames.Add(1, 9, 666, 1000, Nanos(3'000'000));
        Replay(config, "8Gb/s", "10p", frames);
        NS_TEST_ASSERT_MSG_EQ(m_records.size(), 5, "all have ended");

        // bus 1000 + 500, parse and flow cache 200, bus 1000 + 300, slow path 100, bus 1000 + 500,
        // act 100, wire 1000
        NS_TEST_EXPECT_MSG_EQ(Departure(0), 5700, "slow path");
        NS_TEST_EXPECT_MSG_EQ(m_verdicts[0].punted, true, "the host decided");
        NS_TEST_EXPECT_MSG_EQ(m_heard[0], NanoSeconds(6700), "cable 1000");
        // bus 1000 + 500, parse, flow cache and act 300, wire 1000
        NS_TEST_EXPECT_MSG_EQ(Departure(1), 1'002'800, "fast path");
        NS_TEST_EXPECT_MSG_EQ(m_verdicts[1].punted, false, "the device decided");
        NS_TEST_EXPECT_MSG_EQ(m_records[1].deviceCycles, 300, "three stages");
        NS_TEST_EXPECT_MSG_EQ(m_records[1].hostCycles, 0, "no host stage in this arm");
        // The second of a pair waits for the bus, and then finds the wire just free.
        NS_TEST_EXPECT_MSG_EQ(Departure(2), 2'002'800, "first of a pair");
        NS_TEST_EXPECT_MSG_EQ(Departure(3), 2'003'800, "second of a pair");
        NS_TEST_EXPECT_MSG_EQ(m_records[4].dropped, true, "a rule said so");
        NS_TEST_EXPECT_MSG_EQ(Dropped(Reason::kDenyRule), 1, "and it is counted");
    }
};

/**
 * One host core does all of a packet's work, in bursts.
 */
class HostCoreTestCase : public ReplayTestCase
{
  public:
    HostCoreTestCase()
        : ReplayTestCase("a core that does everything: times by hand, verdicts as on the card")
    {
    }

  private:
    /**
     * @param packet number
     * @return when its core was done with it, in nanoseconds
     */
    int64_t
    Ready(uint64_t packet) const
    {
        return m_records.at(packet).ready.count() / 1000;
    }

    void
    DoRun() override
    {
        auto config = Config(Arm::kReactive);
        config.path.rules = {PortRule(1, 666, Verb::kDrop), PortRule(2, 0, Verb::kForward)};
        Frames frames;
        frames.Add(1, 9, 80, 1000, Nanos(0));
        frames.Add(1, 9, 80, 1000, Nanos(1'000'000));
        frames.Add(1, 9, 80, 1000, Nanos(2'000'000));
        frames.Add(1, 9, 80, 1000, Nanos(2'000'000));
        frames.Add(1, 9, 80, 1000, Nanos(2'000'100));
        frames.Add(1, 9, 666, 1000, Nanos(3'000'000));
        frames.Add(1, 9, 80, 1000, Nanos(3'000'100));
        Replay(config, "8Gb/s", "10p", frames);
        const auto onCard = std::move(m_verdicts);
        Simulator::Destroy();
        m_verdicts.clear();
        m_records.clear();
        m_heard.clear();

        config.profiles.placement = ff::hw::Placement::kHostCore;
        config.profiles.host.carrying = {true, 50'000, 20'000};
        config.profiles.device.clock_hz = 1; // nobody's price
        Replay(config, "8Gb/s", "10p", frames);
        NS_TEST_ASSERT_MSG_EQ(m_records.size(), 7, "all have ended");
        NS_TEST_ASSERT_MSG_EQ(m_verdicts.size(), onCard.size(), "all were decided");
        for (std::size_t i = 0; i < onCard.size(); ++i)
        {
            NS_TEST_EXPECT_MSG_EQ((Encode(m_verdicts[i]) == Encode(onCard[i])),
                                  true,
                                  "where the work is done changes times, never verdicts");
        }

        // burst 20, carrying 50, parse, flow cache, slow path and act 400; wire 1000
        NS_TEST_EXPECT_MSG_EQ(Departure(0), 1470, "slow path");
        NS_TEST_EXPECT_MSG_EQ(m_records[0].hostCycles, 400, "all on the host");
        NS_TEST_EXPECT_MSG_EQ(m_records[0].deviceCycles, 0, "nothing on the device");
        // burst 20, carrying 50, parse, flow cache and act 300
        NS_TEST_EXPECT_MSG_EQ(Ready(1), 1'000'370, "fast path");
        NS_TEST_EXPECT_MSG_EQ(Ready(2), 2'000'370, "did not wait for company");
        NS_TEST_EXPECT_MSG_EQ(Ready(3), 2'001'090, "20 + 2 x 350 after the first");
        NS_TEST_EXPECT_MSG_EQ(Ready(4), 2'001'090, "leaves with its burst");
        NS_TEST_EXPECT_MSG_EQ(Departure(4), 2'003'370, "one after the other on the wire");
        // A new destination port is a new entry: dropped by the slow path, 400.
        NS_TEST_EXPECT_MSG_EQ(m_records[5].dropped, true, "a rule said so");
        NS_TEST_EXPECT_MSG_EQ(Dropped(Reason::kDenyRule), 1, "and it is counted");
        NS_TEST_EXPECT_MSG_EQ(Ready(6), 3'000'840, "waited for the dropped one: 470 + 370");
        const auto stations = m_nic->GetStations();
        NS_TEST_ASSERT_MSG_EQ(stations.size(), 1, "there is nothing but the core");
        NS_TEST_EXPECT_MSG_EQ(stations[0].name, "host_core", "it is named");
        NS_TEST_EXPECT_MSG_EQ(stations[0].statistics.accepted, 7, "all went through it");
        NS_TEST_EXPECT_MSG_EQ(stations[0].statistics.busy.count(),
                              (470 + 370 + 370 + 720 + 470 + 370) * 1000,
                              "and kept it busy");
        Simulator::Destroy();
        m_verdicts.clear();
        m_records.clear();
        m_heard.clear();

        config.profiles.host.queue_capacity = 1;
        Replay(config, "8Gb/s", "10p", frames);
        NS_TEST_EXPECT_MSG_EQ(Dropped(Reason::kStationFull), 1, "one of the three waits, one not");
        NS_TEST_EXPECT_MSG_EQ(m_records[4].dropped, true, "the last of them");
    }
};

/**
 * Profiling, predicting and tagging take their time on the host core.
 */
class HostCostTestCase : public ReplayTestCase
{
  public:
    HostCostTestCase()
        : ReplayTestCase("the host's stages are charged before the bus")
    {
    }

  private:
    void
    DoRun() override
    {
        auto config = Config(Arm::kPredictive);
        // The first packet of a VM has no context and no successors: profile and predict, and a tag
        // where the prediction earns one.
        Frames frames;
        frames.Add(1, 9, 80, 1000, Nanos(0));
        Replay(config, "8Gb/s", "10p", frames);
        const ff::PacketRecord& record = m_records.at(0);
        NS_TEST_EXPECT_MSG_EQ(record.hostCycles, 100, "the slow path");
        NS_TEST_EXPECT_MSG_GT(record.predictionCycles, 100, "predicting is charged");
        NS_TEST_EXPECT_MSG_EQ(record.predictionCycles % 100, 0, "whole stages");
        // As in the reactive arm (5700), and the host's stages and the tag check before it.
        NS_TEST_EXPECT_MSG_EQ(Departure(0), 5700 + record.predictionCycles, "later by their price");
    }
};

/**
 * Queue 0 goes first; within a queue, order is kept.
 */
class PriorityTestCase : public ReplayTestCase
{
  public:
    PriorityTestCase()
        : ReplayTestCase("strict priority at the port")
    {
    }

  private:
    void
    DoRun() override
    {
        auto config = Config(Arm::kReactive);
        config.path.rules = {PortRule(1, 1000, Verb::kForward, 0),
                             PortRule(2, 2000, Verb::kForward, 3)};
        Frames frames;
        // One of each installs the entries.
        frames.Add(1, 9, 1000, 1000, Nanos(0));
        frames.Add(1, 9, 2000, 1000, Nanos(0));
        const Nanos start(1'000'000);
        for (const uint16_t port : std::array<uint16_t, 4>{2000, 2000, 1000, 1000})
        {
            frames.Add(1, 9, port, 1000, start);
        }
        Replay(config, "1Gb/s", "10p", frames);
        // Ready at 1800, 2800, 3800 and 4800; 8000 on the wire each.
        NS_TEST_EXPECT_MSG_EQ(Departure(2), 1'009'800, "alone at the port");
        NS_TEST_EXPECT_MSG_EQ(Departure(4), 1'017'800, "queue 0 before queue 3");
        NS_TEST_EXPECT_MSG_EQ(Departure(5), 1'025'800, "in order");
        NS_TEST_EXPECT_MSG_EQ(Departure(3), 1'033'800, "queue 3 when queue 0 is empty");
        NS_TEST_EXPECT_MSG_EQ(m_records[3].queue, 3, "as the rule says");
    }
};

/**
 * Full queues drop, with their reason.
 */
class FullQueueTestCase : public ReplayTestCase
{
  public:
    FullQueueTestCase()
        : ReplayTestCase("drops at a full egress queue")
    {
    }

  private:
    void
    DoRun() override
    {
        auto config = Config(Arm::kReactive);
        Frames frames;
        frames.Add(1, 9, 80, 1000, Nanos(0));
        for (int i = 0; i < 5; ++i)
        {
            frames.Add(1, 9, 80, 1000, Nanos(1'000'000));
        }
        // Ready at 1800, 2800 ... 5800; the first leaves until 9800, two may wait.
        Replay(config, "1Gb/s", "2p", frames);
        NS_TEST_EXPECT_MSG_EQ(Dropped(Reason::kQueueFull), 2, "the last two");
        NS_TEST_EXPECT_MSG_EQ(m_records[4].dropped, true, "the fourth of the burst");
        NS_TEST_EXPECT_MSG_EQ(m_records[5].dropped, true, "the fifth of the burst");
        NS_TEST_EXPECT_MSG_EQ(Departure(3), 1'025'800, "the third");
    }
};

/**
 * A full station drops, with its reason; the verdict stream does not notice.
 */
class FullStationTestCase : public ReplayTestCase
{
  public:
    FullStationTestCase()
        : ReplayTestCase("drops at a full station")
    {
    }

  private:
    void
    DoRun() override
    {
        auto config = Config(Arm::kReactive);
        config.profiles.device.queue_capacity = 1;
        Frames frames;
        for (int i = 0; i < 4; ++i)
        {
            frames.Add(1, 9, 80, 1000, Nanos(0));
        }
        Replay(config, "1Gb/s", "10p", frames);
        // One is on the bus, one waits for it.
        NS_TEST_EXPECT_MSG_EQ(Dropped(Reason::kStationFull), 2, "no room before the bus");
        NS_TEST_EXPECT_MSG_EQ(m_verdicts.size(), 4, "all were decided");
        NS_TEST_EXPECT_MSG_EQ(m_nic->GetStatistics().out, 2, "two leave");
    }
};

/**
 * @param packets how many
 * @param seed of the generator
 * @return frames of a few VMs to a few peers, in random order, sizes and gaps
 */
Frames
RandomFrames(int packets, int64_t seed)
{
    auto random = CreateObject<UniformRandomVariable>();
    random->SetStream(seed);
    Frames frames;
    Nanos time;
    for (int i = 0; i < packets; ++i)
    {
        time += Nanos(random->GetInteger(0, 3000));
        frames.Add(static_cast<uint16_t>(random->GetInteger(0, 9)),
                   static_cast<uint8_t>(random->GetInteger(20, 60)),
                   static_cast<uint16_t>(random->GetInteger(79, 82)),
                   static_cast<uint16_t>(random->GetInteger(60, 1514)),
                   time);
    }
    return frames;
}

/**
 * Under more load than the device bears, every packet is accounted for, at most two events are
 * spent on each, and the verdicts are those of the path alone.
 */
class RandomLoadTestCase : public ReplayTestCase
{
  public:
    /**
     * @param arm of the path
     * @param gigabits a second, of the port
     */
    RandomLoadTestCase(Arm arm, int gigabits)
        : ReplayTestCase("conservation, event budget and fingerprint at " +
                         std::to_string(gigabits) + " Gbps, arm " +
                         std::to_string(static_cast<int>(arm)))
        , m_arm(arm)
        , m_rate(std::to_string(gigabits) + "Gb/s")
    {
    }

  private:
    void
    DoRun() override
    {
        constexpr int PACKETS = 5000;
        Frames frames = RandomFrames(PACKETS, 7);
        auto config = Config(m_arm);
        config.path.flow_entries = 16;
        config.path.rules = {PortRule(1, 80, Verb::kForward, 0),
                             PortRule(2, 81, Verb::kDrop),
                             PortRule(3, 82, Verb::kTrap, 2)};
        config.profiles.device.queue_capacity = 64;
        const ff::path::Future future(frames.Get(), config.path.label_horizon);
        config.future = &future;
        m_checkBalance = true;
        Replay(config, m_rate.c_str(), "8p", frames);
        NS_TEST_EXPECT_MSG_EQ(m_records.size(), PACKETS, "every packet ends once");
        NS_TEST_EXPECT_MSG_GT(m_nic->GetStatistics().out, 0, "some leave");
        NS_TEST_EXPECT_MSG_GT(Dropped(Reason::kDenyRule), 0, "some are denied");

        // Events: one a distinct time stamp for the application, one a frame at the sink, the rest
        // is the card's.
        uint64_t stamps = 0;
        Nanos last(-1);
        for (const auto& arrival : frames.Get())
        {
            stamps += arrival.time != last ? 1 : 0;
            last = arrival.time;
        }
        constexpr uint64_t SETUP = 8; // nodes and the application begin
        const uint64_t spent = m_events - stamps - m_nic->GetStatistics().out;
        NS_TEST_EXPECT_MSG_LT_OR_EQ(spent, 2 * PACKETS + SETUP, "at most two events a packet");

        ff::path::PacketPath path(config.path, &future);
        for (int i = 0; i < PACKETS; ++i)
        {
            ff::path::Verdict verdict;
            ff::path::StageWork work;
            path.Process(&frames.Get()[static_cast<std::size_t>(i)], 1, &verdict, &work);
            NS_TEST_ASSERT_MSG_EQ(
                (Encode(verdict) == Encode(m_verdicts[static_cast<std::size_t>(i)])),
                true,
                "packet " << i << " is decided alike");
        }
    }

    Arm m_arm;          //!< of the path
    std::string m_rate; //!< of the port
};

/**
 * A card can be told nonsense, and says so.
 */
class RefusalTestCase : public TestCase
{
  public:
    RefusalTestCase()
        : TestCase("impossible configurations are refused")
    {
    }

  private:
    void
    DoRun() override
    {
        auto nic = CreateObject<ff::OffloadNic>();
        nic->SetAttribute("QueueSize", QueueSizeValue(QueueSize("1500B")));
        NS_TEST_EXPECT_MSG_EQ(Refuses(nic, Config(Arm::kReactive)), true, "a queue in bytes");
        nic->SetAttribute("QueueSize", QueueSizeValue(QueueSize("10p")));
        NS_TEST_EXPECT_MSG_EQ(
            Refuses(nic, Config(Arm::kOracle)), true, "an oracle without a future");
        NS_TEST_EXPECT_MSG_EQ(Refuses(nic, Config(Arm::kReactive)), false, "a good one");
        nic->Dispose();
    }

    /**
     * @param nic card
     * @param config of it
     * @return whether it was refused
     */
    static bool
    Refuses(Ptr<ff::OffloadNic> nic, const ff::OffloadNicConfig& config)
    {
        try
        {
            nic->Configure(config);
            return false;
        }
        catch (const ::foreflow::Refusal&)
        {
            return true;
        }
    }
};

/**
 * Datagrams between VMs: over the wire, inside a host, and to all.
 */
class SwitchingTestCase : public TestCase
{
  public:
    SwitchingTestCase()
        : TestCase("ARP, unicast and broadcast between VMs of one host and of two")
    {
    }

  private:
    /**
     * @param node that listens
     * @param index of its count
     */
    void
    Listen(Ptr<Node> node, std::size_t index)
    {
        auto socket = Socket::CreateSocket(node, UdpSocketFactory::GetTypeId());
        socket->Bind(InetSocketAddress(Ipv4Address::GetAny(), 7));
        socket->SetRecvCallback(MakeCallback(&SwitchingTestCase::Heard, this));
        m_sockets.push_back(socket);
        m_index[socket] = index;
    }

    /**
     * @param socket with a datagram
     */
    void
    Heard(Ptr<Socket> socket)
    {
        while (Ptr<Packet> packet = socket->Recv())
        {
            m_bytes[m_index[socket]] += packet->GetSize();
        }
    }

    void
    DoRun() override
    {
        TwoHosts world(Config(Arm::kPredictive));
        for (std::size_t i = 0; i < 4; ++i)
        {
            Listen(world.vms[i / 2].Get(static_cast<uint32_t>(i % 2)), i);
        }
        auto sender = Socket::CreateSocket(world.vms[0].Get(0), UdpSocketFactory::GetTypeId());
        sender->SetAllowBroadcast(true);
        sender->Bind();
        const auto send = [&](Time at, Ipv4Address to, uint32_t bytes) {
            Simulator::Schedule(
                at, [=]() { sender->SendTo(Create<Packet>(bytes), 0, InetSocketAddress(to, 7)); });
        };
        send(MilliSeconds(1), world.addresses[0].GetAddress(1), 100);  // the same host
        send(MilliSeconds(2), world.addresses[1].GetAddress(0), 1000); // the other
        send(MilliSeconds(3), "10.0.0.255", 10);                       // all
        Simulator::Run();
        NS_TEST_EXPECT_MSG_EQ(m_bytes[0], 0, "the sender hears nothing of its own");
        NS_TEST_EXPECT_MSG_EQ(m_bytes[1], 110, "neighbour on the same host");
        NS_TEST_EXPECT_MSG_EQ(m_bytes[2], 1010, "VM of the other host");
        NS_TEST_EXPECT_MSG_EQ(m_bytes[3], 10, "the other VM there");

        for (const auto& host : world.hosts)
        {
            const auto& statistics = host.nic->GetStatistics();
            const uint64_t dropped =
                std::accumulate(statistics.dropped.begin(), statistics.dropped.end(), uint64_t{0});
            NS_TEST_EXPECT_MSG_EQ(statistics.in, statistics.out + dropped, "no packet vanishes");
            NS_TEST_EXPECT_MSG_EQ(dropped, 0, "none is dropped");
            NS_TEST_EXPECT_MSG_EQ(statistics.receiveDropped, 0, "nor on the way in");
            NS_TEST_EXPECT_MSG_EQ(host.nic->GetNHeld(), 0, "none is left");
        }
        const Ptr<NetDevice> port = world.hosts[0].ports.Get(0);
        NS_TEST_EXPECT_MSG_EQ(port->IsPointToPoint(), false, "VMs stay with their host");
        NS_TEST_EXPECT_MSG_EQ(port->GetChannel()->GetNDevices(), 3, "the host's port and two VMs'");
        NS_TEST_EXPECT_MSG_EQ(port->GetChannel()->GetDevice(0)->GetNode(),
                              world.nodes.Get(0),
                              "an engine that walks channels finds the host");
        NS_TEST_EXPECT_MSG_EQ(port->Send(Create<Packet>(1501), port->GetBroadcast(), 0x0800),
                              false,
                              "no jumbo frame beyond the MTU");
        Simulator::Destroy();
    }

    std::vector<Ptr<Socket>> m_sockets;         //!< that listen
    std::map<Ptr<Socket>, std::size_t> m_index; //!< whose they are
    std::array<uint64_t, 4> m_bytes{};          //!< heard, by VM
};

/**
 * What the offloading host does.
 */
class OffloadTestSuite : public TestSuite
{
  public:
    OffloadTestSuite()
        : TestSuite("foreflow-offload", TestSuite::Type::UNIT)
    {
        AddTestCase(new PipelineTestCase);
        AddTestCase(new SinglePacketTestCase);
        AddTestCase(new HostCoreTestCase);
        AddTestCase(new HostCostTestCase);
        AddTestCase(new PriorityTestCase);
        AddTestCase(new FullQueueTestCase);
        AddTestCase(new FullStationTestCase);
        for (const Arm arm :
             {Arm::kOff, Arm::kReactive, Arm::kPredictive, Arm::kOracle, Arm::kAntiOracle})
        {
            AddTestCase(new RandomLoadTestCase(arm, 10));
            AddTestCase(new RandomLoadTestCase(arm, 1));
        }
        AddTestCase(new RefusalTestCase);
        AddTestCase(new SwitchingTestCase);
    }
};

static OffloadTestSuite g_offloadTestSuite; //!< registers itself

} // namespace tests
