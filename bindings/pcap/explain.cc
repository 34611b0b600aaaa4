// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/explain.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bindings/config/vocabulary.h"
#include "bindings/hdf5/path_trace.h"
#include "hw-models/cost/cost_model.h"
#include "hw-models/cost/visits.h"
#include "models/base/refusal.h"
#include "models/path/lanes.h"
#include "models/tag/tag_rules.h"

namespace foreflow::pcap {
namespace {

using config::Json;
using path::Stage;

constexpr std::size_t kShownBytes = 128;

double Share(std::uint16_t share) { return share / 65535.0; }

std::string HexOf(const std::uint8_t* bytes, std::size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::string MacOf(const std::uint8_t* bytes) {
  std::string text;
  for (std::size_t i = 0; i < 6; ++i) text += (i == 0 ? "" : ":") + HexOf(bytes + i, 1);
  return text;
}

// As a dissection has it; empty where the protocol has none.
std::string AddressOf(wire::Layer3 l3, const std::array<std::uint8_t, 16>& address) {
  if (l3 == wire::Layer3::kNone) return "";
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(l3 == wire::Layer3::kIpv6 ? AF_INET6 : AF_INET, address.data(), text, sizeof text);
  return text;
}

std::string NameOf(wire::Link link) {
  static constexpr const char* kNames[] = {"ethernet",   "raw_ip", "linux_sll",
                                           "linux_sll2", "null",   "unknown"};
  return kNames[static_cast<std::size_t>(link)];
}

std::string NameOf(wire::Layer3 l3) {
  static constexpr const char* kNames[] = {"none", "arp", "ipv4", "ipv6"};
  return kNames[static_cast<std::size_t>(l3)];
}

std::string NameOf(wire::Layer4 l4) {
  static constexpr const char* kNames[] = {"none", "tcp", "udp", "icmp", "icmpv6", "other"};
  return kNames[static_cast<std::size_t>(l4)];
}

std::string NameOf(wire::DissectStatus status) {
  static constexpr const char* kNames[] = {"ok", "truncated", "malformed", "unknown_link"};
  return kNames[static_cast<std::size_t>(status)];
}

std::string NameOf(tag::Colour colour) {
  static constexpr const char* kNames[] = {"green", "yellow", "red"};
  return kNames[static_cast<std::size_t>(colour)];
}

std::string NameOf(rules::InstallCause cause) {
  return cause == rules::InstallCause::kMiss ? "miss" : "predicted";
}

// A flow key holds MACs where there is no IP.
std::string EndOf(wire::Layer3 l3, const std::array<std::uint8_t, 16>& address) {
  const bool is_ip = l3 == wire::Layer3::kIpv4 || l3 == wire::Layer3::kIpv6;
  return is_ip ? AddressOf(l3, address) : MacOf(address.data());
}

// The ports of an entry key are the lowest ones of their class.
Json ToJson(const flow::FlowKey& key) {
  const auto l3 = static_cast<wire::Layer3>(key.l3);
  return {{"vm", key.vm},
          {"l3", NameOf(l3)},
          {"ip_protocol", key.ip_protocol},
          {"source", EndOf(l3, key.source_address)},
          {"source_port", key.source_port},
          {"destination", EndOf(l3, key.destination_address)},
          {"destination_port", key.destination_port}};
}

Json ToJson(const wire::Dissection& packet) {
  return {{"status", NameOf(packet.status)},
          {"source_mac", MacOf(packet.source_mac.data())},
          {"destination_mac", MacOf(packet.destination_mac.data())},
          {"ethertype", packet.ethertype},
          {"vlan", packet.vlan},
          {"outer_vlan", packet.outer_vlan & 0x0fffu},
          {"outer_vlan_priority", packet.outer_vlan >> 13},
          {"l3", NameOf(packet.l3)},
          {"source", AddressOf(packet.l3, packet.source_address)},
          {"destination", AddressOf(packet.l3, packet.destination_address)},
          {"ip_protocol", packet.ip_protocol},
          {"dscp", packet.dscp},
          {"ecn", packet.ecn},
          {"ttl", packet.ttl},
          {"is_fragment", packet.is_fragment},
          {"is_first_fragment", packet.is_first_fragment},
          {"is_group_addressed", packet.is_group_addressed},
          {"l4", NameOf(packet.l4)},
          {"source_port", packet.source_port},
          {"destination_port", packet.destination_port},
          {"tcp_flags", packet.tcp_flags},
          {"header_bytes", packet.header_bytes},
          {"payload_bytes", packet.payload_bytes}};
}

Json ToJson(const path::Description::Governor& governor) {
  return {{"hit_rate", Share(governor.hit_rate)},
          {"break_even", Share(governor.break_even)},
          {"is_open", governor.is_open}};
}

Json ToJson(const path::Arrival& arrival) {
  return {{"time_ns", arrival.time.count()},
          {"sent_ns", arrival.sent.count()},
          {"vm", arrival.vm},
          {"link", NameOf(arrival.link)},
          {"wire_bytes", arrival.wire_bytes},
          {"captured_bytes", arrival.captured.size},
          {"hex", HexOf(arrival.captured.data, std::min(arrival.captured.size, kShownBytes))}};
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
    next.push_back({{"key", ToJson(destination.key)},
                    {"confidence", Share(destination.confidence)},
                    {"step", destination.step},
                    {"is_resident", destination.is_resident}});
  }
  Json writes = Json::array();
  for (const rules::EntryKey& entry : description.writes) writes.push_back(ToJson(entry.fields));
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

// Where the packet is from: {capture, record}.
std::pair<const Capture*, std::uint64_t> RecordOf(const RunTraffic& run, const path::Arrival& arrival) {
  const auto is_it = [&](const Record& record) {
    return record.captured.data == arrival.captured.data && record.captured.size == arrival.captured.size;
  };
  const Capture* capture = &run.capture;
  auto found = std::find_if(capture->records.begin(), capture->records.end(), is_it);
  if (found == capture->records.end()) {
    capture = &run.after;
    found = std::find_if(capture->records.begin(), capture->records.end(), is_it);
  }
  return {capture, static_cast<std::uint64_t>(found - capture->records.begin()) + 1};
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

  const auto [source, record] = RecordOf(run, arrival);
  Json told = {{"packet", packet},
               {"capture", source->name},
               {"record", record},
               {"lane", lane},
               {"number_on_lane", description.number},
               {"arrival", ToJson(arrival)},
               {"dissected", ToJson(parsed.packet)},
               {"decidable", parsed.decidable},
               {"verdict", ToJson(packet, verdict)},
               {"stages", StagesOf(config, verdict, work)}};
  for (const char* part : {"flow_key", "entry_key", "rules", "tag_rules", "cache", "prediction"})
    told[part] = nullptr;
  if (!parsed.decidable) return told;
  told["flow_key"] = ToJson(parsed.key);
  told["entry_key"] = ToJson(description.entry.fields);
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
  const Capture& capture = run.capture;
  const Traffic& traffic = run.traffic;
  for (const std::uint64_t& packet : packets) {
    if (packet >= traffic.arrivals.size()) {
      const std::string allowed = traffic.arrivals.empty()
                                      ? "none, it has no packets"
                                      : "0 .. " + std::to_string(traffic.arrivals.size() - 1);
      throw Refusal(capture.name, "packet", std::to_string(packet), allowed);
    }
    if (&packet != packets.data() && packet <= *(&packet - 1)) {
      throw Refusal(capture.name, "packet", std::to_string(packet), "packets in rising order");
    }
  }
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
