// SPDX-License-Identifier: BSD-3-Clause
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sys/resource.h>
#include <x86intrin.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/dpdk/calibration_cell.h"
#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/loopback.h"
#include "bindings/dpdk/priority.h"
#include "bindings/program/run_program.h"
#include "hw-models/cost/visits.h"
#include "models/base/refusal.h"
#include "models/path/lanes.h"
#include "models/path/traffic_extent.h"

namespace foreflow::dpdk {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t kPoolFrames = 2047;
// Bursts of one sample: short enough that most samples see no interrupt of the timer.
constexpr std::size_t kSampleBursts = 48;
constexpr std::size_t kMostBursts = 600;
constexpr std::size_t kSettlingBursts = 12;
constexpr std::size_t kCarryingCells = 8;
constexpr std::size_t kCarryingRounds = 3;
constexpr std::uint32_t kCarryingFlows = 2048;
constexpr std::uint32_t kCarryingQueue = 1024;  // packets of an egress queue: none is dropped
constexpr std::size_t kFloodPackets = 32'768;
constexpr std::size_t kGroupPackets = 2048;
constexpr std::size_t kGroups[] = {0, 1, 4, 12};  // packets offered together; 0: as fast as they are taken
// Until the tables, the labels that wait and the governors are in the state in which they stay.
constexpr std::size_t kSettlePackets = 40'000;

std::size_t SettlePackets(const Cell& cell) { return kSettlePackets + 2 * std::size_t{cell.flows}; }

struct Options {
  std::string out;
  std::size_t cells = 160;
  double seconds = 150;
  std::uint64_t seed = 1;
  std::vector<std::uint64_t> levels = {32 << 10, 1 << 20, 32 << 20};
};

// Cycles, in order with what surrounds the call.
std::uint64_t Tsc() {
  unsigned aux;
  const std::uint64_t now = __rdtscp(&aux);
  _mm_lfence();
  return now;
}

// What reading the clock twice costs by itself.
std::uint64_t ClockOverhead() {
  std::uint64_t least = UINT64_MAX;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t begin = Tsc();
    least = std::min(least, Tsc() - begin);
  }
  return least;
}

long InvoluntarySwitches() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

// Which part of the path a row is about.
enum class Part : std::uint8_t { kWhole, kHost, kDevice, kCount };
constexpr const char* kParts[] = {"whole", "host", "device"};

// Sums over one sample.
struct Row {
  std::uint32_t cell = 0;
  std::uint32_t round = 0;
  Part part = Part::kWhole;
  std::uint64_t cycles = 0;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::array<std::uint64_t, path::kStages> visits{};
  std::array<std::array<std::uint64_t, kWorkItems>, path::kStages> work{};
};

void Count(Row& row, const path::Verdict& verdict, const path::StageWork& work) {
  const auto belongs = [&](path::Stage stage) {
    if (row.part == Part::kWhole) return true;
    // Pre-installed entries are written by the device's half, but are too few to split.
    const bool before = stage <= path::Stage::kPreinstall;
    return (row.part == Part::kHost) == before;
  };
  for (std::size_t s = 0; s < path::kStages; ++s) {
    const auto stage = static_cast<path::Stage>(s);
    if (!belongs(stage)) continue;
    if (hw::IsVisited(stage, verdict, work)) ++row.visits[s];
    for (std::size_t i = 0; i < kWorkItems; ++i) row.work[s][i] += work.stage[s].count[i];
  }
}

// One burst of frames in mbufs, as the runner's loop has it in hand.
class Bursts {
 public:
  Bursts(const Cell& cell, std::uint64_t seed, rte_mempool* pool)
      : traffic_(cell, seed), frames_(path::kBurst) {
    if (rte_pktmbuf_alloc_bulk(pool, frames_.data(), path::kBurst) != 0) {
      throw std::runtime_error("the pool has no frames left");
    }
    for (rte_mbuf* frame : frames_) rte_pktmbuf_append(frame, CellTraffic::kHeaderBytes);
  }
  ~Bursts() { rte_pktmbuf_free_bulk(frames_.data(), path::kBurst); }
  Bursts(const Bursts&) = delete;
  Bursts& operator=(const Bursts&) = delete;

  const path::Arrival* Next() {
    for (std::size_t i = 0; i < path::kBurst; ++i) {
      auto* data = rte_pktmbuf_mtod(frames_[i], std::uint8_t*);
      const CellTraffic::Packet packet = traffic_.Next(data);
      path::Arrival& arrival = arrivals_[i];
      arrival.captured = {data, std::min<std::size_t>(packet.bytes, CellTraffic::kHeaderBytes)};
      arrival.wire_bytes = packet.bytes;
      arrival.vm = packet.vm;
      arrival.time = packet.time;
      arrival.sent = packet.time;
    }
    return arrivals_.data();
  }

 private:
  CellTraffic traffic_;
  std::vector<rte_mbuf*> frames_;
  std::array<path::Arrival, path::kBurst> arrivals_;
};

class Calibration {
 public:
  explicit Calibration(const Options& options)
      : options_(options),
        cells_(DesignCells(options.cells, options.seed)),
        rng_(options.seed, "calibration.order") {
    pool_ = rte_pktmbuf_pool_create("calibration", kPoolFrames, 32, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                    static_cast<int>(rte_socket_id()));
    if (pool_ == nullptr)
      throw Refusal("EAL: no memory for a pool of frames; give it more with -m MEGABYTES");
    other_.resize(std::size_t{4} << 20);
  }
  ~Calibration() { rte_mempool_free(pool_); }
  Calibration(const Calibration&) = delete;
  Calibration& operator=(const Calibration&) = delete;

  // Rounds over all cells in random order until the time is over; at least one.
  void Run() {
    runs_first_ = RunFirst();
    overhead_ = ClockOverhead();
    const std::uint64_t hz = rte_get_tsc_hz();
    const std::uint64_t begin = Tsc();
    const auto elapsed = [&] { return static_cast<double>(Tsc() - begin) / static_cast<double>(hz); };
    std::vector<std::size_t> order(cells_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (rounds_ = 0; rounds_ == 0 || elapsed() < options_.seconds; ++rounds_) {
      for (std::size_t i = order.size(); i > 1; --i) {
        std::swap(order[i - 1], order[rng_.Below(static_cast<std::uint32_t>(i))]);
      }
      for (std::size_t done = 0; done < order.size(); ++done) {
        if (rounds_ > 0 && elapsed() >= options_.seconds) return;
        MeasureCell(order[done]);
        if (done % 64 == 0) {
          std::fprintf(stderr, "  round %u, cell %zu of %zu, %.0f s of %.0f s\n", rounds_ + 1, done + 1,
                       order.size(), elapsed(), options_.seconds);
        }
      }
    }
  }

  // What the runner's loop costs beside the path: the same packets through a worker between two rings, as
  // fast as it takes them and one at a time, less the path alone. On the calling thread, while the worker's
  // core is free.
  void MeasureCarrying(const Eal& eal) {
    std::size_t left = kCarryingCells;
    for (std::size_t index = 0; index < cells_.size() && left > 0; ++index) {
      // Large tables would drown what is looked for.
      if (cells_[index].evicted_bytes > 0 || cells_[index].flows > kCarryingFlows) continue;
      --left;
      for (std::size_t round = 0; round < kCarryingRounds; ++round) MeasureCarryingOf(eal, index, round);
    }
  }

  Json Result() const {
    Json cells = Json::array();
    for (const Cell& cell : cells_) {
      const path::TrafficExtent extent = ExtentOf(cell, options_.seed, SettlePackets(cell), kSettlePackets);
      const std::uint64_t entry_bytes = path::TableBytesAnEntry(ConfigOf(cell)).count();
      Json beyond = Json::array();
      for (const std::uint64_t level : options_.levels) {
        beyond.push_back(cell.evicted_bytes > level
                             ? 1.0
                             : static_cast<double>(extent.Beyond(level / entry_bytes)) /
                                   static_cast<double>(extent.packets()));
      }
      cells.push_back({{"about", cell.Describe()},
                       {"predicts", cell.arm == path::Arm::kPredictive},
                       {"evicted_bytes", cell.evicted_bytes},
                       {"beyond", beyond}});
    }
    Json rows = Json::array();
    for (const Row& row : rows_) {
      rows.push_back({{"cell", row.cell},
                      {"round", row.round},
                      {"part", kParts[static_cast<std::size_t>(row.part)]},
                      {"cycles", row.cycles},
                      {"packets", row.packets},
                      {"bytes", row.bytes},
                      {"visits", row.visits},
                      {"work", row.work}});
    }
    Json stages = Json::array();
    for (std::size_t i = 0; i < path::kStages; ++i) stages.push_back(path::Name(static_cast<path::Stage>(i)));
    Json items = Json::array();
    for (std::size_t i = 0; i < kWorkItems; ++i) items.push_back(Name(static_cast<WorkItem>(i)));
    return {{"clock_hz", rte_get_tsc_hz()},
            {"seed", options_.seed},
            {"levels", options_.levels},
            {"runs_first", runs_first_},
            {"clock_overhead_cycles", overhead_},
            {"rounds", rounds_},
            {"samples_discarded", samples_discarded_},
            {"bursts_discarded", bursts_discarded_},
            {"bursts", bursts_},
            {"stages", stages},
            {"items", items},
            {"cells", cells},
            {"carrying", carrying_},
            {"rows", rows}};
  }

 private:
  using Verdicts = std::array<path::Verdict, path::kBurst>;
  using Works = std::array<path::StageWork, path::kBurst>;

  void MeasureCell(std::size_t index) {
    const Cell& cell = cells_[index];
    path::Lanes path(ConfigOf(cell), nullptr);
    Bursts bursts(cell, options_.seed + rounds_, pool_);
    const std::size_t settle = SettlePackets(cell) / path::kBurst;
    Verdicts verdicts;
    Works works;
    for (std::size_t i = 0; i < settle; ++i) {
      works.fill({});
      path.Process(bursts.Next(), path::kBurst, verdicts.data(), works.data());
    }
    // Which is measured first changes, so that neither is always the one with the warmer cache.
    if (rounds_ % 2 == 0) SampleWhole(index, path, bursts);
    SampleHalves(index, path, bursts);
    if (rounds_ % 2 == 1) SampleWhole(index, path, bursts);
  }

  // A cell's packets, kept: to settle on and to measure with.
  struct Kept {
    std::vector<std::array<std::uint8_t, CellTraffic::kHeaderBytes>> frames;
    std::vector<path::Arrival> arrivals;
  };
  Kept Keep(const Cell& cell, std::size_t count) const {
    Kept kept;
    kept.frames.resize(count);
    kept.arrivals.resize(count);
    CellTraffic traffic(cell, options_.seed);
    for (std::size_t i = 0; i < count; ++i) {
      const CellTraffic::Packet packet = traffic.Next(kept.frames[i].data());
      path::Arrival& arrival = kept.arrivals[i];
      arrival.captured = {kept.frames[i].data(),
                          std::min<std::size_t>(packet.bytes, CellTraffic::kHeaderBytes)};
      arrival.wire_bytes = packet.bytes;
      arrival.vm = packet.vm;
      arrival.time = arrival.sent = packet.time;
    }
    return kept;
  }

  struct PathAlone {
    path::Lanes* path;
    const Kept* kept;
    std::size_t settle;
    std::size_t burst;
    std::uint64_t overhead;
    std::uint64_t cycles = 0;
  };
  // Decides everything; the cycles are of what follows the settling packets.
  static int RunPathAlone(void* argument) {
    auto& alone = *static_cast<PathAlone*>(argument);
    RunFirst();
    Verdicts verdicts;
    Works works;
    const std::vector<path::Arrival>& arrivals = alone.kept->arrivals;
    for (std::size_t at = 0; at < arrivals.size(); at += alone.burst) {
      const std::size_t count = std::min(alone.burst, arrivals.size() - at);
      works.fill({});
      const std::uint64_t begin = Tsc();
      alone.path->Process(&arrivals[at], count, verdicts.data(), works.data());
      const std::uint64_t took = Tsc() - begin - alone.overhead;
      if (at >= alone.settle) alone.cycles += took;
    }
    return 0;
  }

  void MeasureCarryingOf(const Eal& eal, std::size_t index, std::size_t round) {
    const Cell& cell = cells_[index];
    const path::PathConfig config = ConfigOf(cell);
    const std::size_t settle = SettlePackets(cell) / path::kBurst * path::kBurst;
    for (const std::size_t group : kGroups) {
      const std::size_t count = group == 0 ? kFloodPackets : kGroupPackets;
      const Kept kept = Keep(cell, settle + count);
      path::Lanes alone(config, nullptr);
      PathAlone path_alone{&alone, &kept, settle, path::kBurst, overhead_};
      rte_eal_remote_launch(RunPathAlone, &path_alone, eal.worker_lcores().front());
      rte_eal_wait_lcore(eal.worker_lcores().front());

      path::Lanes carried(config, nullptr);
      Loopback loopback(eal, carried, config.vms, kCarryingQueue);
      loopback.Run(kept.arrivals.data(), settle, nullptr, nullptr);
      // Far enough apart that a group is done before the next one comes, no farther than at a usual load.
      const std::uint64_t gap = (4 + 3 * group) * rte_get_tsc_hz() / 2'000'000;
      std::vector<std::uint64_t> due;
      for (std::size_t i = 0; group > 0 && i < count; ++i) due.push_back(i / group * gap);
      const Loopback::Pass pass =
          loopback.Run(&kept.arrivals[settle], count, group > 0 ? due.data() : nullptr, nullptr);
      carrying_.push_back({{"cell", index},
                           {"round", round},
                           {"group", group},
                           {"packets", pass.packets},
                           {"bursts", pass.bursts},
                           {"busy_cycles", pass.busy_cycles},
                           {"path_cycles", path_alone.cycles},
                           {"involuntary_switches", pass.involuntary_switches}});
    }
  }

  void MakeCold(const Cell& cell) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < cell.evicted_bytes; i += 64) sum += other_[i];
    asm volatile("" : : "r"(sum));
  }

  // Calls `measure` for bursts until kSampleBursts were taken without the thread losing its core, then sums
  // each of its rows. After a loss the caches belong to somebody else, and some bursts only bring them back.
  template <typename Measure>
  void Sample(const Measure& measure) {
    std::vector<std::vector<Row>> taken;
    std::size_t settling = 0;
    long switches = InvoluntarySwitches();
    for (std::size_t tried = 0; tried < kMostBursts && taken.size() < kSampleBursts; ++tried) {
      std::vector<Row> rows = measure();
      ++bursts_;
      const long now = InvoluntarySwitches();
      if (now != switches) {
        switches = now;
        settling = kSettlingBursts;
      }
      if (settling > 0) {
        --settling;
        ++bursts_discarded_;
        continue;
      }
      taken.push_back(std::move(rows));
    }
    if (taken.size() < kSampleBursts) {
      ++samples_discarded_;
      return;
    }
    for (std::size_t part = 0; part < taken[0].size(); ++part) Keep(taken, part);
  }

  void SampleWhole(std::size_t index, path::Lanes& path, Bursts& bursts) {
    Sample([&] {
      const path::Arrival* arrivals = bursts.Next();
      Works works{};
      Verdicts verdicts;
      MakeCold(cells_[index]);
      const std::uint64_t begin = Tsc();
      path.Process(arrivals, path::kBurst, verdicts.data(), works.data());
      const std::uint64_t cycles = Tsc() - begin - overhead_;
      return std::vector<Row>{MakeRow(index, Part::kWhole, cycles, arrivals, verdicts, works)};
    });
  }

  void SampleHalves(std::size_t index, path::Lanes& path, Bursts& bursts) {
    Sample([&] {
      const path::Arrival* arrivals = bursts.Next();
      Works works{};
      Verdicts verdicts;
      MakeCold(cells_[index]);
      std::uint64_t host = 0, device = 0;
      for (std::size_t i = 0; i < path::kBurst; ++i) {
        path::Tagged tagged;
        const std::uint64_t begin = Tsc();
        path.HostSide(arrivals[i], path::Parse(arrivals[i]), tagged, works[i]);
        const std::uint64_t middle = Tsc();
        path.DeviceSide(arrivals[i], tagged, verdicts[i], works[i]);
        const std::uint64_t end = Tsc();
        host += middle - begin - overhead_;
        device += end - middle - overhead_;
      }
      return std::vector<Row>{MakeRow(index, Part::kHost, host, arrivals, verdicts, works),
                              MakeRow(index, Part::kDevice, device, arrivals, verdicts, works)};
    });
  }

  Row MakeRow(std::size_t index, Part part, std::uint64_t cycles, const path::Arrival* arrivals,
              const Verdicts& verdicts, const Works& works) const {
    Row row;
    row.cell = static_cast<std::uint32_t>(index);
    row.round = rounds_;
    row.part = part;
    row.cycles = cycles;
    row.packets = path::kBurst;
    for (std::size_t i = 0; i < path::kBurst; ++i) {
      Count(row, verdicts[i], works[i]);
      row.bytes += arrivals[i].wire_bytes;
    }
    return row;
  }

  // Sums one part of a sample's bursts into a row, without those that an interrupt or the hypervisor
  // stretched beyond anything their work explains.
  void Keep(const std::vector<std::vector<Row>>& bursts, std::size_t part) {
    std::vector<std::uint64_t> cycles;
    for (const std::vector<Row>& rows : bursts) cycles.push_back(rows[part].cycles);
    const auto middle = cycles.begin() + static_cast<std::ptrdiff_t>(cycles.size() / 2);
    std::nth_element(cycles.begin(), middle, cycles.end());
    const std::uint64_t most = 2 * *middle + rte_get_tsc_hz() / 200'000;  // and 5 us
    Row sum = bursts[0][part];
    sum.cycles = sum.packets = sum.bytes = 0;
    sum.visits.fill(0);
    sum.work = {};
    for (const std::vector<Row>& rows : bursts) {
      const Row& row = rows[part];
      if (row.cycles > most) {
        ++bursts_discarded_;
        continue;
      }
      sum.cycles += row.cycles;
      sum.packets += row.packets;
      sum.bytes += row.bytes;
      for (std::size_t i = 0; i < path::kStages; ++i) {
        sum.visits[i] += row.visits[i];
        for (std::size_t j = 0; j < kWorkItems; ++j) sum.work[i][j] += row.work[i][j];
      }
    }
    rows_.push_back(sum);
  }

  Options options_;
  std::vector<Cell> cells_;
  Rng rng_;
  rte_mempool* pool_ = nullptr;
  std::vector<std::uint8_t> other_;  // what a cold cache holds instead
  std::vector<Row> rows_;
  Json carrying_ = Json::array();
  bool runs_first_ = false;
  std::uint64_t overhead_ = 0;
  std::uint32_t rounds_ = 0;
  std::uint64_t samples_discarded_ = 0;
  std::uint64_t bursts_discarded_ = 0;
  std::uint64_t bursts_ = 0;
};

// Runs on a worker lcore, which has a CPU to itself.
int RunOnWorker(void* argument) {
  auto* calibration = static_cast<Calibration*>(argument);
  try {
    calibration->Run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return -1;
  }
  return 0;
}

void Calibrate(const Options& options) {
  const Eal eal(UnprivilegedEal(256), 1, Placement::kPinned);
  Calibration calibration(options);
  const unsigned lcore = eal.worker_lcores().front();
  rte_eal_remote_launch(RunOnWorker, &calibration, lcore);
  // Awake, as whoever feeds a worker is: a core is slower where its neighbour works.
  while (rte_eal_get_lcore_state(lcore) == RUNNING) rte_rdtsc();
  if (rte_eal_wait_lcore(lcore) != 0) throw std::runtime_error("the measurement stopped, see above");
  std::fprintf(stderr, "  carrying packets\n");
  RunFirst();
  calibration.MeasureCarrying(eal);
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
      "Measures what the cores cost on a core of this machine, over a matrix of configurations and traffic."};
  app.add_option("out", options.out, "measured samples (JSON)")->required();
  app.add_option("--cells", options.cells, "configurations measured")
      ->check(CLI::Range(std::size_t{8}, std::size_t{4096}));
  app.add_option("--seconds", options.seconds, "time limit; one round is always finished")
      ->check(CLI::Range(0.0, 86400.0));
  app.add_option("--levels", options.levels, "sizes of the data caches, in bytes, the smallest first")
      ->delimiter(',');
  app.add_option("--seed", options.seed, "of the matrix, the traffic and the order");
  return foreflow::RunProgram(app, argc, argv, [&] { foreflow::dpdk::Calibrate(options); });
}
