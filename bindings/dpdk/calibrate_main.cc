// SPDX-License-Identifier: BSD-3-Clause
#include <rte_cycles.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/config/run_config.h"
#include "bindings/dpdk/calibration_cell.h"
#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/loopback.h"
#include "bindings/dpdk/yardstick.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/time_map.h"
#include "bindings/program/run_program.h"
#include "hw-models/cost/visits.h"
#include "models/path/lanes.h"
#include "models/path/traffic_extent.h"

namespace foreflow::dpdk {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t kQueuePackets = 1'000'000;  // of an egress queue: none is dropped
constexpr std::size_t kFloodPackets = 32'768;
constexpr std::size_t kGroupPackets = 4096;
// Until the tables, the labels that wait and the governors are in the state in which they stay.
constexpr std::size_t kSettlePackets = 20'000;  // and one for each flow

struct Options {
  std::string out;
  std::size_t cells = 84;
  double seconds = 110;
  std::uint64_t seed = 1;
  std::vector<std::uint64_t> levels = {32 << 10, 1 << 20, 32 << 20};
  std::vector<std::string> captures;
};

// What a cell does a packet, counted apart from the clock.
struct Counted {
  std::uint64_t packets = 0;
  std::array<std::uint64_t, path::kStages> visits{};
  std::array<std::array<std::uint64_t, kWorkItems>, path::kStages> work{};
  std::vector<double> beyond;  // by level: the share of packets whose entry has left that cache
};

class Calibration {
 public:
  explicit Calibration(const Options& options)
      : options_(options),
        cells_(DesignCells(options.cells, static_cast<int>(options.captures.size()), options.seed)),
        rng_(options.seed, "calibration.order"),
        eal_(UnprivilegedEal(256), 1, Placement::kPinned),
        loopback_(eal_),
        yardstick_(loopback_) {
    for (const std::string& file : options.captures) captures_.push_back(pcap::LoadCapture(file));
  }
  Calibration(const Calibration&) = delete;
  Calibration& operator=(const Calibration&) = delete;

  // Rounds over all cells in random order until the time is over; at least one.
  void Run() {
    begin_ = std::chrono::steady_clock::now();
    std::vector<std::size_t> order(cells_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    counted_.resize(cells_.size());
    Yardstick::Reading before = yardstick_.Read();
    for (rounds_ = 0; rounds_ == 0 || Elapsed() < options_.seconds; ++rounds_) {
      for (std::size_t i = order.size(); i > 1; --i) {
        std::swap(order[i - 1], order[rng_.Below(static_cast<std::uint32_t>(i))]);
      }
      for (std::size_t done = 0; done < order.size(); ++done) {
        if (rounds_ > 0 && Elapsed() >= options_.seconds) return;
        before = MeasureCell(order[done], before);
        if (done % 64 == 0) {
          std::fprintf(stderr, "  round %u, cell %zu of %zu, %.0f s of %.0f s\n", rounds_ + 1, done + 1,
                       order.size(), Elapsed(), options_.seconds);
        }
      }
    }
  }

  Json Result() const {
    Json cells = Json::array();
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      Json families = Json::object();
      for (const auto& [factor, level] : cells_[i].Families()) families[factor] = level;
      cells.push_back({{"about", cells_[i].Describe()},
                       {"families", families},
                       {"packets", counted_[i].packets},
                       {"visits", counted_[i].visits},
                       {"work", counted_[i].work},
                       {"beyond", counted_[i].beyond}});
    }
    Json stages = Json::array();
    for (std::size_t i = 0; i < path::kStages; ++i) stages.push_back(path::Name(static_cast<path::Stage>(i)));
    Json items = Json::array();
    for (std::size_t i = 0; i < kWorkItems; ++i) items.push_back(Name(static_cast<WorkItem>(i)));
    return {{"clock_hz", rte_get_tsc_hz()},
            {"seed", options_.seed},
            {"levels", options_.levels},
            {"runs_first", runs_first_},
            {"rounds", rounds_},
            {"stages", stages},
            {"items", items},
            {"cells", cells},
            {"rows", rows_}};
  }

 private:
  double Elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

  // A cell's configuration and packets; the first `settle` are not measured.
  struct Subject {
    path::PathConfig config;
    KeptTraffic kept;
    pcap::Traffic mapped;
    std::vector<path::Arrival>* arrivals = nullptr;
    std::size_t settle = 0;
  };
  std::unique_ptr<Subject> MakeSubject(const Cell& cell) const {
    auto subject = std::make_unique<Subject>();
    subject->config = ConfigOf(cell);
    if (cell.capture == kSynthetic) {
      subject->settle = kSettlePackets + cell.flows;
      const std::size_t measured = cell.group == 0 ? kFloodPackets : kGroupPackets;
      subject->kept = Keep(cell, options_.seed, subject->settle + measured);
      subject->arrivals = &subject->kept.arrivals;
      return subject;
    }
    // A capture is decided from its first packet on, learning included.
    const pcap::Capture& capture = captures_[static_cast<std::size_t>(cell.capture)];
    std::uint64_t bits = 0;
    for (const pcap::Record& record : capture.records) bits += 8 * std::uint64_t{record.wire_bytes};
    pcap::TimeMap map;
    map.max_gap = Millis(1);
    map.link_rate = BitsPerSecond(
        static_cast<std::uint64_t>(static_cast<double>(bits) / static_cast<double>(capture.records.size()) /
                                   map.load / static_cast<double>(cell.gap.count()) * 1e9));
    subject->mapped = pcap::MapToLoad(capture, subject->config.vms, map);
    subject->arrivals = &subject->mapped.arrivals;
    const path::Future future(subject->mapped.arrivals, subject->config.label_horizon);
    const std::uint64_t entries = config::DistinctEntries(future, subject->config.rules);
    subject->config.flow_entries =
        std::max<std::uint32_t>(1, static_cast<std::uint32_t>(entries * cell.entry_percent / 100));
    return subject;
  }

  Yardstick::Reading MeasureCell(std::size_t index, const Yardstick::Reading& before) {
    const Cell& cell = cells_[index];
    const std::unique_ptr<Subject> subject = MakeSubject(cell);
    const std::vector<path::Arrival>& arrivals = *subject->arrivals;
    const std::size_t settle = subject->settle;
    const std::size_t count = arrivals.size() - settle;
    if (counted_[index].packets == 0) CountWork(cell, *subject, counted_[index]);

    path::Lanes lanes(subject->config, nullptr);
    const std::unique_ptr<Worker> worker = loopback_.MakeWorker(lanes, subject->config.vms, kQueuePackets);
    if (settle > 0) loopback_.Run(*worker, arrivals.data(), settle, nullptr, nullptr);
    // Groups far enough apart that one is done before the next one comes.
    const std::uint64_t gap = (4 + 3 * std::uint64_t{cell.group}) * rte_get_tsc_hz() / 2'000'000;
    std::vector<std::uint64_t> due;
    for (std::size_t i = 0; cell.group > 0 && i < count; ++i) due.push_back(i / cell.group * gap);
    for (std::size_t i = 0; cell.paced && i < count; ++i) {
      due.push_back(static_cast<std::uint64_t>(static_cast<double>(arrivals[i].time.count()) * 1e-9 *
                                               static_cast<double>(rte_get_tsc_hz())));
    }
    const Loopback::Pass pass =
        loopback_.Run(*worker, &arrivals[settle], count, due.empty() ? nullptr : due.data(), nullptr);
    const Yardstick::Reading after = yardstick_.Read();
    runs_first_ = pass.ran_first;
    rows_.push_back({{"cell", index},
                     {"round", rounds_},
                     {"packets", pass.packets},
                     {"bursts", pass.bursts},
                     {"cycles", static_cast<double>(pass.busy_cycles)},
                     {"quiet_cycles", QuietCycles(pass) * static_cast<double>(pass.packets)},
                     {"yardstick", {before, after}}});
    return after;
  }

  // The same packets once more, decided alike, with their work counted.
  void CountWork(const Cell& cell, const Subject& subject, Counted& counted) const {
    const std::vector<path::Arrival>& arrivals = *subject.arrivals;
    path::Lanes lanes(subject.config, nullptr);
    std::array<path::Verdict, path::kBurst> verdicts;
    std::array<path::StageWork, path::kBurst> works;
    for (std::size_t at = 0; at < arrivals.size(); at += path::kBurst) {
      const std::size_t size = std::min(path::kBurst, arrivals.size() - at);
      works.fill({});
      lanes.Process(&arrivals[at], size, verdicts.data(), works.data());
      for (std::size_t i = 0; i < size; ++i) {
        if (at + i >= subject.settle) Add(verdicts[i], works[i], counted);
      }
    }
    const path::TrafficExtent extent = ExtentOfSubject(cell, subject);
    const std::uint64_t entry_bytes = path::TableBytesAnEntry(subject.config).count();
    for (const std::uint64_t level : options_.levels) {
      counted.beyond.push_back(static_cast<double>(extent.Beyond(level / entry_bytes)) /
                               static_cast<double>(std::max<std::uint64_t>(1, extent.packets())));
    }
  }

  path::TrafficExtent ExtentOfSubject(const Cell& cell, const Subject& subject) const {
    if (cell.capture == kSynthetic) {
      return ExtentOf(cell, options_.seed, subject.settle, subject.arrivals->size() - subject.settle);
    }
    return config::ExtentOf(path::Future(*subject.arrivals, subject.config.label_horizon),
                            subject.config.rules);
  }

  static void Add(const path::Verdict& verdict, const path::StageWork& work, Counted& counted) {
    ++counted.packets;
    for (std::size_t s = 0; s < path::kStages; ++s) {
      if (hw::IsVisited(static_cast<path::Stage>(s), verdict, work)) ++counted.visits[s];
      for (std::size_t i = 0; i < kWorkItems; ++i) counted.work[s][i] += work.stage[s].count[i];
    }
  }

  Options options_;
  std::vector<Cell> cells_;
  Rng rng_;
  Eal eal_;
  Loopback loopback_;
  Yardstick yardstick_;
  std::vector<pcap::Capture> captures_;
  std::vector<Counted> counted_;  // by cell
  Json rows_ = Json::array();
  std::chrono::steady_clock::time_point begin_;
  bool runs_first_ = false;
  std::uint32_t rounds_ = 0;
};

void Calibrate(const Options& options) {
  Calibration calibration(options);
  calibration.Run();
  std::ofstream out(options.out);
  out << calibration.Result().dump() << "\n";
  out.close();
  if (!out) throw std::runtime_error(options.out + ": cannot be written");
}

}  // namespace
}  // namespace foreflow::dpdk

int main(int argc, char** argv) {
  foreflow::dpdk::Options options;
  CLI::App app{
      "Measures what the cores cost in the runner on this machine, over a matrix of configurations and "
      "traffic."};
  app.add_option("out", options.out, "measured samples (JSON)")->required();
  app.add_option("--cells", options.cells, "configurations measured on traffic made here")
      ->check(CLI::Range(std::size_t{8}, std::size_t{4096}));
  app.add_option("--captures", options.captures, "each is measured under some more configurations")
      ->delimiter(',');
  app.add_option("--seconds", options.seconds, "time limit; one round is always finished")
      ->check(CLI::Range(0.0, 86400.0));
  app.add_option("--levels", options.levels, "sizes of the data caches, in bytes, the smallest first")
      ->delimiter(',');
  app.add_option("--seed", options.seed, "of the matrix, the traffic and the order");
  return foreflow::RunProgram(app, argc, argv, [&] { foreflow::dpdk::Calibrate(options); });
}
