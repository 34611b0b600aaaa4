// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/config/packet_dynamics.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bindings/config/impairment.h"
#include "models/base/refusal.h"
#include "models/shard/loss_table.h"

namespace foreflow::config {
namespace {

constexpr std::size_t kMostNumbers = 1u << 20;
constexpr double kHourUs = 3.6e9, kHourMs = 3.6e6, kHourS = 3600;

// Reads keys that may be left out.
class Optional {
 public:
  explicit Optional(const Value& value) : object_(value) {}

  bool Has(const char* key) { return object_.Has(key); }
  Value Get(const char* key) { return object_.Get(key); }
  void End() { object_.End(); }

  void Boolean(const char* key, bool& to) {
    if (Has(key)) to = Get(key).Boolean();
  }
  template <typename Number>
  void Count(const char* key, std::uint64_t least, std::uint64_t most, Number& to) {
    if (Has(key)) to = static_cast<Number>(Get(key).Unsigned(least, most));
  }
  void Share(const char* key, double& to) {
    if (Has(key)) to = Get(key).Number(0, 1);
  }
  // Of one, where `one` is one.
  template <typename Number>
  void Share(const char* key, double one, Number& to) {
    if (Has(key)) to = static_cast<Number>(std::llround(Get(key).Number(0, 1) * one));
  }
  void Time(const char* key, double most, double nanos, Nanos& to) {
    if (Has(key)) to = Nanos(std::llround(Get(key).Number(0, most) * nanos));
  }
  void Micro(const char* key, Nanos& to) { Time(key, kHourUs, 1e3, to); }
  void Milli(const char* key, Nanos& to) { Time(key, kHourMs, 1e6, to); }
  template <typename Enum>
  void Choice(const char* key, const std::vector<std::string>& names, Enum& to) {
    if (Has(key)) to = static_cast<Enum>(Get(key).Choice(names));
  }

 private:
  Object object_;
};

template <typename Read>
void Section(Optional& of, const char* key, Read read) {
  if (!of.Has(key)) return;
  Optional section(of.Get(key));
  read(section);
  section.End();
}

void ReadReassembly(Optional& from, shard::ReassemblerConfig& to) {
  from.Count("slots", 2, kMostNumbers, to.slots);
  from.Count("most_fragments", 1, wire::kMostFragments, to.most_fragments);
  from.Count("least_fragment_bytes", 1, 65'535, to.least_fragment_bytes);
  from.Count("held", 1, kMostNumbers, to.held);
  from.Milli("shortest_ms", to.shortest);
  from.Milli("longest_ms", to.longest);
}

void ReadResending(Optional& from, shard::RetransmissionConfig& to) {
  from.Count("numbers", 64, kMostNumbers, to.numbers);
  from.Count("packets", 1, kMostNumbers, to.packets);
  from.Count("resends", 0, 15, to.resends);
  from.Share("share", 65'536, to.resend_share);
  if (from.Has("burst_kb"))
    to.resend_burst = static_cast<std::uint64_t>(std::llround(from.Get("burst_kb").Number(0, 1e9) * 1000));
  from.Milli("keep_ms", to.keep);
}

std::vector<std::uint16_t> ReadLossTable(const Value& value) {
  constexpr std::size_t kMost = 1 << 17;  // more than any table's file has
  std::ifstream file(value.Text(), std::ios::binary);
  if (!file) value.Refuse("the path of a table that `./foreflow train fragment-loss` wrote");
  std::vector<std::uint8_t> bytes(kMost);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(kMost));
  return shard::ParseLossTable({bytes.data(), static_cast<std::size_t>(file.gcount())}, value.Text()).share;
}

void ReadGaps(Optional& from, shard::GapDetectorConfig& to) {
  // The rules that know what no receiver can are for scenarios.
  from.Choice("rule", {"none", "fixed", "three", "rack", "learned", "ewma"}, to.rule);
  from.Count("numbers", 64, kMostNumbers, to.numbers);
  from.Count("gaps", 1, kMostNumbers, to.gaps);
  from.Micro("wait_us", to.wait);
  from.Count("asks", 1, 15, to.asks);
  from.Share("certainty", 65'536, to.predictor.certainty);
  from.Share("spurious_share", 65'536, to.predictor.spurious_share);
  from.Count("spurious_burst", 1, 65'535, to.predictor.spurious_burst);
  if (from.Has("table")) to.predictor.trained = ReadLossTable(from.Get("table"));
}

void ReadFeedback(Optional& from, shard::FeedbackConfig& to) {
  from.Micro("every_us", to.every);
  from.Count("messages", 1, kMostNumbers, to.messages);
  from.Count("words", 1, 16, to.words);
}

void ReadMonitor(Optional& from, shard::CongestionMonitorConfig& to) {
  from.Boolean("is_probing", to.is_probing);
  from.Milli("probe_every_ms", to.probe_every);
  from.Count("small_probe", 34, 65'507, to.small_probe);
  from.Share("loss_reference", to.loss_reference);
  from.Share("mark_reference", to.mark_reference);
  from.Milli("delay_reference_ms", to.delay_reference);
}

void ReadMtu(Optional& from, shard::PathMtuConfig& to) {
  from.Count("base", 128, 65'507, to.base);
  from.Count("most", 128, 65'507, to.most);
  from.Count("grain", 1, 65'507, to.grain);
  from.Count("tries", 1, 1000, to.tries);
  from.Count("black_hole", 1, 1'000'000, to.black_hole);
  from.Milli("timeout_ms", to.timeout);
  from.Time("raise_s", kHourS * 24, 1e9, to.raise);
}

void ReadSize(Optional& from, shard::SizeControllerConfig& to) {
  from.Choice("rule", {"whole", "closed_form", "naive"}, to.rule);
  from.Count("least_bytes", 1, 65'535, to.least_bytes);
  from.Count("most_fragments", 1, wire::kMostFragments, to.most_fragments);
  from.Count("hops", 1, 255, to.hops);
  from.Count("paths", 1, wire::kMostFragments, to.paths);
  from.Share("gain", to.gain);
  from.Milli("dwell_ms", to.dwell);
  from.Share("naive_threshold", 65'535, to.naive_threshold);
}

std::vector<std::uint32_t> ReadWeights(const Value& value) {
  std::vector<std::uint32_t> weights;
  for (const Value& weight : value.Array(shard::PathChooser::kMost))
    weights.push_back(static_cast<std::uint32_t>(weight.Unsigned(1, 65'535)));
  if (weights.empty()) value.Refuse("a list of 1 .. 16 weights");
  return weights;
}

std::array<std::uint8_t, 32> ReadKey(const Value& value) {
  const std::string& text = value.Text();
  std::array<std::uint8_t, 32> key{};
  if (text.size() != 64 || text.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
    throw Refusal(value.where(), value.key(), "no key", "64 hex digits");  // it stays out of messages
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<std::uint8_t>(std::stoul(text.substr(2 * i, 2), nullptr, 16));
  return key;
}

}  // namespace

shard::UnitConfig ReadUnit(const Value& value) {
  shard::UnitConfig unit;
  Optional from(value);
  from.Count("most_packet_bytes", 1, 65'535, unit.most_packet_bytes);
  from.Boolean("has_uuid", unit.has_uuid);
  from.Count("held_packets", 1, kMostNumbers, unit.held_packets);
  from.Boolean("has_tail_probe", unit.has_tail_probe);
  from.Choice("repair", {"never", "preferred", "split", "always"}, unit.repair);
  from.Micro("repair_after_us", unit.repair_after);
  from.Count("robust_fragments", 1, wire::kMostFragments, unit.robust_fragments);
  from.Choice("preference", {"bandwidth", "latency", "robustness"}, unit.preference);
  if (from.Has("path_weights")) unit.path_weights = ReadWeights(from.Get("path_weights"));
  from.Choice("path_rule", {"flow", "packet", "fragment"}, unit.path_rule);
  if (from.Has("most_key_mb"))
    unit.most_key_bytes =
        static_cast<std::uint64_t>(std::llround(from.Get("most_key_mb").Number(1e-6, 2.8e8) * 1e6));
  from.Micro("tick_us", unit.tick);
  Section(from, "replay", [&](Optional& replay) {
    replay.Count("records", 128, kMostNumbers, unit.opener.replay_records);
    replay.Milli("time_ms", unit.opener.replay_time);
  });
  Section(from, "reassembly", [&](Optional& each) { ReadReassembly(each, unit.reassembler); });
  Section(from, "resending", [&](Optional& each) { ReadResending(each, unit.retransmission); });
  Section(from, "gaps", [&](Optional& each) { ReadGaps(each, unit.gaps); });
  Section(from, "feedback", [&](Optional& each) { ReadFeedback(each, unit.feedback); });
  Section(from, "monitor", [&](Optional& each) { ReadMonitor(each, unit.monitor); });
  Section(from, "mtu", [&](Optional& each) { ReadMtu(each, unit.mtu); });
  Section(from, "size", [&](Optional& each) { ReadSize(each, unit.size); });
  from.End();
  return unit;
}

shard::UnitPairConfig ReadUnitPair(const Value& value, std::uint64_t seed) {
  shard::UnitPairConfig pair;
  pair.seed = seed;
  Optional from(value);
  if (from.Has("unit")) pair.unit = ReadUnit(from.Get("unit"));
  if (from.Has("network")) pair.forth = pair.back = ReadImpairment(from.Get("network"));
  if (from.Has("back")) pair.back = ReadImpairment(from.Get("back"));
  from.Choice("cipher", {"aes_128_gcm", "aes_256_gcm", "chacha20_poly1305"}, pair.cipher);
  if (from.Has("key")) pair.key = ReadKey(from.Get("key"));
  from.Milli("warm_up_ms", pair.warm_up);
  from.End();
  // The parts know what goes together.
  try {
    shard::UnitPair made(pair);
  } catch (const Refusal& refusal) {
    throw Refusal(value.where() + ": " + (value.key().empty() ? "" : value.key() + ": ") + refusal.what());
  }
  return pair;
}

}  // namespace foreflow::config
