// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dataset/build.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "bindings/dataset/tasks.h"
#include "bindings/pcap/capture.h"
#include "models/base/refusal.h"
#include "models/crypto/digest.h"

namespace foreflow::dataset {
namespace {

constexpr double kMostMilliseconds = 60'000;
constexpr std::uint32_t kMostVms = 65'535;
constexpr std::size_t kMostSources = 65'535;

std::unique_ptr<Task> TaskOf(const std::string& name) {
  if (name == "next-type") return std::make_unique<NextType>();
  if (name == "next-destination") return std::make_unique<NextDestination>();
  if (name == "flow-size") return std::make_unique<FlowSize>();
  if (name == "next-packet") return std::make_unique<NextPacket>();
  if (name == "fragment-fate") {
    throw Refusal(
        "command line: task is fragment-fate, which no capture tells; python3 -m datasets.generate.sequences "
        "makes "
        "its data sets");
  }
  throw Refusal("command line", "task", name, "next-type, next-destination, flow-size, next-packet");
}

// Of what was decided on: times, lengths and bytes, however the file holds them.
std::string DigestOf(const pcap::Capture& capture) {
  crypto::Sha256 digest;
  for (const pcap::Record& record : capture.records) {
    const std::int64_t head[] = {record.time.count(), record.wire_bytes,
                                 static_cast<std::int64_t>(record.captured.size)};
    digest.Update({reinterpret_cast<const std::uint8_t*>(head), sizeof head});
    digest.Update(record.captured);
  }
  const auto sum = digest.Finish();
  return crypto::Hex({sum.data(), sum.size()});
}

std::string NameOf(const std::string& path) { return std::filesystem::path(path).filename().string(); }

}  // namespace

Nanos HorizonOf(double milliseconds) {
  if (!(milliseconds > 0 && milliseconds <= kMostMilliseconds)) {
    throw Refusal("command line", "--horizon-ms", std::to_string(milliseconds), "above 0, up to 60000");
  }
  return Nanos(std::max<std::int64_t>(1, std::llround(milliseconds * 1e6)));
}

std::string Build(const Order& order) {
  const std::unique_ptr<Task> task = TaskOf(order.task);
  if (order.vms < 1 || order.vms > kMostVms) {
    throw Refusal("command line", "--vms", std::to_string(order.vms), "1 to 65535");
  }
  const std::size_t count = order.captures.size() + order.held_out.size();
  if (count == 0)
    throw Refusal("command line: no capture is named; give at least one, or --held-out CAPTURE");
  if (count > kMostSources)
    throw Refusal("command line", "captures", std::to_string(count), "1 to 65535 of them");

  std::vector<Source> sources;
  std::vector<Rows> rows;
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const bool held_out = i >= order.captures.size();
    const std::string& path = held_out ? order.held_out[i - order.captures.size()] : order.captures[i];
    const pcap::Capture capture = pcap::LoadCapture(path);
    const pcap::Traffic traffic = pcap::MapRecorded(capture, static_cast<std::uint16_t>(order.vms));
    Made made = task->RowsOf(PacketsOf(traffic, order.horizon), order.horizon);
    if (made.rows.size() == 0) {
      throw Refusal(path + ": no packet in it gives a row of " + order.task +
                    "; name a capture of IP traffic");
    }
    SplitByTime(order.horizon, held_out, made.known_ns, made.rows);
    sources.push_back({NameOf(path), DigestOf(capture), held_out});
    total += made.rows.size();
    rows.push_back(std::move(made.rows));
  }
  WriteDataset(order.out, task->Describe(), order.horizon, sources, rows);
  return order.out + ": " + std::to_string(total) + " rows of " + std::to_string(count) +
         (count == 1 ? " capture" : " captures") + " for " + order.task;
}

}  // namespace foreflow::dataset
