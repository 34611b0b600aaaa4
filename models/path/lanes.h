// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_LANES_H_
#define FOREFLOW_MODELS_PATH_LANES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "models/path/packet_path.h"

namespace foreflow::path {

constexpr std::uint16_t kMostLanes = 128;  // entries of the smallest redirection table of NICs in use

// The lane of a packet, 0 .. lanes - 1; `lanes` is a power of two. What receive-side scaling computes over
// the outermost IP addresses with a key of period 16 (0x6d5a...), which makes it the same for both directions
// of a conversation (Woo, Park 2012): a NIC with that key and the redirection table i -> i mod lanes steers
// alike. Packets without IP and undecidable ones are on lane 0.
std::uint16_t LaneOf(const Parsed& parsed, std::uint16_t lanes);
std::uint16_t LaneOf(const flow::FlowKey& key, std::uint16_t lanes);

// What one lane is given of a configuration: its share, rounded up, of everything that is a capacity or a
// rate (flow entries, peers of a profile, waiting labels, conversations, installs and readings a second,
// meters), so that the sum over lanes is what was configured. Throws Refusal unless lanes is a power of two
// up to kMostLanes.
PathConfig LaneShare(const PathConfig& config);

// All lanes of one host and its device. A conversation stays on its lane and lanes share nothing, so that any
// number of workers, each owning some of the lanes, decides the same. The verdict stream of all lanes is in
// order of arrival.
class Lanes {
 public:
  // As of PacketPath and LaneShare, refusals too; `future` is of all packets.
  Lanes(const PathConfig& config, const Future* future);

  std::size_t size() const { return paths_.size(); }
  PacketPath& lane(std::size_t lane) { return *paths_[lane]; }
  // See PacketPath::models.
  const predict::TieredPredictor* models(std::size_t lane) const { return paths_[lane]->models(); }

  // PacketPath's calls, for a door that decides for all lanes on one core. DeviceSide is of the packet of the
  // last HostSide.
  void Process(const Arrival* arrivals, std::size_t count, Verdict* verdicts, StageWork* work);
  void HostSide(const Arrival& arrival, const Parsed& parsed, Tagged& tagged, StageWork& work);
  void DeviceSide(const Arrival& arrival, const Tagged& tagged, Verdict& verdict, StageWork& work);

  // PacketPath's, on every lane: all of them make the changes, or none does.
  void ApplyRules(const rules::RuleBatch& batch);
  // Decides by the rules, tag rules and meters of `config` from the next packet on, or throws Refusal as
  // RuleSet does and goes on as before. Takes memory.
  void ReplaceRules(const PathConfig& config);
  // What decides now: the same rules and generation on every lane.
  const rules::RuleTable& rules() const { return paths_[0]->rules(); }

  // Summed over lanes.
  Counters counters() const;
  // The rows of PacketPath's statistics, summed over lanes, by id.
  std::vector<rules::RuleStatistics::Row> rule_statistics() const;
  std::vector<rules::RuleStatistics::Row> tag_rule_statistics() const;

 private:
  std::vector<std::unique_ptr<Future>> futures_;  // by lane, where there are several
  std::vector<std::unique_ptr<PacketPath>> paths_;
  std::size_t current_ = 0;  // lane of the last HostSide
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_LANES_H_
