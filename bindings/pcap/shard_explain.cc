// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/shard_explain.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "bindings/config/report_json.h"
#include "bindings/pcap/packet_json.h"
#include "bindings/pcap/shard_replay.h"
#include "models/crypto/digest.h"
#include "models/path/arrival.h"
#include "models/shard/packet_life.h"

namespace foreflow::pcap {
namespace {

using config::Json;
using shard::PacketLife;

constexpr std::size_t kDigestDigits = 16;

// Since the frame came in; null: never.
Json Since(Nanos begin, Nanos at) { return at == PacketLife::kNever ? Json() : Json((at - begin).count()); }
Json Span(Nanos span) { return span == PacketLife::kNever ? Json() : Json(span.count()); }

Json ToJson(const PacketLife::Datagram& datagram, Nanos begin) {
  Json arrivals = Json::array();
  for (const PacketLife::Arrival& arrival : datagram.arrivals) {
    arrivals.push_back({{"at_ns", Since(begin, arrival.at)},
                        {"is_changed", arrival.is_changed},
                        {"verdict", Name(arrival.verdict)}});
  }
  return {{"number", datagram.number},      {"original", datagram.original},
          {"index", datagram.index},        {"cause", Name(datagram.cause)},
          {"epoch", datagram.epoch},        {"path", datagram.path},
          {"bytes", datagram.bytes},        {"sent_ns", Since(begin, datagram.sent)},
          {"fate", Name(datagram.fate)},    {"is_late", datagram.is_late},
          {"arrivals", std::move(arrivals)}};
}

Json ToJson(const PacketLife::Request& request, Nanos begin) {
  return {{"number", request.number},
          {"cause", Name(request.cause)},
          {"nth", request.nth},
          {"sent_ns", Since(begin, request.sent)},
          {"missing_ns", Span(request.missing)},
          {"window_ns", Span(request.window)},
          {"fate", Name(request.fate)},
          {"heard_ns", Since(begin, request.heard)}};
}

Json FrameJson(const shard::UnitPair::Frame& frame, const PacketLife& life) {
  const bool is_out = frame.fate == shard::FrameFate::kOut || frame.fate == shard::FrameFate::kMarked;
  return {{"verdict", Name(frame.verdict)},
          {"fate", Name(frame.fate)},
          {"bytes", frame.bytes},
          {"base", frame.base},
          {"total", life.total},
          {"took_ns", is_out ? Json((frame.out - frame.in).count()) : Json()}};
}

// Why those datagrams were sent of which something was put into the packet, or kept for it.
Json UsedCauses(const PacketLife& life) {
  std::set<std::string> used;
  for (const PacketLife::Datagram& datagram : life.datagrams)
    for (const PacketLife::Arrival& arrival : datagram.arrivals)
      if (arrival.verdict == shard::UnitVerdict::kHeld || arrival.verdict == shard::UnitVerdict::kDelivered)
        used.insert(Name(datagram.cause));
  return used;
}

// All that happened to it.
Json LifeJson(const shard::UnitPair::Frame& frame, const PacketLife& life) {
  Json datagrams = Json::array(), requests = Json::array();
  for (const PacketLife::Datagram& datagram : life.datagrams) datagrams.push_back(ToJson(datagram, frame.in));
  for (const PacketLife::Request& request : life.requests) requests.push_back(ToJson(request, frame.in));
  return {{"frame", FrameJson(frame, life)},
          {"datagrams", std::move(datagrams)},
          {"requests", std::move(requests)}};
}

Json FlowKeyOf(const path::Parsed& parsed) { return parsed.decidable ? FlowKeyJson(parsed.key) : Json(); }

Json SummaryJson(const shard::UnitPair::Frame& frame, const PacketLife& life) {
  Json summary = FrameJson(frame, life);
  std::size_t lost = 0, changed = 0, late = 0;
  Json causes = Json::object();
  for (const PacketLife::Datagram& datagram : life.datagrams) {
    lost += datagram.fate == impair::Fate::kPassed ? 0 : 1;
    late += datagram.is_late ? 1 : 0;
    changed += std::any_of(datagram.arrivals.begin(), datagram.arrivals.end(),
                           [](const PacketLife::Arrival& arrival) { return arrival.is_changed; })
                   ? 1
                   : 0;
    Json& count = causes[Name(datagram.cause)];
    count = count.is_null() ? 1 : count.get<int>() + 1;
  }
  const std::string text = config::ToText(LifeJson(frame, life), -1);
  crypto::Sha256 digest;
  digest.Update({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  const auto bytes = digest.Finish();
  summary["lost"] = lost;
  summary["changed"] = changed;
  summary["late"] = late;
  summary["requests"] = life.requests.size();
  summary["causes"] = std::move(causes);
  summary["used"] = UsedCauses(life);
  summary["life"] = crypto::Hex({bytes.data(), bytes.size()}).substr(0, kDigestDigits);
  return summary;
}

Json EarlyJson(Reason early) { return early == Reason::kCount ? Json() : Json(Name(early)); }

}  // namespace

Json ExplainShard(const Capture& capture, const config::RunConfig& config,
                  const std::vector<std::uint64_t>& packets, bool all) {
  shard::PacketLives lives(*config.shard);
  ShardReplay replay(capture, config, {}, &lives);
  RefuseUnlessRising(packets, replay.arrivals().size(), capture.name);
  CarryFrames(replay);
  const std::string fingerprint = replay.Finish({}).fingerprint;
  Json told = Json::array(), listed = Json::array();
  auto next = packets.begin();
  std::size_t frame = 0;
  for (std::size_t i = 0; i < replay.arrivals().size(); ++i) {
    const path::Arrival& arrival = replay.arrivals()[i];
    const Reason early = replay.early(i);
    const std::size_t place = early == Reason::kCount ? frame++ : 0;
    const bool is_told = next != packets.end() && *next == i;
    if (!all && !is_told) continue;
    const path::Parsed parsed = path::Parse(arrival);
    const Json common = {{"packet", i}, {"flow_key", FlowKeyOf(parsed)}, {"early", EarlyJson(early)}};
    if (all) {
      listed.push_back(common);
      if (early == Reason::kCount)
        listed.back().update(SummaryJson(replay.frames()[place], lives.lives()[place]));
    }
    if (!is_told) continue;
    ++next;
    told.push_back(common);
    told.back().update({{"capture", capture.name},
                        {"record", RecordOf(capture, arrival)},
                        {"arrival", ArrivalJson(arrival)},
                        {"dissected", DissectionJson(parsed.packet)}});
    told.back().update(
        early == Reason::kCount
            ? LifeJson(replay.frames()[place], lives.lives()[place])
            : Json{{"frame", nullptr}, {"datagrams", Json::array()}, {"requests", Json::array()}});
  }
  return {
      {"fingerprint", fingerprint}, {"told", std::move(told)}, {"packets", all ? std::move(listed) : Json()}};
}

}  // namespace foreflow::pcap
