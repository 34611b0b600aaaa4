// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/lanes.h"

#include <algorithm>
#include <array>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::path {
namespace {

// Toeplitz hashing is linear, and this key repeats every 16 bits: so the input may be folded to one 16-bit
// word first, and the 32-bit hash is one 16-bit value twice.
constexpr std::uint16_t kKey = 0x6d5a;

std::uint16_t Toeplitz(std::uint16_t folded) {
  std::uint16_t hash = 0;
  for (unsigned bit = 0; bit < 16; ++bit) {
    const auto window = static_cast<std::uint16_t>(kKey << bit | kKey >> (16 - bit));
    if ((folded >> (15 - bit) & 1) != 0) hash = static_cast<std::uint16_t>(hash ^ window);
  }
  return hash;
}

std::uint16_t Fold(const std::array<std::uint8_t, 16>& address) {
  std::uint16_t folded = 0;
  for (std::size_t i = 0; i < address.size(); i += 2) {
    folded = static_cast<std::uint16_t>(folded ^ (address[i] << 8 | address[i + 1]));
  }
  return folded;
}

template <typename T>
T ShareOf(T whole, std::uint16_t lanes) {
  return static_cast<T>((std::uint64_t{whole} + lanes - 1) / lanes);
}

}  // namespace

std::uint16_t LaneOf(const flow::FlowKey& key, std::uint16_t lanes) {
  const auto l3 = static_cast<wire::Layer3>(key.l3);
  if (lanes == 1 || (l3 != wire::Layer3::kIpv4 && l3 != wire::Layer3::kIpv6)) return 0;
  const auto folded = static_cast<std::uint16_t>(Fold(key.source_address) ^ Fold(key.destination_address));
  return static_cast<std::uint16_t>(Toeplitz(folded) & (lanes - 1u));
}

std::uint16_t LaneOf(const Parsed& parsed, std::uint16_t lanes) {
  return parsed.decidable ? LaneOf(parsed.key, lanes) : std::uint16_t{0};
}

PathConfig LaneShare(const PathConfig& config) {
  const std::uint16_t lanes = config.lanes;
  if (lanes == 0 || lanes > kMostLanes || (lanes & (lanes - 1)) != 0) {
    throw Refusal("configuration", "device.lanes", std::to_string(lanes),
                  "powers of two up to " + std::to_string(kMostLanes));
  }
  PathConfig share = config;
  share.flow_entries = ShareOf(config.flow_entries, lanes);
  share.vm_flow_entries = ShareOf(config.vm_flow_entries, lanes);
  share.rule_slots = ShareOf(config.rule_slots, lanes);
  share.rule_writes_per_second = ShareOf(config.rule_writes_per_second, lanes);
  share.vm_installs_per_second = ShareOf(config.vm_installs_per_second, lanes);
  share.peers_per_vm = ShareOf(config.peers_per_vm, lanes);
  share.label_pending = ShareOf(config.label_pending, lanes);
  share.installs_per_second = ShareOf(config.installs_per_second, lanes);
  share.conversations = ShareOf(config.conversations, lanes);
  share.readings_per_second = ShareOf(config.readings_per_second, lanes);
  // Bursts stay whole: a share of one could be too small for a packet.
  for (tag::MeterConfig& meter : share.meters) {
    meter.committed_rate = BitsPerSecond(ShareOf(meter.committed_rate.count(), lanes));
    meter.peak_rate = BitsPerSecond(ShareOf(meter.peak_rate.count(), lanes));
  }
  return share;
}

Lanes::Lanes(const PathConfig& config, const Future* future) {
  const PathConfig share = LaneShare(config);
  for (std::uint16_t lane = 0; lane < config.lanes; ++lane) {
    const Future* known = future;
    if (future != nullptr && config.lanes > 1) {
      futures_.push_back(std::make_unique<Future>(*future, [&](std::size_t packet) {
        const std::uint16_t its = future->decidable(packet) ? LaneOf(future->key(packet), config.lanes) : 0;
        return its == lane;
      }));
      known = futures_.back().get();
    }
    paths_.push_back(std::make_unique<PacketPath>(share, known));
  }
}

void Lanes::Process(const Arrival* arrivals, std::size_t count, Verdict* verdicts, StageWork* work) {
  if (paths_.size() == 1) return paths_[0]->Process(arrivals, count, verdicts, work);
  // A burst of each lane in turn: in what order lanes are served changes nothing.
  std::array<Parsed, kBurst> parsed;
  std::array<std::uint16_t, kBurst> lane;
  for (std::size_t i = 0; i < count; ++i) {
    Parse(arrivals[i], parsed[i]);
    lane[i] = LaneOf(parsed[i], static_cast<std::uint16_t>(paths_.size()));
  }
  std::array<Job, kBurst> jobs;
  for (std::uint64_t left = (std::uint64_t{1} << count) - 1; left != 0;) {
    const std::uint16_t served = lane[static_cast<std::size_t>(__builtin_ctzll(left))];
    std::size_t size = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (lane[i] != served) continue;
      jobs[size++] = {&arrivals[i], &parsed[i], &verdicts[i], &work[i]};
      left &= ~(std::uint64_t{1} << i);
    }
    paths_[served]->Process(jobs.data(), size);
  }
}

void Lanes::HostSide(const Arrival& arrival, const Parsed& parsed, Tagged& tagged, StageWork& work) {
  current_ = LaneOf(parsed, static_cast<std::uint16_t>(paths_.size()));
  paths_[current_]->HostSide(arrival, parsed, tagged, work);
}

void Lanes::DeviceSide(const Arrival& arrival, const Tagged& tagged, Verdict& verdict, StageWork& work) {
  paths_[current_]->DeviceSide(arrival, tagged, verdict, work);
}

void Lanes::ApplyRules(const rules::RuleBatch& batch) {
  for (const auto& path : paths_) path->ApplyRules(batch);  // the lanes' rules are alike: the first refuses
}

void Lanes::ReplaceRules(const PathConfig& config) {
  const PathConfig share = LaneShare(config);
  std::vector<std::unique_ptr<RuleSet>> sets;  // all are there before the first is used
  for (std::size_t lane = 0; lane < paths_.size(); ++lane) sets.push_back(std::make_unique<RuleSet>(share));
  for (std::size_t lane = 0; lane < paths_.size(); ++lane) paths_[lane]->SwapRules(*sets[lane]);
}

Counters Lanes::counters() const {
  Counters sum = paths_[0]->counters();
  for (std::size_t lane = 1; lane < paths_.size(); ++lane) sum += paths_[lane]->counters();
  return sum;
}

std::vector<rules::RuleStatistics::Row> Lanes::rule_statistics() const {
  rules::RuleStatistics sum = paths_[0]->rule_statistics();
  for (std::size_t lane = 1; lane < paths_.size(); ++lane) sum.Add(paths_[lane]->rule_statistics());
  return sum.Rows();
}

std::vector<rules::RuleStatistics::Row> Lanes::tag_rule_statistics() const {
  rules::RuleStatistics sum = paths_[0]->tag_rule_statistics();
  for (std::size_t lane = 1; lane < paths_.size(); ++lane) sum.Add(paths_[lane]->tag_rule_statistics());
  return sum.Rows();
}

}  // namespace foreflow::path
