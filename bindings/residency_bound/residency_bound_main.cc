// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bindings/config/report_json.h"
#include "bindings/config/run_config.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/time_map.h"
#include "bindings/program/run_program.h"
#include "bindings/residency_bound/hazard_order.h"
#include "bindings/residency_bound/script_law.h"
#include "models/base/refusal.h"
#include "models/path/arrival.h"
#include "models/rules/rule_table.h"

namespace foreflow::bound {
namespace {

struct Options {
  std::string capture, config;
  bool seen_only = false;
};

std::uint64_t NumberOf(const std::array<std::uint8_t, 6>& mac) {
  std::uint64_t number = 0;
  for (const std::uint8_t byte : mac) number = number << 8 | byte;
  return number;
}

class Bound {
 public:
  Bound(const ScriptLaw& law, const config::RunConfig& config, bool seen_only)
      : latency_(config.path.install_latency),
        plan_(config.path.rules),
        held_(plan_, config.path.rule_slots),
        order_(plan_, config.path.rule_slots),
        rate_(plan_.size()) {
    table_.Load(config.path.rules);
    Work uncounted;
    for (const flow::FlowKey& key : law.headers) {
      const std::uint32_t rank = plan_.RankOf(table_.Classify(key, uncounted).rule);
      if (!header_of_.emplace(rank, rank_of_.size()).second) {
        throw Refusal("law.headers: two of them are decided by one rule; allowed is one a rule");
      }
      rank_of_.push_back(rank);
      is_decided_.push_back(IsDecided(rank, key));
    }
    for (const auto& [mac, phases] : law.vms)
      vms_.emplace(mac, Vm{ScriptFilter(law, phases, seen_only), {}, false});
    const double visit_s = law.gap_s + (1 - law.goes_on) * law.pause_s;
    half_gap_s_ = visit_s / static_cast<double>(vms_.size()) / 2;
  }

  void See(const path::Arrival& arrival) {
    path::Parsed parsed;
    path::Parse(arrival, parsed);
    Work uncounted;
    ++packets_;
    std::uint32_t found = 0;
    const auto answer = held_.Find(parsed.key, arrival.time, found, uncounted);
    punts_ += answer == rules::ResidentRules::Answer::kRule ? 0 : 1;
    const auto vm = vms_.find(NumberOf(parsed.packet.source_mac));
    const auto header = header_of_.find(plan_.RankOf(table_.Classify(parsed.key, uncounted).rule));
    if (vm == vms_.end() || header == header_of_.end()) {
      throw Refusal("packet " + std::to_string(packets_) +
                    ": is of no VM or header of the law; was another capture given?");
    }
    Vm& sender = vm->second;
    const double gap = static_cast<double>((arrival.time - sender.last).count()) * 1e-9;
    sender.filter.See(static_cast<ScriptLaw::Header>(header->second), gap);
    sender.has_sent = true;
    sender.last = arrival.time;
    Hold(arrival.time);
  }

  void Print() const {
    const config::Json document = {{"packets", packets_}, {"punts", punts_}, {"rule_writes", writes_}};
    std::printf("%s\n", config::ToText(document, 2).c_str());
  }

 private:
  struct Vm {
    ScriptFilter filter;
    Nanos last;
    bool has_sent = false;
  };

  // Whether the rule decides the packet where it alone is held: a merged cover may take it.
  bool IsDecided(std::uint32_t rank, const flow::FlowKey& key) const {
    if (rank == rules::CoverPlan::kNone || !plan_.IsWorthHolding(rank)) return false;
    rules::ResidentRules alone(plan_, 1 + plan_.cover_count(rank));
    Work uncounted;
    alone.Hold(rank, Nanos(), uncounted);
    std::uint32_t found = 0;
    return alone.Find(key, Nanos(), found, uncounted) == rules::ResidentRules::Answer::kRule;
  }

  // What is likeliest in the middle of the time until the next packet.
  void Hold(Nanos now) {
    candidates_.clear();
    for (const auto& [mac, vm] : vms_) {
      if (!vm.has_sent) continue;
      const double silence = static_cast<double>((now - vm.last).count()) * 1e-9 + half_gap_s_;
      const ScriptFilter::Hazard hazard = vm.filter.After(silence);
      Add(vm.filter.header(), hazard.on);
      for (const ScriptLaw::Header header : vm.filter.steps()) {
        Add(header, hazard.turn * vm.filter.next()[header]);
      }
    }
    for (HazardOrder::Candidate& candidate : candidates_) {
      candidate.rate = rate_[candidate.rank];
      rate_[candidate.rank] = 0;
    }
    writes_ += order_.Apply(order_.Choose(candidates_), now + latency_, held_);
  }
  void Add(ScriptLaw::Header header, double rate) {
    if (!is_decided_[header] || rate <= 0) return;
    const std::uint32_t rank = rank_of_[header];
    if (rate_[rank] == 0) candidates_.push_back({rank, 0});
    rate_[rank] += rate;
  }

  Nanos latency_;
  rules::CoverPlan plan_;
  rules::RuleTable table_;
  rules::ResidentRules held_;
  HazardOrder order_;
  std::vector<std::uint32_t> rank_of_;              // by header
  std::vector<bool> is_decided_;                    // by header
  std::map<std::uint32_t, std::size_t> header_of_;  // by rank
  std::map<std::uint64_t, Vm> vms_;                 // by MAC
  std::vector<double> rate_;                        // by rank
  std::vector<HazardOrder::Candidate> candidates_;
  double half_gap_s_ = 0;
  std::uint64_t packets_ = 0, punts_ = 0, writes_ = 0;
};

void Run(const Options& options) {
  const config::RunConfig config = config::LoadRunConfig(options.config);
  const ScriptLaw law = LoadScriptLaw(options.capture + ".json");
  const pcap::Capture capture = pcap::LoadCapture(options.capture);
  const pcap::Traffic traffic = pcap::MapRecorded(capture, config.path.vms);
  const auto bound = std::make_unique<Bound>(law, config, options.seen_only);
  for (const path::Arrival& arrival : traffic.arrivals) bound->See(arrival);
  bound->Print();
}

}  // namespace
}  // namespace foreflow::bound

int main(int argc, char** argv) {
  foreflow::bound::Options options;
  CLI::App app{
      "Punts and writes of a device that holds the rules likeliest to be used, knowing the law of the "
      "traffic but not its future (JSON)."};
  app.add_option("capture", options.capture, "generated capture; its sidecar says the law")->required();
  app.add_option("--config", options.config, "resolved configuration (JSON)")->required();
  app.add_flag("--seen-only", options.seen_only, "nothing is known of what a VM has not done before");
  return foreflow::RunProgram(app, argc, argv, [&] { foreflow::bound::Run(options); });
}
