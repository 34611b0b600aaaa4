// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONFIG_RUN_CONFIG_H_
#define FOREFLOW_BINDINGS_CONFIG_RUN_CONFIG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hw-models/cost/cost_model.h"
#include "models/base/units.h"
#include "models/path/future.h"
#include "models/path/path_config.h"

namespace foreflow::shard {
struct UnitPairConfig;
}

namespace foreflow::config {

class Value;

struct TrafficConfig {
  double load = 0.9;              // mean offered bit rate over the link's
  Nanos max_gap = Millis(1000);   // longer silences are cut to this
  std::uint64_t max_packets = 0;  // 0: all
  std::string shift_input;        // a capture whose packets follow from shift_at on; empty: none
  double shift_at = 0.5;          // share of the input's packets
};

struct LinkConfig {
  BitsPerSecond rate{1'000'000'000};
  Nanos delay = Micros(1);
};

// The capacity of the device's flow cache: a count, or a share of the input's distinct entries.
struct FlowEntries {
  std::uint32_t count = 0;              // 0: given as a share
  std::uint32_t parts_per_million = 0;  // 0: given as a count
};

// A trained model that the run names: its file, and the SHA-256 of what is to be in it, in hexadecimal.
struct ModelFile {
  std::string file;  // empty: none
  std::string sha256;
};

// Slots of the device's rule table: a number (0: it has none), or a share of the rules.
using RuleSlots = FlowEntries;

// How what the host wants of its device's rules comes there: by the control protocol over a link.
struct ControlConfig {
  std::uint32_t updates_per_second = 0;  // at the most; 0: rules do not change
  double loss = 0;                       // of the link, a share of packets
  Nanos delay = Micros(50);              // one way
  std::uint32_t restarts = 0;            // of the device and the controller in turn
};

// One run of one arm and seed: RESOLVED.json as plain data. path.flow_entries and path.vm_flow_entries are
// only right once ResolveFlowEntries was called.
struct RunConfig {
  std::string scenario;
  std::string input;  // the capture
  std::string out;    // the run's folder
  std::uint64_t seed = 1;
  TrafficConfig traffic;
  path::PathConfig path;
  ModelFile table;  // become path.table and path.network by LoadModels
  ModelFile network;
  std::string filters;          // a filter set whose rules become path.rules by LoadFilters; empty: none
  FlowEntries flow_entries;     // both 0: none
  FlowEntries vm_flow_entries;  // a share is of path.flow_entries
  RuleSlots rule_slots;         // become path.rule_slots
  std::uint32_t queue_packets = 256;  // of each egress queue
  std::uint32_t slow_path_cores = 1;
  hw::Placement placement = hw::Placement::kNic;
  hw::DeviceProfile host;  // one core
  hw::DeviceProfile device;
  hw::BusProfile bus;
  LinkConfig link;
  ControlConfig control;
  // Two packet dynamics units that a replay carries its frames through, in place of deciding on them; none
  // where the configuration has none. And how it was written.
  std::shared_ptr<const shard::UnitPairConfig> shard;
  std::string shard_text;
};

// Reads RESOLVED.json strictly: a missing, unknown or repeated key, a wrong type or a value out of range
// throws Refusal naming file, key, value and allowed range. A door that simulates no time may not need
// traffic, link, hw: they are checked all the same.
RunConfig LoadRunConfig(const std::string& file);
// The same from text that is already in memory, with the models' and filters' files not read yet; `where` is
// for messages.
RunConfig ParseRunConfig(const std::string& where, const std::string& text);

// The sections `traffic` and `link`, and the profiles in `hw`, which runs of every system have. Throw
// Refusal.
TrafficConfig ReadTraffic(const Value& value);
LinkConfig ReadLink(const Value& value);
hw::DeviceProfile ReadDeviceProfile(const Value& value);
hw::BusProfile ReadBusProfile(const Value& value);

// Throws Refusal where the run has rules that change by the control protocol: only a door that simulates the
// link to the controller can have them.
void RefuseControl(const RunConfig& config);

// Throws Refusal where the run has packet dynamics units, which only some doors carry frames through.
void RefuseShard(const RunConfig& config);

// Reads the files of the models that the run names, and counts what a type predicted by them costs on the
// host's core into the break-even of tags. Throws Refusal where a file cannot be read, is not what the run
// names, or holds no model that predicts types here.
void LoadModels(RunConfig& config);

// Reads the filter set that the run names (classbench.h). Throws Refusal where it cannot be read.
void LoadFilters(RunConfig& config);

// The contents of one file of hw-models/profiles (shape: its README). Throws Refusal.
hw::DeviceProfile ParseDeviceProfile(const std::string& where, const std::string& text);
hw::BusProfile ParseBusProfile(const std::string& where, const std::string& text);

// A JSON list of standard rules, spelled as in RESOLVED.json; they may name meters 0 .. meters - 1.
std::vector<rules::Rule> ParseRules(const std::string& where, const std::string& text,
                                    std::size_t meters = 0);

// What a door runs with where it is given no configuration: the defaults of path::PathConfig, and one rule
// that forwards everything.
path::PathConfig DefaultPathConfig();

// How many flow entries traffic needs under a rule set: the size at which a cache never evicts.
std::uint64_t DistinctEntries(const path::Future& future, const std::vector<rules::Rule>& rules);

// How far apart the flow entries lie that traffic needs under a rule set.
path::TrafficExtent ExtentOf(const path::Future& future, const std::vector<rules::Rule>& rules);

// Prices the cache lines of both devices for this traffic: see hw::PlaceTables.
void PlaceTables(RunConfig& config, const path::Future& future);

// Writes path.flow_entries: the count that was given, or the share of `distinct_entries`, rounded up, at
// least 1; 0 where none were asked for. And path.vm_flow_entries, likewise of path.flow_entries.
void ResolveFlowEntries(RunConfig& config, std::uint64_t distinct_entries);

}  // namespace foreflow::config

#endif  // FOREFLOW_BINDINGS_CONFIG_RUN_CONFIG_H_
