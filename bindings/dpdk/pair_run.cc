// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/pair_run.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bindings/config/report_json.h"
#include "bindings/dpdk/pair_telemetry.h"
#include "bindings/dpdk/stop_signal.h"

namespace foreflow::dpdk {
namespace {

constexpr unsigned kRoundMicroseconds = 1000;
constexpr double kLineSeconds = 10;
constexpr double kTerminalLineSeconds = 1;

// One line of rates since the last one.
class PairDisplay {
 public:
  PairDisplay() : is_terminal_(::isatty(STDERR_FILENO) != 0) {}

  void Poll(double seconds, PortPair& pair) {
    const double interval = is_terminal_ ? kTerminalLineSeconds : kLineSeconds;
    if (seconds - shown_at_ < interval) return;
    const PairCount count = pair.Count();
    std::string line;
    for (std::size_t port = 0; port < kPairPorts; ++port) {
      const PairCount::Port& now = count.ports[port];
      const PairCount::Port& before = last_.ports[port];
      char text[96];
      std::snprintf(text, sizeof text, "%s%s in %.0f pps, out %.0f pps", port == 0 ? "" : "; ",
                    now.name.c_str(), static_cast<double>(now.in - before.in) / (seconds - shown_at_),
                    static_cast<double>(now.sent.out - before.sent.out) / (seconds - shown_at_));
      line += text;
    }
    const char* format = is_terminal_ ? "\r\033[K%.0f s  %s; held %llu" : "%.0f s  %s; held %llu\n";
    std::fprintf(stderr, format, seconds, line.c_str(), static_cast<unsigned long long>(count.held));
    last_ = count;
    shown_at_ = seconds;
  }
  void End() const {
    if (is_terminal_ && shown_at_ > 0) std::fprintf(stderr, "\n");
  }

 private:
  bool is_terminal_;
  double shown_at_ = 0;
  PairCount last_;
};

void Print(const PairCount& count, const std::vector<PairRow>& rows, double seconds) {
  for (const PairCount::Port& port : count.ports) {
    std::printf("port     %s in %llu out %llu queue_full %llu missed %llu\n", port.name.c_str(),
                static_cast<unsigned long long>(port.in), static_cast<unsigned long long>(port.sent.out),
                static_cast<unsigned long long>(port.sent.queue_full),
                static_cast<unsigned long long>(port.missed));
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (count.rows[i] == 0) continue;
    std::printf("%s  %s %llu\n", rows[i].group, rows[i].name, static_cast<unsigned long long>(count.rows[i]));
  }
  std::printf("held     %llu after %.1f s\n", static_cast<unsigned long long>(count.held), seconds);
}

}  // namespace

config::Json ToJson(const PairCount& count, const std::vector<PairRow>& rows) {
  config::Json ports = config::Json::array();
  std::uint64_t frames = 0;
  for (const PairCount::Port& port : count.ports) {
    frames += port.in;
    ports.push_back({{"name", port.name},
                     {"in", port.in},
                     {"in_bytes", port.in_bytes},
                     {"out", port.sent.out},
                     {"out_bytes", port.sent.out_bytes},
                     {"queue_full", port.sent.queue_full},
                     {"queued", port.sent.queued},
                     {"missed", port.missed}});
  }
  config::Json json = {{"ports", ports}, {"held", count.held}};
  json["busy_cycles_per_frame"] =
      frames == 0 ? config::Json()
                  : config::Json(static_cast<double>(count.busy_cycles) / static_cast<double>(frames));
  for (std::size_t i = 0; i < rows.size(); ++i) json[rows[i].group][rows[i].name] = count.rows[i];
  return json;
}

void RunPair(const PairRunOptions& options, PortPair& pair, PairStage& stage, const PairRunRole& role) {
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  pair.Start(stage);
  PairDisplay display;
  double seconds = 0;
  {
    const PairTelemetry telemetry(pair);
    std::fprintf(stderr, "foreflow-dpdk: running\n");
    while (!StopWanted()) {
      seconds = elapsed();
      if (options.seconds > 0 && seconds >= options.seconds) break;
      if (role.poll) role.poll();
      display.Poll(seconds, pair);
      ::usleep(kRoundMicroseconds);
    }
    seconds = elapsed();
    if (role.stop) role.stop();
    pair.Stop();
    display.End();
  }
  const PairCount count = pair.Count();
  const std::string imbalance = pair.Imbalance(count);
  const std::uint64_t lost = pair.Close();
  if (options.json) {
    config::Json json = ToJson(count, stage.rows());
    if (role.report) json.update(role.report());
    json["role"] = role.name;
    json["seconds"] = seconds;
    json["mbufs_lost"] = lost;
    std::printf("%s\n", config::ToText(json, 2).c_str());
  } else {
    Print(count, stage.rows(), seconds);
  }
  if (!imbalance.empty()) throw std::logic_error(imbalance);
  if (lost > 0) throw std::logic_error(std::to_string(lost) + " mbufs were lost");
}

}  // namespace foreflow::dpdk
