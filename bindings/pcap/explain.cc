// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/explain.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bindings/config/vocabulary.h"
#include "bindings/hdf5/path_trace.h"
#include "bindings/pcap/packet_json.h"
#include "hw-models/cost/cost_model.h"
#include "hw-models/cost/visits.h"
#include "models/base/refusal.h"
#include "models/path/lanes.h"
#include "models/tag/tag_rules.h"

namespace foreflow::pcap {
namespace {

using config::Json;
using path::Stage;

double Share(std::uint16_t share) { return share / 65535.0; }

std::string NameOf(tag::Colour colour) {
  static constexpr const char* kNames[] = {"green", "yellow", "red"};
  return kNames[static_cast<std::size_t>(colour)];
}

std::string NameOf(rules::InstallCause cause) {
  return cause == rules::InstallCause::kMiss ? "miss" : "predicted";
}

Json ToJson(const path::Description::Governor& governor) {
  return {{"hit_rate", Share(governor.hit_rate)},
          {"break_even", Share(governor.break_even)},
          {"is_open", governor.is_open}};
}

// Rules that match, in the order in which they win.
template <typename Rule, typename Matches>
Json IdsOf(const std::vector<Rule>& rules, const Matches& matches) {
  std::vector<const Rule*> found;
  for (const Rule& rule : rules) {
    if (matches(rule)) found.push_back(&rule);
  }
  std::sort(found.begin(), found.end(), [](const Rule* a, const Rule* b) {
    return a->priority != b->priority ? a->priority > b->priority : a->id < b->id;
  });
  Json ids = Json::array();
  for (const Rule* rule : found) ids.push_back(rule->id);
  return ids;
}

Json RulesOf(const std::vector<rules::Rule>& rules, const path::Parsed& packet) {
  return IdsOf(rules, [&](const rules::Rule& rule) {
    return rules::ClassifyByLinearScan({rule}, packet.key, packet.packet.outer_vlan).rule != rules::kNoRule;
  });
}

Json TagRulesOf(const std::vector<tag::TagRule>& rules, const tag::PredictionTag& tag) {
  return IdsOf(rules, [&](const tag::TagRule& rule) {
    tag::TagRules alone;
    alone.Load({rule});
    Work uncounted;
    return alone.Match(tag, uncounted) != nullptr;
  });
}

// When the entry was last wanted on this lane, and how many others were wanted since.
Json LastUse(const path::Future& future, const config::RunConfig& config, std::uint64_t packet,
             const rules::EntryKey& entry) {
  rules::RuleTable table;
  table.Load(config.path.rules);
  const auto less = [](const rules::EntryKey& a, const rules::EntryKey& b) {
    return std::memcmp(&a, &b, sizeof a) < 0;
  };
  std::set<rules::EntryKey, decltype(less)> others(less);
  const std::uint16_t lane = path::LaneOf(future.key(packet), config.path.lanes);
  Work uncounted;
  for (std::uint64_t i = packet; i-- > 0;) {
    if (!future.decidable(i) || path::LaneOf(future.key(i), config.path.lanes) != lane) continue;
    const rules::EntryKey other = table.EntryKeyOf(future.key(i), future.vlan(i), uncounted);
    if (other == entry) {
      return {{"packet", i},
              {"ns_ago", (future.time(packet) - future.time(i)).count()},
              {"other_entries_since", others.size()}};
    }
    others.insert(other);
  }
  return nullptr;
}

Json CacheOf(const path::Description& description, Nanos now, Json last_use) {
  Json cache = {{"entries", description.cache_entries},
                {"capacity", description.cache_capacity},
                {"unused_predictions", description.unused_predictions},
                {"unused_prediction_limit", description.unused_prediction_limit},
                {"last_use", std::move(last_use)},
                {"resident", nullptr}};
  if (description.resident) {
    const rules::FlowCache::Resident& resident = *description.resident;
    cache["resident"] = {
        {"ready_for_ns", (now - resident.ready).count()},
        {"cause", NameOf(resident.cause)},
        {"unused_prediction", resident.unused_prediction},
        {"rule", resident.decision.rule == rules::kNoRule ? Json() : Json(resident.decision.rule)}};
  }
  return cache;
}

Json ModelsOf(const path::Description::Type& type) {
  if (!type.models) return nullptr;
  const path::Description::Models& models = *type.models;
  const predict::TypeGuess& guess = models.guess;
  Json learnt = nullptr;
  if (guess.asked) {
    learnt = Json::object();
    for (std::size_t i = 0; i < predict::kPacketTypes; ++i) {
      learnt[predict::Name(static_cast<predict::PacketType>(i))] = Share(guess.fallback[i]);
    }
  }
  Json as_trained = nullptr;
  if (models.reading.tier != predict::Tier::kLearned) {
    as_trained = Json::object();
    for (std::size_t i = 0; i < predict::kPacketTypes; ++i) {
      as_trained[predict::Name(static_cast<predict::PacketType>(i))] =
          models.reading.probability[i] / 65536.0;
    }
  }
  return {{"read", Name(models.reading.tier)},
          {"probabilities_as_trained", as_trained},
          {"sharpness", models.sharpness / 256.0},
          {"weight", guess.asked ? guess.weight / static_cast<double>(predict::FixedShare::kOne) : 1.0},
          {"probabilities_as_learnt", learnt},
          {"drift_pressure", models.pressure}};
}

Json TypeOf(const path::Description::Type& type, predict::PacketType truth) {
  Json probabilities = Json::object();
  for (std::size_t i = 0; i < predict::kPacketTypes; ++i) {
    const char* name = predict::Name(static_cast<predict::PacketType>(i));
    probabilities[name] = Share(type.prediction.probability[i]);
  }
  Json symbols = Json::array();
  for (std::size_t i = 0; i < type.context.length; ++i) symbols.push_back(type.context.symbol[i]);
  Json governor = ToJson(type.governor);
  governor["of"] = type.follows_host ? "host" : "vm";
  return {{"type", predict::Name(type.prediction.type)},
          {"confidence", Share(type.prediction.confidence)},
          {"probabilities", probabilities},
          {"truth", predict::Name(truth)},
          {"tier", Name(type.tier)},
          {"models", ModelsOf(type)},
          {"context", {{"symbols", symbols}, {"last_label", predict::Name(type.context.last_label)}}},
          {"header_queue", type.header_queue},
          {"tag_queue", type.tag_queue},
          {"governor", governor}};
}

Json PredictionOf(const path::Description& description, predict::PacketType truth, bool has_tag) {
  if (!description.type) return nullptr;
  Json prediction = TypeOf(*description.type, truth);
  prediction["tag_written"] = has_tag;
  Json next = Json::array();
  for (const path::Description::Destination& destination : description.next) {
    next.push_back({{"key", FlowKeyJson(destination.key)},
                    {"confidence", Share(destination.confidence)},
                    {"step", destination.step},
                    {"is_resident", destination.is_resident}});
  }
  Json writes = Json::array();
  for (const rules::EntryKey& entry : description.writes) writes.push_back(FlowKeyJson(entry.fields));
  prediction["destinations"] = {{"next", next},
                                {"asked_for", writes},
                                {"successor_governor", ToJson(description.destination_governors[0])},
                                {"reply_governor", ToJson(description.destination_governors[1])},
                                {"rehearsal_allows", description.rehearsal_allows}};
  return prediction;
}

// Spelled as in the trace's names; `row` is the decisions row, to compare by.
Json ToJson(std::uint64_t packet, const path::Verdict& verdict) {
  const trace::DecisionRow row = hdf5::DecisionRowOf(packet, verdict);
  return {{"verb", config::Verbs()[static_cast<std::size_t>(verdict.verb)]},
          {"reason", Name(verdict.reason)},
          {"rule", verdict.rule == rules::kNoRule ? Json() : Json(verdict.rule)},
          {"tag_rule", verdict.tag_rule == rules::kNoRule ? Json() : Json(verdict.tag_rule)},
          {"queue", verdict.queue},
          {"colour", NameOf(verdict.colour)},
          {"tag_status", tag::Name(verdict.tag_status)},
          {"predicted", predict::Name(verdict.predicted)},
          {"confidence", Share(verdict.confidence)},
          {"row",
           {{"packet", row.packet},
            {"verb", row.verb},
            {"reason", row.reason},
            {"rule", row.rule},
            {"tag_rule", row.tag_rule},
            {"queue", row.queue},
            {"colour", row.colour},
            {"tag_status", row.tag_status},
            {"punted", row.punted},
            {"mirrored", row.mirrored},
            {"used_prediction", row.used_prediction}}}};
}

// What each visited stage did and cost, where it stands.
Json StagesOf(const config::RunConfig& config, const path::Verdict& verdict, const path::StageWork& work) {
  Json stages = Json::array();
  for (std::size_t i = 0; i < path::kStages; ++i) {
    const auto stage = static_cast<Stage>(i);
    if (!hw::IsVisited(stage, verdict, work)) continue;
    const bool on_host = config.placement == hw::Placement::kHostCore || hw::IsOnHost(stage);
    const hw::DeviceProfile& profile = on_host ? config.host : config.device;
    const Cycles cycles = hw::CyclesOf(profile, stage, work[stage]);
    Json counted = Json::object();
    for (std::size_t item = 0; item < kWorkItems; ++item) {
      if (work[stage].count[item] != 0) counted[Name(static_cast<WorkItem>(item))] = work[stage].count[item];
    }
    stages.push_back({{"stage", path::Name(stage)},
                      {"on", on_host ? "host" : "device"},
                      {"work", counted},
                      {"cycles", cycles.count()},
                      {"ns", static_cast<double>(hw::TimeOf(profile, cycles).count()) / 1e3}});
  }
  return stages;
}

// The decision of `packet`, which is the next on its lane.
Json ExplainNext(const RunTraffic& run, const config::RunConfig& config, const path::Future& future,
                 path::Lanes& lanes, std::uint64_t packet) {
  path::Tagged tagged;
  path::Verdict verdict;
  const path::Arrival& arrival = run.traffic.arrivals[packet];
  const path::Parsed parsed = path::Parse(arrival);
  const std::uint16_t lane = path::LaneOf(parsed, config.path.lanes);
  path::StageWork work;
  lanes.HostSide(arrival, parsed, tagged, work);
  const path::Description description = lanes.lane(lane).Describe(arrival);
  lanes.DeviceSide(arrival, tagged, verdict, work);

  std::uint64_t record = RecordOf(run.capture, arrival);
  const Capture& source = record != 0 ? run.capture : run.after;
  if (record == 0) record = RecordOf(run.after, arrival);
  Json told = {{"packet", packet},
               {"capture", source.name},
               {"record", record},
               {"lane", lane},
               {"number_on_lane", description.number},
               {"arrival", ArrivalJson(arrival)},
               {"dissected", DissectionJson(parsed.packet)},
               {"decidable", parsed.decidable},
               {"verdict", ToJson(packet, verdict)},
               {"stages", StagesOf(config, verdict, work)}};
  for (const char* part : {"flow_key", "entry_key", "rules", "tag_rules", "cache", "prediction"})
    told[part] = nullptr;
  if (!parsed.decidable) return told;
  told["flow_key"] = FlowKeyJson(parsed.key);
  told["entry_key"] = FlowKeyJson(description.entry.fields);
  told["rules"] = RulesOf(config.path.rules, parsed);
  if (verdict.tag_status == tag::TagStatus::kValid) {
    tag::PredictionTag tag;
    tag.vm = arrival.vm;
    tag.type = verdict.predicted;
    tag.confidence = verdict.confidence;
    told["tag_rules"] = TagRulesOf(config.path.tag_rules, tag);
  }
  told["cache"] = CacheOf(description, arrival.time, LastUse(future, config, packet, description.entry));
  told["prediction"] = PredictionOf(description, future.type(packet), tagged.has_tag);
  return told;
}

}  // namespace

Json Explain(const RunTraffic& run, config::RunConfig config, const std::vector<std::uint64_t>& packets) {
  const Traffic& traffic = run.traffic;
  RefuseUnlessRising(packets, traffic.arrivals.size(), run.capture.name);
  const path::Future future(traffic.arrivals, config.path.label_horizon);
  config::ResolveFlowEntries(config, config::DistinctEntries(future, config.path.rules));
  config::PlaceTables(config, future);
  path::Lanes lanes(config.path, &future);
  Json told = Json::array();
  std::uint64_t next = 0;
  for (const std::uint64_t packet : packets) {
    for (; next < packet; ++next) {
      path::StageWork uncounted;
      path::Tagged tagged;
      path::Verdict verdict;
      const path::Arrival& arrival = traffic.arrivals[next];
      lanes.HostSide(arrival, path::Parse(arrival), tagged, uncounted);
      lanes.DeviceSide(arrival, tagged, verdict, uncounted);
    }
    told.push_back(ExplainNext(run, config, future, lanes, next++));
  }
  return told;
}

}  // namespace foreflow::pcap
