// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "bindings/config/report_json.h"
#include "bindings/hdf5/path_trace.h"
#include "bindings/hdf5/trace_file.h"
#include "bindings/pcap/replay.h"
#include "models/base/refusal.h"

namespace foreflow {
namespace {

constexpr int kFailed = 1;
constexpr int kRefused = 2;

struct Options {
  std::string capture;
  std::string config = "none";
  std::string trace;
  bool fingerprint = false;
  bool json = false;
};

// The trace of a door without times: a packet departs when it arrives, and nothing is priced.
class Tracer {
 public:
  explicit Tracer(const std::string& path) : file_(path) {}

  void Begin(const path::Future& future) {
    future_ = &future;
    decisions_.emplace(file_, future);
  }
  void Packet(std::uint64_t packet, const path::Arrival& arrival, const path::Verdict& verdict,
              const path::StageWork& work) {
    trace::PacketRow row;
    row.packet = packet;
    row.vm = arrival.vm;
    row.arrival_ns = arrival.time.count();
    row.departure_ns = verdict.verb == tag::Verb::kDrop ? -1 : arrival.time.count();
    row.wire_bytes = arrival.wire_bytes;
    row.truth = static_cast<std::uint8_t>(future_->type(packet));
    file_.Append(row);
    decisions_->Decided(packet, arrival, verdict, work, nullptr);
  }
  void End() {
    decisions_->Finish();
    file_.Close();
  }

 private:
  hdf5::TraceFile file_;
  const path::Future* future_ = nullptr;
  std::optional<hdf5::PathTrace> decisions_;
};

void Print(const Options& options, const pcap::ReplayResult& result) {
  for (const std::string& note : result.notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  if (options.json) {
    const config::Json json = {{"capture", options.capture},
                               {"door", "pcap"},
                               {"config", config::ToJson(result.path)},
                               {"packets", config::ToJson(result.packets)},
                               {"fingerprint", result.fingerprint}};
    std::printf("%s\n", config::ToText(json, 2).c_str());
    return;
  }
  std::uint64_t dropped = 0;
  for (const std::uint64_t count : result.packets.dropped) dropped += count;
  std::printf("packets  in %llu = out %llu + held %llu + dropped %llu\n",
              static_cast<unsigned long long>(result.packets.in),
              static_cast<unsigned long long>(result.packets.out),
              static_cast<unsigned long long>(result.packets.held), static_cast<unsigned long long>(dropped));
  for (std::size_t i = 0; i < kReasons; ++i) {
    if (result.packets.dropped[i] == 0) continue;
    std::printf("dropped  %s %llu\n", Name(static_cast<Reason>(i)),
                static_cast<unsigned long long>(result.packets.dropped[i]));
  }
  std::printf(options.fingerprint ? "%s\n" : "fingerprint %s\n", result.fingerprint.c_str());
}

void Run(const Options& options) {
  const config::RunConfig config =
      options.config == "none" ? pcap::DefaultReplayConfig() : config::LoadRunConfig(options.config);
  const pcap::Capture capture = pcap::LoadCapture(options.capture);
  std::unique_ptr<Tracer> tracer;
  pcap::ReplayBegin begin;
  pcap::ReplayObserver observer;
  if (!options.trace.empty()) {
    tracer = std::make_unique<Tracer>(options.trace);
    begin = [&](const path::Future& future) { tracer->Begin(future); };
    observer = [&](std::uint64_t packet, const path::Arrival& arrival, const path::Verdict& verdict,
                   const path::StageWork& work) { tracer->Packet(packet, arrival, verdict, work); };
  }
  const pcap::ReplayResult result = pcap::Replay(capture, config, begin, observer);
  if (tracer) tracer->End();
  if (!result.packets.Balanced()) {
    throw std::logic_error(options.capture + ": packets in are not out + held + dropped");
  }
  Print(options, result);
}

}  // namespace
}  // namespace foreflow

int main(int argc, char** argv) {
  foreflow::Options options;
  CLI::App app{"Decides on a capture at its recorded times: the pcap door."};
  app.add_option("capture", options.capture, "pcap or pcapng file, gzip-compressed or not")->required();
  app.add_option("--config", options.config, "resolved configuration (JSON), or none: forward everything");
  app.add_option("--trace", options.trace, "write the decisions to this HDF5 file");
  app.add_flag("--fingerprint", options.fingerprint, "end with the digest of the verdicts alone on a line");
  app.add_flag("--json", options.json, "one JSON document on standard output");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "command line: %s\n", error.what());
    return foreflow::kRefused;
  }
  try {
    foreflow::Run(options);
  } catch (const foreflow::Refusal& refusal) {
    std::fprintf(stderr, "%s\n", refusal.what());
    return foreflow::kRefused;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return foreflow::kFailed;
  }
  return 0;
}
