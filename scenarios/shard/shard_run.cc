// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/shard/shard_run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "bindings/config/report_json.h"
#include "bindings/hdf5/trace_file.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/run_traffic.h"
#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/wire/ethernet.h"
#include "ns3/object-factory.h"
#include "ns3/simulator.h"
#include "scenarios/shard/request_traffic.h"

namespace foreflow::scenarios {
namespace {

constexpr std::size_t kLeastFrame = wire::EthernetHeader::kBytes;
constexpr std::size_t kLeastLongest = 82;  // of BuildShardTopology
constexpr std::size_t kRequestFrame = 1514;
constexpr Nanos kRequestsEnd = Seconds(600);  // what has no answer then has none

ns3::Time ToTime(Nanos time) { return ns3::NanoSeconds(static_cast<std::uint64_t>(time.count())); }
Nanos Now() { return Nanos(ns3::Simulator::Now().GetNanoSeconds()); }

// `value` of 4 or 8 bytes, in network order, into a digest.
template <typename Value>
void Record(crypto::Sha256& digest, Value value) {
  std::array<std::uint8_t, sizeof(Value)> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(value >> (8 * (bytes.size() - 1 - i)));
  digest.Update({bytes.data(), bytes.size()});
}

void Finish(ShardNetwork& network, ShardOutcome& outcome) {
  network.Finish();
  outcome.hurt = network.hurt();
  outcome.not_delivered = network.not_delivered();
  outcome.sent = network.sent();
  outcome.stations = network.Stations();
  const std::vector<Picos>& in_units = network.in_units();
  const auto at = [&](std::size_t percent) {
    return in_units.empty() ? Picos() : in_units[(in_units.size() * percent + 99) / 100 - 1];
  };
  outcome.in_units_p50 = at(50);
  outcome.in_units_p99 = at(99);
  for (unsigned side = 0; side < 2; ++side) {
    outcome.ways[side] = network.traffic(side);
    outcome.channels[side] = network.ChannelOf(side);
  }
  const auto digest = network.digest().Finish();
  outcome.fingerprint = crypto::Hex({digest.data(), digest.size()});
}

std::size_t LongestOf(const pcap::Traffic& traffic) {
  std::size_t longest = kLeastLongest;
  for (const path::Arrival& arrival : traffic.arrivals)
    longest = std::max<std::size_t>(longest, arrival.wire_bytes);
  return std::min(longest, kMostFrame);
}

// Packets of a capture, each at its time, whether earlier ones came or not.
class ReplayRun {
 public:
  ReplayRun(const ShardConfig& config, const pcap::Traffic& traffic,
            const std::array<shard::ChannelModel, 2>& channels, const ShardProgress& progress)
      : config_(config),
        traffic_(traffic),
        progress_(progress),
        frame_(LongestOf(traffic)),
        network_(config, channels, frame_.size(),
                 [this](std::uint32_t packet, BytesView bytes, Nanos at) { OnWhole(packet, bytes, at); }) {
    for (std::size_t i = 0; i < traffic.arrivals.size(); ++i) {
      const path::Arrival& arrival = traffic.arrivals[i];
      if (arrival.link != wire::Link::kEthernet)
        throw Refusal(config.run.input + ": packet " + std::to_string(i) +
                      " has no Ethernet header, allowed with system = shard is a capture of Ethernet");
      outcome_.jobs.push_back({arrival.time, ShardJob::kNever, arrival.vm, arrival.wire_bytes});
    }
  }

  ShardOutcome Run() {
    ScheduleNext();
    outcome_.end = traffic_.arrivals.empty() ? Nanos() : traffic_.arrivals.back().time;
    ns3::Simulator::Stop(ToTime(outcome_.end + config_.network.give_up));
    ns3::Simulator::Run();
    Finish(network_, outcome_);
    ns3::Simulator::Destroy();
    return std::move(outcome_);
  }

 private:
  static unsigned WayOf(const path::Arrival& arrival) { return arrival.vm == 0 ? 1 : 0; }

  void ScheduleNext() {
    if (next_ == traffic_.arrivals.size()) return;
    ns3::Simulator::Schedule(ToTime(traffic_.arrivals[next_].time - Now()), &ReplayRun::SendNext, this);
  }
  void SendNext() {
    const auto packet = static_cast<std::uint32_t>(next_++);
    const path::Arrival& arrival = traffic_.arrivals[packet];
    const unsigned side = WayOf(arrival);
    const BytesView frame = FrameOf(arrival);
    ++network_.traffic(side).packets;
    network_.traffic(side).plain_bytes += frame.size + kFrameFraming;
    const bool is_sent = network_.Send(side, frame, packet);
    if (!is_sent) ++outcome_.not_sent;
    Record(network_.digest(), std::uint32_t{is_sent});
    if (next_ % 1024 == 0) progress_(next_);
    ScheduleNext();
  }
  // The packet's frame between these hosts, with zeros where the capture was cut. No more than units take.
  BytesView FrameOf(const path::Arrival& arrival) {
    const std::size_t bytes = std::clamp<std::size_t>(arrival.wire_bytes, kLeastFrame, frame_.size());
    const std::size_t captured = std::min(arrival.captured.size, bytes);
    std::memcpy(frame_.data(), arrival.captured.data, captured);
    std::memset(frame_.data() + captured, 0, bytes - captured);
    network_.Address(WayOf(arrival), {frame_.data(), bytes});
    return {frame_.data(), bytes};
  }

  void OnWhole(std::uint32_t packet, BytesView bytes, Nanos at) {
    ShardJob& job = outcome_.jobs[packet];
    if (job.done != ShardJob::kNever) throw std::logic_error("a packet came twice");
    job.done = at;
    const path::Arrival& arrival = traffic_.arrivals[packet];
    const BytesView frame = FrameOf(arrival);
    if (frame.size != bytes.size || std::memcmp(frame.data, bytes.data, frame.size) != 0)
      ++outcome_.wrong_bytes;
    network_.traffic(WayOf(arrival)).delivered_bytes += frame.size + kFrameFraming;
    network_.digest().Update(bytes);
    Record(network_.digest(), packet);
    Record(network_.digest(), static_cast<std::uint64_t>(at.count()));
  }

  const ShardConfig& config_;
  const pcap::Traffic& traffic_;
  const ShardProgress& progress_;
  std::vector<std::uint8_t> frame_;
  ShardNetwork network_;
  ShardOutcome outcome_;
  std::size_t next_ = 0;
};

// Requests, each sent once the one before was answered.
class RequestRun {
 public:
  RequestRun(const ShardConfig& config, const std::array<shard::ChannelModel, 2>& channels,
             const ShardProgress& progress)
      : mix_(*config.requests), progress_(progress), network_(config, channels, kRequestFrame, nullptr) {
    outcome_.jobs.resize(std::size_t{mix_.clients} * mix_.each);
    for (std::size_t i = 0; i < outcome_.jobs.size(); ++i)
      outcome_.jobs[i].from = static_cast<std::uint16_t>(1 + i / mix_.each);
    InstallRequests(config, {network_.host(0), network_.host(1)},
                    [this](std::uint32_t client, const ns3::foreflow::RequestRecord& record) {
                      OnAnswer(client, record);
                    });
  }

  ShardOutcome Run() {
    ns3::Simulator::Stop(ToTime(kRequestsEnd));
    ns3::Simulator::Run();
    outcome_.end = Now();
    Finish(network_, outcome_);
    ns3::Simulator::Destroy();
    return std::move(outcome_);
  }

 private:
  void OnAnswer(std::uint32_t client, const ns3::foreflow::RequestRecord& record) {
    ShardJob& job = outcome_.jobs[std::size_t{client} * mix_.each + record.request];
    job.start = Nanos(record.sent.GetNanoSeconds());
    job.done = Nanos(record.done.GetNanoSeconds());
    job.bytes = record.responseBytes;
    const std::array<std::uint32_t, 2> bytes = {record.requestBytes, record.responseBytes};
    for (unsigned side = 0; side < 2; ++side) {
      ShardTraffic& traffic = network_.traffic(side);
      ++traffic.packets;
      traffic.plain_bytes += bytes[side];
      traffic.delivered_bytes += bytes[side];
    }
    Record(network_.digest(), client);
    Record(network_.digest(), static_cast<std::uint64_t>(job.done.count()));
    if (++answered_ % 256 == 0) progress_(answered_);
    // Units look after each other for ever.
    if (answered_ == outcome_.jobs.size()) ns3::Simulator::Stop();
  }

  const RequestMix& mix_;
  const ShardProgress& progress_;
  ShardNetwork network_;
  ShardOutcome outcome_;
  std::uint64_t answered_ = 0;
};

using Clock = std::chrono::steady_clock;

void WriteTrace(const std::string& file, const ShardOutcome& outcome) {
  hdf5::TraceFile trace(file);
  for (std::size_t i = 0; i < outcome.jobs.size(); ++i) {
    const ShardJob& job = outcome.jobs[i];
    trace::PacketRow row;
    row.packet = i;
    row.vm = job.from;
    row.arrival_ns = job.start.count();
    row.departure_ns = job.done.count();
    row.wire_bytes = job.bytes;
    trace.Append(row);
  }
  for (const hw::StationReport& station : outcome.stations) {
    trace::StationRow row;
    std::copy_n(station.name.begin(), std::min(station.name.size(), row.name.size()), row.name.begin());
    row.engines = static_cast<std::uint32_t>(station.engines);
    row.accepted = station.statistics.accepted;
    row.refused = station.statistics.refused;
    row.busy_ps = station.statistics.busy.count();
    row.waited_ps = station.statistics.waited.count();
    trace.Append(row);
  }
  trace.Close();
}

config::Json ToJson(const ShardTraffic& way) {
  return {{"packets", way.packets},
          {"plain_bytes", way.plain_bytes},
          {"wire_bytes", way.wire_bytes},
          {"delivered_bytes", way.delivered_bytes},
          {"datagrams", way.datagrams},
          {"lost", way.lost},
          {"queue_full", way.queue_full},
          {"asked", way.asked},
          {"requests", way.requests},
          {"spurious", way.spurious},
          {"early", way.early}};
}

double ToMicros(Picos time) { return static_cast<double>(time.count()) / 1e6; }

}  // namespace

ShardOutcome SimulateShard(const ShardConfig& config, const pcap::Traffic& traffic,
                           const std::array<shard::ChannelModel, 2>& channels,
                           const ShardProgress& progress) {
  ns3::ObjectFactory scheduler;
  scheduler.SetTypeId("ns3::PriorityQueueScheduler");
  ns3::Simulator::SetScheduler(scheduler);
  return config.requests ? RequestRun(config, channels, progress).Run()
                         : ReplayRun(config, traffic, channels, progress).Run();
}

void RunShard(const std::string& file) {
  const Clock::time_point start = Clock::now();
  const ShardConfig config = LoadShardConfig(file);
  const pcap::RunTraffic run =
      config.requests ? pcap::RunTraffic() : pcap::LoadRunTraffic(config.run, pcap::Times::kLoad);
  const std::size_t jobs = config.requests ? std::size_t{config.requests->clients} * config.requests->each
                                           : run.traffic.arrivals.size();
  const bool is_told = config.arm == ShardArm::kBayes;
  const std::size_t total = is_told ? 2 * jobs : jobs;
  std::size_t before = 0;
  const ShardProgress progress = [&](std::uint64_t done) {
    std::fprintf(stderr, "progress %zu %zu\n", before + static_cast<std::size_t>(done), total);
  };

  std::array<shard::ChannelModel, 2> channels;
  if (is_told) {
    ShardConfig first = config;
    first.arm = ShardArm::kRack;
    channels = SimulateShard(first, run.traffic, {}, progress).channels;
    before = jobs;
  }
  const ShardOutcome outcome = SimulateShard(config, run.traffic, channels, progress);
  WriteTrace(config.run.out + "/trace.h5", outcome);

  const auto done = static_cast<std::uint64_t>(
      std::count_if(outcome.jobs.begin(), outcome.jobs.end(),
                    [](const ShardJob& job) { return job.done != ShardJob::kNever; }));
  config::Json dropped = config::Json::object();
  const auto drop = [&](const char* reason, std::uint64_t count) {
    if (count > 0) dropped[reason] = count;
  };
  drop("not_sent", outcome.not_sent);
  if (config.requests) {
    drop("not_answered", jobs - done);
  } else {
    drop("not_delivered", outcome.not_delivered);
    drop("never_whole", jobs - done - outcome.not_sent - outcome.not_delivered);
  }
  config::Json notes = config::Json::array();
  for (const auto* some : {&run.capture.notes, &run.after.notes, &run.traffic.notes})
    for (const std::string& note : *some) notes.push_back(note);
  // The direction that has more to carry is the one that a load speaks of.
  const unsigned busier = outcome.ways[1].plain_bytes > outcome.ways[0].plain_bytes ? 1 : 0;
  const auto sum = [&](auto member) { return outcome.ways[0].*member + outcome.ways[1].*member; };
  config::Json in_units;
  if (config.arm != ShardArm::kOff)
    in_units = {{"p50", ToMicros(outcome.in_units_p50)}, {"p99", ToMicros(outcome.in_units_p99)}};
  const Nanos give_up = config.requests ? kRequestsEnd : config.network.give_up;
  const config::Json summary = {
      {"system", "shard"},
      {"packets", {{"in", jobs}, {"out", done}, {"held", 0}, {"dropped", dropped}}},
      {"fingerprint", outcome.fingerprint},
      {"notes", notes},
      {"simulated_s", ToSeconds(outcome.end + (config.requests ? Nanos() : give_up))},
      {"wall_s", std::chrono::duration<double>(Clock::now() - start).count()},
      {"shard",
       {{"give_up_ms", ToSeconds(give_up) * 1e3},
        {"plain_bytes", sum(&ShardTraffic::plain_bytes)},
        {"wire_bytes", sum(&ShardTraffic::wire_bytes)},
        {"asked", sum(&ShardTraffic::asked)},
        {"requests", sum(&ShardTraffic::requests)},
        {"spurious", sum(&ShardTraffic::spurious)},
        {"early", sum(&ShardTraffic::early)},
        {"wrong_bytes", outcome.wrong_bytes},
        {"hurt", outcome.hurt},
        {"in_units_us", in_units},
        {"busier",
         {{"link_bytes", static_cast<double>(config.run.link.rate.count()) / 8 * ToSeconds(outcome.end) *
                             static_cast<double>(config.network.paths)},
          {"plain_bytes", outcome.ways[busier].plain_bytes},
          {"wire_bytes", outcome.ways[busier].wire_bytes},
          {"delivered_bytes", outcome.ways[busier].delivered_bytes}}},
        {"ways", {ToJson(outcome.ways[0]), ToJson(outcome.ways[1])}},
        {"sent",
         {{"data", outcome.sent.data},
          {"repairs", outcome.sent.repairs},
          {"feedback", outcome.sent.feedback},
          {"probes", outcome.sent.probes},
          {"mtu_probes", outcome.sent.mtu_probes},
          {"resent", outcome.sent.resent},
          {"bytes", outcome.sent.bytes}}}}}};
  const std::string name = config.run.out + "/summary.json";
  std::ofstream out(name);
  out << config::ToText(summary, 2) << "\n";
  out.close();
  if (!out) throw std::runtime_error(name + ": cannot be written");
}

}  // namespace foreflow::scenarios
