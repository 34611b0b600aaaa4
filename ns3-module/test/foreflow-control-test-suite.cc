// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-test-support.h"

#include "ns3/error-model.h"
#include "ns3/foreflow-control-application.h"
#include "ns3/foreflow-offload-control.h"
#include "ns3/foreflow-offload-host-helper.h"
#include "ns3/ipv4-address-helper.h"
#include "ns3/ipv4-interface-container.h"
#include "ns3/pointer.h"
#include "ns3/rng-seed-manager.h"
#include "ns3/simple-channel.h"
#include "ns3/simple-net-device-helper.h"
#include "ns3/simulator.h"
#include "ns3/test.h"

#include "models/control/counter.h"
#include "models/control/generation_check.h"
#include "models/rules/rule_table.h"

#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

using namespace ns3;

namespace tests
{

namespace control = ff::control;

/**
 * What rules a set has, as numbers that tell two sets apart.
 */
using SetText = std::vector<std::array<int64_t, 3>>;

/**
 * @param rules of a set
 * @return it
 */
SetText
TextOf(const std::vector<ff::rules::Rule>& rules)
{
    SetText text;
    for (const auto& rule : rules)
    {
        text.push_back(
            {rule.id, rule.destination_port.low, static_cast<int64_t>(rule.action.verb)});
    }
    return text;
}

/**
 * A device that decides by a rule table, changed in place by what an agent says.
 */
class TableDevice : public control::ControlledDevice
{
  public:
    /**
     * @param initial rules
     */
    explicit TableDevice(const std::vector<ff::rules::Rule>& initial)
    {
        m_table.Load(initial);
        m_rules = control::RuleSetState::Of(initial);
    }

    std::optional<control::DeviceRefusal>
    Apply(const std::vector<ff::rules::RuleChange>& changes,
          bool isWhole,
          const control::RuleSetState& next,
          uint64_t generation) override
    {
        if (isWhole)
        {
            m_table.Load(next.Rules());
        }
        else
        {
            m_table.Apply({m_table.generation(), changes});
        }
        m_rules = next;
        m_generation = generation;
        m_changes += changes.size();
        return std::nullopt;
    }

    std::optional<control::DeviceRefusal>
    RotateKeys(const ff::wire::ControlKeyRotation&, ff::Nanos) override
    {
        return control::DeviceRefusal{};
    }

    std::optional<control::DeviceRefusal>
    TakeProfile(uint16_t, const std::vector<ff::wire::ControlProfileRow>&) override
    {
        return control::DeviceRefusal{};
    }

    std::optional<control::DeviceRefusal>
    ReadProfile(uint16_t, std::size_t, std::vector<ff::wire::ControlProfileRow>&) override
    {
        return control::DeviceRefusal{};
    }

    std::optional<control::DeviceRefusal>
    ReadStatistics(ff::wire::StatisticsKind,
                   uint32_t,
                   std::size_t,
                   std::vector<ff::wire::ControlStatisticsRow>&,
                   uint32_t&) override
    {
        return control::DeviceRefusal{};
    }

    ff::rules::RuleTable m_table;  //!< decides
    control::RuleSetState m_rules; //!< what it should hold
    uint64_t m_generation{0};      //!< of it
    uint64_t m_changes{0};         //!< of rules, that were made
};

/**
 * What a run came to.
 */
struct Outcome
{
    uint64_t packets{0};    //!< decided
    uint64_t outdated{0};   //!< decided by another set than the controller then wanted
    uint64_t misdecided{0}; //!< decided otherwise than the wanted set would have
    uint64_t mixed{0};      //!< decided by a set that no controller issued
    uint64_t bytes{0};      //!< that the controller sent
    uint64_t batches{0};    //!< put into force
    bool agrees{false};     //!< in the end
};

/**
 * A controller whose wanted rules change all the time, a device some way off, and a packet to
 * decide every 100 us.
 */
class ControlRun
{
  public:
    /**
     * @param interval between updates, the least
     * @param loss of the link, a share of packets
     * @param restarts whether both ends restart once
     */
    ControlRun(ff::Nanos interval, double loss, bool restarts)
        : m_initial(Rules(0))
        , m_wanted(m_initial)
    {
        RngSeedManager::SetSeed(1);
        RngSeedManager::SetRun(1);
        NodeContainer nodes;
        nodes.Create(2);
        SimpleNetDeviceHelper link;
        link.SetChannelAttribute("Delay", TimeValue(MicroSeconds(50)));
        const NetDeviceContainer devices = link.Install(nodes);
        for (uint32_t i = 0; i < 2; ++i)
        {
            auto errors = CreateObject<RateErrorModel>();
            errors->SetUnit(RateErrorModel::ERROR_UNIT_PACKET);
            errors->SetRate(loss);
            errors->AssignStreams(i);
            devices.Get(i)->SetAttribute("ReceiveErrorModel", PointerValue(errors));
        }
        InternetStackHelper().Install(nodes);
        Ipv4AddressHelper addresses;
        addresses.SetBase("10.0.0.0", "255.255.255.0");
        const Ipv4InterfaceContainer interfaces = addresses.Assign(devices);

        m_controllerConfig.update_interval = interval;
        m_controllerConfig.retransmit = ::foreflow::Micros(500);
        m_controllerConfig.hello_interval = ::foreflow::Millis(20);
        m_agent = CreateObject<ff::ControlAgent>();
        m_agent->SetAttribute("Local",
                              AddressValue(InetSocketAddress(interfaces.GetAddress(0), 7700)));
        StartDevice();
        nodes.Get(0)->AddApplication(m_agent);
        m_controller = CreateObject<ff::ControlController>();
        m_controller->SetAttribute("Local",
                                   AddressValue(InetSocketAddress(interfaces.GetAddress(1), 7701)));
        m_controller->SetAttribute("Remote",
                                   AddressValue(InetSocketAddress(interfaces.GetAddress(0), 7700)));
        StartController();
        nodes.Get(1)->AddApplication(m_controller);
        Simulator::Schedule(MicroSeconds(1), &ControlRun::Wish, this);
        Simulator::Schedule(MilliSeconds(100), &ControlRun::Decide, this);
        if (restarts)
        {
            Simulator::Schedule(MilliSeconds(400), &ControlRun::StartDevice, this);
        }
        Simulator::Stop(Seconds(12));
        Simulator::Run();
        m_outcome.bytes = m_controller->GetSent().bytes;
        m_outcome.batches = m_controller->GetController().counts().batches;
        m_outcome.agrees = TextOf(m_device->m_rules.Rules()) ==
                           TextOf(m_controller->GetController().wanted().Rules());
        Simulator::Destroy();
    }

    /**
     * @return what it came to
     */
    const Outcome&
    Get() const
    {
        return m_outcome;
    }

  private:
    static constexpr uint32_t kRules = 50; //!< of a set

    /**
     * @param step of the changes
     * @return rules of which each denies a port, and one that forwards the rest
     */
    static std::vector<ff::rules::Rule>
    Rules(uint32_t step)
    {
        std::vector<ff::rules::Rule> rules = {PortRule(0, 0, ff::rules::Verb::kForward)};
        rules[0].priority = -1;
        for (uint32_t id = 1; id <= kRules; ++id)
        {
            rules.push_back(PortRule(id, PortOf(id, step), ff::rules::Verb::kDrop));
        }
        return rules;
    }

    /**
     * @param id of a rule
     * @param step of its changes
     * @return the port that it denies
     */
    static uint16_t
    PortOf(uint32_t id, uint32_t step)
    {
        return static_cast<uint16_t>(1 + (id * 7 + step * 13) % 500);
    }

    /**
     * @param key of a channel's end
     * @return it
     */
    static ff::crypto::SecretKey
    KeyOf(uint8_t key)
    {
        std::array<uint8_t, 32> bytes;
        bytes.fill(key);
        return ff::crypto::SecretKey(bytes);
    }

    /**
     * @return a seed that was not used before
     */
    std::array<uint8_t, 32>
    Seed()
    {
        std::array<uint8_t, 32> seed{};
        seed[0] = ++m_seeds;
        return seed;
    }

    /**
     * The device starts, or starts again with the rules of its configuration.
     */
    void
    StartDevice()
    {
        m_device = std::make_unique<TableDevice>(m_initial);
        control::AgentConfig config;
        config.instance = m_seeds + 1u;
        m_agent->SetUp(
            control::ControlChannel(
                KeyOf(1), {{ff::crypto::PublicKeyOf(KeyOf(2)), control::kMayChangeRules}}),
            Seed(),
            config,
            m_initial,
            *m_device);
    }

    /**
     * The controller is made.
     */
    void
    StartController()
    {
        m_controller->SetUp(
            control::ControlChannel(KeyOf(2), {{ff::crypto::PublicKeyOf(KeyOf(1)), 0}}),
            Seed(),
            m_controllerConfig);
        m_controller->GetController().Replace(m_wanted);
        Record();
    }

    /**
     * Keeps what is issued.
     */
    void
    Record()
    {
        m_issued.insert(TextOf(m_controller->GetController().wanted().Rules()));
    }

    /**
     * One of the wanted rules changes, every millisecond for a second.
     */
    void
    Wish()
    {
        ++m_step;
        const uint32_t id = 1 + m_step % kRules;
        const auto rule = PortRule(id, PortOf(id, m_step), ff::rules::Verb::kDrop);
        m_wanted[id] = rule;
        m_controller->Change({ff::rules::RuleOperation::kModify, rule});
        Record();
        if (Simulator::Now() < MilliSeconds(1100))
        {
            Simulator::Schedule(MilliSeconds(1), &ControlRun::Wish, this);
        }
    }

    /**
     * A packet is decided, and the decision compared with those of the sets that there were.
     */
    void
    Decide()
    {
        ff::flow::FlowKey key;
        key.l3 = static_cast<uint8_t>(ff::wire::Layer3::kIpv4);
        key.ip_protocol = 17;
        key.destination_port = static_cast<uint16_t>(1 + m_outcome.packets * 7 % 500);
        ff::Work work;
        const auto got = m_device->m_table.Classify(key, work);
        const auto held = m_device->m_rules.Rules();
        ++m_outcome.packets;
        // The table decides as the one set that it should hold, which is one that was wanted whole.
        if (!(got == ff::rules::ClassifyByLinearScan(held, key)) ||
            m_issued.count(TextOf(held)) == 0)
        {
            ++m_outcome.mixed;
        }
        if (TextOf(held) != TextOf(m_wanted))
        {
            ++m_outcome.outdated;
        }
        if (!(got.action == ff::rules::ClassifyByLinearScan(m_wanted, key).action))
        {
            ++m_outcome.misdecided;
        }
        if (Simulator::Now() < MilliSeconds(1100))
        {
            Simulator::Schedule(MicroSeconds(100), &ControlRun::Decide, this);
        }
    }

    std::vector<ff::rules::Rule> m_initial;       //!< of the device's configuration
    std::vector<ff::rules::Rule> m_wanted;        //!< by id
    control::ControllerConfig m_controllerConfig; //!< of the controller
    std::unique_ptr<TableDevice> m_device;        //!< decides
    Ptr<ff::ControlAgent> m_agent;                //!< its end
    Ptr<ff::ControlController> m_controller;      //!< the other end
    std::set<SetText> m_issued;                   //!< that were wanted at some time
    uint32_t m_step{0};                           //!< changes of what is wanted
    uint8_t m_seeds{0};                           //!< used
    Outcome m_outcome;                            //!< so far
};

/**
 * No packet sees a mixed set, and the device ends with what is wanted, whatever is lost.
 */
class ControlWholeTestCase : public TestCase
{
  public:
    ControlWholeTestCase()
        : TestCase("control: every packet sees one whole set, with loss and restarts")
    {
    }

  private:
    void
    DoRun() override
    {
        for (const double loss : {0.0, 0.1, 0.4})
        {
            for (const bool restarts : {false, true})
            {
                const Outcome outcome = ControlRun(::foreflow::Millis(2), loss, restarts).Get();
                NS_TEST_EXPECT_MSG_EQ(outcome.mixed, 0, "loss " << loss);
                NS_TEST_EXPECT_MSG_EQ(outcome.agrees, true, "loss " << loss << " " << restarts);
                NS_TEST_EXPECT_MSG_GT(outcome.packets, 9000, "decided");
                NS_TEST_EXPECT_MSG_GT(outcome.batches, 20, "issued");
                if (loss > 0 || restarts)
                {
                    NS_TEST_EXPECT_MSG_GT(outcome.outdated, 100, "loss costs staleness");
                }
            }
        }
    }
};

/**
 * Rarer updates cost fewer bytes and more packets decided by what was wanted before.
 */
class ControlStalenessTestCase : public TestCase
{
  public:
    ControlStalenessTestCase()
        : TestCase("control: staleness against update cost, 1 Hz to 10 kHz")
    {
    }

  private:
    void
    DoRun() override
    {
        Outcome before;
        for (const int64_t hertz : {1, 10, 100, 1000, 10000})
        {
            const Outcome outcome = ControlRun(ff::Nanos(1'000'000'000 / hertz), 0.01, false).Get();
            std::cout << "update rate " << hertz << " Hz: outdated " << outcome.outdated
                      << " and misdecided " << outcome.misdecided << " of " << outcome.packets
                      << " packets, " << outcome.batches << " batches, " << outcome.bytes
                      << " bytes\n";
            NS_TEST_EXPECT_MSG_EQ(outcome.mixed, 0, "at " << hertz << " Hz");
            NS_TEST_EXPECT_MSG_EQ(outcome.agrees, true, "at " << hertz << " Hz");
            if (hertz > 1)
            {
                NS_TEST_EXPECT_MSG_LT_OR_EQ(outcome.misdecided, before.misdecided, "less stale");
                // Changes come at 1 kHz: more updates than that have nothing to say.
                NS_TEST_EXPECT_MSG_GT(outcome.batches * 21, before.batches * 20, "as often");
            }
            before = outcome;
        }
    }
};

/**
 * A card that makes the second half of each batch only when the next one comes.
 */
class TornControl : public ff::OffloadControl
{
  public:
    /**
     * @param nic that is programmed
     */
    explicit TornControl(Ptr<ff::OffloadNic> nic)
        : OffloadControl(nic)
    {
    }

    std::optional<control::DeviceRefusal>
    Apply(const std::vector<ff::rules::RuleChange>& changes,
          bool isWhole,
          const control::RuleSetState& next,
          uint64_t generation) override
    {
        if (!m_late.empty())
        {
            OffloadControl::Apply(m_late, false, next, generation);
            m_late.clear();
        }
        if (isWhole)
        {
            return OffloadControl::Apply(changes, isWhole, next, generation);
        }
        const auto half = changes.begin() + static_cast<std::ptrdiff_t>(changes.size() / 2);
        m_late.assign(half, changes.end());
        return OffloadControl::Apply({changes.begin(), half}, false, next, generation);
    }

  private:
    std::vector<ff::rules::RuleChange> m_late; //!< still to be made
};

/**
 * A controller that changes ten of the rules of a card at a time, and packets that the card
 * decides.
 */
template <typename Control> class OffloadRun
{
  public:
    OffloadRun()
    {
        ff::OffloadNicConfig card = Config(ff::path::Arm::kReactive);
        card.path.holds_rules = true;
        card.path.rules = Rules(0);
        NodeContainer nodes;
        nodes.Create(2);
        ff::OffloadHostHelper host;
        host.SetConfig(card);
        m_nic = host.Install(nodes.Get(0), NodeContainer()).nic;
        m_control = std::make_unique<Control>(m_nic);

        SimpleNetDeviceHelper link;
        link.SetChannelAttribute("Delay", TimeValue(MicroSeconds(50)));
        const NetDeviceContainer devices = link.Install(nodes);
        InternetStackHelper().Install(nodes);
        Ipv4AddressHelper addresses;
        addresses.SetBase("10.9.0.0", "255.255.255.0");
        const Ipv4InterfaceContainer interfaces = addresses.Assign(devices);
        const AddressValue here(InetSocketAddress(interfaces.GetAddress(0), 7700));
        m_agent = CreateObject<ff::ControlAgent>();
        m_agent->SetAttribute("Local", here);
        m_agent->SetUp(
            control::ControlChannel(
                KeyOf(1), {{ff::crypto::PublicKeyOf(KeyOf(2)), control::kMayChangeRules}}),
            {1},
            {},
            card.path.rules,
            *m_control);
        nodes.Get(0)->AddApplication(m_agent);
        m_controller = CreateObject<ff::ControlController>();
        m_controller->SetAttribute("Local",
                                   AddressValue(InetSocketAddress(interfaces.GetAddress(1), 7701)));
        m_controller->SetAttribute("Remote", here);
        m_controller->SetUp(
            control::ControlChannel(KeyOf(2), {{ff::crypto::PublicKeyOf(KeyOf(1)), 0}}), {2}, {});
        nodes.Get(1)->AddApplication(m_controller);
        m_check.Start(card.path.rules);
        m_nic->TraceConnectWithoutContext("Decided", MakeCallback(&OffloadRun::Decided, this));

        Frames frames;
        for (int i = 0; i < kPackets; ++i)
        {
            frames.Add(
                1, 9, static_cast<uint16_t>(1 + i % kPorts), 100, ::foreflow::Micros(i * 100));
        }
        const auto& arrivals = frames.Get();
        for (const auto& arrival : arrivals)
        {
            Simulator::Schedule(NanoSeconds(static_cast<uint64_t>(arrival.time.count())),
                                &ff::OffloadNic::Arrive,
                                m_nic,
                                arrival,
                                Ptr<Packet>());
        }
        for (uint32_t step = 0; step < 100; ++step)
        {
            Simulator::Schedule(MilliSeconds(step), &OffloadRun::Wish, this, step);
        }
        Simulator::Stop(MilliSeconds(200));
        Simulator::Run();
        m_batches = m_agent->GetAgent().agent().counts().batches;
        Simulator::Destroy();
    }

    /**
     * @return what the check of each packet found
     */
    const control::GenerationCheck::Counts&
    GetCounts() const
    {
        return m_check.counts();
    }

    uint64_t m_batches{0};  //!< put into force
    uint64_t m_verdicts{0}; //!< that were not those of the first set

  private:
    static constexpr int kPackets = 1000; //!< every 100 us
    static constexpr int kPorts = 10;     //!< one rule each

    /**
     * @param step of the changes
     * @return a rule a port, all with the same verb; ports and verb are others in each step
     */
    static std::vector<ff::rules::Rule>
    Rules(uint32_t step)
    {
        std::vector<ff::rules::Rule> rules;
        for (uint32_t id = 0; id < kPorts; ++id)
        {
            rules.push_back(
                PortRule(id,
                         static_cast<uint16_t>(1 + (id + step) % kPorts),
                         step % 2 == 0 ? ff::rules::Verb::kForward : ff::rules::Verb::kTrap));
        }
        return rules;
    }

    /**
     * @param end of the channel
     * @return its key
     */
    static ff::crypto::SecretKey
    KeyOf(uint8_t end)
    {
        std::array<uint8_t, 32> bytes;
        bytes.fill(end);
        return ff::crypto::SecretKey(bytes);
    }

    /**
     * Other rules are wanted.
     *
     * @param step of the changes
     */
    void
    Wish(uint32_t step)
    {
        m_controller->Replace(Rules(step));
        Record();
    }

    /**
     * Tells the check what was issued.
     */
    void
    Record()
    {
        const auto& controller = m_controller->GetController();
        if (controller.last_issued() != 0)
        {
            m_check.Issue(controller.last_issued(), controller.wanted());
        }
    }

    /**
     * @param decision of a packet
     */
    void
    Decided(const ff::PacketDecision& decision)
    {
        Record();
        const auto& agent = m_agent->GetAgent().agent();
        const auto& verdict = decision.verdict;
        m_check.Packet(ff::path::Parse(decision.arrival).key,
                       verdict.rule,
                       verdict.punted ? ff::rules::Verb::kTrap : verdict.verb,
                       agent.generation(),
                       agent.rules().digest());
        m_verdicts += verdict.punted ? 1 : 0;
    }

    Ptr<ff::OffloadNic> m_nic;               //!< in the packets' path
    std::unique_ptr<Control> m_control;      //!< how it is programmed
    Ptr<ff::ControlAgent> m_agent;           //!< its end
    Ptr<ff::ControlController> m_controller; //!< the other end
    control::GenerationCheck m_check;        //!< of each packet
};

/**
 * The card in the packets' path is the one that is programmed; that a mixed set would be found is
 * shown by a card that mixes.
 */
class ControlOffloadTestCase : public TestCase
{
  public:
    ControlOffloadTestCase()
        : TestCase(
              "control: a card's packets are decided by whole generations, and half ones are found")
    {
    }

  private:
    void
    DoRun() override
    {
        const OffloadRun<ff::OffloadControl> whole;
        NS_TEST_EXPECT_MSG_EQ(whole.GetCounts().packets, 1000, "decided");
        NS_TEST_EXPECT_MSG_EQ(whole.GetCounts().mixed, 0, "mixed");
        NS_TEST_EXPECT_MSG_EQ(whole.GetCounts().unissued, 0, "issued");
        NS_TEST_EXPECT_MSG_GT(whole.m_batches, 50, "put into force");
        NS_TEST_EXPECT_MSG_GT(whole.m_verdicts, 300, "the rules of its configuration forward all");
        const OffloadRun<TornControl> torn;
        NS_TEST_EXPECT_MSG_GT(torn.GetCounts().mixed, 300, "found");
        NS_TEST_EXPECT_MSG_EQ(torn.GetCounts().unissued, 0, "the agent's books are right");
    }
};

/**
 * A card that keeps what it was told of its VMs, and when.
 */
class RecordingControl : public ff::OffloadControl
{
  public:
    using OffloadControl::OffloadControl;

    /**
     * A message.
     */
    struct Told
    {
        std::size_t packets;                           //!< that had been decided before
        ff::Nanos now;                                 //!< when it came
        uint16_t vm;                                   //!< of whom
        std::vector<ff::wire::ControlProfileRow> rows; //!< what
    };

    std::optional<control::DeviceRefusal>
    TakeProfile(uint16_t vm, const std::vector<ff::wire::ControlProfileRow>& rows) override
    {
        m_told.push_back(
            {m_verdicts.size(), ff::Nanos(Simulator::Now().GetNanoSeconds()), vm, rows});
        return OffloadControl::TakeProfile(vm, rows);
    }

    std::vector<Told> m_told;                  //!< so far
    std::vector<ff::path::Verdict> m_verdicts; //!< of packets, in order
};

/**
 * A controller that tells a card what its VMs will send, and asks it for statistics and profiles.
 */
class ControlReportsTestCase : public TestCase
{
  public:
    ControlReportsTestCase()
        : TestCase("control: a card tells statistics and profiles, and acts on those it is told")
    {
    }

  private:
    static constexpr uint16_t kPort = 8080; //!< its queue is 2, by header
    static constexpr int kStart = 100;      //!< first packet, in ms: the channel is up
    static constexpr int kFirst = 400;      //!< packets of VM 1, then as many of VM 2
    static constexpr uint16_t kBytes = 100; //!< a packet

    /**
     * @return a card that predicts, and puts streams ahead
     */
    static ff::OffloadNicConfig
    Card()
    {
        ff::OffloadNicConfig card = Config(ff::path::Arm::kPredictive);
        card.path.label_pending = 4096;
        card.path.tag_master_key.fill(7);
        ff::tag::TagRule rule;
        rule.id = 100;
        rule.types = static_cast<uint8_t>(
            1U << static_cast<unsigned>(::foreflow::predict::PacketType::kStream));
        rule.minimum_confidence = 32768;
        rule.action.verb = ff::rules::Verb::kForward;
        rule.action.queue = 1;
        card.path.tag_rules = {rule};
        return card;
    }

    /**
     * @param vm that will send a stream to the only service
     * @return what is told of it
     */
    static ff::wire::ControlProfileRow
    StreamOf(uint16_t vm)
    {
        ff::wire::ControlProfileRow row;
        row.source_address = {10, 0, 0, static_cast<uint8_t>(vm)};
        row.destination_address = {10, 0, 0, 9};
        row.source_port = 40000;
        row.destination_port = kPort;
        row.ip_protocol = 17;
        row.l3 = static_cast<uint8_t>(ff::wire::Layer3::kIpv4);
        row.confidence = 60000;
        row.packet_type = static_cast<uint8_t>(::foreflow::predict::PacketType::kStream);
        row.type_confidence = 65535;
        return row;
    }

    /**
     * @param arrivals that are decided, one after the other
     * @param told what is told in between
     * @return their verdicts, by the cores alone
     */
    static std::vector<ff::path::Verdict>
    ByTheCores(const std::vector<ff::path::Arrival>& arrivals,
               const std::vector<RecordingControl::Told>& told)
    {
        ff::path::PacketPath path(Card().path, nullptr);
        std::vector<ff::path::Verdict> verdicts(arrivals.size());
        for (std::size_t i = 0; i < arrivals.size(); ++i)
        {
            for (const auto& message : told)
            {
                for (const auto& row : message.rows)
                {
                    if (message.packets != i)
                    {
                        continue;
                    }
                    ff::path::Expectation expected;
                    expected.key = ff::path::Parse(arrivals[i]).key; // the row's, by the test
                    expected.confidence = row.confidence;
                    expected.type = ::foreflow::predict::PacketType::kStream;
                    expected.type_confidence = row.type_confidence;
                    path.TakeExpectation(expected, message.now);
                }
            }
            ff::path::StageWork work;
            path.Process(&arrivals[i], 1, &verdicts[i], &work);
        }
        return verdicts;
    }

    /**
     * @param card that decided
     * @param decision of a packet
     */
    static void
    Keep(RecordingControl* card, const ff::PacketDecision& decision)
    {
        card->m_verdicts.push_back(decision.verdict);
    }

    void
    DoRun() override
    {
        NodeContainer nodes;
        nodes.Create(2);
        ff::OffloadHostHelper host;
        host.SetConfig(Card());
        const Ptr<ff::OffloadNic> nic = host.Install(nodes.Get(0), NodeContainer()).nic;
        RecordingControl card(nic);

        SimpleNetDeviceHelper link;
        link.SetChannelAttribute("Delay", TimeValue(MicroSeconds(50)));
        const NetDeviceContainer devices = link.Install(nodes);
        InternetStackHelper().Install(nodes);
        Ipv4AddressHelper addresses;
        addresses.SetBase("10.9.0.0", "255.255.255.0");
        const Ipv4InterfaceContainer interfaces = addresses.Assign(devices);
        const AddressValue here(InetSocketAddress(interfaces.GetAddress(0), 7700));
        const auto keyOf = [](uint8_t end) {
            std::array<uint8_t, 32> bytes;
            bytes.fill(end);
            return ff::crypto::SecretKey(bytes);
        };
        auto agent = CreateObject<ff::ControlAgent>();
        agent->SetAttribute("Local", here);
        agent->SetUp(control::ControlChannel(keyOf(1),
                                             {{ff::crypto::PublicKeyOf(keyOf(2)),
                                               control::kMaySendProfiles | control::kMayRotateKeys |
                                                   control::kMayReadStatistics}}),
                     {1},
                     {},
                     Card().path.rules,
                     card);
        card.SetAgent(agent);
        nodes.Get(0)->AddApplication(agent);
        auto controller = CreateObject<ff::ControlController>();
        controller->SetAttribute("Local",
                                 AddressValue(InetSocketAddress(interfaces.GetAddress(1), 7701)));
        controller->SetAttribute("Remote", here);
        controller->SetUp(
            control::ControlChannel(keyOf(2), {{ff::crypto::PublicKeyOf(keyOf(1)), 0}}), {2}, {});
        nodes.Get(1)->AddApplication(controller);
        nic->TraceConnectWithoutContext("Decided",
                                        MakeBoundCallback(&ControlReportsTestCase::Keep, &card));

        Frames frames;
        for (int i = 0; i < 2 * kFirst; ++i)
        {
            frames.Add(i < kFirst ? 1 : 2, 9, kPort, kBytes, ::foreflow::Millis(kStart + i));
        }
        const auto& arrivals = frames.Get();
        for (const auto& arrival : arrivals)
        {
            Simulator::Schedule(NanoSeconds(static_cast<uint64_t>(arrival.time.count())),
                                &ff::OffloadNic::Arrive,
                                nic,
                                arrival,
                                Ptr<Packet>());
        }
        control::Controller& core = controller->GetController();
        const auto tell = [&](uint16_t vm) {
            core.SendProfile(vm, {StreamOf(vm)});
            controller->Serve();
        };
        Simulator::Schedule(MilliSeconds(kStart - 10), [&] { tell(1); });
        Simulator::Schedule(MilliSeconds(kStart + kFirst) - MicroSeconds(500), [&] { tell(2); });
        Simulator::Schedule(Seconds(1), [&] {
            for (const auto kind : {ff::wire::StatisticsKind::kRules,
                                    ff::wire::StatisticsKind::kTagClasses,
                                    ff::wire::StatisticsKind::kCounters})
            {
                core.ReadStatistics(kind, 0);
            }
            core.ReadProfile(1);
            core.ReadProfile(99);
            ff::wire::ControlKeyRotation rotation;
            rotation.epoch = 1;
            rotation.key.fill(9);
            core.RotateKeys(rotation);
            controller->Serve();
        });
        Simulator::Stop(Seconds(2));
        Simulator::Run();

        NS_TEST_ASSERT_MSG_EQ(card.m_told.size(), 2, "told");
        NS_TEST_ASSERT_MSG_EQ(card.m_verdicts.size(), arrivals.size(), "decided");
        const auto expected = ByTheCores(arrivals, card.m_told);
        const auto untold = ByTheCores(arrivals, {});
        uint64_t tagged = 0;
        for (std::size_t i = 0; i < arrivals.size(); ++i)
        {
            const auto& verdict = card.m_verdicts[i];
            NS_TEST_ASSERT_MSG_EQ((Encode(verdict) == Encode(expected[i])), true, "packet " << i);
            tagged += verdict.tag_status == ::foreflow::tag::TagStatus::kValid ? 1 : 0;
        }
        // The first packet of VM 2: its entry was there, and its queue is a stream's.
        const auto& first = card.m_verdicts[kFirst];
        NS_TEST_EXPECT_MSG_EQ(first.punted, false, "ready");
        NS_TEST_EXPECT_MSG_EQ(int{first.queue}, 1, "as it was told");
        NS_TEST_EXPECT_MSG_EQ(untold[kFirst].punted, true, "not ready");
        NS_TEST_EXPECT_MSG_EQ(int{untold[kFirst].queue}, 2, "as its header says");

        std::vector<control::ControllerEvent> events;
        for (control::ControllerEvent event; core.TakeEvent(event);)
        {
            events.push_back(event);
        }
        using Kind = control::ControllerEvent::Kind;
        const std::vector<Kind> kinds = {Kind::kDone,
                                         Kind::kDone,
                                         Kind::kReport,
                                         Kind::kReport,
                                         Kind::kReport,
                                         Kind::kProfile,
                                         Kind::kRefused,
                                         Kind::kDone};
        NS_TEST_ASSERT_MSG_EQ(events.size(), kinds.size(), "answered");
        for (std::size_t i = 0; i < kinds.size(); ++i)
        {
            NS_TEST_ASSERT_MSG_EQ((events[i].kind == kinds[i]), true, "answer " << i);
        }
        const auto& byRule = events[2].rows;
        NS_TEST_ASSERT_MSG_EQ(byRule.size(), 1, "one rule");
        NS_TEST_EXPECT_MSG_EQ(byRule[0].packets, 2U * kFirst, "all of them");
        NS_TEST_EXPECT_MSG_EQ(byRule[0].bytes, 2U * kFirst * kBytes, "all of them");
        uint64_t ofClasses = 0;
        for (const auto& row : events[3].rows)
        {
            ofClasses += row.packets;
        }
        NS_TEST_EXPECT_MSG_EQ(ofClasses, tagged, "by class");
        std::map<std::string, uint64_t> counters;
        for (const auto& row : events[4].rows)
        {
            counters[control::CounterName(row.id)] = row.packets;
        }
        NS_TEST_EXPECT_MSG_EQ(counters.at("packets_in"), 2U * kFirst, "counted");
        NS_TEST_EXPECT_MSG_EQ(counters.at("profile_rows"), 2, "counted");
        NS_TEST_EXPECT_MSG_EQ(counters.at("installs_by_profile"), 2, "counted");
        NS_TEST_EXPECT_MSG_GT(counters.at("tags_as_told"), 100, "counted");
        NS_TEST_EXPECT_MSG_GT(counters.at("control_messages"), 3, "the agent's");
        NS_TEST_EXPECT_MSG_EQ(
            (events[6].sentence.find("vm = 99") != std::string::npos), true, "why");
        NS_TEST_EXPECT_MSG_EQ(nic->GetPathCounters().tag_rotations, 1, "rotated");
        Simulator::Destroy();
    }
};

/**
 * What the control protocol does in simulated time.
 */
class ControlTestSuite : public TestSuite
{
  public:
    ControlTestSuite()
        : TestSuite("foreflow-control", TestSuite::Type::SYSTEM)
    {
        AddTestCase(new ControlWholeTestCase);
        AddTestCase(new ControlStalenessTestCase);
        AddTestCase(new ControlOffloadTestCase);
        AddTestCase(new ControlReportsTestCase);
    }
};

static ControlTestSuite g_controlTestSuite; //!< registers itself

} // namespace tests
