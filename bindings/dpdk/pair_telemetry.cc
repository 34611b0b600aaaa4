// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/pair_telemetry.h"

#include <rte_telemetry.h>

#include <map>
#include <mutex>

namespace foreflow::dpdk {
namespace {

// DPDK keeps its callbacks for good and calls them from a thread of its own, without an argument of ours.
std::mutex asked_pair_mutex;
PortPair* asked_pair = nullptr;

bool Ask(PairCount& count, std::vector<PairRow>& rows) {
  const std::lock_guard<std::mutex> lock(asked_pair_mutex);
  if (asked_pair == nullptr) return false;
  count = asked_pair->Count();
  rows = asked_pair->stage().rows();
  return true;
}

int AnswerPorts(const char*, const char*, rte_tel_data* answer) {
  PairCount count;
  std::vector<PairRow> rows;
  if (!Ask(count, rows)) return -1;
  rte_tel_data_start_dict(answer);
  for (const PairCount::Port& port : count.ports) {
    rte_tel_data* one = rte_tel_data_alloc();
    if (one == nullptr) return -1;
    rte_tel_data_start_dict(one);
    rte_tel_data_add_dict_u64(one, "in", port.in);
    rte_tel_data_add_dict_u64(one, "in_bytes", port.in_bytes);
    rte_tel_data_add_dict_u64(one, "out", port.sent.out);
    rte_tel_data_add_dict_u64(one, "out_bytes", port.sent.out_bytes);
    rte_tel_data_add_dict_u64(one, "queue_full", port.sent.queue_full);
    rte_tel_data_add_dict_u64(one, "missed", port.missed);
    rte_tel_data_add_dict_container(answer, port.name.c_str(), one, 0);
  }
  return 0;
}

int AnswerStage(const char*, const char*, rte_tel_data* answer) {
  PairCount count;
  std::vector<PairRow> rows;
  if (!Ask(count, rows)) return -1;
  std::map<std::string, rte_tel_data*> groups;
  rte_tel_data_start_dict(answer);
  rte_tel_data_add_dict_u64(answer, "held", count.held);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rte_tel_data*& group = groups[rows[i].group];
    if (group == nullptr) {
      group = rte_tel_data_alloc();
      if (group == nullptr) return -1;
      rte_tel_data_start_dict(group);
    }
    rte_tel_data_add_dict_u64(group, rows[i].name, count.rows[i]);
  }
  for (const auto& [name, group] : groups) rte_tel_data_add_dict_container(answer, name.c_str(), group, 0);
  return 0;
}

}  // namespace

PairTelemetry::PairTelemetry(PortPair& pair) {
  rte_telemetry_register_cmd("/foreflow/ports", AnswerPorts, "Frames and bytes by port.");
  rte_telemetry_register_cmd("/foreflow/stage", AnswerStage, "What the stage between the ports counts.");
  const std::lock_guard<std::mutex> lock(asked_pair_mutex);
  asked_pair = &pair;
}

PairTelemetry::~PairTelemetry() {
  const std::lock_guard<std::mutex> lock(asked_pair_mutex);
  asked_pair = nullptr;
}

}  // namespace foreflow::dpdk
