// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/config/run_config.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "bindings/config/classbench.h"
#include "bindings/config/packet_dynamics.h"
#include "bindings/config/strict_json.h"
#include "bindings/config/vocabulary.h"
#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/path/lanes.h"
#include "models/predict/tiered_predictor.h"
#include "models/rules/rule_table.h"
#include "models/wire/address_text.h"

namespace foreflow::config {
namespace {

constexpr std::size_t kMostRules = 1'000'000;
constexpr std::size_t kMostTagRules = 65'535;
constexpr std::size_t kMostMeters = 65'535;
constexpr std::size_t kMostChanges = 65'535;
constexpr std::int64_t kMostVms = 4096;

std::string ReadText(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw Refusal(file + ": cannot be opened");
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad()) throw Refusal(file + ": cannot be read");
  return text;
}

template <typename T>
T UnsignedAs(const Value& value, std::uint64_t low, std::uint64_t high) {
  return static_cast<T>(value.Unsigned(low, high));
}

// A number of some larger unit, as a count of a smaller one.
std::int64_t Scaled(const Value& value, double low, double high, double factor) {
  return std::llround(value.Number(low, high) * factor);
}

// A share of one, where 65535 is one.
std::uint16_t Share(const Value& value) {
  return static_cast<std::uint16_t>(std::llround(value.Number(0, 1) * 65535));
}

rules::Action ReadAction(const Value& value, std::size_t meters, std::size_t changes) {
  Object object(value);
  rules::Action action;
  action.verb = static_cast<rules::Verb>(object.Get("verb").Choice(Verbs()));
  action.mirror = object.Get("mirror").Boolean();
  const Value queue = object.Get("queue");
  if (!queue.json().is_null()) action.queue = UnsignedAs<std::uint8_t>(queue, 0, rules::kQueues - 1);
  const Value meter = object.Get("meter");
  if (!meter.json().is_null()) {
    if (meters == 0) meter.Refuse("null, since no meters are given");
    action.meter = UnsignedAs<std::uint16_t>(meter, 0, meters - 1);
  }
  // May be left out: most actions have neither.
  if (object.Has("shard")) action.shard = object.Get("shard").Boolean();
  if (object.Has("change")) {
    const Value change = object.Get("change");
    if (changes == 0) change.Refuse("to be left out, since no changes are given");
    action.change = UnsignedAs<std::uint16_t>(change, 0, changes - 1);
  }
  object.End();
  return action;
}

flow::VmId ReadVm(const Value& value) {
  if (value.json() == "any") return rules::kAnyVm;
  if (!value.json().is_number()) value.Refuse("any, or integers 0 .. " + std::to_string(kMostVms));
  return static_cast<flow::VmId>(value.Integer(0, kMostVms));
}

std::uint16_t ReadProtocol(const Value& value) {
  if (value.json().is_number()) return static_cast<std::uint16_t>(value.Integer(0, 255));
  const std::string& text = value.Text();
  if (text == "any") return rules::kAnyProtocol;
  for (const NamedProtocol& protocol : kProtocols) {
    if (text == protocol.name) return protocol.number;
  }
  value.Refuse("any, tcp, udp, icmp, icmpv6, or integers 0 .. 255");
}

// Sets `family` to 4 or 6, or leaves it where the prefix is `any`.
rules::Prefix ReadPrefix(const Value& value, int& family) {
  static const char* const kAllowed = "any, or an IPv4 or IPv6 prefix without host bits";
  const std::string& text = value.Text();
  rules::Prefix prefix;
  if (text == "any") return prefix;
  const std::size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  const bool is_v6 = address.find(':') != std::string::npos;
  if (address.size() > 64 ||
      inet_pton(is_v6 ? AF_INET6 : AF_INET, address.c_str(), prefix.address.data()) != 1 ||
      address.find('\0') != std::string::npos) {
    value.Refuse(kAllowed);
  }
  const unsigned most = is_v6 ? 128 : 32;
  unsigned length = most;
  if (slash != std::string::npos) {
    const std::string digits = text.substr(slash + 1);
    if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos) {
      value.Refuse(kAllowed);
    }
    length = static_cast<unsigned>(std::stoul(digits));
    if (length > most) value.Refuse(kAllowed);
  }
  for (unsigned bit = length; bit < most; ++bit) {
    if ((prefix.address[bit / 8] >> (7 - bit % 8) & 1) != 0) value.Refuse(kAllowed);
  }
  prefix.length = static_cast<std::uint8_t>(length);
  family = is_v6 ? 6 : 4;
  return prefix;
}

rules::PortRange ReadPorts(const Value& value) {
  const std::vector<Value> ends = value.Array(2);
  if (ends.size() != 2) value.Refuse("[lowest, highest]");
  rules::PortRange range;
  range.low = UnsignedAs<std::uint16_t>(ends[0], 0, 65'535);
  range.high = UnsignedAs<std::uint16_t>(ends[1], range.low, 65'535);
  return range;
}

// May be left out, as most rules do.
void ReadVlan(Object& object, rules::Rule& rule) {
  if (object.Has("vlan")) {
    const Value vlan = object.Get("vlan");
    if (vlan.json() == "none") {
      rule.vlan = rules::kUntagged;
    } else if (vlan.json() != "any") {
      if (!vlan.json().is_number()) vlan.Refuse("any, none, or integers 0 .. 4095");
      rule.vlan = static_cast<std::uint16_t>(vlan.Integer(0, 4095));
    }
  }
  if (!object.Has("vlan_priority")) return;
  const Value priority = object.Get("vlan_priority");
  if (priority.json() == "any") return;
  if (!priority.json().is_number()) priority.Refuse("any, or integers 0 .. 7");
  rule.vlan_priority = static_cast<std::uint8_t>(priority.Integer(0, 7));
  if (rule.vlan == rules::kUntagged) priority.Refuse("any, since vlan is none");
}

rules::Rule ReadRule(const Value& value, std::size_t meters, std::size_t changes) {
  Object object(value);
  rules::Rule rule;
  rule.id = UnsignedAs<std::uint32_t>(object.Get("id"), 0, rules::kNoRule - 1);
  rule.priority = static_cast<std::int32_t>(object.Get("priority").Integer(INT32_MIN, INT32_MAX));
  const Value l3 = object.Get("l3");
  rule.l3 = static_cast<std::uint8_t>(l3.Choice(Families()));
  rule.vm = ReadVm(object.Get("vm"));
  rule.ip_protocol = ReadProtocol(object.Get("protocol"));
  int source_family = 0, destination_family = 0;
  rule.source = ReadPrefix(object.Get("source"), source_family);
  const Value destination = object.Get("destination");
  rule.destination = ReadPrefix(destination, destination_family);
  if (source_family != 0 && destination_family != 0 && source_family != destination_family) {
    destination.Refuse("a prefix of the same family as the source");
  }
  // A prefix says its family, so that 10.0.0.0/8 cannot match the first byte of an IPv6 address.
  const int family = source_family != 0 ? source_family : destination_family;
  if (family != 0) {
    const auto needed = static_cast<std::uint8_t>(family == 4 ? wire::Layer3::kIpv4 : wire::Layer3::kIpv6);
    const bool is_arp = rule.l3 == static_cast<std::uint8_t>(wire::Layer3::kArp);
    if (rule.l3 == 0) rule.l3 = needed;
    if (rule.l3 != needed && !(is_arp && family == 4)) l3.Refuse("any, or the family of the prefixes");
  }
  rule.source_port = ReadPorts(object.Get("source_port"));
  rule.destination_port = ReadPorts(object.Get("destination_port"));
  ReadVlan(object, rule);
  rule.action = ReadAction(object.Get("action"), meters, changes);
  object.End();
  return rule;
}

tag::TagRule ReadTagRule(const Value& value, std::size_t meters) {
  Object object(value);
  tag::TagRule rule;
  rule.id = UnsignedAs<std::uint32_t>(object.Get("id"), 0, rules::kNoRule - 1);
  rule.priority = static_cast<std::int32_t>(object.Get("priority").Integer(INT32_MIN, INT32_MAX));
  rule.vm = ReadVm(object.Get("vm"));
  const Value types = object.Get("types");
  for (const Value& type : types.Array(predict::kPacketTypes)) {
    rule.types = static_cast<std::uint8_t>(rule.types | 1U << type.Choice(PacketTypes()));
  }
  if (rule.types == 0) types.Refuse("a list of one or more types");
  rule.minimum_confidence = Share(object.Get("minimum_confidence"));
  rule.action = ReadAction(object.Get("action"), meters, 0);
  object.End();
  return rule;
}

wire::Mac ReadMac(const Value& value) {
  const std::optional<wire::Mac> mac = wire::ParseMac(value.Text());
  if (!mac) value.Refuse("a MAC address");
  return *mac;
}

// All of one family, which the first one says.
std::array<std::uint8_t, 16> ReadAddress(const Value& value, wire::Layer3& l3) {
  std::array<std::uint8_t, 16> address{};
  const std::string& text = value.Text();
  const std::optional<wire::Ipv6Address> ipv6 = wire::ParseIpv6(text);
  const std::optional<wire::Ipv4Address> ipv4 = wire::ParseIpv4(text);
  if (!ipv4 && !ipv6) value.Refuse("an IPv4 or IPv6 address");
  const wire::Layer3 found = ipv6 ? wire::Layer3::kIpv6 : wire::Layer3::kIpv4;
  if (l3 != wire::Layer3::kNone && l3 != found) value.Refuse("an address of the source's family");
  l3 = found;
  if (ipv6) return *ipv6;
  std::copy(ipv4->begin(), ipv4->end(), address.begin());
  return address;
}

wire::Tunnel ReadTunnel(const Value& value) {
  Object object(value);
  wire::Tunnel tunnel;
  tunnel.kind = static_cast<wire::TunnelKind>(object.Get("kind").Choice({"vxlan", "geneve"}));
  tunnel.vni = UnsignedAs<std::uint32_t>(object.Get("vni"), 0, 0xffffff);
  tunnel.source_mac = ReadMac(object.Get("source_mac"));
  tunnel.destination_mac = ReadMac(object.Get("destination_mac"));
  tunnel.l3 = wire::Layer3::kNone;
  tunnel.source_address = ReadAddress(object.Get("source"), tunnel.l3);
  tunnel.destination_address = ReadAddress(object.Get("destination"), tunnel.l3);
  if (object.Has("ttl")) tunnel.ttl = UnsignedAs<std::uint8_t>(object.Get("ttl"), 1, 255);
  if (object.Has("dscp")) tunnel.dscp = UnsignedAs<std::uint8_t>(object.Get("dscp"), 0, 63);
  if (object.Has("udp_checksum")) tunnel.udp_checksum = object.Get("udp_checksum").Boolean();
  if (object.Has("mtu")) {
    const std::uint64_t least = tunnel.l3 == wire::Layer3::kIpv6 ? 1280 : 576;
    tunnel.mtu = UnsignedAs<std::uint32_t>(object.Get("mtu"), least, 65'535);
  }
  object.End();
  return tunnel;
}

rules::PacketChange ReadChange(const Value& value) {
  Object object(value);
  rules::PacketChange change;
  wire::HeaderRewrite& rewrite = change.rewrite;
  if (object.Has("source_mac")) rewrite.source_mac = ReadMac(object.Get("source_mac"));
  if (object.Has("destination_mac")) rewrite.destination_mac = ReadMac(object.Get("destination_mac"));
  if (object.Has("source")) rewrite.source_address = ReadAddress(object.Get("source"), rewrite.l3);
  if (object.Has("destination")) {
    rewrite.destination_address = ReadAddress(object.Get("destination"), rewrite.l3);
  }
  if (object.Has("source_port")) {
    rewrite.source_port = UnsignedAs<std::uint16_t>(object.Get("source_port"), 0, 65'535);
  }
  if (object.Has("destination_port")) {
    rewrite.destination_port = UnsignedAs<std::uint16_t>(object.Get("destination_port"), 0, 65'535);
  }
  if (object.Has("dscp")) rewrite.dscp = UnsignedAs<std::uint8_t>(object.Get("dscp"), 0, 63);
  if (object.Has("decrement_ttl")) rewrite.decrement_ttl = object.Get("decrement_ttl").Boolean();
  if (object.Has("pop_vlan")) change.pop_vlan = object.Get("pop_vlan").Boolean();
  if (object.Has("push_vlan")) {
    Object vlan(object.Get("push_vlan"));
    change.push_vlan = rules::PacketChange::Vlan();
    change.push_vlan->vid = UnsignedAs<std::uint16_t>(vlan.Get("vid"), 1, 4094);
    if (vlan.Has("priority")) {
      change.push_vlan->priority = UnsignedAs<std::uint8_t>(vlan.Get("priority"), 0, 7);
    }
    vlan.End();
  }
  if (object.Has("tunnel")) change.tunnel = ReadTunnel(object.Get("tunnel"));
  object.End();
  return change;
}

tag::MeterConfig ReadMeter(const Value& value) {
  constexpr double kMostMbps = 1'600'000, kMostKb = 4'000'000;
  Object object(value);
  tag::MeterConfig meter;
  const auto rate = [&](const char* key) {
    return BitsPerSecond(static_cast<std::uint64_t>(Scaled(object.Get(key), 1e-6, kMostMbps, 1e6)));
  };
  const auto burst = [&](const char* key) {
    return Bytes(static_cast<std::uint64_t>(Scaled(object.Get(key), 1e-3, kMostKb, 1e3)));
  };
  meter.committed_rate = rate("committed_mbps");
  meter.committed_burst = burst("committed_kb");
  meter.peak_rate = rate("peak_mbps");
  meter.peak_burst = burst("peak_kb");
  // RFC 2698: the peak rate is at least the committed one.
  if (meter.peak_rate < meter.committed_rate) object.Get("peak_mbps").Refuse("at least committed_mbps");
  object.End();
  return meter;
}

// What is meant where `all` is the whole.
std::uint32_t CountOf(const FlowEntries& entries, std::uint64_t all) {
  if (entries.count != 0 || entries.parts_per_million == 0) return entries.count;
  const std::uint64_t share = (all * entries.parts_per_million + 999'999) / 1'000'000;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(share, 1, UINT32_MAX));
}

// A number, or a share of what the traffic or the rules would need in all.
FlowEntries ReadEntries(const Value& value, std::uint32_t least) {
  constexpr std::uint32_t kMost = 1U << 24;
  FlowEntries entries;
  if (value.json().is_number()) {
    entries.count = UnsignedAs<std::uint32_t>(value, least, kMost);
    return entries;
  }
  const std::string allowed =
      "integers " + std::to_string(least) + " .. " + std::to_string(kMost) + ", or a share above 0% .. 100%";
  if (!value.json().is_string()) value.Refuse(allowed);
  const std::string& text = value.Text();
  const bool is_share = text.size() >= 2 && text.size() <= 16 && text.back() == '%' &&
                        text.find_first_not_of("0123456789.") == text.size() - 1 &&
                        std::count(text.begin(), text.end(), '.') <= 1 && text.front() != '.';
  if (!is_share) value.Refuse(allowed);
  const double percent = std::strtod(text.c_str(), nullptr);
  const double parts = std::round(percent * 10'000);
  if (!(parts >= 1 && parts <= 1'000'000)) value.Refuse(allowed);
  entries.parts_per_million = static_cast<std::uint32_t>(parts);
  return entries;
}

std::uint16_t ReadLanes(const Value& value) {
  const auto lanes = UnsignedAs<std::uint16_t>(value, 1, path::kMostLanes);
  if ((lanes & (lanes - 1)) != 0) value.Refuse("powers of two up to " + std::to_string(path::kMostLanes));
  return lanes;
}

crypto::Key128 ReadKey(const Value& value) {
  const std::string& text = value.Text();
  crypto::Key128 key{};
  if (text.size() != 2 * key.size() ||
      text.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
    throw Refusal(value.where(), value.key(), "no key", "32 hex digits");  // it stays out of messages
  }
  for (std::size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<std::uint8_t>(std::stoul(text.substr(2 * i, 2), nullptr, 16));
  }
  return key;
}

// One number of a hardware profile, with its unit, interval and source beside it.
double ReadSourced(const Value& value, double low, double high, const std::string& unit) {
  Object object(value);
  const Value number = object.Get("value");
  const double result = number.Number(low, high);
  object.Get("unit").Choice({unit});
  const std::vector<Value> interval = object.Get("interval").Array(2);
  if (interval.size() != 2 || interval[0].Number(low, high) > interval[1].Number(low, high)) {
    object.Get("interval").Refuse("[lowest, highest]");
  }
  if (result < interval[0].Number(low, high) || result > interval[1].Number(low, high)) {
    number.Refuse("within its interval");
  }
  if (object.Get("source").Text().empty()) object.Get("source").Refuse("a source");
  object.Get("mark").Choice({"measured", "published", "general knowledge"});
  object.End();
  return result;
}

std::uint64_t ReadCount(const Value& value, double low, double high, const std::string& unit) {
  const double count = ReadSourced(value, low, high, unit);
  if (count != std::floor(count)) Object(value).Get("value").Refuse("whole numbers");
  return static_cast<std::uint64_t>(count);
}

std::uint64_t ReadMillicycles(const Value& value) {
  return static_cast<std::uint64_t>(std::llround(ReadSourced(value, 0, 1e9, "cycles") * 1000));
}

void ReadCacheLevels(const Value& value, hw::DeviceProfile& profile) {
  constexpr std::size_t kMostLevels = 8;
  std::uint64_t before = 0;
  for (const Value& each : value.Array(kMostLevels)) {
    Object level(each);
    const Value beyond = level.Get("beyond");
    hw::DeviceProfile::CacheLevel read;
    read.beyond_bytes = ReadCount(beyond, 1, 1e15, "bytes");
    if (read.beyond_bytes <= before) Object(beyond).Get("value").Refuse("more than the level before");
    before = read.beyond_bytes;
    read.extra_millicycles = ReadMillicycles(level.Get("cycles"));
    level.End();
    profile.cache_levels.push_back(read);
  }
}

}  // namespace

hw::DeviceProfile ReadDeviceProfile(const Value& value) {
  Object object(value);
  hw::DeviceProfile profile;
  profile.name = object.Get("name").Text();
  object.Get("kind").Choice({"device"});
  profile.clock_hz = ReadCount(object.Get("clock_hz"), 1, 1e12, "Hz");
  profile.engines = static_cast<std::uint32_t>(ReadCount(object.Get("engines"), 1, 65'536, "engines"));
  profile.queue_capacity =
      static_cast<std::uint32_t>(ReadCount(object.Get("queue_capacity"), 0, 1e6, "packets"));
  profile.initiation_interval =
      static_cast<std::uint32_t>(ReadCount(object.Get("initiation_interval"), 0, 1e6, "cycles"));
  profile.datapath_bytes =
      static_cast<std::uint32_t>(ReadCount(object.Get("datapath_bytes"), 0, 65'536, "bytes"));
  Object stages(object.Get("stage"));
  for (std::size_t i = 0; i < path::kStages; ++i) {
    profile.stage_base_millicycles[i] = ReadMillicycles(stages.Get(path::Name(static_cast<path::Stage>(i))));
  }
  stages.End();
  Object items(object.Get("work"));
  // A profile that prices no packet dynamics unit may leave out what only a unit does.
  const bool has_unit = object.Has("unit");
  for (std::size_t i = 0; i < kWorkItems; ++i) {
    const auto item = static_cast<WorkItem>(i);
    const bool is_of_unit = item == WorkItem::kSeal || item == WorkItem::kByteCiphered;
    if (is_of_unit && !has_unit && !items.Has(Name(item))) continue;
    profile.item_millicycles[i] = ReadMillicycles(items.Get(Name(item)));
  }
  items.End();
  if (has_unit) {
    Object unit(object.Get("unit"));
    profile.unit.is_known = true;
    for (std::size_t i = 0; i < shard::kUnitEngines; ++i) {
      profile.unit.base_millicycles[i] = ReadMillicycles(unit.Get(Name(static_cast<shard::UnitEngine>(i))));
    }
    unit.End();
  }
  if (object.Has("cache_levels")) ReadCacheLevels(object.Get("cache_levels"), profile);
  if (object.Has("carrying")) {
    Object carrying(object.Get("carrying"));
    profile.carrying.is_known = true;
    profile.carrying.packet_millicycles = ReadMillicycles(carrying.Get("packet"));
    profile.carrying.burst_millicycles = ReadMillicycles(carrying.Get("burst"));
    carrying.End();
  }
  // How it was measured: for readers of the file, so only its form is checked.
  if (object.Has("calibration")) Object(object.Get("calibration"));
  object.End();
  return profile;
}

hw::BusProfile ReadBusProfile(const Value& value) {
  Object object(value);
  hw::BusProfile profile;
  profile.name = object.Get("name").Text();
  object.Get("kind").Choice({"bus"});
  profile.read_latency =
      Nanos(static_cast<std::int64_t>(ReadCount(object.Get("read_latency_ns"), 0, 1e9, "ns")));
  profile.write_latency =
      Nanos(static_cast<std::int64_t>(ReadCount(object.Get("write_latency_ns"), 0, 1e9, "ns")));
  profile.bandwidth = BitsPerSecond(ReadCount(object.Get("bandwidth_bps"), 1, 1e15, "bit/s"));
  profile.overhead_bytes =
      static_cast<std::uint32_t>(ReadCount(object.Get("overhead_bytes"), 0, 65'536, "bytes"));
  object.End();
  return profile;
}

namespace {

ModelFile ReadModelFile(const Value& value) {
  ModelFile model;
  if (value.json().is_null()) return model;
  Object object(value);
  const Value file = object.Get("file");
  model.file = file.Text();
  if (model.file.empty()) file.Refuse("a path, or null for the whole");
  const Value sha256 = object.Get("sha256");
  model.sha256 = sha256.Text();
  if (model.sha256.size() != 64 || model.sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
    sha256.Refuse("64 hex digits");
  }
  object.End();
  return model;
}

// The name of what the models make, or of the learner where there are none.
std::string NameOfPredictor(const RunConfig& config) {
  const bool has_table = !config.table.file.empty(), has_network = !config.network.file.empty();
  if (has_table || has_network) return has_table && has_network ? "tiered" : has_table ? "tabulated" : "gru";
  return Learners()[static_cast<std::size_t>(config.path.predictor)];
}

void ResolveRuleSlots(RunConfig& config) {
  config.path.rule_slots =
      config.rule_slots.count != 0
          ? config.rule_slots.count
          : static_cast<std::uint32_t>(
                (config.path.rules.size() * config.rule_slots.parts_per_million + 999'999) / 1'000'000);
}

RunConfig ReadRunConfig(const Value& value) {
  RunConfig config;
  Object root(value);
  config.scenario = root.Get("scenario").Text();
  config.path.arm = static_cast<path::Arm>(root.Get("arm").Choice(Arms()));
  config.seed = root.Get("seed").Unsigned(0, UINT64_MAX);
  config.path.seed = config.seed;
  config.input = root.Get("input").Text();
  config.out = root.Get("out").Text();

  config.traffic = ReadTraffic(root.Get("traffic"));

  Object host(root.Get("host"));
  config.path.vms = UnsignedAs<std::uint16_t>(host.Get("vms"), 1, kMostVms);
  const std::string host_profile = host.Get("profile").Text();
  const std::string bus = host.Get("bus").Text();
  config.slow_path_cores = UnsignedAs<std::uint32_t>(host.Get("slow_path_cores"), 1, 256);
  config.path.peers_per_vm = UnsignedAs<std::uint16_t>(host.Get("peers_per_vm"), 2, 65'534);
  host.End();

  Object device(root.Get("device"));
  const std::string device_profile = device.Get("profile").Text();
  const Value placement = device.Get("placement");
  config.placement = static_cast<hw::Placement>(placement.Choice(Placements()));
  config.rule_slots = ReadEntries(device.Get("rules"), 0);
  const bool has_rules = config.rule_slots.count + config.rule_slots.parts_per_million > 0;
  config.path.residency = static_cast<rules::Residency>(device.Get("residency").Choice(Residencies()));
  config.path.rule_writes_per_second =
      UnsignedAs<std::uint32_t>(device.Get("rule_writes_per_second"), 1, 1'000'000'000);
  config.path.vm_installs_per_second =
      UnsignedAs<std::uint32_t>(device.Get("vm_installs_per_second"), 1, 1'000'000'000);
  config.flow_entries = ReadEntries(device.Get("flow_entries"), has_rules ? 0 : 1);
  config.path.flow_entries = config.flow_entries.count;
  config.vm_flow_entries = ReadEntries(device.Get("vm_flow_entries"), 1);
  config.path.vm_flow_entries = config.vm_flow_entries.count;
  const auto limit = [&](const char* key) { return device.Get(key).Unsigned(1, rules::RuleLimits::kMost); };
  config.path.rule_limits.rules = limit("rule_limit");
  config.path.rule_limits.rules_per_vm = limit("vm_rule_limit");
  config.path.rule_limits.masks_per_vm = limit("vm_mask_limit");
  config.path.lanes = ReadLanes(device.Get("lanes"));
  config.path.install_latency = Nanos(Scaled(device.Get("install_latency_us"), 0, 1e6, 1e3));
  config.path.installs_per_second =
      UnsignedAs<std::uint32_t>(device.Get("installs_per_second"), 1, 1'000'000'000);
  config.queue_packets = UnsignedAs<std::uint32_t>(device.Get("queue_packets"), 1, 1'048'576);
  device.End();

  config.link = ReadLink(root.Get("link"));

  if (root.Has("control")) {
    Object control(root.Get("control"));
    const Value updates = control.Get("updates_per_second");
    config.control.updates_per_second = UnsignedAs<std::uint32_t>(updates, 0, 1'000'000);
    config.control.loss = control.Get("loss").Number(0, 0.9);
    config.control.delay = Nanos(Scaled(control.Get("delay_us"), 0, 1e6, 1e3));
    config.control.restarts = UnsignedAs<std::uint32_t>(control.Get("restarts"), 0, 1000);
    control.End();
    if (config.control.updates_per_second > 0) {
      if (config.path.arm > path::Arm::kPredictive) {
        updates.Refuse("0 in the arms oracle and anti_oracle, which know no rules but those they begin with");
      }
      if (has_rules) updates.Refuse("0 where device.rules gives the device a table of some of its rules");
    }
  }

  if (root.Has("shard")) {
    const Value shard = root.Get("shard");
    config.shard = std::make_shared<const shard::UnitPairConfig>(ReadUnitPair(shard, config.seed));
    config.shard_text = shard.json().dump();
  }

  Object prediction(root.Get("prediction"));
  const Value predictor = prediction.Get("predictor");
  const std::size_t kind = predictor.Choice(Predictors());
  if (kind < Learners().size()) config.path.predictor = static_cast<predict::PredictorKind>(kind);
  config.path.conversations = UnsignedAs<std::uint32_t>(prediction.Get("conversations"), 1, 4'194'304);
  config.path.readings_per_second =
      UnsignedAs<std::uint32_t>(prediction.Get("readings_per_second"), 0, 1'000'000'000);
  config.path.successors = UnsignedAs<std::uint8_t>(prediction.Get("successors"), 1, 16);
  config.path.lookahead = UnsignedAs<std::uint8_t>(prediction.Get("lookahead"), 1, 16);
  config.path.minimum_confidence = Share(prediction.Get("minimum_confidence"));
  config.path.governor_margin = Share(prediction.Get("governor_margin"));
  config.path.label_horizon = Nanos(Scaled(prediction.Get("label_horizon_ms"), 0.001, 60'000, 1e6));
  prediction.End();

  Object models(root.Get("models"));
  config.table = ReadModelFile(models.Get("table"));
  config.network = ReadModelFile(models.Get("network"));
  models.End();
  if (Predictors()[kind] != NameOfPredictor(config)) {
    predictor.Refuse(NameOfPredictor(config) + ", since that is what the models given make");
  }

  Object tags(root.Get("tags"));
  config.path.tag_authority = static_cast<path::TagAuthority>(tags.Get("authority").Choice(Authorities()));
  config.path.tag_master_key = ReadKey(tags.Get("master_key"));
  config.path.tag_scope = static_cast<path::TagScope>(tags.Get("scope").Choice(Scopes()));
  config.path.burst_packets = UnsignedAs<std::uint16_t>(tags.Get("burst_packets"), 2, 256);
  config.path.burst_time = Nanos(Scaled(tags.Get("burst_us"), 1, 1e6, 1e3));
  config.path.tag_replay_window = Nanos(Scaled(tags.Get("replay_window_ms"), 0.001, 60'000, 1e6));
  config.path.tag_rotation = Nanos(Scaled(tags.Get("rotation_s"), 0, 1e6, 1e9));
  config.path.tag_overlap = Nanos(Scaled(tags.Get("overlap_ms"), 0, 60'000, 1e6));
  tags.End();

  for (const Value& meter : root.Get("meters").Array(kMostMeters)) {
    config.path.meters.push_back(ReadMeter(meter));
  }
  if (root.Has("changes")) {
    for (const Value& change : root.Get("changes").Array(kMostChanges)) {
      config.path.changes.push_back(ReadChange(change));
    }
  }
  const Value rules = root.Get("rules");
  if (rules.json().is_string()) {
    config.filters = rules.Text();
    if (config.filters.empty()) rules.Refuse("a list of rules, or the name of a file of filters");
  } else {
    for (const Value& rule : rules.Array(kMostRules)) {
      config.path.rules.push_back(ReadRule(rule, config.path.meters.size(), config.path.changes.size()));
    }
  }
  ResolveRuleSlots(config);
  for (const Value& rule : root.Get("tag_rules").Array(kMostTagRules)) {
    config.path.tag_rules.push_back(ReadTagRule(rule, config.path.meters.size()));
  }

  Object hw(root.Get("hw"));
  config.host = ReadDeviceProfile(hw.Get(host_profile));
  config.device = ReadDeviceProfile(hw.Get(device_profile));
  config.bus = ReadBusProfile(hw.Get(bus));
  hw.End();
  if (config.placement == hw::Placement::kHostCore && !config.host.carrying.is_known) {
    placement.Refuse("nic, since the profile " + host_profile +
                     " does not say what carrying packets costs; one that ./foreflow calibrate writes does");
  }
  root.End();
  return config;
}

std::shared_ptr<const predict::Model> LoadModel(const ModelFile& source, bool is_table) {
  if (source.file.empty()) return nullptr;
  const std::string text = ReadText(source.file);
  const BytesView bytes{reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  crypto::Sha256 digest;
  digest.Update(bytes);
  const auto sum = digest.Finish();
  if (crypto::Hex({sum.data(), sum.size()}) != source.sha256) {
    throw Refusal(source.file + ": is not the model that the run names (its SHA-256 differs); name it again");
  }
  auto model = std::make_shared<predict::Model>(predict::ParseModel(bytes, source.file));
  predict::RequireTypes(*model, source.file, is_table);
  predict::RequireGoldens(*model, source.file);
  return model;
}

}  // namespace

TrafficConfig ReadTraffic(const Value& value) {
  Object object(value);
  TrafficConfig traffic;
  traffic.load = object.Get("load").Number(0.001, 10);
  traffic.max_gap = Nanos(Scaled(object.Get("max_gap_ms"), 0.001, 3'600'000, 1e6));
  traffic.max_packets = object.Get("max_packets").Unsigned(0, 1'000'000'000);
  const Value shift_input = object.Get("shift_input");
  if (!shift_input.json().is_null()) traffic.shift_input = shift_input.Text();
  traffic.shift_at = object.Get("shift_at").Number(0, 1);
  object.End();
  return traffic;
}

LinkConfig ReadLink(const Value& value) {
  Object object(value);
  LinkConfig link;
  link.rate = BitsPerSecond(static_cast<std::uint64_t>(Scaled(object.Get("rate_mbps"), 1, 1'600'000, 1e6)));
  link.delay = Nanos(Scaled(object.Get("delay_us"), 0, 1e6, 1e3));
  object.End();
  return link;
}

void LoadModels(RunConfig& config) {
  config.path.table = LoadModel(config.table, true);
  config.path.network = LoadModel(config.network, false);
  for (const auto& model : {config.path.table, config.path.network}) {
    if (model == nullptr) continue;
    const Cycles cost = hw::CyclesOf(config.host, path::Stage::kPredict, predict::WorkOfReading(*model));
    const auto cycles = static_cast<std::uint32_t>(std::min<std::uint64_t>(cost.count(), 1'000'000));
    config.path.promotion_costs.predict += cycles;
    config.path.demotion_costs.predict += cycles;
  }
}

void RefuseControl(const RunConfig& config) {
  if (config.control.updates_per_second == 0) return;
  throw Refusal("configuration", "control.updates_per_second",
                std::to_string(config.control.updates_per_second),
                "0 here, since only `run` simulates the link to the controller");
}

void RefuseShard(const RunConfig& config) {
  if (config.shard == nullptr) return;
  throw Refusal(
      "configuration: shard is given, allowed: none here, since only a replay carries frames through packet "
      "dynamics units; give it to `replay`");
}

RunConfig ParseRunConfig(const std::string& where, const std::string& text) {
  const Json json = ParseJson(where, text);
  return ReadRunConfig(Value(json, where, ""));
}

RunConfig LoadRunConfig(const std::string& file) {
  RunConfig config = ParseRunConfig(file, ReadText(file));
  LoadModels(config);
  LoadFilters(config);
  return config;
}

void LoadFilters(RunConfig& config) {
  if (config.filters.empty()) return;
  config.path.rules = ParseClassBench(config.filters, ReadText(config.filters));
  ResolveRuleSlots(config);
}

hw::DeviceProfile ParseDeviceProfile(const std::string& where, const std::string& text) {
  const Json json = ParseJson(where, text);
  return ReadDeviceProfile(Value(json, where, ""));
}

hw::BusProfile ParseBusProfile(const std::string& where, const std::string& text) {
  const Json json = ParseJson(where, text);
  return ReadBusProfile(Value(json, where, ""));
}

std::vector<rules::Rule> ParseRules(const std::string& where, const std::string& text, std::size_t meters) {
  const Json json = ParseJson(where, text);
  std::vector<rules::Rule> rules;
  for (const Value& rule : Value(json, where, "").Array(kMostRules))
    rules.push_back(ReadRule(rule, meters, 0));
  return rules;
}

path::PathConfig DefaultPathConfig() {
  path::PathConfig config;
  rules::Rule forward_all;
  forward_all.id = 1;
  forward_all.action.verb = rules::Verb::kForward;
  config.rules.push_back(forward_all);
  return config;
}

std::uint64_t DistinctEntries(const path::Future& future, const std::vector<rules::Rule>& rules) {
  rules::RuleTable table;
  table.Load(rules);
  return path::UsesOf(future, table).first_use.size();
}

path::TrafficExtent ExtentOf(const path::Future& future, const std::vector<rules::Rule>& rules) {
  rules::RuleTable table;
  table.Load(rules);
  return path::TrafficExtent(path::UsesOf(future, table).entry, 0);
}

void PlaceTables(RunConfig& config, const path::Future& future) {
  if (config.host.cache_levels.empty() && config.device.cache_levels.empty()) return;
  const path::TrafficExtent extent = ExtentOf(future, config.path.rules);
  hw::PlaceTables(config.host, config.path, extent);
  hw::PlaceTables(config.device, config.path, extent);
}

void ResolveFlowEntries(RunConfig& config, std::uint64_t distinct_entries) {
  config.path.flow_entries = CountOf(config.flow_entries, distinct_entries);
  config.path.vm_flow_entries = CountOf(config.vm_flow_entries, config.path.flow_entries);
}

}  // namespace foreflow::config
