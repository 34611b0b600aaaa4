// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/run_trace.h"

#include <algorithm>

#include "ns3/callback.h"

namespace foreflow::scenarios {

RunTrace::RunTrace(const std::string& file, const path::Future& future) : future_(future) {
  if (file.empty()) return;
  file_ = std::make_unique<hdf5::TraceFile>(file);
  decisions_.emplace(*file_, future);
}

void RunTrace::Connect(ns3::Ptr<ns3::foreflow::OffloadNic> nic) {
  nic->TraceConnectWithoutContext("Decided", ns3::MakeCallback(&RunTrace::Decided, this));
  nic->TraceConnectWithoutContext("PacketDone", ns3::MakeCallback(&RunTrace::Done, this));
}

void RunTrace::Decided(const ns3::foreflow::PacketDecision& decision) {
  const auto record = Encode(decision.verdict);
  digest_.Update({record.data(), record.size()});
  if (decisions_) {
    decisions_->Decided(decision.packet, decision.arrival, decision.verdict, decision.work,
                        &decision.cost.stage);
  }
  pending_.emplace_back();
  pending_.back().passed_over = decision.arrival.time - ToNanosFloor(ns3::foreflow::PicosNow());
}

void RunTrace::Done(const ns3::foreflow::PacketRecord& record) {
  Pending& pending = pending_[record.packet - first_pending_];
  trace::PacketRow& row = pending.row;
  row.packet = record.packet;
  row.vm = record.vm;
  row.arrival_ns = (ToNanosFloor(record.arrival) + pending.passed_over).count();
  row.departure_ns = record.dropped ? -1 : (ToNanosFloor(record.departure) + pending.passed_over).count();
  row.wire_bytes = record.wireBytes;
  row.truth = static_cast<std::uint8_t>(future_.type(record.packet));
  row.host_cycles = record.hostCycles;
  row.device_cycles = record.deviceCycles;
  row.prediction_cycles = record.predictionCycles;
  totals_.host_cycles += record.hostCycles;
  totals_.device_cycles += record.deviceCycles;
  totals_.prediction_cycles += record.predictionCycles;
  pending.done = true;
  ++done_;
  for (; !pending_.empty() && pending_.front().done; ++first_pending_) {
    if (file_) file_->Append(pending_.front().row);
    pending_.pop_front();
  }
}

void RunTrace::Finish(const ns3::foreflow::OffloadNic& nic) {
  if (!file_) return;
  for (const hw::StationReport& station : nic.GetStations()) {
    trace::StationRow row;
    const std::string& name = station.name;
    std::copy_n(name.begin(), std::min(name.size(), row.name.size()), row.name.begin());
    row.engines = static_cast<std::uint32_t>(station.engines);
    row.accepted = station.statistics.accepted;
    row.refused = station.statistics.refused;
    row.busy_ps = station.statistics.busy.count();
    row.waited_ps = station.statistics.waited.count();
    file_->Append(row);
  }
  decisions_->Finish();
  file_->Close();
}

std::string RunTrace::Fingerprint() {
  const auto digest = digest_.Finish();
  return crypto::Hex({digest.data(), digest.size()});
}

}  // namespace foreflow::scenarios
