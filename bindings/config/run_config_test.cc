// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/config/run_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "bindings/config/report_json.h"
#include "bindings/config/strict_json.h"
#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/path/packet_path.h"
#include "models/predict/types_model_test.h"
#include "models/wire/packet_builder.h"

namespace foreflow::config {
namespace {

using testing::HasSubstr;

std::string FileText(const std::string& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

Json Profile(const std::string& name) {
  return Json::parse(FileText(std::string(FOREFLOW_SOURCE_DIR "/hw-models/profiles/") + name + ".json"));
}

Json Action(const std::string& verb) {
  return {{"verb", verb}, {"mirror", false}, {"queue", nullptr}, {"meter", nullptr}};
}

// A resolved configuration in which every value differs from the structs' defaults.
Json Document() {
  return Json{
      {"scenario", "tag"},
      {"arm", "anti_oracle"},
      {"seed", 7},
      {"input", "in.pcapng"},
      {"out", "folder"},
      {"traffic",
       {{"load", 0.25},
        {"max_gap_ms", 2.5},
        {"max_packets", 1000},
        {"shift_input", "after.pcap"},
        {"shift_at", 0.25}}},
      {"host",
       {{"vms", 8},
        {"profile", "x86-core"},
        {"bus", "pcie-gen4-x16"},
        {"slow_path_cores", 3},
        {"peers_per_vm", 50}}},
      {"device",
       {{"profile", "fpga-250mhz"},
        {"flow_entries", 99},
        {"vm_flow_entries", 40},
        {"rule_limit", 1000},
        {"vm_rule_limit", 100},
        {"vm_mask_limit", 10},
        {"placement", "nic"},
        {"lanes", 4},
        {"install_latency_us", 12.5},
        {"rules", 0},
        {"residency", "lfu"},
        {"rule_writes_per_second", 6},
        {"vm_installs_per_second", 7},
        {"installs_per_second", 5},
        {"queue_packets", 33}}},
      {"link", {{"rate_mbps", 2500}, {"delay_us", 0.5}}},
      {"prediction",
       {{"predictor", "markov1"},
        {"conversations", 1000},
        {"readings_per_second", 77},
        {"successors", 5},
        {"lookahead", 3},
        {"minimum_confidence", 0.5},
        {"governor_margin", 1},
        {"label_horizon_ms", 10}}},
      {"tags",
       {{"authority", "literal"},
        {"master_key", "00112233445566778899aabbccddeeff"},
        {"scope", "burst"},
        {"burst_packets", 8},
        {"burst_us", 250},
        {"replay_window_ms", 20},
        {"rotation_s", 60},
        {"overlap_ms", 5}}},
      {"rules",
       {{{"id", 4},
         {"priority", -5},
         {"l3", "any"},
         {"vm", 6},
         {"protocol", "udp"},
         {"source", "10.1.0.0/16"},
         {"destination", "any"},
         {"source_port", {1, 2}},
         {"destination_port", {53, 53}},
         {"vlan", 4095},
         {"vlan_priority", 7},
         {"action",
          {{"verb", "trap"}, {"mirror", true}, {"queue", 3}, {"meter", 0}, {"shard", true}, {"change", 0}}}},
        {{"id", 5},
         {"priority", 6},
         {"l3", "ipv6"},
         {"vm", "any"},
         {"protocol", 47},
         {"source", "any"},
         {"destination", "fd00::/8"},
         {"source_port", {0, 65535}},
         {"destination_port", {0, 65535}},
         {"vlan", "none"},
         {"action", Action("drop")}}}},
      {"tag_rules",
       {{{"id", 1},
         {"priority", 2},
         {"vm", "any"},
         {"types", {"request", "idle_burst"}},
         {"minimum_confidence", 0},
         {"action", Action("forward")}}}},
      {"changes",
       {{{"source", "192.0.2.1"},
         {"source_mac", "02:00:00:00:00:07"},
         {"destination_port", 8080},
         {"dscp", 46},
         {"decrement_ttl", true},
         {"pop_vlan", true},
         {"push_vlan", {{"vid", 42}, {"priority", 5}}},
         {"tunnel",
          {{"kind", "vxlan"},
           {"vni", 77},
           {"source_mac", "02:00:00:00:00:0a"},
           {"destination_mac", "02:00:00:00:00:0b"},
           {"source", "2001:db8::1"},
           {"destination", "2001:db8::2"},
           {"ttl", 9},
           {"dscp", 8},
           {"udp_checksum", false},
           {"mtu", 9000}}}}}},
      {"meters", {{{"committed_mbps", 1.5}, {"committed_kb", 2}, {"peak_mbps", 3}, {"peak_kb", 4.5}}}},
      {"models", {{"table", nullptr}, {"network", nullptr}}},
      {"hw",
       {{"x86-core", Profile("x86-core")},
        {"fpga-250mhz", Profile("fpga-250mhz")},
        {"pcie-gen4-x16", Profile("pcie-gen4-x16")}}}};
}

RunConfig Parse(const Json& json) { return ParseRunConfig("test.json", json.dump()); }

std::string RefusalOf(const std::function<void()>& act) {
  try {
    act();
  } catch (const Refusal& refusal) {
    return refusal.what();
  }
  return "accepted";
}

TEST(RunConfig, EveryKeyReachesItsField) {
  const RunConfig config = Parse(Document());
  EXPECT_EQ(config.scenario, "tag");
  EXPECT_EQ(config.input, "in.pcapng");
  EXPECT_EQ(config.out, "folder");
  EXPECT_EQ(config.seed, 7u);
  EXPECT_EQ(config.traffic.load, 0.25);
  EXPECT_EQ(config.traffic.max_gap, Micros(2500));
  EXPECT_EQ(config.traffic.max_packets, 1000u);
  EXPECT_EQ(config.traffic.shift_input, "after.pcap");
  EXPECT_EQ(config.traffic.shift_at, 0.25);
  EXPECT_EQ(config.queue_packets, 33u);
  EXPECT_EQ(config.slow_path_cores, 3u);
  EXPECT_EQ(config.link.rate, BitsPerSecond(2'500'000'000));
  EXPECT_EQ(config.link.delay, Nanos(500));
  const path::PathConfig& path = config.path;
  EXPECT_EQ(path.arm, path::Arm::kAntiOracle);
  EXPECT_EQ(path.seed, 7u);
  EXPECT_EQ(path.vms, 8u);
  EXPECT_EQ(path.peers_per_vm, 50u);
  EXPECT_EQ(path.flow_entries, 99u);
  EXPECT_EQ(path.vm_flow_entries, 40u);
  EXPECT_EQ(path.rule_limits.rules, 1000u);
  EXPECT_EQ(path.rule_limits.rules_per_vm, 100u);
  EXPECT_EQ(path.rule_limits.masks_per_vm, 10u);
  EXPECT_EQ(path.install_latency, Nanos(12'500));
  EXPECT_EQ(path.installs_per_second, 5u);
  EXPECT_EQ(path.rule_slots, 0u);
  EXPECT_EQ(path.residency, rules::Residency::kLfu);
  EXPECT_EQ(path.rule_writes_per_second, 6u);
  EXPECT_EQ(path.vm_installs_per_second, 7u);
  EXPECT_EQ(path.predictor, predict::PredictorKind::kMarkov1);
  EXPECT_EQ(path.conversations, 1000u);
  EXPECT_EQ(path.readings_per_second, 77u);
  EXPECT_EQ(path.successors, 5u);
  EXPECT_EQ(path.lookahead, 3u);
  EXPECT_EQ(path.minimum_confidence, 32768u);
  EXPECT_EQ(path.governor_margin, 65535u);
  EXPECT_EQ(path.label_horizon, Millis(10));
  EXPECT_EQ(path.tag_authority, path::TagAuthority::kLiteral);
  EXPECT_EQ(path.tag_scope, path::TagScope::kPerBurst);
  EXPECT_EQ(path.burst_packets, 8);
  EXPECT_EQ(path.burst_time, Micros(250));
  EXPECT_EQ(path.tag_replay_window, Millis(20));
  EXPECT_EQ(path.tag_rotation, Seconds(60));
  EXPECT_EQ(path.tag_overlap, Millis(5));
  EXPECT_EQ(path.tag_master_key[0], 0x00);
  EXPECT_EQ(path.tag_master_key[15], 0xff);

  ASSERT_EQ(path.rules.size(), 2u);
  const rules::Rule& rule = path.rules[0];
  EXPECT_EQ(rule.id, 4u);
  EXPECT_EQ(rule.priority, -5);
  EXPECT_EQ(rule.l3, static_cast<std::uint8_t>(wire::Layer3::kIpv4)) << "a prefix says its family";
  EXPECT_EQ(rule.vm, 6u);
  EXPECT_EQ(rule.ip_protocol, 17u);
  EXPECT_EQ(rule.source.address[0], 10u);
  EXPECT_EQ(rule.source.length, 16u);
  EXPECT_EQ(rule.destination.length, 0u);
  EXPECT_EQ(rule.source_port.high, 2u);
  EXPECT_EQ(rule.destination_port.low, 53u);
  EXPECT_EQ(rule.vlan, 4095u);
  EXPECT_EQ(rule.vlan_priority, 7u);
  EXPECT_EQ(path.rules[1].vlan, rules::kUntagged);
  EXPECT_EQ(path.rules[1].vlan_priority, rules::kAnyVlanPriority);
  EXPECT_EQ(rule.action, (rules::Action{rules::Verb::kTrap, true, 3, true, 0, 0}));
  EXPECT_EQ(path.rules[1].vm, rules::kAnyVm);
  EXPECT_EQ(path.rules[1].ip_protocol, 47u);
  EXPECT_EQ(path.rules[1].destination.address[0], 0xfdu);
  EXPECT_EQ(path.rules[1].destination.length, 8u);
  EXPECT_EQ(path.rules[1].action, rules::Action{});

  ASSERT_EQ(path.tag_rules.size(), 1u);
  EXPECT_EQ(path.tag_rules[0].types, 1u << 1 | 1u << 6);
  EXPECT_EQ(path.tag_rules[0].minimum_confidence, 0u);
  ASSERT_EQ(path.changes.size(), 1u);
  const rules::PacketChange& change = path.changes[0];
  EXPECT_EQ(change.rewrite.l3, wire::Layer3::kIpv4);
  EXPECT_EQ(change.rewrite.destination_port, 8080);
  EXPECT_FALSE(change.rewrite.destination_mac.has_value());
  EXPECT_EQ(change.push_vlan->vid, 42);
  EXPECT_EQ(change.tunnel->kind, wire::TunnelKind::kVxlan);
  EXPECT_EQ(change.tunnel->l3, wire::Layer3::kIpv6);
  EXPECT_EQ(change.tunnel->mtu, 9000u);
  ASSERT_EQ(path.meters.size(), 1u);
  EXPECT_EQ(path.meters[0].committed_rate, BitsPerSecond(1'500'000));
  EXPECT_EQ(path.meters[0].committed_burst, Bytes(2000));
  EXPECT_EQ(path.meters[0].peak_rate, BitsPerSecond(3'000'000));
  EXPECT_EQ(path.meters[0].peak_burst, Bytes(4500));
}

TEST(RunConfig, ProfilesAreWhatTheirFilesSay) {
  const RunConfig config = Parse(Document());
  const Json file = Profile("x86-core");
  EXPECT_EQ(config.host.name, "x86-core");
  EXPECT_EQ(config.host.clock_hz, file["clock_hz"]["value"].get<std::uint64_t>());
  for (std::size_t i = 0; i < path::kStages; ++i) {
    const double cycles = file["stage"][path::Name(static_cast<path::Stage>(i))]["value"].get<double>();
    EXPECT_NEAR(static_cast<double>(config.host.stage_base_millicycles[i]), cycles * 1000, 0.5);
  }
  for (std::size_t i = 0; i < kWorkItems; ++i) {
    const double cycles = file["work"][Name(static_cast<WorkItem>(i))]["value"].get<double>();
    EXPECT_NEAR(static_cast<double>(config.host.item_millicycles[i]), cycles * 1000, 0.5);
  }
  EXPECT_EQ(config.device.name, "fpga-250mhz");
  EXPECT_EQ(config.device.initiation_interval,
            Profile("fpga-250mhz")["initiation_interval"]["value"].get<std::uint32_t>());
  EXPECT_EQ(config.bus.bandwidth.count(),
            Profile("pcie-gen4-x16")["bandwidth_bps"]["value"].get<std::uint64_t>());
}

// A profile as calibration writes it, beyond what the project's own files hold.
Json Calibrated() {
  const auto number = [](double value, const char* unit) {
    return Json{{"value", value},
                {"unit", unit},
                {"interval", {value, value}},
                {"source", "a test"},
                {"mark", "measured"}};
  };
  Json profile = Profile("x86-core");
  profile["cache_levels"] = {{{"beyond", number(32768, "bytes")}, {"cycles", number(2.5, "cycles")}},
                             {{"beyond", number(1048576, "bytes")}, {"cycles", number(40, "cycles")}}};
  profile["carrying"] = {{"packet", number(60.25, "cycles")}, {"burst", number(110, "cycles")}};
  profile["calibration"] = {{"date", "today"}};
  return profile;
}

TEST(RunConfig, ACalibratedProfileMayDoAllTheWorkOnACore) {
  Json document = Document();
  document["device"]["placement"] = "host_core";
  document["hw"]["x86-core"] = Calibrated();
  RunConfig config = Parse(document);
  EXPECT_EQ(config.placement, hw::Placement::kHostCore);
  ASSERT_EQ(config.host.cache_levels.size(), 2u);
  EXPECT_EQ(config.host.cache_levels[1].beyond_bytes, 1'048'576u);
  EXPECT_EQ(config.host.cache_levels[1].extra_millicycles, 40'000u);
  EXPECT_TRUE(config.host.carrying.is_known);
  EXPECT_EQ(config.host.carrying.packet_millicycles, 60'250u);
  EXPECT_EQ(config.host.carrying.burst_millicycles, 110'000u);
  EXPECT_TRUE(config.device.cache_levels.empty());
}

TEST(RunConfig, ACalibratedProfileIsReadStrictly) {
  const struct {
    const char* pointer;
    Json value;
    const char* said;
  } kRows[] = {
      {"/cache_levels/1/beyond/value", 32768, "within its interval"},
      {"/cache_levels/0/cycles/unit", "ns", "allowed: cycles"},
      {"/cache_levels/0/size", 1, "size"},
      {"/cache_levels", 7, "list"},
      {"/carrying/packet/value", -1, "numbers 0"},
      {"/carrying/byte", 1, "byte"},
      {"/calibration", "yes", "object"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.pointer);
    Json profile = Calibrated();
    profile[Json::json_pointer(row.pointer)] = row.value;
    try {
      ParseDeviceProfile("profile", profile.dump());
      ADD_FAILURE() << "accepted";
    } catch (const Refusal& refusal) {
      EXPECT_THAT(refusal.what(), HasSubstr(row.said));
    }
  }
  Json falling = Calibrated();
  std::swap(falling["cache_levels"][0], falling["cache_levels"][1]);
  EXPECT_THROW(ParseDeviceProfile("profile", falling.dump()), Refusal);
}

TEST(RunConfig, AProfileMayLeaveOutThePacketDynamicsUnitAsAWhole) {
  EXPECT_EQ(ParseDeviceProfile("profile", Profile("x86-core").dump()).unit.base_millicycles[3], 30'000u);
  Json profile = Profile("x86-core");
  profile["work"].erase("seal");
  EXPECT_THROW(ParseDeviceProfile("profile", profile.dump()), Refusal) << "the unit needs it";
  profile.erase("unit");
  EXPECT_FALSE(ParseDeviceProfile("profile", profile.dump()).unit.is_known);
}

TEST(RunConfig, EveryProfileOfTheProjectIsAccepted) {
  std::size_t devices = 0, buses = 0;
  for (const auto& entry : std::filesystem::directory_iterator(FOREFLOW_SOURCE_DIR "/hw-models/profiles")) {
    if (entry.path().extension() != ".json") continue;
    SCOPED_TRACE(entry.path());
    const std::string text = FileText(entry.path());
    if (Json::parse(text)["kind"] == "bus") {
      EXPECT_EQ(ParseBusProfile(entry.path(), text).name, entry.path().stem());
      ++buses;
    } else {
      EXPECT_EQ(ParseDeviceProfile(entry.path(), text).name, entry.path().stem());
      ++devices;
    }
  }
  EXPECT_GE(devices, 4u);
  EXPECT_GE(buses, 1u);
}

// What rules change in packets, and how: only documents that do so name it.
bool MayBeLeftOut(const std::string& pointer, const std::string& key) {
  if (pointer == "/changes/0/push_vlan") return key == "priority";
  if (pointer == "/changes/0/tunnel") {
    return key == "ttl" || key == "dscp" || key == "udp_checksum" || key == "mtu";
  }
  if (key == "vlan" || key == "vlan_priority") return true;
  if (key == "unit") return true;  // of a profile
  if (pointer.compare(0, 6, "/shard") == 0) return true;
  return pointer == "/changes/0" || key == "changes" || key == "change" || key == "shard";
}

// Every key, wherever it is: missing, it is named, unless it may be left out; with a stranger beside it, the
// stranger is named; of a type that nothing has, it is named.
void CheckEveryKey(const std::string& pointer) {
  const Json document = Document();
  const Json& here = document[Json::json_pointer(pointer)];
  if (here.is_array()) {
    for (std::size_t i = 0; i < here.size(); ++i) {
      if (here[i].is_object()) CheckEveryKey(pointer + "/" + std::to_string(i));
    }
    return;
  }
  for (const auto& item : here.items()) {
    SCOPED_TRACE(pointer + "/" + item.key());
    Json missing = document;
    missing[Json::json_pointer(pointer)].erase(item.key());
    if (!MayBeLeftOut(pointer, item.key())) {
      EXPECT_THAT(RefusalOf([&] { Parse(missing); }), HasSubstr(item.key() + " is missing"));
    }
    Json wrong = document;
    wrong[Json::json_pointer(pointer)][item.key()] = Json{{"no", Json::array({true})}};
    EXPECT_THAT(RefusalOf([&] { Parse(wrong); }), testing::StartsWith("test.json: "));
    EXPECT_THAT(RefusalOf([&] { Parse(wrong); }), HasSubstr(item.key()));
    if (item.value().is_structured()) CheckEveryKey(pointer + "/" + item.key());
  }
  Json stranger = document;
  stranger[Json::json_pointer(pointer)]["stranger"] = 1;
  EXPECT_THAT(RefusalOf([&] { Parse(stranger); }), HasSubstr("unknown key \"stranger\"")) << pointer;
}

TEST(RunConfig, EveryKeyIsRequiredAndNoOtherIsKnown) { CheckEveryKey(""); }

struct BadRow {
  const char* pointer;
  Json value;
  const char* says;
};

TEST(RunConfig, ValuesOutOfRangeAreRefusedWithKeyValueAndRange) {
  const BadRow rows[] = {
      {"/arm", "best", "arm is \"best\", allowed: off, reactive, predictive, oracle, anti_oracle"},
      {"/seed", -1, "seed is -1, allowed: integers 0 .."},
      {"/seed", 1.5, "seed is 1.5, allowed: integers"},
      {"/traffic/load", 0, "traffic.load is 0, allowed: numbers 0.001 .. 10"},
      {"/traffic/load", "high", "traffic.load is \"high\", allowed: numbers"},
      {"/traffic/max_gap_ms", 1e9, "allowed: numbers 0.001 .. 3600000"},
      {"/host/vms", 0, "host.vms is 0, allowed: integers 1 .. 4096"},
      {"/host/vms", 4097, "host.vms is 4097"},
      {"/host/peers_per_vm", 1, "allowed: integers 2 .. 65534"},
      {"/host/peers_per_vm", 65535, "allowed: integers 2 .. 65534"},
      {"/host/profile", "none", "hw.none is missing"},
      {"/device/flow_entries", 0, "device.flow_entries is 0, allowed: integers 1 .. 16777216"},
      {"/device/flow_entries", "0%",
       "device.flow_entries is \"0%\", allowed: integers 1 .. 16777216, or a share"},
      {"/device/flow_entries", "101%", "or a share above 0% .. 100%"},
      {"/device/flow_entries", "10", "or a share"},
      {"/device/flow_entries", "1.2.3%", "or a share"},
      {"/device/flow_entries", "-5%", "or a share"},
      {"/device/placement", "core", "allowed: nic, host_core"},
      {"/device/placement", "host_core", "allowed: nic, since the profile x86-core does not say"},
      {"/device/lanes", 3, "powers of two up to 128"},
      {"/device/lanes", 256, "1 .. 128"},
      {"/device/flow_entries", "1e1%", "or a share"},
      {"/device/vm_flow_entries", 0, "device.vm_flow_entries is 0, allowed: integers 1 .. 16777216"},
      {"/device/rule_limit", 0, "device.rule_limit is 0, allowed: integers 1 .. 1048576"},
      {"/device/vm_mask_limit", 1048577, "vm_mask_limit is 1048577, allowed: integers 1 .. 1048576"},
      {"/rules/0/vlan", 4096, "rules[0].vlan is 4096, allowed: integers 0 .. 4095"},
      {"/rules/0/vlan", "all", "rules[0].vlan is \"all\", allowed: any, none, or integers 0 .. 4095"},
      {"/rules/0/vlan_priority", 8, "rules[0].vlan_priority is 8, allowed: integers 0 .. 7"},
      {"/rules/1/vlan_priority", 1, "rules[1].vlan_priority is 1, allowed: any, since vlan is none"},
      {"/link/rate_mbps", 0, "link.rate_mbps is 0, allowed: numbers 1 .. 1600000"},
      {"/prediction/minimum_confidence", 1.01, "allowed: numbers 0 .. 1"},
      {"/prediction/predictor", "lstm",
       "allowed: persistence, majority, markov1, markov2, markov3, gru, tabulated, tiered"},
      {"/prediction/predictor", "gru", "allowed: markov3, since that is what the models given make"},
      {"/prediction/conversations", 0, "allowed: integers 1 .. 4194304"},
      {"/models/network", {{"file", ""}, {"sha256", std::string(64, '0')}}, "models.network.file is \"\""},
      {"/models/network", {{"file", "x"}, {"sha256", "00"}}, "allowed: 64 hex digits"},
      {"/models/network", {{"file", "x"}, {"sha256", std::string(64, '0')}}, "allowed: gru, since"},
      {"/tags/master_key", "00", "tags.master_key is no key, allowed: 32 hex digits"},
      {"/tags/master_key", "gg112233445566778899aabbccddeeff", "allowed: 32 hex digits"},
      {"/rules/0/vm", 4097, "rules[0].vm is 4097, allowed: integers 0 .. 4096"},
      {"/rules/0/vm", "some", "rules[0].vm is \"some\", allowed: any, or integers"},
      {"/rules/0/protocol", "sctp", "rules[0].protocol is \"sctp\", allowed: any, tcp, udp"},
      {"/rules/0/protocol", 256, "allowed: integers 0 .. 255"},
      {"/rules/0/source", "10.1.0.1/16", "without host bits"},
      {"/rules/0/source", "10.1.0.0/33", "allowed: any, or an IPv4 or IPv6 prefix"},
      {"/rules/0/source", "10.1.0.0/", "allowed: any, or an IPv4 or IPv6 prefix"},
      {"/rules/0/source", "10.1/16", "allowed: any, or an IPv4 or IPv6 prefix"},
      {"/rules/0/destination", "fd00::/8",
       "rules[0].destination is \"fd00::/8\", allowed: a prefix of the same family"},
      {"/rules/0/l3", "ipv6", "rules[0].l3 is \"ipv6\", allowed: any, or the family of the prefixes"},
      {"/rules/0/source_port", {5, 4}, "rules[0].source_port[1] is 4, allowed: integers 5 .. 65535"},
      {"/rules/0/source_port", {5}, "allowed: [lowest, highest]"},
      {"/rules/0/action/queue", 4, "rules[0].action.queue is 4, allowed: integers 0 .. 3"},
      {"/rules/0/action/meter", 1, "rules[0].action.meter is 1, allowed: integers 0 .. 0"},
      {"/tag_rules/0/types", Json::array(), "allowed: a list of one or more types"},
      {"/rules/0/action/change", 1, "rules[0].action.change is 1, allowed: integers 0 .. 0"},
      {"/changes/0/source", "10.0.0", "changes[0].source is \"10.0.0\", allowed: an IPv4 or IPv6 address"},
      {"/changes/0/destination", "fd00::1", "allowed: an address of the source's family"},
      {"/changes/0/source_mac", "02:00", "changes[0].source_mac is \"02:00\", allowed: a MAC address"},
      {"/changes/0/push_vlan/vid", 4095, "push_vlan.vid is 4095, allowed: integers 1 .. 4094"},
      {"/changes/0/tunnel/kind", "gre", "allowed: vxlan, geneve"},
      {"/changes/0/tunnel/mtu", 1279, "allowed: integers 1280 .. 65535"},
      {"/tags/scope", "flow", "tags.scope is \"flow\", allowed: packet, burst"},
      {"/tags/burst_packets", 1, "tags.burst_packets is 1, allowed: integers 2 .. 256"},
      {"/meters/0/peak_mbps", 1, "meters[0].peak_mbps is 1, allowed: at least committed_mbps"},
      {"/meters/0/committed_kb", 0, "allowed: numbers 0.001 .. 4000000"},
      {"/hw/x86-core/clock_hz/value", 0.5, "hw.x86-core.clock_hz.value is 0.5, allowed: numbers 1 .."},
      {"/hw/x86-core/clock_hz/unit", "MHz", "hw.x86-core.clock_hz.unit is \"MHz\", allowed: Hz"},
      {"/hw/x86-core/work/hash/value", 1e6,
       "hw.x86-core.work.hash.value is 1000000.0, allowed: within its interval"},
      {"/hw/x86-core/engines/value", 1.5, "allowed: whole numbers"},
      {"/hw/x86-core/work/hash/source", "", "allowed: a source"},
  };
  for (const BadRow& row : rows) {
    SCOPED_TRACE(row.pointer);
    Json document = Document();
    document[Json::json_pointer(row.pointer)] = row.value;
    EXPECT_THAT(RefusalOf([&] { Parse(document); }), HasSubstr(row.says));
  }
}

class Models : public testing::Test {
 protected:
  void TearDown() override { std::remove(file_.c_str()); }

  // Writes the model, and returns the document that names it.
  Json Naming(const predict::Model& model, const char* place) {
    const std::vector<std::uint8_t> bytes = predict::SerialiseModel(model);
    std::ofstream(file_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    crypto::Sha256 digest;
    digest.Update({bytes.data(), bytes.size()});
    const auto sum = digest.Finish();
    Json document = Document();
    document["prediction"]["predictor"] = std::string(place) == "table" ? "tabulated" : "gru";
    document["models"][place] = {{"file", file_}, {"sha256", crypto::Hex({sum.data(), sum.size()})}};
    return document;
  }
  static void Load(const Json& document) {
    RunConfig config = Parse(document);
    LoadModels(config);
  }

  const std::string file_ = testing::TempDir() + "run_config_test." + std::to_string(getpid()) + ".model";
};

TEST_F(Models, AreLoadedAndCountedIntoTheBreakEven) {
  const auto gru = predict::TypesModel(predict::ModelKind::kGru, {32}, predict::kSequenceInputs, 1);
  RunConfig config = Parse(Naming(*gru, "network"));
  EXPECT_EQ(config.path.network, nullptr);
  const std::uint32_t before = config.path.promotion_costs.predict;
  LoadModels(config);
  ASSERT_NE(config.path.network, nullptr);
  EXPECT_EQ(predict::SerialiseModel(*config.path.network), predict::SerialiseModel(*gru));
  EXPECT_EQ(config.path.table, nullptr);
  EXPECT_GT(config.path.promotion_costs.predict, before + 100);
  EXPECT_EQ(ToJson(config.path)["prediction"]["predictor"], "gru");
  const auto table = predict::TypesModel(predict::ModelKind::kAutomaton, {20}, 0, 1);
  config = Parse(Naming(*table, "table"));
  LoadModels(config);
  EXPECT_EQ(ToJson(config.path)["prediction"]["predictor"], "tabulated");
}

TEST_F(Models, OthersAreRefused) {
  const auto gru = predict::TypesModel(predict::ModelKind::kGru, {16}, predict::kSequenceInputs, 1);
  Json document = Naming(*gru, "table");
  EXPECT_THAT(RefusalOf([&] { Load(document); }), HasSubstr("kind is gru, allowed: automaton"));
  document = Naming(*gru, "network");
  document["models"]["network"]["sha256"] = std::string(64, '0');
  EXPECT_THAT(RefusalOf([&] { Load(document); }), HasSubstr("is not the model that the run names"));
  document["models"]["network"]["file"] = file_ + ".gone";
  EXPECT_THAT(RefusalOf([&] { Load(document); }), HasSubstr("cannot be opened"));
  predict::Model wrong = *gru;
  wrong.task = "flow-size";
  document = Naming(wrong, "network");
  EXPECT_THAT(RefusalOf([&] { Load(document); }), HasSubstr("next-type"));
}

TEST(RunConfig, TextThatIsNoDocumentIsRefused) {
  EXPECT_THAT(RefusalOf([] { ParseRunConfig("f", ""); }), testing::StartsWith("f: not JSON"));
  EXPECT_THAT(RefusalOf([] { ParseRunConfig("f", "{\"a\": \xff}"); }), testing::StartsWith("f: not JSON"));
  EXPECT_THAT(RefusalOf([] { ParseRunConfig("f", "[]"); }), HasSubstr("allowed: an object"));
  EXPECT_EQ(RefusalOf([] { ParseRunConfig("f", "{\"a\": {\"b\": 1, \"b\": 2}}"); }),
            "f: key \"b\" appears twice in one object");
  EXPECT_THAT(RefusalOf([] { ParseRunConfig("f", std::string(100'000, '[')); }),
              HasSubstr("f: nested deeper than 32 levels"));
  EXPECT_EQ(RefusalOf([] { LoadRunConfig("/nonexistent/r.json"); }), "/nonexistent/r.json: cannot be opened");
}

TEST(FlowEntries, AShareOfTheDistinctEntriesIsRoundedUp) {
  const auto resolved = [](const Json& given, std::uint64_t distinct) {
    Json document = Document();
    document["device"]["flow_entries"] = given;
    RunConfig config = Parse(document);
    ResolveFlowEntries(config, distinct);
    return config.path.flow_entries;
  };
  EXPECT_EQ(resolved(64, 1000), 64u);
  EXPECT_EQ(resolved("10%", 1000), 100u);
  EXPECT_EQ(resolved("10%", 1001), 101u);
  EXPECT_EQ(resolved("100%", 7), 7u);
  EXPECT_EQ(resolved("0.5%", 1000), 5u);
  EXPECT_EQ(resolved("12.5%", 80), 10u);
  EXPECT_EQ(resolved("1%", 3), 1u);
  EXPECT_EQ(resolved("10%", 0), 1u) << "a cache of nothing is not a cache";
}

TEST(FlowEntries, AVmsShareIsOfTheCache) {
  Json document = Document();
  const auto resolved = [&](const Json& entries, const Json& of_vm) {
    document["device"]["flow_entries"] = entries;
    document["device"]["vm_flow_entries"] = of_vm;
    RunConfig config = Parse(document);
    ResolveFlowEntries(config, 1000);
    return config.path.vm_flow_entries;
  };
  EXPECT_EQ(resolved(64, "25%"), 16u);
  EXPECT_EQ(resolved("10%", "25%"), 25u);
  EXPECT_EQ(resolved("10%", 7), 7u);
  EXPECT_EQ(resolved(3, "1%"), 1u);
}

TEST(RuleSlots, AShareOfTheRulesIsRoundedUp) {
  Json document = Document();
  const auto slots = [&](const Json& given) {
    document["device"]["rules"] = given;
    return Parse(document).path.rule_slots;
  };
  const auto rules = static_cast<std::uint32_t>(document["rules"].size());
  EXPECT_EQ(slots(0), 0u);
  EXPECT_EQ(slots(64), 64u);
  EXPECT_EQ(slots("100%"), rules);
  EXPECT_EQ(slots("0.1%"), 1u);
  // Behind a rule table there need be no flow cache.
  document["device"]["flow_entries"] = 0;
  document["device"]["rules"] = 3;
  RunConfig config = Parse(document);
  ResolveFlowEntries(config, 1000);
  EXPECT_EQ(config.path.flow_entries, 0u);
  document["device"]["rules"] = 0;
  EXPECT_THAT(RefusalOf([&] { Parse(document); }),
              HasSubstr("device.flow_entries is 0, allowed: integers 1"));
}

TEST(FlowEntries, DistinctEntriesCountsWhatTheRulesTellApart) {
  std::vector<std::vector<std::uint8_t>> frames;
  for (std::uint16_t port = 1000; port < 1010; ++port) {
    frames.push_back(wire::PacketBuilder().Ethernet().Ipv4().Udp(port, 53).Build());
    frames.push_back(wire::PacketBuilder().Ethernet().Ipv4().Udp(port, 80).Build());
  }
  std::vector<path::Arrival> arrivals;
  for (const auto& frame : frames) {
    path::Arrival arrival;
    arrival.captured = {frame.data(), frame.size()};
    arrival.wire_bytes = static_cast<std::uint32_t>(frame.size());
    arrivals.push_back(arrival);
  }
  const path::Future future(arrivals, Millis(1));
  rules::Rule rule;
  rule.id = 1;
  EXPECT_EQ(DistinctEntries(future, {rule}), 1u);
  rule.destination_port = {53, 53};
  EXPECT_EQ(DistinctEntries(future, {rule}), 2u);
  rule.source_port = {1000, 1003};
  EXPECT_EQ(DistinctEntries(future, {rule}), 4u);

  Json document = Document();
  document["arm"] = "reactive";
  document["device"]["flow_entries"] = "50%";
  document["device"]["lanes"] = 1;
  const std::string text = document.dump();
  config::RunConfig run = config::ParseRunConfig("RESOLVED.json", text);  // or LoadRunConfig(file)
  config::ResolveFlowEntries(run, config::DistinctEntries(future, run.path.rules));
  path::PacketPath path(run.path, &future);
  EXPECT_EQ(run.path.flow_entries, (DistinctEntries(future, run.path.rules) + 1) / 2);
}

// What is written about a configuration is spelled as it was read.
TEST(ReportJson, PathConfigIsSpelledAsItWasRead) {
  const Json document = Document();
  const Json written = ToJson(Parse(document).path);
  EXPECT_EQ(written["arm"], document["arm"]);
  EXPECT_EQ(written["seed"], document["seed"]);
  EXPECT_EQ(written["host"]["vms"], document["host"]["vms"]);
  EXPECT_EQ(written["device"]["install_latency_us"], document["device"]["install_latency_us"]);
  EXPECT_EQ(written["device"]["lanes"], document["device"]["lanes"]);
  Json prediction = document["prediction"];
  prediction["minimum_confidence"] = 0.50001;  // in steps of 1/65535
  EXPECT_EQ(written["prediction"], prediction);
  EXPECT_EQ(written["rules"][1], document["rules"][1]);
  Json first = document["rules"][0];
  first["l3"] = "ipv4";
  EXPECT_EQ(written["rules"][0], first);
  EXPECT_EQ(written["tag_rules"], document["tag_rules"]);
  EXPECT_EQ(written["meters"], document["meters"]);
  EXPECT_EQ(written["changes"], document["changes"]);
  EXPECT_THAT(ToText(written), testing::Not(HasSubstr("00112233445566778899aabbccddeeff")));
}

TEST(ReportJson, PacketsAreListedByReasonAndBalance) {
  PacketCount packets;
  packets.in = 10;
  packets.out = 6;
  packets.held = 1;
  packets.Drop(Reason::kQueueFull);
  packets.Drop(Reason::kQueueFull);
  EXPECT_FALSE(packets.Balanced());
  packets.Drop(Reason::kMalformed);
  EXPECT_TRUE(packets.Balanced());
  EXPECT_EQ(ToJson(packets),
            (Json{{"in", 10}, {"out", 6}, {"held", 1}, {"dropped", {{"malformed", 1}, {"queue_full", 2}}}}));
}

TEST(ReportJson, CountersAreNumbersFromZeroToOne) {
  path::Counters counters;
  counters.types_scored = {4, 0};
  counters.types_hit = {1, 0};
  counters.type_break_even = {65535, 0};
  counters.tags_by_status[static_cast<std::size_t>(tag::TagStatus::kForged)] = 3;
  const Json json = ToJson(counters);
  EXPECT_EQ(json["promotion_hit_rate"], 0.25);
  EXPECT_EQ(json["promotion_break_even"], 1.0);
  EXPECT_TRUE(json["demotion_hit_rate"].is_null());
  EXPECT_EQ(json["demotion_break_even"], 0.0);
  EXPECT_TRUE(json["destination_hit_rate"].is_null());
  EXPECT_EQ(json["tags_by_status"]["forged"], 3);
}

TEST(ReportJson, TextIsValidWhateverThePathWas) { EXPECT_EQ(ToText(Json("a\xff")), "\"a\xEF\xBF\xBD\""); }

}  // namespace
}  // namespace foreflow::config
