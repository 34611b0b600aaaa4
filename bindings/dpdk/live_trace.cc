// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/live_trace.h"

namespace foreflow::dpdk {

LiveTrace::LiveTrace(const std::string& file, std::size_t workers, Nanos label_horizon, std::uint32_t pending)
    : file_(file), decisions_(file_) {
  streams_.reserve(workers);
  for (std::size_t i = 0; i < workers; ++i) streams_.emplace_back(label_horizon, pending);
}

void LiveTrace::Add(std::size_t worker, const DecidedRow& row) {
  Stream& stream = streams_[worker];
  const std::uint64_t number = stream.first + stream.held.size();
  stream.held.push_back({row});
  if (row.decidable) {
    stream.labeler.Push(number, row.seen);
  } else {
    stream.held.back().is_labelled = true;  // as control, in every door
  }
  WriteLabelled(stream);
}

void LiveTrace::End() {
  for (Stream& stream : streams_) {
    stream.labeler.Flush();
    WriteLabelled(stream);
  }
  decisions_.Finish();
  file_.Close();
}

void LiveTrace::WriteLabelled(Stream& stream) {
  predict::Label label;
  while (stream.labeler.Pop(label)) {
    Held& held = stream.held[label.packet - stream.first];
    held.truth = label.type;
    held.is_labelled = true;
  }
  while (!stream.held.empty() && stream.held.front().is_labelled) {
    Write(stream.held.front());
    stream.held.pop_front();
    ++stream.first;
  }
}

void LiveTrace::Write(const Held& held) {
  const DecidedRow& row = held.row;
  path::Arrival arrival;
  arrival.wire_bytes = row.seen.wire_bytes;
  arrival.vm = row.verdict.vm;
  arrival.time = row.time;
  arrival.sent = row.seen.arrival;
  trace::PacketRow packet;
  packet.packet = packets_;
  packet.vm = arrival.vm;
  packet.arrival_ns = arrival.time.count();
  packet.departure_ns = row.verdict.verb == rules::Verb::kDrop ? -1 : arrival.time.count();
  packet.wire_bytes = arrival.wire_bytes;
  packet.truth = static_cast<std::uint8_t>(held.truth);
  file_.Append(packet);
  decisions_.Decided(packets_, arrival, row.decidable ? &row.seen.key : nullptr, held.truth, row.verdict,
                     row.work, nullptr);
  ++packets_;
}

}  // namespace foreflow::dpdk
