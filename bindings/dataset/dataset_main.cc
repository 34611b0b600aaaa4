// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bindings/dataset/build.h"
#include "bindings/program/run_program.h"

int main(int argc, char** argv) {
  foreflow::dataset::Order order;
  double horizon_ms = 200;
  CLI::App app{"Makes the rows that models of a task are trained and judged on, from captures."};
  app.add_option("task", order.task, "next-type, next-destination, flow-size or next-packet")->required();
  app.add_option("captures", order.captures, "pcap or pcapng files, gzip-compressed or not; split by time");
  app.add_option("--held-out", order.held_out, "captures that are tested on as a whole");
  app.add_option("--out", order.out, "HDF5 file to write")->required();
  app.add_option("--horizon-ms", horizon_ms, "how far labels look ahead and back, above 0, up to 60000");
  app.add_option("--vms", order.vms, "senders of each capture that are VMs, 1 to 65535");
  return foreflow::RunProgram(app, argc, argv, [&] {
    order.horizon = foreflow::dataset::HorizonOf(horizon_ms);
    std::fprintf(stderr, "%s\n", foreflow::dataset::Build(order).c_str());
  });
}
