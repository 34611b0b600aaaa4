// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/replay_report.h"

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bindings/config/report_json.h"

namespace foreflow::pcap {
namespace {

void WriteSummary(const ReplayReport& report, const ReplayResult& result) {
  config::Json document = {{"door", report.door},
                           {"packets", config::ToJson(result.packets)},
                           {"fingerprint", result.fingerprint},
                           {"notes", result.notes},
                           {"flow_entries", result.path.flow_entries},
                           {"distinct_entries", result.distinct_entries},
                           {"vms", result.vms},
                           {"counters", config::ToJson(result.counters)},
                           {"models", result.models},
                           {"statistics", result.statistics}};
  if (!result.shard.is_null()) document["shard"] = result.shard;
  std::ofstream out(report.summary);
  out << config::ToText(document, 2) << "\n";
  out.close();
  if (!out) throw std::runtime_error(report.summary + ": cannot be written");
}

}  // namespace

void ReplayReport::Print(const ReplayResult& result) const {
  if (!result.packets.Balanced()) {
    throw std::logic_error(capture + ": packets in are not out + held + dropped");
  }
  if (!summary.empty()) WriteSummary(*this, result);
  for (const std::string& note : result.notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  if (json && !result.shard.is_null()) {
    config::Json shard = result.shard;
    const config::Json given = {{"shard", shard["config"]}};
    shard.erase("config");
    const config::Json document = {{"capture", capture},
                                   {"door", door},
                                   {"config", given},
                                   {"packets", config::ToJson(result.packets)},
                                   {"fingerprint", result.fingerprint},
                                   {"shard", shard}};
    std::printf("%s\n", config::ToText(document, 2).c_str());
    return;
  }
  if (json) {
    const config::Json document = {{"capture", capture},
                                   {"door", door},
                                   {"config", config::ToJson(result.path)},
                                   {"packets", config::ToJson(result.packets)},
                                   {"fingerprint", result.fingerprint},
                                   {"statistics", result.statistics}};
    std::printf("%s\n", config::ToText(document, 2).c_str());
    return;
  }
  std::uint64_t dropped = 0;
  for (const std::uint64_t count : result.packets.dropped) dropped += count;
  std::printf("packets  in %llu = out %llu + held %llu + dropped %llu\n",
              static_cast<unsigned long long>(result.packets.in),
              static_cast<unsigned long long>(result.packets.out),
              static_cast<unsigned long long>(result.packets.held), static_cast<unsigned long long>(dropped));
  for (std::size_t i = 0; i < kReasons; ++i) {
    if (result.packets.dropped[i] == 0) continue;
    std::printf("dropped  %s %llu\n", Name(static_cast<Reason>(i)),
                static_cast<unsigned long long>(result.packets.dropped[i]));
  }
  std::printf(fingerprint ? "%s\n" : "fingerprint %s\n", result.fingerprint.c_str());
}

void ReplayTracer::Packet(std::uint64_t packet, const path::Arrival& arrival, const path::Verdict& verdict,
                          const path::StageWork& work) {
  trace::PacketRow row;
  row.packet = packet;
  row.vm = arrival.vm;
  row.arrival_ns = arrival.time.count();
  row.departure_ns = verdict.verb == rules::Verb::kDrop ? -1 : arrival.time.count();
  row.wire_bytes = arrival.wire_bytes;
  row.truth = static_cast<std::uint8_t>(future_->type(packet));
  file_.Append(row);
  decisions_->Decided(packet, arrival, verdict, work, nullptr);
}

void ReplayTracer::End() {
  decisions_->Finish();
  file_.Close();
}

}  // namespace foreflow::pcap
