// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/shard/shard_config.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "bindings/config/strict_json.h"
#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/shard/loss_table.h"

namespace foreflow::scenarios {
namespace {

const std::vector<std::string>& ShardArms() {
  static const std::vector<std::string> names = {
      "off",         "timeout", "fixed",          "three", "ewma",        "rack",
      "rack_repair", "learned", "learned_repair", "bayes", "clairvoyant", "naive"};
  return names;
}

std::string Text(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw Refusal(file + ": cannot be opened");
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad()) throw Refusal(file + ": cannot be read");
  return text;
}

config::Json Load(const std::string& file) { return config::ParseJson(file, Text(file)); }

// A number of some larger unit, as a count of a smaller one.
std::int64_t Scaled(const config::Value& value, double low, double high, double factor) {
  return std::llround(value.Number(low, high) * factor);
}
Nanos FromMicros(const config::Value& value, double low, double high) {
  return Nanos(Scaled(value, low, high, 1e3));
}
Nanos FromMillis(const config::Value& value, double low, double high) {
  return Nanos(Scaled(value, low, high, 1e6));
}

NetworkConfig ReadNetwork(const config::Value& value) {
  config::Object object(value);
  NetworkConfig network;
  network.loss = object.Get("loss").Number(0, 0.5);
  network.burst = object.Get("burst").Number(1, 1000);
  network.late = object.Get("late").Number(0, 1);
  network.late_least = FromMicros(object.Get("late_least_us"), 0, 1e6);
  const config::Value most = object.Get("late_most_us");
  network.late_most = FromMicros(most, 0, 1e6);
  if (network.late_most < network.late_least) most.Refuse("late_least_us or more");
  network.paths = static_cast<std::size_t>(object.Get("paths").Unsigned(1, 16));
  network.path_gap = FromMicros(object.Get("path_gap_us"), 0, 1e6);
  network.port = BitsPerSecond(static_cast<std::uint64_t>(Scaled(object.Get("port_mbps"), 1, 1e9, 1e6)));
  network.queue_bytes = static_cast<std::size_t>(Scaled(object.Get("queue_kb"), 1, 1e6, 1e3));
  network.cross_load = object.Get("cross_load").Number(0, 2);
  network.cross_burst = FromMillis(object.Get("cross_burst_ms"), 0.01, 1e4);
  network.give_up = FromMillis(object.Get("give_up_ms"), 1, 6e4);
  object.End();
  return network;
}

// The table's file, with the SHA-256 that a run names it by; null: none.
std::vector<std::uint16_t> ReadTable(const config::Value& value) {
  if (value.json().is_null()) return {};
  config::Object object(value);
  const std::string file = object.Get("file").Text();
  const std::string sha256 = object.Get("sha256").Text();
  object.End();
  const std::string text = Text(file);
  const BytesView bytes{reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  crypto::Sha256 digest;
  digest.Update(bytes);
  const auto sum = digest.Finish();
  if (crypto::Hex({sum.data(), sum.size()}) != sha256)
    throw Refusal(file + ": is not the table that the run names (its SHA-256 differs); name it again");
  return shard::ParseLossTable(bytes, file).share;
}

RecoveryConfig ReadRecovery(const config::Value& value) {
  config::Object object(value);
  RecoveryConfig recovery;
  recovery.wait = FromMicros(object.Get("wait_us"), 0, 1e6);
  recovery.certainty = static_cast<std::uint32_t>(Scaled(object.Get("certainty"), 0.5, 0.9999, 65'536));
  recovery.spurious_share = static_cast<std::uint32_t>(Scaled(object.Get("spurious_share"), 0, 1, 65'536));
  recovery.spurious_burst = static_cast<std::uint32_t>(object.Get("spurious_burst").Unsigned(1, 65'535));
  recovery.trained = ReadTable(object.Get("table"));
  recovery.fragments = static_cast<std::size_t>(object.Get("fragments").Unsigned(1, 16));
  recovery.repair_after = FromMicros(object.Get("repair_after_us"), 0, 1e6);
  recovery.tick = FromMicros(object.Get("tick_us"), 1, 1e4);
  object.End();
  return recovery;
}

// The profiles that units are priced by.
void ReadPrices(config::Object& root, config::RunConfig& run) {
  config::Object device(root.Get("device")), host(root.Get("host")), hw(root.Get("hw"));
  const std::string profile = device.Get("profile").Text(), bus = host.Get("bus").Text();
  device.End();
  host.End();
  const config::Value prices = hw.Get(profile);
  run.device = config::ReadDeviceProfile(prices);
  if (!run.device.unit.is_known) prices.Refuse("a profile that prices the engines of a unit (key unit)");
  run.bus = config::ReadBusProfile(hw.Get(bus));
  hw.End();
}

RequestMix ReadRequests(const std::string& file) {
  const config::Json json = Load(file);
  config::Object root{config::Value(json, file, "")};
  RequestMix mix;
  root.Get("about").Text();
  mix.clients = static_cast<std::uint32_t>(root.Get("clients").Unsigned(1, 1000));
  mix.each = static_cast<std::uint32_t>(root.Get("requests_each").Unsigned(1, 1'000'000));
  mix.think = root.Get("think_ms").Number(0, 60'000) / 1e3;
  mix.request_bytes = root.Get("request_bytes").Number(16, 1e8);
  mix.response_bytes = root.Get("response_bytes").Number(16, 1e8);
  root.End();
  return mix;
}

bool IsRequests(const std::string& file) {
  const std::string ending = ".json";
  return file.size() > ending.size() && file.compare(file.size() - ending.size(), ending.size(), ending) == 0;
}

}  // namespace

bool IsShardRun(const std::string& file) {
  const config::Json json = Load(file);
  return json.is_object() && json.contains("system") && json["system"] == "shard";
}

ShardConfig LoadShardConfig(const std::string& file) {
  const config::Json json = Load(file);
  config::Object root{config::Value(json, file, "")};
  ShardConfig shard;
  root.Get("system").Choice({"shard"});
  shard.run.scenario = root.Get("scenario").Text();
  shard.arm = static_cast<ShardArm>(root.Get("arm").Choice(ShardArms()));
  shard.run.seed = root.Get("seed").Unsigned(0, UINT64_MAX);
  shard.run.input = root.Get("input").Text();
  shard.run.out = root.Get("out").Text();
  shard.run.traffic = config::ReadTraffic(root.Get("traffic"));
  shard.run.link = config::ReadLink(root.Get("link"));
  ReadPrices(root, shard.run);
  shard.network = ReadNetwork(root.Get("network"));
  shard.recovery = ReadRecovery(root.Get("recovery"));
  root.End();
  if (IsRequests(shard.run.input)) shard.requests = ReadRequests(shard.run.input);
  return shard;
}

}  // namespace foreflow::scenarios
