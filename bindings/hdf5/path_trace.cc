// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/hdf5/path_trace.h"

#include <algorithm>
#include <cstring>

namespace foreflow::hdf5 {
namespace {

// The columns of WorkRow in the order of WorkItem.
constexpr std::uint64_t trace::WorkRow::*kItemColumns[] = {
    &trace::WorkRow::header,     &trace::WorkRow::byte_parsed,  &trace::WorkRow::hash,
    &trace::WorkRow::probe,      &trace::WorkRow::cache_line,   &trace::WorkRow::mac_word,
    &trace::WorkRow::table_step, &trace::WorkRow::multiply_add, &trace::WorkRow::rule_compare,
    &trace::WorkRow::update,     &trace::WorkRow::byte_copied,  &trace::WorkRow::install,
    &trace::WorkRow::seal,       &trace::WorkRow::byte_ciphered};
static_assert(std::size(kItemColumns) == kWorkItems, "a column a work item");

template <typename Enum>
std::uint8_t Number(Enum value) {
  return static_cast<std::uint8_t>(value);
}

}  // namespace

trace::FlowRow FlowRowOf(const flow::FlowKey& key) {
  trace::FlowRow row;
  row.source_address = key.source_address;
  row.destination_address = key.destination_address;
  row.source_port = key.source_port;
  row.destination_port = key.destination_port;
  row.vm = key.vm;
  row.ip_protocol = key.ip_protocol;
  row.l3 = key.l3;
  return row;
}

trace::DecisionRow DecisionRowOf(std::uint64_t packet, const path::Verdict& verdict) {
  trace::DecisionRow row;
  row.packet = packet;
  row.verb = Number(verdict.verb);
  row.reason = Number(verdict.reason);
  row.rule = verdict.rule;
  row.tag_rule = verdict.tag_rule;
  row.queue = verdict.queue;
  row.colour = Number(verdict.colour);
  row.tag_status = Number(verdict.tag_status);
  row.punted = verdict.punted ? 1 : 0;
  row.mirrored = verdict.mirrored ? 1 : 0;
  row.used_prediction = verdict.used_prediction ? 1 : 0;
  row.flow = kNoFlow;
  return row;
}

void PathTrace::Decided(std::uint64_t packet, const path::Arrival& arrival, const path::Verdict& verdict,
                        const path::StageWork& work, const StageCycles* cycles) {
  const flow::FlowKey* key = future_->decidable(packet) ? &future_->key(packet) : nullptr;
  Decided(packet, arrival, key, future_->type(packet), verdict, work, cycles);
}

void PathTrace::Decided(std::uint64_t packet, const path::Arrival& arrival, const flow::FlowKey* key,
                        predict::PacketType truth, const path::Verdict& verdict, const path::StageWork& work,
                        const StageCycles* cycles) {
  trace::DecisionRow decision = DecisionRowOf(packet, verdict);
  if (key != nullptr) decision.flow = FlowOf(*key, arrival);
  file_.Append(decision);

  // A prediction reaches the device in a tag, and is only known to be the host's where the tag verified.
  if (verdict.tag_status == tag::TagStatus::kValid) {
    trace::PredictionRow prediction;
    prediction.packet = packet;
    prediction.predicted = Number(verdict.predicted);
    prediction.truth = Number(truth);
    prediction.confidence = verdict.confidence;
    file_.Append(prediction);
  } else if (verdict.tag_status != tag::TagStatus::kAbsent) {
    trace::AlertRow alert;
    alert.time_ns = arrival.time.count();
    alert.packet = packet;
    alert.vm = arrival.vm;
    alert.kind = Number(verdict.tag_status);
    file_.Append(alert);
  }

  for (std::size_t i = 0; i < path::kStages; ++i) {
    const Work& done = work.stage[i];
    trace::WorkRow& row = work_[i];
    bool visited = cycles != nullptr && (*cycles)[i] != 0;
    for (std::size_t item = 0; item < kWorkItems; ++item) {
      row.*kItemColumns[item] += done.count[item];
      visited = visited || done.count[item] != 0;
    }
    if (visited) ++row.visits;
    if (cycles != nullptr) row.cycles += (*cycles)[i];
  }
}

std::uint32_t PathTrace::FlowOf(const flow::FlowKey& key, const path::Arrival& arrival) {
  const auto [found, is_new] = flow_index_.try_emplace(key, static_cast<std::uint32_t>(flows_.size()));
  if (is_new) {
    trace::FlowRow row = FlowRowOf(key);
    row.first_ns = arrival.time.count();
    flows_.push_back(row);
  }
  trace::FlowRow& row = flows_[found->second];
  ++row.packets;
  row.bytes += arrival.wire_bytes;
  row.last_ns = arrival.time.count();
  return found->second;
}

void PathTrace::Finish() {
  for (const trace::FlowRow& row : flows_) file_.Append(row);
  for (std::size_t i = 0; i < path::kStages; ++i) {
    const char* name = path::Name(static_cast<path::Stage>(i));
    std::memcpy(work_[i].stage.data(), name, std::min(std::strlen(name), work_[i].stage.size()));
    file_.Append(work_[i]);
  }
}

}  // namespace foreflow::hdf5
