// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_CALIBRATION_CELL_H_
#define FOREFLOW_BINDINGS_DPDK_CALIBRATION_CELL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "models/base/rng.h"
#include "models/base/units.h"
#include "models/path/arrival.h"
#include "models/path/path_config.h"
#include "models/path/traffic_extent.h"

namespace foreflow::dpdk {

// The headers of a frame, and so what parsing it takes.
enum class FrameKind : std::uint8_t { kTcp4, kUdp4, kTcp6, kVlanTcp4, kCount };
// In which order flows come: at random, a few of them most of the time, or one after the other, which defeats
// an LRU cache and is what a predictor of destinations learns.
enum class FlowOrder : std::uint8_t { kUniform, kSkewed, kCyclic, kCount };

constexpr int kSynthetic = -1;

// One cell of the calibration's matrix: a configuration of the path and the traffic it is given, which is
// made here or comes from a capture.
struct Cell {
  int capture = kSynthetic;  // number of the capture; flows, VMs, frames and their order are then its own
  path::Arm arm = path::Arm::kReactive;
  predict::PredictorKind predictor = predict::PredictorKind::kMarkov3;
  std::uint32_t flows = 16;         // distinct flow entries that the traffic needs
  std::uint32_t entry_percent = 0;  // of a capture's distinct entries, that the device holds
  std::uint32_t flow_entries = 32;  // the device holds
  std::uint32_t rules = 1;
  bool tag_rules = false;          // and predictions cheap enough that tags are written
  std::uint16_t vms = 16;          // that send
  std::uint32_t frame_bytes = 64;  // 0: 64, 512 and 1514 at random
  FrameKind kind = FrameKind::kTcp4;
  FlowOrder order = FlowOrder::kUniform;
  std::uint32_t train = 1;  // mean packets of a VM to one destination in a row
  Nanos gap{1000};          // between packets, on average where they are a capture's
  std::uint32_t group = 0;  // packets offered together, and so a burst; 0: as fast as they are taken
  bool paced = false;       // a capture's packets are offered at their times

  std::string Describe() const;
  // Factor and level: what the cell shares with others, and what a check can hold out.
  std::vector<std::pair<std::string, std::string>> Families() const;
};

// A balanced random design: in every column each level comes equally often, in an order of its own; then some
// cells of each of `captures` captures. The same seed gives the same cells.
std::vector<Cell> DesignCells(std::size_t count, int captures, std::uint64_t seed);

path::PathConfig ConfigOf(const Cell& cell);
// Of the traffic that CellTraffic makes with this seed, once `settle` packets have passed.
path::TrafficExtent ExtentOf(const Cell& cell, std::uint64_t seed, std::size_t settle, std::size_t packets);

// The packets of a cell, without end.
class CellTraffic {
 public:
  CellTraffic(const Cell& cell, std::uint64_t seed);

  struct Packet {
    std::uint32_t flow = 0;
    std::uint16_t vm = 0;
    std::uint32_t bytes = 0;  // of the frame
    Nanos time;
  };
  // The next packet; its headers are written to `frame`, which has room for kHeaderBytes.
  static constexpr std::size_t kHeaderBytes = 80;
  Packet Next(std::uint8_t* frame);

 private:
  struct Template {
    std::array<std::uint8_t, kHeaderBytes> headers{};
    std::uint32_t bytes = 0;
  };
  std::uint32_t NextFlow();

  Cell cell_;
  Rng rng_;
  std::vector<Template> templates_;  // by size
  std::vector<std::uint32_t> turn_;  // the flow that each of a few VMs is at
  std::uint32_t cycle_ = 0;
  Nanos now_;
};

// A cell's packets in memory.
struct KeptTraffic {
  std::vector<std::array<std::uint8_t, CellTraffic::kHeaderBytes>> frames;
  std::vector<path::Arrival> arrivals;  // point into `frames`
};
KeptTraffic Keep(const Cell& cell, std::uint64_t seed, std::size_t count);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_CALIBRATION_CELL_H_
