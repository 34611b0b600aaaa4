// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_YARDSTICK_H_
#define FOREFLOW_BINDINGS_DPDK_YARDSTICK_H_

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "bindings/dpdk/calibration_cell.h"
#include "bindings/dpdk/loopback.h"
#include "bindings/dpdk/worker.h"
#include "models/path/lanes.h"

namespace foreflow::dpdk {

// How fast the machine is at this moment: fixed loads through the whole path, from one that hardly does more
// than carry packets to one whose tables leave the nearer caches. Shared machines change their speed from
// minute to minute; a measurement between two readings can be compared with one between two others.
class Yardstick {
 public:
  // `loopback` must outlive this object. All loads run until their tables are in the state in which they
  // stay.
  explicit Yardstick(Loopback& loopback);

  enum Which : std::size_t { kLight, kWarm, kCold, kLoads };
  // Cycles a packet of each load, without rounds that interference hit.
  using Reading = std::array<double, kLoads>;
  Reading Read();  // some 30 ms

  // Whether the machine's speed, over all loads, differs by at most `share` between two readings.
  static bool Agree(const Reading& one, const Reading& other, double share);

 private:
  struct Load {
    Load(Loopback& loopback, const Cell& cell, std::size_t packets);
    double Pass(Loopback& loopback);

    Nanos span;  // of one pass: the next one's times go on from there
    KeptTraffic traffic;
    path::Lanes lanes;
    std::unique_ptr<Worker> worker;
  };
  Loopback& loopback_;
  std::array<Load, kLoads> loads_;
};

// Cycles a packet of a pass, over the rounds that interference left alone.
double QuietCycles(const Loopback::Pass& pass);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_YARDSTICK_H_
