// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/packet_path.h"

#include <array>
#include <string>

#include "models/base/refusal.h"
#include "models/path/device.h"
#include "models/path/host.h"

namespace foreflow::path {

struct PacketPath::State {
  State(const PathConfig& configuration, const Future* future)
      : config(configuration), device(config, future, counters), host(config, future, device, counters) {}

  PathConfig config;
  Counters counters;
  Device device;
  Host host;
  Nanos next_rotation;  // where keys rotate by time
  // Of the packets that are being decided.
  std::array<Parsed, kBurst> parsed;
  std::array<CurrentPacket, kBurst> current;
  std::array<Tagged, kBurst> tagged;
  std::array<tag::TagMac, kBurst> seals;
  std::array<DevicePacket, kBurst> packets;

  void HostSide(const Arrival& arrival, std::size_t i, Tagged& sealed, StageWork& work) {
    host.Process(arrival, current[i], sealed, seals[i], work);
    tag::TagMac* const mac[] = {&seals[i]};
    tag::ComputeMacs(mac, 1);
    tag::TagSealer::Finish(seals[i], sealed.tag);
  }
  void DeviceSide(const Arrival& arrival, std::size_t i, const Tagged& sealed, Verdict& verdict,
                  StageWork& work) {
    packets[i].arrival = &arrival;
    packets[i].current = &current[i];
    packets[i].tagged = &sealed;
    packets[i].verdict = &verdict;
    packets[i].work = &work;
    device.Process(packets[i]);
    if (verdict.punted && verdict.reason != Reason::kTrapRule) host.SeePunt(current[i]);
  }
  // All packets of a burst, with all MACs computed together.
  void InSteps(const Job* jobs, std::size_t count);
};

void PacketPath::State::InSteps(const Job* jobs, std::size_t count) {
  const bool predicts = host.Predicts();
  for (std::size_t i = 0; i < count; ++i) {
    if (predicts) host.Process(*jobs[i].arrival, current[i], tagged[i], seals[i], *jobs[i].work);
    packets[i].arrival = jobs[i].arrival;
    packets[i].current = &current[i];
    packets[i].tagged = &tagged[i];
    packets[i].verdict = jobs[i].verdict;
    packets[i].work = jobs[i].work;
    if (device.FindEntry(packets[i])) host.SeePunt(current[i]);
  }
  if (predicts) {
    std::array<tag::TagMac*, kBurst> macs{};
    for (std::size_t i = 0; i < count; ++i) macs[i] = &seals[i];
    tag::ComputeMacs(macs.data(), count);
    for (std::size_t i = 0; i < count; ++i) tag::TagSealer::Finish(seals[i], tagged[i].tag);
  }
  device.Finish(packets.data(), count);
}

PacketPath::PacketPath(const PathConfig& config, const Future* future) {
  const bool knows_future = config.arm == Arm::kOracle || config.arm == Arm::kAntiOracle;
  if (knows_future && future == nullptr) {
    throw Refusal("configuration: arms oracle and anti_oracle need an input that is known in advance");
  }
  if (config.holds_rules && (config.rule_slots > 0 || config.arm > Arm::kReactive)) {
    throw Refusal(
        "configuration: a device that holds all rules has no table of some of them, and nothing to predict");
  }
  if (config.flow_entries == 0 && config.rule_slots == 0 && !config.holds_rules) {
    throw Refusal("configuration", "device.flow_entries", "0", "1 or more, unless device.rules is given");
  }
  if (config.tag_scope == TagScope::kPerBurst && (config.burst_packets < 2 || config.burst_packets > 256)) {
    throw Refusal("configuration", "tags.burst_packets", std::to_string(config.burst_packets), "2..256");
  }
  state_ = std::make_unique<State>(config, future);
  state_->next_rotation = config.tag_rotation > Nanos() ? config.tag_rotation : Nanos(INT64_MAX);
}

PacketPath::~PacketPath() = default;

void PacketPath::HostSide(const Arrival& arrival, const Parsed& parsed, Tagged& tagged, StageWork& work) {
  RotateByTime(arrival.time);
  state_->parsed[0] = parsed;
  state_->host.Prepare(state_->parsed[0], state_->current[0]);
  state_->host.Follow(arrival, state_->current[0]);
  const Arrival* const arrivals[] = {&arrival};
  state_->host.Read(arrivals, state_->current.data(), 1);
  state_->HostSide(arrival, 0, tagged, work);
}

void PacketPath::DeviceSide(const Arrival& arrival, const Tagged& tagged, Verdict& verdict, StageWork& work) {
  state_->DeviceSide(arrival, 0, tagged, verdict, work);
}

void PacketPath::Process(const Arrival* arrivals, std::size_t count, Verdict* verdicts, StageWork* work) {
  std::array<Job, kBurst> jobs;
  for (std::size_t i = 0; i < count; ++i) {
    Parse(arrivals[i], state_->parsed[i]);
    jobs[i] = {&arrivals[i], &state_->parsed[i], &verdicts[i], &work[i]};
  }
  Process(jobs.data(), count);
}

// Each step is done for all packets before the next, so that memory asked for in one has arrived in the next.
void PacketPath::Process(const Job* jobs, std::size_t count) {
  if (count == 0) return;
  std::array<CurrentPacket, kBurst>& current = state_->current;
  for (std::size_t i = 0; i < count; ++i) state_->host.Prepare(*jobs[i].parsed, current[i]);
  for (std::size_t i = 0; i < count; ++i) state_->host.Prefetch(*jobs[i].arrival, current[i]);
  if (state_->host.Predicts()) {
    for (std::size_t i = 0; i < count; ++i) state_->host.Follow(*jobs[i].arrival, current[i]);
  }
  if (state_->host.models() != nullptr) {
    std::array<const Arrival*, kBurst> arrivals;
    for (std::size_t i = 0; i < count; ++i) arrivals[i] = jobs[i].arrival;
    state_->host.Read(arrivals.data(), current.data(), count);
  }
  RotateByTime(jobs[0].arrival->time);
  const bool has_one_epoch = jobs[count - 1].arrival->time < state_->next_rotation;
  if (state_->device.IsSteppable() && has_one_epoch) return state_->InSteps(jobs, count);
  for (std::size_t i = 0; i < count; ++i) {
    RotateByTime(jobs[i].arrival->time);
    Tagged& tagged = state_->tagged[i];
    state_->HostSide(*jobs[i].arrival, i, tagged, *jobs[i].work);
    state_->DeviceSide(*jobs[i].arrival, i, tagged, *jobs[i].verdict, *jobs[i].work);
  }
}

void PacketPath::SwapRules(RuleSet& set) noexcept { state_->device.SwapRules(set); }

void PacketPath::ApplyRules(const rules::RuleBatch& batch) { state_->device.ApplyRules(batch); }

void PacketPath::AdoptRules(const rules::RuleTable& table) noexcept { state_->device.AdoptRules(table); }

void PacketPath::CheckRules(const rules::RuleBatch& batch) const { state_->device.CheckRules(batch); }

const rules::RuleTable& PacketPath::rules() const { return state_->device.rules(); }

bool PacketPath::RotateTagKeys(std::uint64_t epoch, const crypto::Key128& master, Nanos now, Nanos overlap) {
  if (state_->config.tag_rotation > Nanos()) return false;
  if (!state_->device.RotateTagKeys(epoch, master, now + overlap)) return false;
  state_->host.RotateTagKeys(epoch, master);
  ++state_->counters.tag_rotations;
  return true;
}

// Epoch e begins at e times the rotation's period, whoever's clock it is and whenever the first packet comes.
void PacketPath::RotateByTime(Nanos now) {
  if (now < state_->next_rotation) return;
  const PathConfig& config = state_->config;
  const std::int64_t epoch = now.count() / config.tag_rotation.count();
  const Nanos begin = config.tag_rotation * epoch;
  state_->next_rotation = begin + config.tag_rotation;
  state_->device.RotateTagKeys(static_cast<std::uint64_t>(epoch), config.tag_master_key,
                               begin + config.tag_overlap);
  state_->host.RotateTagKeys(static_cast<std::uint64_t>(epoch), config.tag_master_key);
  ++state_->counters.tag_rotations;
}

Description PacketPath::Describe(const Arrival& arrival) const {
  Description description;
  state_->host.Describe(arrival, state_->current[0], description);
  state_->device.Describe(state_->current[0], description);
  return description;
}

std::size_t PacketPath::Expect(flow::VmId vm, Expectation* out, std::size_t limit) const {
  return state_->host.Expect(vm, out, limit);
}

bool PacketPath::TakeExpectation(const Expectation& expected, Nanos now) {
  Work uncounted;  // of no packet
  return state_->host.TakeExpectation(expected, now, uncounted);
}

const Counters& PacketPath::counters() const { return state_->counters; }

const std::vector<rules::PacketChange>& PacketPath::changes() const { return state_->device.set().changes; }

const rules::RuleStatistics& PacketPath::rule_statistics() const { return state_->device.set().statistics; }

const rules::RuleStatistics& PacketPath::tag_rule_statistics() const {
  return state_->device.set().tag_statistics;
}

const predict::TieredPredictor* PacketPath::models() const { return state_->host.models(); }

}  // namespace foreflow::path
