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

#include "models/control/generation_check.h"
#include "models/rules/rule_table.h"

#include <iostream>
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
    }
};

static ControlTestSuite g_controlTestSuite; //!< registers itself

} // namespace tests
