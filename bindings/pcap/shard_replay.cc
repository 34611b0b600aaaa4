// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/shard_replay.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bindings/hdf5/trace_file.h"
#include "bindings/pcap/pcapng_writer.h"
#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/shard/host_frame.h"
#include "models/wire/datagram.h"

namespace foreflow::pcap {
namespace {

template <typename Counts, typename Enum>
config::Json Named(const Counts& counts, Enum) {
  config::Json json = config::Json::object();
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] != 0) json[Name(static_cast<Enum>(i))] = counts[i];
  return json;
}

config::Json UnitJson(const shard::Unit& unit, Nanos now) {
  const shard::Unit::Sent& sent = unit.sent();
  const shard::CongestionReport report = unit.Report(0, now);
  config::Json paths = config::Json::array();
  for (std::size_t path = 0; path < unit.paths(); ++path) {
    const shard::CongestionReport of = unit.Report(0, now, path);
    const shard::PathUse use = unit.path_use(0, path);
    paths.push_back({{"datagrams", use.datagrams},
                     {"bytes", use.bytes},
                     {"lost", use.lost},
                     {"path_mtu", unit.path_mtu(0, path)},
                     {"round_trip_us", static_cast<double>(of.latency.count()) / 1e3},
                     {"loss", of.loss},
                     {"severity", of.severity / 65'535.0},
                     {"fragments", unit.Choice(0, path).fragments}});
  }
  return {{"verdicts", Named(unit.counts(), shard::UnitVerdict())},
          {"fragments", Named(unit.fragments(), shard::FragmentFate())},
          {"sent",
           {{"data", sent.data},
            {"resent", sent.resent},
            {"repairs", sent.repairs},
            {"feedback", sent.feedback},
            {"probes", sent.probes},
            {"mtu_probes", sent.mtu_probes},
            {"bytes", sent.bytes}}},
          {"requests", unit.gaps(0).counts().requests},
          {"spurious_requests", unit.gaps(0).counts().spurious},
          {"path_mtu", unit.path_mtu(0)},
          {"round_trip_us", static_cast<double>(report.latency.count()) / 1e3},
          {"paths", paths},
          {"bytes", unit.bytes()}};
}

config::Json LinkJson(const impair::Link& link) {
  const impair::Impairment::Counts& counts = link.counts();
  return {{"in", counts.in},
          {"out", counts.out},
          {"fates", Named(counts.fates, impair::Fate())},
          {"duplicated", counts.duplicated},
          {"corrupted", counts.corrupted},
          {"late", counts.late},
          {"marked", counts.marked},
          {"no_room", link.no_room()}};
}

config::Json CompletionJson(const std::vector<shard::UnitPair::Frame>& frames) {
  std::vector<Nanos> times;
  for (const shard::UnitPair::Frame& frame : frames)
    if (frame.fate == shard::FrameFate::kOut) times.push_back(frame.out - frame.in);
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) -> config::Json {
    if (times.empty()) return nullptr;
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(times.size() - 1));
    return static_cast<double>(times[rank].count()) / 1e3;
  };
  return {{"p50_us", at(0.5)}, {"p99_us", at(0.99)}, {"most_us", at(1)}};
}

Reason ReasonOf(shard::FrameFate fate) {
  switch (fate) {
    case shard::FrameFate::kRefused:
      return Reason::kUnitRefused;
    case shard::FrameFate::kMarked:
      return Reason::kMarked;
    default:
      return Reason::kNotWhole;
  }
}

}  // namespace

// What leaves the units, as frames between two hosts of a documentation network (RFC 5737).
class ShardReplay::WireCapture final : public shard::UnitPairTap {
 public:
  explicit WireCapture(const std::string& path) : writer_(path) {}

  void OnDatagram(std::size_t from, const shard::UnitDatagram& datagram, Nanos now) override {
    wire::DatagramEnd sender = End(from);
    sender.port = shard::SourcePortOf(datagram.flow);
    frame_.resize(wire::kDatagramHeaderBytes);
    wire::WriteDatagram(sender, End(1 - from), datagram.ecn, datagram.bytes.size, frame_.data(), work_);
    frame_.insert(frame_.end(), datagram.bytes.begin(), datagram.bytes.end());
    writer_.Write(wire::Link::kEthernet, {frame_.data(), frame_.size()},
                  static_cast<std::uint32_t>(frame_.size()), now);
  }
  void OnFrame(std::size_t, BytesView, Nanos) override {}
  void Close() { writer_.Close(); }

 private:
  static wire::DatagramEnd End(std::size_t which) {
    const auto last = static_cast<std::uint8_t>(1 + which);
    return {{2, 0, 0, 0, 0, last}, {192, 0, 2, last}, 7800};
  }

  PcapngWriter writer_;
  std::vector<std::uint8_t> frame_;
  Work work_;
};

namespace {

void WriteKeyLog(const std::string& path, const std::string& lines) {
  // Nobody else is to read it, whoever made it first.
  const int made = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (made >= 0) ::close(made);
  std::ofstream file(path);
  file << lines;
  file.close();
  if (!file) throw Refusal("command line: --key-log " + path + " cannot be written");
}

}  // namespace

ShardReplay::ShardReplay(const Capture& capture, const config::RunConfig& config, const WireOutputs& outputs,
                         shard::UnitPairTap* tap)
    : config_(config),
      traffic_(MapRecorded(capture, config.path.vms)),
      wire_(outputs.capture.empty() ? nullptr : std::make_unique<WireCapture>(outputs.capture)),
      pair_(*config.shard, wire_ ? wire_.get() : tap) {
  if (!outputs.key_log.empty()) WriteKeyLog(outputs.key_log, pair_.KeyLog());
  notes_ = capture.notes;
  notes_.insert(notes_.end(), traffic_.notes.begin(), traffic_.notes.end());
}

ShardReplay::~ShardReplay() = default;

void ShardReplay::Input(BytesView frame) {
  const path::Arrival& arrival = traffic_.arrivals[next_++];
  Reason early = Reason::kCount;
  if (arrival.link != wire::Link::kEthernet) {
    early = Reason::kUnknownLink;
  } else if (arrival.captured.size < arrival.wire_bytes) {
    early = Reason::kTruncated;
  }
  early_.push_back(early);
  if (early == Reason::kCount) pair_.Input(frame, arrival.time);
}

ReplayResult ShardReplay::Finish(const std::string& trace) {
  if (next_ != traffic_.arrivals.size()) throw std::logic_error("frames were not carried to the unit");
  pair_.Finish();
  if (wire_ != nullptr) wire_->Close();
  ReplayResult result;
  std::unique_ptr<hdf5::TraceFile> file;
  if (!trace.empty()) file = std::make_unique<hdf5::TraceFile>(trace);
  std::size_t frame = 0;
  for (std::size_t i = 0; i < early_.size(); ++i) {
    const path::Arrival& arrival = traffic_.arrivals[i];
    ++result.packets.in;
    trace::PacketRow row;
    row.packet = i;
    row.vm = arrival.vm;
    row.arrival_ns = arrival.time.count();
    row.departure_ns = -1;
    row.wire_bytes = arrival.wire_bytes;
    if (early_[i] != Reason::kCount) {
      result.packets.Drop(early_[i]);
    } else {
      const shard::UnitPair::Frame& of = pair_.frames()[frame++];
      if (of.fate == shard::FrameFate::kOut) {
        ++result.packets.out;
        row.departure_ns = (arrival.time + (of.out - of.in)).count();
      } else {
        result.packets.Drop(ReasonOf(of.fate));
      }
    }
    if (file) file->Append(row);
  }
  if (file) file->Close();
  const auto fingerprint = pair_.Fingerprint();
  result.fingerprint = crypto::Hex({fingerprint.data(), fingerprint.size()});
  result.vms = traffic_.vms;
  result.notes = notes_;
  const Nanos end = pair_.frames().empty() ? Nanos() : pair_.frames().back().in;
  result.shard = {{"config", config::Json::parse(config_.shard_text)},
                  {"units", {UnitJson(pair_.unit(0), end), UnitJson(pair_.unit(1), end)}},
                  {"links", {LinkJson(pair_.link(0)), LinkJson(pair_.link(1))}},
                  {"completion", CompletionJson(pair_.frames())}};
  return result;
}

void CarryFrames(ShardReplay& replay) {
  for (const path::Arrival& arrival : replay.arrivals()) replay.Input(arrival.captured);
}

}  // namespace foreflow::pcap
