// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/updates/update_channel.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "hw-models/cost/cost_model.h"
#include "models/control/update_work.h"
#include "ns3/error-model.h"
#include "ns3/inet-socket-address.h"
#include "ns3/internet-stack-helper.h"
#include "ns3/ipv4-address-helper.h"
#include "ns3/ipv4-interface-container.h"
#include "ns3/pointer.h"
#include "ns3/rng-seed-manager.h"
#include "ns3/simple-net-device-helper.h"
#include "ns3/simulator.h"

namespace foreflow::scenarios {
namespace {

constexpr std::uint16_t kAgentPort = 7700, kControllerPort = 7701;

ns3::Time ToTime(Nanos time) { return ns3::NanoSeconds(static_cast<std::uint64_t>(time.count())); }

Nanos Now() { return Nanos(ns3::Simulator::Now().GetNanoSeconds()); }

crypto::SecretKey KeyOf(std::uint8_t end) {
  std::array<std::uint8_t, 32> bytes;
  bytes.fill(end);
  return crypto::SecretKey(bytes);
}

// Both ends are in one rack: a session whose peer restarted is given up after far less than over a wide
// network.
crypto::ChannelConfig Channel(const crypto::SecretKey& own, const crypto::ChannelPeer& peer, Nanos delay) {
  crypto::ChannelConfig channel = control::ControlChannel(own, {peer});
  channel.retry = delay * 4 + Millis(5);
  channel.keepalive = delay * 4 + Millis(25);
  channel.dead_after = channel.keepalive * 4;
  return channel;
}

// As what decided says it: a drop for want of tokens is still a rule's forward.
rules::Verb VerbOf(const path::Verdict& verdict) {
  if (verdict.reason == Reason::kDenyRule || verdict.reason == Reason::kDefaultDrop)
    return rules::Verb::kDrop;
  return verdict.punted ? rules::Verb::kTrap : rules::Verb::kForward;
}

std::uint64_t CyclesOf(const hw::DeviceProfile& profile, const Work& work) {
  constexpr path::Stage kStage = path::Stage::kPreinstall;  // its base is taken off: nothing is visited
  return (hw::CyclesOf(profile, kStage, work) - hw::CyclesOf(profile, kStage, Work())).count();
}

}  // namespace

// Adds the time from asking for a change until it is in force.
class UpdateChannel::Device : public ns3::foreflow::OffloadControl {
 public:
  using OffloadControl::OffloadControl;

  std::optional<control::DeviceRefusal> Apply(const std::vector<rules::RuleChange>& changes, bool is_whole,
                                              const control::RuleSetState& next,
                                              std::uint64_t generation) override {
    auto refusal = OffloadControl::Apply(changes, is_whole, next, generation);
    if (refusal) return refusal;
    made_ += changes.size();
    for (const rules::RuleChange& change : changes) {
      const auto asked = asked_.find(change.rule.id);
      if (asked == asked_.end()) continue;
      waited_ += Now() - asked->second;
      ++effective_;
      asked_.erase(asked);
    }
    return refusal;
  }
  void Ask(std::uint32_t rule) { asked_.emplace(rule, Now()); }

  std::uint64_t made() const { return made_; }
  double MeanWaitUs() const {
    return effective_ == 0 ? 0
                           : static_cast<double>(waited_.count()) / 1000 / static_cast<double>(effective_);
  }

 private:
  std::map<std::uint32_t, Nanos> asked_;  // by rule, first
  Nanos waited_{0};
  std::uint64_t effective_ = 0;
  std::uint64_t made_ = 0;
};

config::RunConfig WithUpdates(config::RunConfig config, const FlowOffload& offload) {
  config.path.arm = path::Arm::kReactive;  // the host predicts in FlowOffload
  config.path.holds_rules = true;
  config.path.flow_entries = 0;
  config.path.rules = offload.initial();
  return config;
}

UpdateChannel::UpdateChannel(const config::RunConfig& config, FlowOffload& offload,
                             ns3::Ptr<ns3::foreflow::OffloadNic> nic, Nanos end)
    : config_(config),
      offload_(offload),
      nic_(nic),
      end_(end),
      device_(std::make_unique<Device>(nic)),
      wanted_(control::RuleSetState::Of(offload.initial())) {
  ns3::RngSeedManager::SetSeed(1);
  ns3::RngSeedManager::SetRun(config.seed);
  const ns3::NodeContainer nodes(nic->GetNode(), ns3::CreateObject<ns3::Node>());
  ns3::SimpleNetDeviceHelper link;
  link.SetChannelAttribute("Delay", ns3::TimeValue(ToTime(config.control.delay)));
  const ns3::NetDeviceContainer devices = link.Install(nodes);
  for (std::uint32_t i = 0; i < devices.GetN(); ++i) {
    auto errors = ns3::CreateObject<ns3::RateErrorModel>();
    errors->SetUnit(ns3::RateErrorModel::ERROR_UNIT_PACKET);
    errors->SetRate(config.control.loss);
    errors->AssignStreams(i);
    devices.Get(i)->SetAttribute("ReceiveErrorModel", ns3::PointerValue(errors));
  }
  ns3::InternetStackHelper internet;
  internet.SetIpv6StackInstall(false);
  internet.Install(nodes);
  ns3::Ipv4AddressHelper addresses;
  addresses.SetBase("10.255.0.0", "255.255.255.0");
  const ns3::Ipv4InterfaceContainer interfaces = addresses.Assign(devices);
  const ns3::AddressValue here(ns3::InetSocketAddress(interfaces.GetAddress(0), kAgentPort));

  agent_ = ns3::CreateObject<ns3::foreflow::ControlAgent>();
  agent_->SetAttribute("Local", here);
  nodes.Get(0)->AddApplication(agent_);
  controller_ = ns3::CreateObject<ns3::foreflow::ControlController>();
  controller_->SetAttribute(
      "Local", ns3::AddressValue(ns3::InetSocketAddress(interfaces.GetAddress(1), kControllerPort)));
  controller_->SetAttribute("Remote", here);
  nodes.Get(1)->AddApplication(controller_);
  for (const ns3::Ptr<ns3::Application>& application :
       {ns3::Ptr<ns3::Application>(agent_), ns3::Ptr<ns3::Application>(controller_)}) {
    application->SetStopTime(ToTime(end));
  }
  StartAgent();
  StartController();
  for (std::uint32_t i = 1; i <= config.control.restarts; ++i) {
    const Nanos when(end.count() / (config.control.restarts + 1) * i);
    ns3::Simulator::Schedule(
        ToTime(when), i % 2 == 1 ? &UpdateChannel::RestartDevice : &UpdateChannel::RestartController, this);
  }
  nic->TraceConnectWithoutContext("Decided", ns3::MakeCallback(&UpdateChannel::Decided, this));
}

UpdateChannel::~UpdateChannel() = default;

std::array<std::uint8_t, 32> UpdateChannel::NextSeed() {
  std::array<std::uint8_t, 32> seed{};
  ++seeds_;
  for (std::size_t i = 0; i < sizeof seeds_; ++i) seed[i] = static_cast<std::uint8_t>(seeds_ >> (8 * i));
  return seed;
}

void UpdateChannel::StartAgent() {
  check_.Start(offload_.initial());
  control::AgentConfig agent;
  agent.instance = seeds_ + 1;
  agent_->SetUp(
      Channel(KeyOf(1), {crypto::PublicKeyOf(KeyOf(2)), control::kMayChangeRules}, config_.control.delay),
      NextSeed(), agent, offload_.initial(), *device_);
}

void UpdateChannel::RestartDevice() {
  nic_->ReplaceRules(offload_.initial());
  StartAgent();
}

void UpdateChannel::StartController() {
  control::ControllerConfig controller;
  controller.update_interval = Nanos(Seconds(1).count() / config_.control.updates_per_second);
  controller.retransmit = config_.control.delay * 4 + Micros(300);
  controller.hello_interval = config_.control.delay * 4 + Millis(100);
  controller_->SetUp(Channel(KeyOf(2), {crypto::PublicKeyOf(KeyOf(1)), 0}, config_.control.delay), NextSeed(),
                     controller);
  controller_->Replace(wanted_.Rules());
  batches_known_ = 0;
}

// The host still knows which flows it wants on the card.
void UpdateChannel::RestartController() {
  RecordIssued();
  const control::Controller::Counts& counts = controller_->GetController().counts();
  batches_before_ += counts.batches;
  whole_before_ += counts.whole;
  StartController();
}

void UpdateChannel::RecordIssued() {
  const control::Controller& controller = controller_->GetController();
  // What is wanted has not changed since the last call, so that all of them have that set.
  for (; batches_known_ < controller.counts().batches; ++batches_known_) {
    const std::uint64_t later = controller.counts().batches - batches_known_ - 1;
    check_.Issue(controller.last_issued() - later, controller.wanted());
  }
}

void UpdateChannel::Ask(const rules::RuleChange& change) {
  ++asked_;
  device_->Ask(change.rule.id);
  wanted_.Apply(change);
  controller_->Change(change);
  RecordIssued();
}

void UpdateChannel::Decided(const ns3::foreflow::PacketDecision& decision) {
  const path::Parsed parsed = path::Parse(decision.arrival);
  if (!parsed.decidable) return;
  RecordIssued();
  const control::DeviceAgent& agent = agent_->GetAgent().agent();
  const wire::SetDigest digest = agent.rules().digest();
  check_.Packet(parsed.key, decision.verdict.rule, VerbOf(decision.verdict), agent.generation(), digest);
  if (digest != wanted_.digest()) ++outdated_;
  if (decision.verdict.punted && offload_.MayAsk(parsed.key)) {
    Punts& punts = offload_.Asks(parsed.key) ? stale_ : new_;
    ++punts.packets;
    punts.cycles += decision.cost.stage[static_cast<std::size_t>(path::Stage::kSlowPath)];
  }
  changes_.clear();
  offload_.See(parsed.key, changes_);
  for (const rules::RuleChange& change : changes_) Ask(change);
}

config::Json UpdateChannel::Report() const {
  using ns3::foreflow::ControlEnd;
  const ControlEnd::Traffic& down = controller_->GetSent();
  const ControlEnd::Traffic& up = agent_->GetSent();
  const auto records = [](const ControlEnd& end) {
    return control::WorkOfRecords(end.GetSent().packets + end.GetReceived().packets,
                                  end.GetSent().bytes + end.GetReceived().bytes);
  };
  Work host = records(*controller_);
  host += control::WorkOfWishes(asked_);
  Work card = records(*agent_);
  card += control::WorkOfChanges(device_->made());
  const control::Controller::Counts& counts = controller_->GetController().counts();
  const auto ToJson = [](const Punts& punts) {
    return config::Json{{"packets", punts.packets}, {"cycles", punts.cycles}};
  };
  return {{"seconds", ToSeconds(end_)},
          {"packets", check_.counts().packets},
          {"mixed", check_.counts().mixed},
          {"unissued", check_.counts().unissued},
          {"outdated", outdated_},
          {"stale_punts", ToJson(stale_)},
          {"new_punts", ToJson(new_)},
          {"asked", asked_},
          {"made", device_->made()},
          {"batches", batches_before_ + counts.batches},
          {"whole_sets", whole_before_ + counts.whole},
          {"sent_packets", down.packets + up.packets},
          {"sent_bytes", down.bytes + up.bytes},
          {"host_cycles", CyclesOf(config_.host, host)},
          {"device_cycles", CyclesOf(config_.device, card)},
          {"update_to_effect_us", device_->MeanWaitUs()}};
}

}  // namespace foreflow::scenarios
