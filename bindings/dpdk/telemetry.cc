// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/telemetry.h"

#include <rte_telemetry.h>

#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>

namespace foreflow::dpdk {
namespace {

// DPDK keeps its callbacks for good and calls them from a thread of its own, without an argument of ours.
std::mutex asked_nic_mutex;
Nic* asked_nic = nullptr;

bool Ask(NicCount& count) {
  const std::lock_guard<std::mutex> lock(asked_nic_mutex);
  if (asked_nic == nullptr) return false;
  count = asked_nic->Count();
  return true;
}

int AnswerStats(const char*, const char*, rte_tel_data* answer) {
  NicCount count;
  if (!Ask(count)) return -1;
  rte_tel_data_start_dict(answer);
  const auto& dropped = count.packets.dropped;
  rte_tel_data_add_dict_u64(answer, "in", count.packets.in);
  rte_tel_data_add_dict_u64(answer, "out", count.packets.out);
  rte_tel_data_add_dict_u64(answer, "held", count.packets.held);
  rte_tel_data_add_dict_u64(answer, "dropped",
                            std::accumulate(dropped.begin(), dropped.end(), std::uint64_t{0}));
  rte_tel_data_add_dict_u64(answer, "flooded", count.flooded);
  rte_tel_data_add_dict_u64(answer, "mirrored", count.mirrored);
  rte_tel_data_add_dict_u64(answer, "copies_made", count.copies_made);
  rte_tel_data_add_dict_u64(answer, "copies_out", count.copies_sent);
  rte_tel_data_add_dict_u64(answer, "copies_held", count.copies_held);
  rte_tel_data_add_dict_u64(answer, "copies_dropped", count.copies_dropped);
  rte_tel_data_add_dict_u64(answer, "decided", count.decided);
  rte_tel_data_add_dict_u64(answer, "handed_over", count.handed_over);
  rte_tel_data_add_dict_u64(answer, "trace_lost", count.rows_lost);
  rte_tel_data_add_dict_u64(answer, "busy_cycles", count.busy_cycles);
  return 0;
}

int AnswerPorts(const char*, const char*, rte_tel_data* answer) {
  NicCount count;
  if (!Ask(count)) return -1;
  rte_tel_data_start_dict(answer);
  for (const NicCount::Port& port : count.ports) {
    rte_tel_data* one = rte_tel_data_alloc();
    if (one == nullptr) return -1;
    rte_tel_data_start_dict(one);
    rte_tel_data_add_dict_int(one, "vm", port.vm);
    rte_tel_data_add_dict_u64(one, "in", port.frames.in);
    rte_tel_data_add_dict_u64(one, "in_bytes", port.frames.in_bytes);
    rte_tel_data_add_dict_u64(one, "out", port.frames.sent.frames + port.frames.sent.copies);
    rte_tel_data_add_dict_u64(one, "out_bytes", port.frames.sent.bytes);
    rte_tel_data_add_dict_u64(one, "missed", port.missed);
    rte_tel_data_add_dict_container(answer, port.name.c_str(), one, 0);
  }
  return 0;
}

int AnswerDrops(const char*, const char*, rte_tel_data* answer) {
  NicCount count;
  if (!Ask(count)) return -1;
  rte_tel_data_start_dict(answer);
  for (std::size_t i = 0; i < kReasons; ++i) {
    if (count.packets.dropped[i] == 0) continue;
    rte_tel_data_add_dict_u64(answer, Name(static_cast<Reason>(i)), count.packets.dropped[i]);
  }
  return 0;
}

int AnswerPath(const char*, const char*, rte_tel_data* answer) {
  static const char* const kTags[] = {"tags_absent",   "tags_valid", "tags_forged",
                                      "tags_replayed", "tags_stale", "tags_wrong_vm"};
  static_assert(std::size(kTags) == static_cast<std::size_t>(tag::TagStatus::kCount), "a name a status");
  NicCount count;
  if (!Ask(count)) return -1;
  const path::Counters& path = count.path;
  rte_tel_data_start_dict(answer);
  rte_tel_data_add_dict_u64(answer, "packets", path.packets);
  rte_tel_data_add_dict_u64(answer, "punts", path.punts);
  rte_tel_data_add_dict_u64(answer, "installs_on_miss", path.installs_on_miss);
  rte_tel_data_add_dict_u64(answer, "installs_predicted", path.installs_predicted);
  rte_tel_data_add_dict_u64(answer, "predicted_used", path.predicted_used);
  rte_tel_data_add_dict_u64(answer, "predicted_wasted", path.predicted_wasted);
  for (std::size_t i = 0; i < std::size(kTags); ++i) {
    rte_tel_data_add_dict_u64(answer, kTags[i], path.tags_by_status[i]);
  }
  rte_tel_data_add_dict_u64(answer, "tags_covered", path.tags_covered);
  rte_tel_data_add_dict_u64(answer, "tags_low_confidence", path.tags_low_confidence);
  rte_tel_data_add_dict_u64(answer, "tag_rotations", path.tag_rotations);
  rte_tel_data_add_dict_u64(answer, "destinations_scored", path.destinations_scored);
  rte_tel_data_add_dict_u64(answer, "destinations_hit", path.destinations_hit);
  return 0;
}

// What is no object and no array of them.
void AddScalars(rte_tel_data* dictionary, const config::Json& object) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_number()) {
      rte_tel_data_add_dict_u64(dictionary, name.c_str(), value.get<std::uint64_t>());
    } else if (value.is_boolean()) {
      rte_tel_data_add_dict_int(dictionary, name.c_str(), value.get<bool>() ? 1 : 0);
    } else if (value.is_string()) {
      rte_tel_data_add_dict_string(dictionary, name.c_str(), value.get<std::string>().c_str());
    }
  }
}

int AnswerOffload(const char*, const char* rule, rte_tel_data* answer) {
  config::Json report;
  {
    const std::lock_guard<std::mutex> lock(asked_nic_mutex);
    if (asked_nic == nullptr) return -1;
    report = asked_nic->OffloadReport(rule != nullptr);
  }
  rte_tel_data_start_dict(answer);
  if (report.is_null()) return 0;
  AddScalars(answer, report);
  for (const config::Json& port : report["ports"]) {
    rte_tel_data* one = rte_tel_data_alloc();
    if (one == nullptr) return -1;
    rte_tel_data_start_dict(one);
    if (rule == nullptr) {
      AddScalars(one, port);
      AddScalars(one, port["takes"]);
    } else {
      for (const config::Json& held : port["rules"]) {
        if (held["rule"].dump() == rule) AddScalars(one, held);
      }
    }
    rte_tel_data_add_dict_container(answer, port["name"].get<std::string>().c_str(), one, 0);
  }
  return 0;
}

}  // namespace

Telemetry::Telemetry(Nic& nic) {
  rte_telemetry_register_cmd("/foreflow/stats", AnswerStats, "Where all packets went.");
  rte_telemetry_register_cmd("/foreflow/ports", AnswerPorts,
                             "Frames and bytes by port; vm -1 is by source MAC.");
  rte_telemetry_register_cmd("/foreflow/drops", AnswerDrops, "Dropped packets by reason.");
  rte_telemetry_register_cmd("/foreflow/path", AnswerPath, "What host and device did.");
  rte_telemetry_register_cmd("/foreflow/offload", AnswerOffload,
                             "What of the rules ports decide. Parameters: int rule_id (optional)");
  const std::lock_guard<std::mutex> lock(asked_nic_mutex);
  asked_nic = &nic;
}

Telemetry::~Telemetry() {
  const std::lock_guard<std::mutex> lock(asked_nic_mutex);
  asked_nic = nullptr;
}

}  // namespace foreflow::dpdk
