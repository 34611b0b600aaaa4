// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/message_trace.h"

#include <rte_ring_elem.h>

namespace foreflow::dpdk {
namespace {

constexpr std::size_t kRowsAtOnce = 4096;
static_assert(sizeof(trace::MessageRow) % 4 == 0, "rings copy whole words");

Ring MakeRows() {
  static std::atomic<unsigned> made{0};
  return MakeRing("foreflow_messages" + std::to_string(made.fetch_add(1)), sizeof(trace::MessageRow),
                  MessageTrace::kPlaces, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

}  // namespace

MessageTrace::MessageTrace(const std::string& file) : file_(file), rows_(MakeRows()) {}

void MessageTrace::Add(const trace::MessageRow& row) {
  if (rte_ring_enqueue_elem(rows_.get(), const_cast<trace::MessageRow*>(&row), sizeof row) == 0) return;
  // The only one to write it.
  lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void MessageTrace::Write() {
  trace::MessageRow row;
  for (std::size_t i = 0; i < kRowsAtOnce; ++i) {
    if (rte_ring_dequeue_elem(rows_.get(), &row, sizeof row) != 0) return;
    file_.Append(row);
  }
}

void MessageTrace::End() {
  while (rte_ring_count(rows_.get()) > 0) Write();
  file_.Close();
}

}  // namespace foreflow::dpdk
