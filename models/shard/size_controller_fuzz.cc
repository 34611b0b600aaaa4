// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/size_controller.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "models/shard/congestion_monitor.h"
#include "models/shard/path_mtu.h"
#include "models/shard/sharder.h"

namespace {

using namespace foreflow;
using namespace foreflow::shard;

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

// Input: 3 B of configuration, then what a network does and a peer says, in operations of 5 B. Sizes stay
// within what the path carries, splitting offers no more than is delivered, and every estimate is a number.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  SizeControllerConfig config;
  config.rule = static_cast<SizeRule>(data[0] % 3);
  config.hops = 1 + data[1] % 7;
  config.paths = 1 + data[1] / 64;
  config.most_fragments = 1 + data[2] % 64;
  config.least_bytes = 1 + std::size_t{data[2]} * 4;
  SizeController controller(config);
  PathMtuConfig mtu_config;
  mtu_config.most = 3000;
  PathMtu mtu(mtu_config);
  CongestionMonitor monitor{CongestionMonitorConfig{}};
  std::uint64_t messages = 0, bytes = 0;
  Nanos now;
  for (std::size_t at = 3; at + 5 <= size; at += 5) {
    const std::uint8_t* const operation = data + at;
    const std::uint64_t value = operation[1] | std::uint64_t{operation[2]} << 8;
    switch (operation[0] % 8) {
      case 0:
        now += Micros(static_cast<std::int64_t>(value)) * (operation[3] + 1);
        break;
      case 1:
        monitor.OnRoundTrip(
            Nanos(static_cast<std::int64_t>(value << operation[3] % 32)) - Micros(operation[4]), now);
        break;
      case 2:
        for (int i = 0; i < operation[4]; ++i) {
          monitor.OnFate(value, operation[3] > i, now);
          mtu.OnFate(value, operation[3] > i);
        }
        break;
      case 3:
        // What a peer says may go back, or jump.
        messages += operation[3] == 255 ? ~std::uint64_t{0} - value : value;
        bytes += value << operation[4] % 40;
        monitor.OnDelivered(messages, bytes, static_cast<std::uint32_t>(bytes), now);
        break;
      case 4:
        Require(mtu.NextProbe(now) <= mtu_config.most);
        if (operation[3] < 128) mtu.OnProbe(operation[3] < 64, now);
        break;
      case 5:
        Require(monitor.NextProbe(mtu.current(), now) <= mtu_config.most);
        break;
      default: {
        SizeInputs inputs;
        inputs.loss = monitor.loss_parts();
        Require(std::isfinite(inputs.loss.hazard) && inputs.loss.hazard >= 0);
        Require(inputs.loss.drop >= 0 && inputs.loss.drop <= 1);
        const CongestionReport report = monitor.Report(now);
        Require(std::isfinite(report.loss) && report.loss >= 0 && report.loss <= 1);
        Require(report.marks >= 0 && report.marks <= 1);
        inputs.severity = report.severity;
        inputs.delivered = static_cast<double>(report.bandwidth.count()) / 8;
        inputs.demand = static_cast<double>(operation[4]) * 1e5;
        inputs.packet = 1 + value % 65'535;
        inputs.most_text = mtu.current() - 40;
        const SizeChoice choice = controller.Choose(inputs, now);
        const std::size_t fewest = FragmentsFor(inputs.packet, inputs.most_text);
        Require(choice.fragments >= fewest && choice.fragments <= std::max(fewest, config.most_fragments));
        Require(choice.text == wire::FragmentUnit(inputs.packet, choice.fragments));
        if (config.rule != SizeRule::kNaive) {
          const auto overhead = static_cast<double>(config.overhead);
          Require(SizeController::Offered(inputs, choice.fragments, overhead) <=
                  std::max(SizeController::Offered(inputs, fewest, overhead), inputs.delivered) *
                      (1 + 1e-12));
        }
        Require(mtu.current() >= mtu_config.base && mtu.current() <= mtu_config.most);
      }
    }
  }
  return 0;
}
