// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/nic_run.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <utility>

#include "bindings/config/report_json.h"
#include "bindings/dpdk/display.h"
#include "bindings/dpdk/live_trace.h"
#include "bindings/dpdk/nic_control.h"
#include "bindings/dpdk/stop_signal.h"
#include "bindings/dpdk/telemetry.h"
#include "models/base/refusal.h"

namespace foreflow::dpdk {
namespace {

constexpr unsigned kRoundMicroseconds = 1000;
constexpr std::size_t kRowsAtOnce = 4096;
constexpr double kStillSeconds = 0.2;  // of rules, before ports are given them

std::atomic<bool> reload_wanted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

void HandleSignals() {
  HandleStopSignals();
  struct sigaction reload {};
  reload.sa_handler = [](int) { reload_wanted.store(true, std::memory_order_relaxed); };
  ::sigaction(SIGHUP, &reload, nullptr);
}

// What a live device's share of flow entries is of: there is no input to count.
constexpr std::uint64_t kLiveFlows = 65'536;

config::RunConfig LoadLive(const std::string& file) {
  config::RunConfig config = config::LoadRunConfig(file);
  config::RefuseControl(config);
  config::RefuseShard(config);
  config::ResolveFlowEntries(config, kLiveFlows);
  return config;
}

// Takes rules, tag rules and meters from the file as it is now; `config` is what is in use. False where the
// file has none that can be had.
bool Reload(const std::string& file, Nic& nic, config::RunConfig& config) {
  try {
    const config::RunConfig next = LoadLive(file);
    config::RunConfig now = config;
    now.path.rules = next.path.rules;
    now.path.tag_rules = next.path.tag_rules;
    now.path.meters = next.path.meters;
    nic.ReplaceRules(now.path);
    config = std::move(now);
    std::fprintf(stderr, "foreflow-dpdk: %zu rules, %zu tag rules and %zu meters are in use now\n",
                 config.path.rules.size(), config.path.tag_rules.size(), config.path.meters.size());
    if (config::ToJson(next.path) != config::ToJson(config.path)) {
      std::fprintf(stderr, "note: %s: what else changed takes effect when the runner is started again\n",
                   file.c_str());
    }
    return true;
  } catch (const Refusal& refusal) {
    std::fprintf(stderr, "%s; the rules stay as they were\n", refusal.what());
    return false;
  }
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Says what the ports took of the rules.
void TellOffload(Nic& nic) {
  const config::Json report = nic.OffloadReport(true);
  if (report.is_null()) return;
  for (const config::Json& port : report["ports"]) {
    std::string line = port["name"].get<std::string>() + " decides " + port["rules_whole"].dump() + " of " +
                       std::to_string(port["rules"].size()) + " rules and " + port["rules_in_part"].dump() +
                       " in part, with " + port["entries"].dump() + " entries";
    for (const config::Json& rule : port["rules"]) {
      if (rule["why"].is_null()) continue;
      line += "; rule " + rule["rule"].dump() + " is software's: " + rule["why"].get<std::string>();
      if (rule["answer"].is_string()) line += " (" + rule["answer"].get<std::string>() + ")";
      break;
    }
    if (port["answer"].is_string()) line += "; the port says: " + port["answer"].get<std::string>();
    std::fprintf(stderr, "foreflow-dpdk: %s\n", line.c_str());
  }
}

// Gives ports the rules again once these have been still.
class Offloading {
 public:
  explicit Offloading(Nic& nic) : nic_(nic) {}

  void Poll(double seconds) {
    if (!nic_.AwaitsOffload()) return;
    const std::uint64_t generation = nic_.rule_generation();
    if (generation != generation_) {
      generation_ = generation;
      still_since_ = seconds;
    } else if (seconds - still_since_ >= kStillSeconds) {
      nic_.OffloadRules();
      TellOffload(nic_);
    }
  }

 private:
  Nic& nic_;
  std::uint64_t generation_ = 0;
  double still_since_ = 0;
};

void Print(const NicRunOptions& options, const config::RunConfig& config, const NicCount& count,
           const config::Json& statistics, const config::Json& offload, double seconds, std::size_t workers,
           std::uint64_t lost_mbufs, std::uint64_t reloads, const NicControl* control) {
  const double pps = seconds > 0 ? static_cast<double>(count.packets.in) / seconds : 0;
  if (options.json) {
    config::Json json = ToJson(count);
    json["config"] = config::ToJson(config.path);
    json["statistics"] = statistics;
    json["offload"] = offload;
    json["seconds"] = seconds;
    json["workers"] = workers;
    json["clock"] = options.nic.live ? "live" : "virtual";
    json["pps"] = pps;
    json["mbufs_lost"] = lost_mbufs;
    json["reloads"] = reloads;
    if (control != nullptr) json["control"] = control::ToJson(control->server());
    std::printf("%s\n", config::ToText(json, 2).c_str());
    return;
  }
  std::uint64_t dropped = 0;
  for (const std::uint64_t one : count.packets.dropped) dropped += one;
  std::printf("packets  in %llu = out %llu + held %llu + dropped %llu in %.1f s (%.0f pps)\n",
              static_cast<unsigned long long>(count.packets.in),
              static_cast<unsigned long long>(count.packets.out),
              static_cast<unsigned long long>(count.packets.held), static_cast<unsigned long long>(dropped),
              seconds, pps);
  for (std::size_t i = 0; i < kReasons; ++i) {
    if (count.packets.dropped[i] == 0) continue;
    std::printf("dropped  %s %llu\n", Name(static_cast<Reason>(i)),
                static_cast<unsigned long long>(count.packets.dropped[i]));
  }
  for (const NicCount::Port& port : count.ports) {
    std::printf("port     %s in %llu out %llu missed %llu\n", port.name.c_str(),
                static_cast<unsigned long long>(port.frames.in),
                static_cast<unsigned long long>(port.frames.sent.frames + port.frames.sent.copies),
                static_cast<unsigned long long>(port.missed));
  }
}

}  // namespace

void RunNic(const NicRunOptions& options) {
  HandleSignals();
  config::RunConfig config = LoadLive(options.config);
  std::optional<control::ServerConfig> served;
  if (!options.control.empty()) served = control::LoadServerConfig(options.control);
  const Eal eal(options.eal, options.nic.workers, Placement::kPinned);
  NicOptions nic_options = options.nic;
  nic_options.with_rows = !options.trace.empty();
  Nic nic(eal, config, nic_options);
  if (config.flow_entries.parts_per_million != 0) {
    std::fprintf(stderr, "note: device.flow_entries is a share of %llu flows here: %u entries\n",
                 static_cast<unsigned long long>(kLiveFlows), config.path.flow_entries);
  }
  for (const std::string& note : nic.notes()) std::fprintf(stderr, "note: %s\n", note.c_str());
  TellOffload(nic);

  std::optional<LiveTrace> trace;
  if (!options.trace.empty()) {
    trace.emplace(options.trace, nic.workers(), config.path.label_horizon, config.path.label_pending);
  }
  // Takes what waits, but not for so long that a signal would wait.
  const auto write_rows = [&] {
    DecidedRow row;
    std::size_t worker;
    std::size_t taken = 0;
    while (trace && taken < kRowsAtOnce && nic.TakeRow(row, worker)) {
      trace->Add(worker, row);
      ++taken;
    }
    return taken > 0;
  };

  std::optional<NicControl> control;
  if (served) {
    control.emplace(*served, nic, config.path);
    served->key.Erase();
    std::fprintf(stderr, "foreflow-dpdk: under control at %s\n", control->server().listening().c_str());
  }
  std::optional<Telemetry> telemetry(nic);
  Display display;
  const Stopwatch watch;
  nic.Start();
  std::fprintf(stderr, "foreflow-dpdk: running\n");
  double next_line = display.interval();
  std::uint64_t reloads = 0;
  Offloading offloading(nic);
  while (!StopWanted()) {
    const double seconds = watch.seconds();
    if (options.seconds > 0 && seconds >= options.seconds) break;
    if (reload_wanted.exchange(false)) {
      if (control) {
        std::fprintf(stderr, "note: the rules are its controllers' to change; the file is not read again\n");
      } else if (Reload(options.config, nic, config)) {
        ++reloads;
      }
    }
    offloading.Poll(seconds);
    if (seconds >= next_line) {
      display.Show(seconds, nic.Count());
      next_line += display.interval();
    }
    const bool is_busy = write_rows();
    if (control) {
      control->Poll(is_busy ? 0 : kRoundMicroseconds / 1000);
    } else if (!is_busy) {
      ::usleep(kRoundMicroseconds);
    }
  }
  const double seconds = watch.seconds();
  nic.Stop();
  display.End();
  while (write_rows()) {
  }
  if (trace) trace->End();
  const NicCount count = nic.Count();
  const config::Json statistics = nic.Statistics();
  const config::Json offload = nic.OffloadReport(true);
  const std::size_t workers = nic.workers();
  telemetry.reset();
  const std::uint64_t lost = nic.Close();
  Print(options, config, count, statistics, offload, seconds, workers, lost, reloads,
        control ? &*control : nullptr);
  if (!count.Balanced()) throw std::logic_error("packets in are not out + held + dropped");
  if (lost > 0) throw std::logic_error(std::to_string(lost) + " mbufs were lost");
}

}  // namespace foreflow::dpdk
