// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/yardstick.h"

#include <rte_cycles.h>

#include <cmath>

#include "bindings/dpdk/interference.h"

namespace foreflow::dpdk {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::size_t kSettlingPasses = 4;
constexpr std::uint32_t kQueuePackets = 1024;  // none is dropped

Cell LightCell() {
  Cell cell;
  cell.flows = 256;
  cell.flow_entries = 512;
  cell.frame_bytes = 0;
  cell.gap = Micros(10);
  return cell;
}

Cell WarmCell() {
  Cell cell;
  cell.arm = path::Arm::kPredictive;
  cell.flows = 256;
  cell.flow_entries = 512;
  cell.rules = 60;
  cell.tag_rules = true;
  cell.frame_bytes = 0;
  cell.order = FlowOrder::kSkewed;
  cell.train = 4;
  cell.gap = Micros(10);
  return cell;
}

Cell ColdCell() {
  Cell cell;
  cell.arm = path::Arm::kPredictive;
  cell.predictor = predict::PredictorKind::kMarkov1;
  cell.flows = 30'000;
  cell.flow_entries = 3000;
  cell.rules = 60;
  cell.vms = 64;
  cell.frame_bytes = 0;
  cell.gap = Micros(10);
  return cell;
}

}  // namespace

double QuietCycles(const Loopback::Pass& pass) {
  const std::uint64_t least_gap =
      static_cast<std::uint64_t>(kLeastGap.count()) * rte_get_tsc_hz() / 1'000'000'000;
  const double mean = static_cast<double>(pass.busy_cycles) / static_cast<double>(pass.packets);
  double cycles = static_cast<double>(pass.busy_cycles);
  double packets = static_cast<double>(pass.packets);
  for (const Gap& gap : Unexplained(pass.worker_gaps, mean, least_gap)) {
    if (gap.packets == 0) continue;  // an idle round is in no sum
    cycles -= static_cast<double>(gap.end - gap.begin);
    packets -= gap.packets;
  }
  return packets > 0 ? cycles / packets : mean;
}

Yardstick::Load::Load(Loopback& loopback, const Cell& cell, std::size_t packets)
    : span(cell.gap * static_cast<std::int64_t>(packets)),
      traffic(Keep(cell, kSeed, packets)),
      lanes(ConfigOf(cell), nullptr),
      worker(loopback.MakeWorker(lanes, ConfigOf(cell).vms, kQueuePackets)) {}

double Yardstick::Load::Pass(Loopback& loopback) {
  const double cycles =
      QuietCycles(loopback.Run(*worker, traffic.arrivals.data(), traffic.arrivals.size(), nullptr, nullptr));
  for (path::Arrival& arrival : traffic.arrivals) {
    arrival.time += span;
    arrival.sent += span;
  }
  return cycles;
}

Yardstick::Yardstick(Loopback& loopback)
    : loopback_(loopback),
      loads_{Load(loopback, LightCell(), 16'384), Load(loopback, WarmCell(), 8192),
             Load(loopback, ColdCell(), 8192)} {
  for (std::size_t i = 0; i < kSettlingPasses; ++i) Read();
}

Yardstick::Reading Yardstick::Read() {
  Reading reading;
  for (std::size_t i = 0; i < kLoads; ++i) reading[i] = loads_[i].Pass(loopback_);
  return reading;
}

bool Yardstick::Agree(const Reading& one, const Reading& other, double share) {
  double logs = 0;
  for (std::size_t i = 0; i < kLoads; ++i) logs += std::log(other[i] / one[i]);
  return std::abs(logs / static_cast<double>(one.size())) <= std::log1p(share);
}

}  // namespace foreflow::dpdk
