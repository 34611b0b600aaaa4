// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/config/report_json.h"

#include <arpa/inet.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "bindings/config/vocabulary.h"
#include "models/wire/address_text.h"

namespace foreflow::config {
namespace {

// Rounded to five digits, which tell all 65536 values apart.
double FromShare(std::uint16_t share) { return std::round(share / 65535.0 * 1e5) / 1e5; }

Json HitRate(std::uint64_t hit, std::uint64_t scored) {
  if (scored == 0) return nullptr;
  return static_cast<double>(hit) / static_cast<double>(scored);
}

Json ToJson(const rules::Action& action) {
  Json json = {{"verb", Verbs()[static_cast<std::size_t>(action.verb)]},
               {"mirror", action.mirror},
               {"queue", action.queue == rules::kNoQueue ? Json() : Json(action.queue)},
               {"meter", action.meter == rules::kNoMeter ? Json() : Json(action.meter)}};
  if (action.shard) json["shard"] = true;
  if (action.change != rules::kNoChange) json["change"] = action.change;
  return json;
}

std::string AddressText(const std::array<std::uint8_t, 16>& address, wire::Layer3 l3) {
  if (l3 == wire::Layer3::kIpv6) return wire::Text(wire::Ipv6Address(address));
  return wire::Text(wire::Ipv4Address{address[0], address[1], address[2], address[3]});
}

Json ToJson(const wire::Tunnel& tunnel) {
  Json json = {{"kind", tunnel.kind == wire::TunnelKind::kVxlan ? "vxlan" : "geneve"},
               {"vni", tunnel.vni},
               {"source_mac", wire::Text(tunnel.source_mac)},
               {"destination_mac", wire::Text(tunnel.destination_mac)},
               {"source", AddressText(tunnel.source_address, tunnel.l3)},
               {"destination", AddressText(tunnel.destination_address, tunnel.l3)},
               {"ttl", tunnel.ttl},
               {"udp_checksum", tunnel.udp_checksum},
               {"mtu", tunnel.mtu}};
  if (tunnel.dscp) json["dscp"] = *tunnel.dscp;
  return json;
}

Json ToJson(const rules::PacketChange& change) {
  const wire::HeaderRewrite& rewrite = change.rewrite;
  Json json = Json::object();
  if (rewrite.source_mac) json["source_mac"] = wire::Text(*rewrite.source_mac);
  if (rewrite.destination_mac) json["destination_mac"] = wire::Text(*rewrite.destination_mac);
  if (rewrite.source_address) json["source"] = AddressText(*rewrite.source_address, rewrite.l3);
  if (rewrite.destination_address)
    json["destination"] = AddressText(*rewrite.destination_address, rewrite.l3);
  if (rewrite.source_port) json["source_port"] = *rewrite.source_port;
  if (rewrite.destination_port) json["destination_port"] = *rewrite.destination_port;
  if (rewrite.dscp) json["dscp"] = *rewrite.dscp;
  if (rewrite.decrement_ttl) json["decrement_ttl"] = true;
  if (change.pop_vlan) json["pop_vlan"] = true;
  if (change.push_vlan) {
    json["push_vlan"] = {{"vid", change.push_vlan->vid}, {"priority", change.push_vlan->priority}};
  }
  if (change.tunnel) json["tunnel"] = ToJson(*change.tunnel);
  return json;
}

Json VmJson(flow::VmId vm) { return vm == rules::kAnyVm ? Json("any") : Json(vm); }

Json ProtocolJson(std::uint16_t protocol) {
  if (protocol == rules::kAnyProtocol) return "any";
  for (const NamedProtocol& named : kProtocols) {
    if (named.number == protocol) return named.name;
  }
  return protocol;
}

Json PrefixJson(const rules::Prefix& prefix, std::uint8_t l3) {
  if (prefix.length == 0) return "any";
  char text[INET6_ADDRSTRLEN] = "";
  const bool is_v6 = l3 == static_cast<std::uint8_t>(wire::Layer3::kIpv6);
  inet_ntop(is_v6 ? AF_INET6 : AF_INET, prefix.address.data(), text, sizeof text);
  return std::string(text) + "/" + std::to_string(prefix.length);
}

Json ToJson(const rules::Rule& rule) {
  Json json = {{"id", rule.id},
               {"priority", rule.priority},
               {"l3", Families()[rule.l3]},
               {"vm", VmJson(rule.vm)},
               {"protocol", ProtocolJson(rule.ip_protocol)},
               {"source", PrefixJson(rule.source, rule.l3)},
               {"destination", PrefixJson(rule.destination, rule.l3)},
               {"source_port", {rule.source_port.low, rule.source_port.high}},
               {"destination_port", {rule.destination_port.low, rule.destination_port.high}},
               {"action", ToJson(rule.action)}};
  if (rule.vlan != rules::kAnyVlan)
    json["vlan"] = rule.vlan == rules::kUntagged ? Json("none") : Json(rule.vlan);
  if (rule.vlan_priority != rules::kAnyVlanPriority) json["vlan_priority"] = rule.vlan_priority;
  return json;
}

Json ToJson(const tag::TagRule& rule) {
  Json types = Json::array();
  for (std::size_t i = 0; i < PacketTypes().size(); ++i) {
    if ((rule.types >> i & 1) != 0) types.push_back(PacketTypes()[i]);
  }
  return {{"id", rule.id},
          {"priority", rule.priority},
          {"vm", VmJson(rule.vm)},
          {"types", types},
          {"minimum_confidence", FromShare(rule.minimum_confidence)},
          {"action", ToJson(rule.action)}};
}

Json ToJson(const tag::MeterConfig& meter) {
  return {{"committed_mbps", static_cast<double>(meter.committed_rate.count()) / 1e6},
          {"committed_kb", static_cast<double>(meter.committed_burst.count()) / 1e3},
          {"peak_mbps", static_cast<double>(meter.peak_rate.count()) / 1e6},
          {"peak_kb", static_cast<double>(meter.peak_burst.count()) / 1e3}};
}

template <typename T>
Json ListJson(const std::vector<T>& items) {
  Json list = Json::array();
  for (const T& item : items) list.push_back(ToJson(item));
  return list;
}

std::string PredictorOf(const path::PathConfig& config) {
  if (config.table != nullptr) return config.network != nullptr ? "tiered" : "tabulated";
  return config.network != nullptr ? "gru" : Learners()[static_cast<std::size_t>(config.predictor)];
}

double Bits(std::uint64_t loss, std::uint64_t outcomes) {
  return static_cast<double>(loss) / 4096 / static_cast<double>(outcomes);
}

Json ToJson(const predict::ScoreHistory::Cell& cell) {
  std::uint64_t outcomes = 0;
  Json tiers = Json::object();
  for (std::size_t i = 0; i < predict::kTiers; ++i) {
    tiers[Name(static_cast<predict::Tier>(i))] = cell.predicted[i];
    outcomes += cell.predicted[i];
  }
  const auto mean = [](std::uint64_t loss, std::uint64_t of) {
    return of == 0 ? Json() : Json(Bits(loss, of));
  };
  return {{"outcomes", tiers},
          {"bits", mean(cell.loss, outcomes)},
          {"model_bits", mean(cell.model_loss, outcomes)},
          {"fallback_bits", mean(cell.fallback_loss, cell.compared)},
          {"compared", cell.compared},
          {"alarms", cell.alarms}};
}

}  // namespace

Json ToJson(const path::Lanes& lanes) {
  Json all = Json::array();
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
    const predict::TieredPredictor* const models = lanes.models(lane);
    if (models == nullptr) return nullptr;
    const predict::ScoreHistory& history = models->history();
    Json cells = Json::array();
    for (std::size_t i = 0; i < history.size(); ++i) cells.push_back(ToJson(history[i]));
    all.push_back({{"sharpness", models->sharpness() / 256.0},
                   {"bytes", models->bytes()},
                   {"history",
                    {{"start_ns", history.start().count()},
                     {"cell_ns", history.cell_length().count()},
                     {"cells", cells}}}});
  }
  return all;
}

Json ToJson(const PacketCount& packets) {
  Json dropped = Json::object();
  for (std::size_t i = 0; i < kReasons; ++i) {
    if (packets.dropped[i] != 0) dropped[Name(static_cast<Reason>(i))] = packets.dropped[i];
  }
  return {{"in", packets.in}, {"out", packets.out}, {"held", packets.held}, {"dropped", dropped}};
}

Json ToJson(const path::Counters& counters) {
  Json tags = Json::object();
  for (std::size_t i = 0; i < static_cast<std::size_t>(tag::TagStatus::kCount); ++i) {
    tags[tag::Name(static_cast<tag::TagStatus>(i))] = counters.tags_by_status[i];
  }
  Json types = Json::object();
  for (std::size_t type = 0; type < predict::kPacketTypes; ++type) {
    Json& row = types[predict::Name(static_cast<predict::PacketType>(type))];
    for (std::size_t i = static_cast<std::size_t>(tag::TagStatus::kValid);
         i < static_cast<std::size_t>(tag::TagStatus::kCount); ++i) {
      row[tag::Name(static_cast<tag::TagStatus>(i))] = counters.tags_by_type[type][i];
    }
  }
  Json tiers = Json::object();
  for (std::size_t i = 0; i < predict::kTiers; ++i) {
    tiers[Name(static_cast<predict::Tier>(i))] = counters.types_by_tier[i];
  }
  return {{"packets", counters.packets},
          {"punts", counters.punts},
          {"installs_on_miss", counters.installs_on_miss},
          {"installs_predicted", counters.installs_predicted},
          {"predicted_used", counters.predicted_used},
          {"predicted_wasted", counters.predicted_wasted},
          {"rule_hits", counters.rule_hits},
          {"rule_covers", counters.rule_covers},
          {"rule_writes", counters.rule_writes},
          {"tags_by_status", tags},
          {"tags_by_type", types},
          {"tags_covered", counters.tags_covered},
          {"tags_low_confidence", counters.tags_low_confidence},
          {"tag_rotations", counters.tag_rotations},
          {"destinations_scored", counters.destinations_scored},
          {"destinations_hit", counters.destinations_hit},
          {"destination_hit_rate", HitRate(counters.destinations_hit, counters.destinations_scored)},
          {"destination_break_even", FromShare(counters.destination_break_even)},
          {"promotions_scored", counters.types_scored[0]},
          {"promotion_hit_rate", HitRate(counters.types_hit[0], counters.types_scored[0])},
          {"promotion_break_even", FromShare(counters.type_break_even[0])},
          {"demotions_scored", counters.types_scored[1]},
          {"demotion_hit_rate", HitRate(counters.types_hit[1], counters.types_scored[1])},
          {"demotion_break_even", FromShare(counters.type_break_even[1])},
          {"types_by_tier", tiers},
          {"fallback_asked", counters.fallback_asked},
          {"drift_alarms", counters.drift_alarms}};
}

Json StatisticsOf(const path::Lanes& lanes) {
  const auto rows_of = [](const std::vector<rules::RuleStatistics::Row>& rows) {
    Json list = Json::array();
    for (const rules::RuleStatistics::Row& row : rows) {
      list.push_back({{"id", row.rule == rules::kNoRule ? Json() : Json(row.rule)},
                      {"packets", row.packets},
                      {"bytes", row.bytes},
                      {"last_ns", row.last_use.count()}});
    }
    return list;
  };
  return {{"rules", rows_of(lanes.rule_statistics())}, {"tag_rules", rows_of(lanes.tag_rule_statistics())}};
}

Json ToJson(const path::PathConfig& config) {
  return {{"arm", Arms()[static_cast<std::size_t>(config.arm)]},
          {"seed", config.seed},
          {"host", {{"vms", config.vms}, {"peers_per_vm", config.peers_per_vm}}},
          {"device",
           {{"flow_entries", config.flow_entries},
            {"vm_flow_entries", config.vm_flow_entries},
            {"rule_limit", config.rule_limits.rules},
            {"vm_rule_limit", config.rule_limits.rules_per_vm},
            {"vm_mask_limit", config.rule_limits.masks_per_vm},
            {"rules", config.rule_slots},
            {"residency", Residencies()[static_cast<std::size_t>(config.residency)]},
            {"rule_writes_per_second", config.rule_writes_per_second},
            {"vm_installs_per_second", config.vm_installs_per_second},
            {"lanes", config.lanes},
            {"install_latency_us", static_cast<double>(config.install_latency.count()) / 1e3},
            {"installs_per_second", config.installs_per_second}}},
          {"prediction",
           {{"predictor", PredictorOf(config)},
            {"conversations", config.conversations},
            {"readings_per_second", config.readings_per_second},
            {"successors", config.successors},
            {"lookahead", config.lookahead},
            {"minimum_confidence", FromShare(config.minimum_confidence)},
            {"governor_margin", FromShare(config.governor_margin)},
            {"label_horizon_ms", static_cast<double>(config.label_horizon.count()) / 1e6}}},
          {"tags",
           {{"authority", Authorities()[static_cast<std::size_t>(config.tag_authority)]},
            {"scope", Scopes()[static_cast<std::size_t>(config.tag_scope)]},
            {"burst_packets", config.burst_packets},
            {"burst_us", static_cast<double>(config.burst_time.count()) / 1e3},
            {"replay_window_ms", static_cast<double>(config.tag_replay_window.count()) / 1e6},
            {"rotation_s", static_cast<double>(config.tag_rotation.count()) / 1e9},
            {"overlap_ms", static_cast<double>(config.tag_overlap.count()) / 1e6}}},
          {"rules", ListJson(config.rules)},
          {"tag_rules", ListJson(config.tag_rules)},
          {"meters", ListJson(config.meters)},
          {"changes", ListJson(config.changes)}};
}

std::string ToText(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace foreflow::config
