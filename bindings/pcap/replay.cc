// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/replay.h"

#include <algorithm>
#include <array>
#include <utility>

#include "bindings/pcap/looped_arrivals.h"
#include "bindings/pcap/time_map.h"
#include "models/base/refusal.h"
#include "models/crypto/digest.h"

namespace foreflow::pcap {

config::RunConfig DefaultReplayConfig() {
  config::RunConfig config;
  config.path = config::DefaultPathConfig();
  config.flow_entries.count = config.path.flow_entries;
  return config;
}

ReplayResult Replay(const Capture& capture, config::RunConfig config, const ReplayBegin& begin,
                    const ReplayObserver& observer, std::uint64_t loops) {
  if (loops > 1 && config.path.arm >= path::Arm::kOracle) {
    throw Refusal(
        "command line: --loop repeats a capture for arms that do not know the future; give another arm");
  }
  const Traffic traffic = MapRecorded(capture, config.path.vms);
  const LoopedArrivals all(capture.name, traffic.arrivals, loops);
  const path::Future future(traffic.arrivals, config.path.label_horizon);

  ReplayResult result;
  result.distinct_entries = config::DistinctEntries(future, config.path.rules);
  config::ResolveFlowEntries(config, result.distinct_entries);
  path::Lanes path(config.path, &future);
  if (begin) begin(future);

  crypto::Sha256 digest;
  std::array<path::Arrival, path::kBurst> arrivals;
  std::array<path::Verdict, path::kBurst> verdicts;
  std::array<path::StageWork, path::kBurst> work;
  for (std::uint64_t at = 0; at < all.size(); at += path::kBurst) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(path::kBurst, all.size() - at));
    for (std::size_t i = 0; i < count; ++i) arrivals[i] = all[at + i];
    verdicts.fill({});
    work.fill({});
    path.Process(arrivals.data(), count, verdicts.data(), work.data());
    for (std::size_t i = 0; i < count; ++i) {
      const path::Verdict& verdict = verdicts[i];
      const auto record = Encode(verdict);
      digest.Update({record.data(), record.size()});
      ++result.packets.in;
      if (verdict.verb == rules::Verb::kDrop) {
        result.packets.Drop(verdict.reason);
      } else {
        ++result.packets.out;
      }
      if (observer) observer(at + i, arrivals[i], verdict, work[i]);
    }
  }
  const auto fingerprint = digest.Finish();
  result.fingerprint = crypto::Hex({fingerprint.data(), fingerprint.size()});
  result.counters = path.counters();
  result.models = config::ToJson(path);
  result.statistics = config::StatisticsOf(path);
  result.vms = traffic.vms;
  result.notes = capture.notes;
  result.notes.insert(result.notes.end(), traffic.notes.begin(), traffic.notes.end());
  result.path = std::move(config.path);
  return result;
}

}  // namespace foreflow::pcap
