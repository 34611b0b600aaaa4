// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/shard/shard_run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "bindings/config/report_json.h"
#include "bindings/hdf5/trace_file.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/run_traffic.h"
#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/impair/impairment.h"
#include "ns3/object-factory.h"
#include "ns3/simulator.h"
#include "scenarios/shard/cross_traffic.h"
#include "scenarios/shard/lateness_record.h"

namespace foreflow::scenarios {
namespace {

// Around a datagram's payload: UDP 8, IPv4 20, Ethernet 38; around a frame: its check sequence, preamble and
// gap.
constexpr std::size_t kDatagramFraming = 66;
constexpr std::size_t kFrameFraming = 24;
constexpr std::size_t kFrameHeaders = kDatagramFraming - kFrameFraming;  // of UDP, IPv4, Ethernet
constexpr std::size_t kLargestDatagram = 1472;                           // an MTU of 1500
constexpr std::size_t kMostPacket = 16'000;
constexpr auto kCipher = crypto::AeadAlgorithm::kChaCha20Poly1305;  // the same bytes on every machine

ns3::Time ToTime(Nanos time) { return ns3::NanoSeconds(static_cast<std::uint64_t>(time.count())); }
Nanos Now() { return Nanos(ns3::Simulator::Now().GetNanoSeconds()); }

std::array<std::uint8_t, 32> KeyOf(std::uint8_t way) {
  std::array<std::uint8_t, 32> key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(17 * way + i);
  return key;
}

impair::ImpairmentConfig ImpairmentOf(const ShardConfig& config) {
  impair::ImpairmentConfig impairment;
  impairment.framing_bytes = kDatagramFraming;
  impairment.paths.resize(config.network.paths);
  for (std::size_t i = 0; i < impairment.paths.size(); ++i) {
    impair::PathConfig& path = impairment.paths[i];
    path.rate = config.run.link.rate;
    path.queue_bytes = config.network.queue_bytes;
    path.largest_bytes = kLargestDatagram;
    path.delay = config.run.link.delay + config.network.path_gap * static_cast<std::int64_t>(i);
    path.late = config.network.late;
    path.late_least = config.network.late_least;
    path.late_most = config.network.late_most;
    if (config.network.burst > 1) {
      path.burst.to_good = 1 / config.network.burst;
      path.burst.to_bad = config.network.loss / (1 - config.network.loss) * path.burst.to_good;
    } else {
      path.loss = config.network.loss;
    }
  }
  return impairment;
}

shard::GapRule RuleOf(ShardArm arm) {
  switch (arm) {
    case ShardArm::kOff:
    case ShardArm::kTimeout:
      return shard::GapRule::kNone;
    case ShardArm::kFixed:
      return shard::GapRule::kFixed;
    case ShardArm::kThree:
      return shard::GapRule::kThree;
    case ShardArm::kEwma:
      return shard::GapRule::kEwma;
    case ShardArm::kLearned:
    case ShardArm::kLearnedRepair:
      return shard::GapRule::kLearned;
    case ShardArm::kBayes:
      return shard::GapRule::kBayes;
    case ShardArm::kClairvoyant:
      return shard::GapRule::kClairvoyant;
    case ShardArm::kRack:
    case ShardArm::kRackRepair:
    case ShardArm::kNaive:
      break;
  }
  return shard::GapRule::kRack;
}

shard::UnitConfig UnitOf(const ShardConfig& config, const shard::ChannelModel& channel,
                         std::size_t most_packet) {
  shard::UnitConfig unit;
  unit.most_packet_bytes = most_packet;
  unit.held_packets = 2048;
  unit.reassembler.held = 4096;
  unit.gaps.rule = RuleOf(config.arm);
  unit.gaps.wait = config.recovery.wait;
  unit.gaps.predictor.certainty = config.recovery.certainty;
  unit.gaps.predictor.spurious_share = config.recovery.spurious_share;
  unit.gaps.predictor.spurious_burst = config.recovery.spurious_burst;
  unit.gaps.predictor.trained = config.recovery.trained;
  unit.gaps.channel = channel;
  if (config.arm == ShardArm::kNaive) unit.size.rule = shard::SizeRule::kNaive;
  unit.repair = shard::RepairRule::kNever;
  if (config.arm == ShardArm::kRackRepair || config.arm == ShardArm::kLearnedRepair) {
    unit.repair = shard::RepairRule::kAlways;
    unit.preference = shard::Preference::kRobustness;
  }
  unit.robust_fragments = config.recovery.fragments;
  unit.repair_after = config.recovery.repair_after;
  unit.path_weights.assign(config.network.paths, 1);
  unit.path_rule = shard::PathRule::kPacket;
  unit.tick = config.recovery.tick;
  return unit;
}

class ShardRun {
 public:
  ShardRun(const ShardConfig& config, const pcap::Traffic& traffic,
           const std::array<shard::ChannelModel, 2>& channels, const ShardProgress& progress)
      : config_(config), traffic_(traffic), progress_(progress) {
    std::size_t longest = 64;
    for (const path::Arrival& arrival : traffic.arrivals)
      longest = std::max<std::size_t>(longest, arrival.wire_bytes);
    longest = std::min(longest, kMostPacket);
    frame_.resize(longest);
    for (unsigned i = 0; i < 2; ++i) {
      ways_[i] = std::make_unique<Way>(config, i);
      if (config.arm == ShardArm::kOff) continue;
      // What unit i receives comes by the other way.
      ends_[i] = std::make_unique<End>(*this, i, UnitOf(config, channels[1 - i], longest));
    }
    if (config.arm != ShardArm::kOff) Begin();
    outcome_.whole.assign(traffic.arrivals.size(), ShardOutcome::kNever);
    is_hurt_.assign(traffic.arrivals.size(), false);
  }

  ShardOutcome Run() {
    ScheduleNext();
    const Nanos last = traffic_.arrivals.empty() ? Nanos() : traffic_.arrivals.back().time;
    ns3::Simulator::Stop(ToTime(last + config_.network.give_up));
    ns3::Simulator::Run();
    Finish();
    ns3::Simulator::Destroy();
    return std::move(outcome_);
  }

 private:
  struct Way {
    Way(const ShardConfig& config, unsigned index)
        : impairment(ImpairmentOf(config), config.run.seed, index),
          cross(config, kDatagramFraming, impairment, index),
          in_turn(config.network.paths) {}

    impair::Impairment impairment;
    CrossTraffic cross;
    std::vector<Nanos> in_turn;  // by path: when the last datagram that was not overtaken arrives
    ShardTraffic traffic;
    std::size_t turn = 0;  // the path of the next frame, without units
    std::vector<std::pair<std::uint64_t, std::uint32_t>> packets;  // base and packet, in order of both
    LatenessRecord record;
  };

  struct End final : shard::UnitSink {
    End(ShardRun& in, unsigned which, const shard::UnitConfig& config) : run(in), side(which), unit(config) {}
    void OnDatagram(const shard::UnitDatagram& datagram) override { run.Transmit(side, datagram); }
    void OnPacket(const shard::UnitPacket& packet) override { run.Deliver(side, packet); }

    ShardRun& run;
    unsigned side;
    shard::Unit unit;
    shard::UnitWork work;
    ns3::EventId tick;
    Nanos tick_at{-1};
  };

  void Begin() {
    for (unsigned i = 0; i < 2; ++i) {
      End& end = *ends_[i];
      end.unit.Begin(0, 2 + i, 3 - i, Nanos(), end, end.work);
      const auto sending = KeyOf(static_cast<std::uint8_t>(i)),
                 receiving = KeyOf(static_cast<std::uint8_t>(1 - i));
      end.unit.InstallReceivingKey(0, 0, kCipher, receiving.data());
      end.unit.InstallSendingKey(0, 0, kCipher, sending.data());
      Rearm(end);
    }
  }

  void Rearm(End& end) {
    const Nanos at = end.unit.NextTick();
    if (at == end.tick_at) return;
    end.tick.Cancel();
    end.tick_at = at;
    end.tick =
        ns3::Simulator::Schedule(ToTime(std::max(at - Now(), Nanos())), &ShardRun::Tick, this, end.side);
  }
  void Tick(unsigned side) {
    End& end = *ends_[side];
    end.tick_at = Nanos(-1);
    end.unit.Advance(Now(), end, end.work);
    Rearm(end);
  }

  void ScheduleNext() {
    if (next_ == traffic_.arrivals.size()) return;
    ns3::Simulator::Schedule(ToTime(traffic_.arrivals[next_].time - Now()), &ShardRun::SendNext, this);
  }
  void SendNext() {
    const auto packet = static_cast<std::uint32_t>(next_++);
    Send(packet);
    if (next_ % 1024 == 0) progress_(next_);
    ScheduleNext();
  }

  // The packet's frame, with zeros where the capture was cut. No more than units take.
  BytesView FrameOf(const path::Arrival& arrival) {
    const std::size_t bytes = std::min<std::size_t>(arrival.wire_bytes, frame_.size());
    const std::size_t captured = std::min(arrival.captured.size, bytes);
    std::memcpy(frame_.data(), arrival.captured.data, captured);
    std::memset(frame_.data() + captured, 0, bytes - captured);
    return {frame_.data(), bytes};
  }
  static unsigned WayOf(const path::Arrival& arrival) { return arrival.vm == 0 ? 1 : 0; }

  void Send(std::uint32_t packet) {
    const path::Arrival& arrival = traffic_.arrivals[packet];
    const unsigned side = WayOf(arrival);
    Way& way = *ways_[side];
    const BytesView frame = FrameOf(arrival);
    ++way.traffic.packets;
    way.traffic.plain_bytes += frame.size + kFrameFraming;
    if (ends_[side] == nullptr) {
      SendPlain(packet, way, frame.size);
      return;
    }
    End& end = *ends_[side];
    sending_ = packet;
    const shard::UnitVerdict verdict = end.unit.Send({0, frame, 0, 0}, Now(), end, end.work);
    if (verdict != shard::UnitVerdict::kSent) ++outcome_.not_sent;
    Record(static_cast<std::uint8_t>(verdict));
    Rearm(end);
  }
  void SendPlain(std::uint32_t packet, Way& way, std::size_t bytes) {
    ++way.traffic.datagrams;
    way.traffic.wire_bytes += bytes + kFrameFraming;
    const std::size_t payload = std::max(bytes, kFrameHeaders + 1) - kFrameHeaders;
    const impair::Passage passage = way.impairment.Pass(way.turn++ % config_.network.paths, payload, Now());
    if (passage.copies == 0) {
      is_hurt_[packet] = true;
    } else {
      ns3::Simulator::Schedule(ToTime(passage.copy[0].at - Now()), &ShardRun::DeliverPlain, this, packet);
    }
  }
  void DeliverPlain(std::uint32_t packet) { Whole(packet); }

  void Transmit(unsigned side, const shard::UnitDatagram& datagram) {
    Way& way = *ways_[side];
    wire::ShardHeader header;
    wire::FragmentHeader fragment;
    const std::uint8_t* const at = wire::Decode(datagram.bytes.begin(), datagram.bytes.end(), header);
    const bool is_data = header.type == wire::ShardType::kData;
    if (is_data) wire::Decode(at, datagram.bytes.end(), fragment);
    const std::uint64_t base = header.number - fragment.base_delta;
    const bool is_first = is_data && header.number == base + fragment.index;
    if (is_first && fragment.index == 0) way.packets.emplace_back(base, sending_);
    ++way.traffic.datagrams;
    way.traffic.wire_bytes += datagram.bytes.size + kDatagramFraming;
    const std::uint64_t late = way.impairment.counts().late;
    const impair::Passage passage = way.impairment.Pass(datagram.path, datagram.bytes.size, Now());
    way.record.Sent(passage.copies == 0);
    Nanos& in_turn = way.in_turn[datagram.path % config_.network.paths];
    const unsigned other = 1 - side;
    if (passage.copies > 0) {
      const Nanos arrival = passage.copy[0].at;
      if (way.impairment.counts().late == late) in_turn = std::max(in_turn, arrival);
      const std::size_t buffer = Take();
      buffers_[buffer].assign(datagram.bytes.begin(), datagram.bytes.end());
      ns3::Simulator::Schedule(ToTime(arrival - Now()), &ShardRun::Arrive, this, other, buffer,
                               header.number);
      return;
    }
    if (is_first) is_hurt_[PacketOf(way, base)] = true;
    if (config_.arm != ShardArm::kClairvoyant) return;
    // Word of it is there when it could have been: not before the one ahead of it.
    const auto path = static_cast<std::int64_t>(datagram.path % config_.network.paths);
    in_turn = std::max(in_turn, Now() + config_.run.link.delay + config_.network.path_gap * path);
    ns3::Simulator::Schedule(ToTime(in_turn - Now()), &ShardRun::TellLost, this, other, header.number);
  }
  void TellLost(unsigned side, std::uint64_t number) {
    End& end = *ends_[side];
    end.unit.TellLost(0, number, Now(), end, end.work);
    Rearm(end);
  }
  void Arrive(unsigned side, std::size_t buffer, std::uint64_t number) {
    End& end = *ends_[side];
    ways_[1 - side]->record.Arrived(number, Now());
    std::vector<std::uint8_t>& bytes = buffers_[buffer];
    const shard::Received received = end.unit.Receive({bytes.data(), bytes.size()}, 0, Now(), end, end.work);
    free_.push_back(buffer);
    Record(static_cast<std::uint8_t>(received.verdict));
    Rearm(end);
  }

  void Deliver(unsigned side, const shard::UnitPacket& packet) {
    const std::uint32_t which = PacketOf(*ways_[1 - side], packet.base);
    const path::Arrival& arrival = traffic_.arrivals[which];
    const BytesView frame = FrameOf(arrival);
    if (frame.size != packet.bytes.size || std::memcmp(frame.data, packet.bytes.data, frame.size) != 0)
      ++outcome_.wrong_bytes;
    digest_.Update(packet.bytes);
    Whole(which);
  }
  void Whole(std::uint32_t packet) {
    if (outcome_.whole[packet] != ShardOutcome::kNever) throw std::logic_error("a packet came twice");
    const Nanos now = Now();
    outcome_.whole[packet] = now;
    const path::Arrival& arrival = traffic_.arrivals[packet];
    ways_[WayOf(arrival)]->traffic.delivered_bytes +=
        std::min<std::size_t>(arrival.wire_bytes, frame_.size()) + kFrameFraming;
    std::array<std::uint8_t, 12> record;
    for (std::size_t i = 0; i < 4; ++i) record[i] = static_cast<std::uint8_t>(packet >> (8 * i));
    for (std::size_t i = 0; i < 8; ++i)
      record[4 + i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(now.count()) >> (8 * i));
    digest_.Update({record.data(), record.size()});
  }

  static std::uint32_t PacketOf(const Way& way, std::uint64_t base) {
    const auto at = std::lower_bound(way.packets.begin(), way.packets.end(),
                                     std::pair<std::uint64_t, std::uint32_t>(base, 0));
    if (at == way.packets.end() || at->first != base)
      throw std::logic_error("a packet came that was not sent");
    return at->second;
  }
  std::size_t Take() {
    if (free_.empty()) {
      free_.push_back(buffers_.size());
      buffers_.emplace_back();
    }
    const std::size_t buffer = free_.back();
    free_.pop_back();
    return buffer;
  }
  void Record(std::uint8_t verdict) { digest_.Update({&verdict, 1}); }

  void Finish() {
    for (unsigned i = 0; i < 2; ++i) {
      Way& way = *ways_[i];
      const auto& fates = way.impairment.counts().fates;
      way.traffic.queue_full = fates[static_cast<std::size_t>(impair::Fate::kQueueFull)];
      way.traffic.lost = fates[static_cast<std::size_t>(impair::Fate::kRandomLoss)] +
                         fates[static_cast<std::size_t>(impair::Fate::kBurstLoss)];
      if (ends_[1 - i] != nullptr) {
        const shard::GapDetector& gaps = ends_[1 - i]->unit.gaps(0);
        way.traffic.asked = gaps.counts().asked;
        way.traffic.requests = gaps.counts().requests;
        way.traffic.spurious = gaps.counts().spurious;
        way.traffic.early = gaps.predictor().early();
        Add(ends_[i]->unit.sent());
        outcome_.channels[i] = ChannelOf(way);
      }
      outcome_.ways[i] = way.traffic;
    }
    for (std::uint32_t packet = 0; packet < is_hurt_.size(); ++packet)
      if (is_hurt_[packet]) outcome_.hurt.push_back(packet);
    const auto digest = digest_.Finish();
    outcome_.fingerprint = crypto::Hex({digest.data(), digest.size()});
  }
  void Add(const shard::Unit::Sent& sent) {
    shard::Unit::Sent& all = outcome_.sent;
    all.data += sent.data;
    all.repairs += sent.repairs;
    all.feedback += sent.feedback;
    all.probes += sent.probes;
    all.mtu_probes += sent.mtu_probes;
    all.resent += sent.resent;
    all.bytes += sent.bytes;
  }
  // Losses by the law that was configured, where it is that of one path alone; else as they were.
  shard::ChannelModel ChannelOf(const Way& way) const {
    const NetworkConfig& network = config_.network;
    shard::ChannelModel model;
    if (network.cross_load > 0 || network.paths > 1) {
      model = way.record.Gilbert();
    } else if (network.burst > 1) {
      model.to_good = 1 / network.burst;
      model.to_bad = network.loss / (1 - network.loss) * model.to_good;
      model.loss_bad = 1;
    } else {
      model.loss_good = model.loss_bad = network.loss;
    }
    model.lateness = way.record.Lateness();
    return model;
  }

  const ShardConfig& config_;
  const pcap::Traffic& traffic_;
  const ShardProgress& progress_;
  std::array<std::unique_ptr<Way>, 2> ways_;  // by the side that sends
  std::array<std::unique_ptr<End>, 2> ends_;  // none without units
  std::size_t next_ = 0;
  std::uint32_t sending_ = 0;
  std::vector<std::uint8_t> frame_;
  std::vector<std::vector<std::uint8_t>> buffers_;  // of datagrams on their way
  std::vector<std::size_t> free_;
  std::vector<bool> is_hurt_;
  crypto::Sha256 digest_;
  ShardOutcome outcome_;
};

using Clock = std::chrono::steady_clock;

void WriteTrace(const std::string& file, const pcap::Traffic& traffic, const ShardOutcome& outcome) {
  hdf5::TraceFile trace(file);
  for (std::size_t i = 0; i < traffic.arrivals.size(); ++i) {
    trace::PacketRow row;
    row.packet = i;
    row.vm = traffic.arrivals[i].vm;
    row.arrival_ns = traffic.arrivals[i].time.count();
    row.departure_ns = outcome.whole[i].count();
    row.wire_bytes = traffic.arrivals[i].wire_bytes;
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

}  // namespace

ShardOutcome SimulateShard(const ShardConfig& config, const pcap::Traffic& traffic,
                           const std::array<shard::ChannelModel, 2>& channels,
                           const ShardProgress& progress) {
  ns3::ObjectFactory scheduler;
  scheduler.SetTypeId("ns3::PriorityQueueScheduler");
  ns3::Simulator::SetScheduler(scheduler);
  return ShardRun(config, traffic, channels, progress).Run();
}

void RunShard(const std::string& file) {
  const Clock::time_point start = Clock::now();
  const ShardConfig config = LoadShardConfig(file);
  const pcap::RunTraffic run = pcap::LoadRunTraffic(config.run, pcap::Times::kLoad);
  const pcap::Traffic& traffic = run.traffic;
  const std::size_t packets = traffic.arrivals.size();
  const bool is_told = config.arm == ShardArm::kBayes;
  const std::size_t total = is_told ? 2 * packets : packets;
  std::size_t before = 0;
  const ShardProgress progress = [&](std::uint64_t sent) {
    std::fprintf(stderr, "progress %zu %zu\n", before + static_cast<std::size_t>(sent), total);
  };

  std::array<shard::ChannelModel, 2> channels;
  if (is_told) {
    ShardConfig first = config;
    first.arm = ShardArm::kRack;
    channels = SimulateShard(first, traffic, {}, progress).channels;
    before = packets;
  }
  const ShardOutcome outcome = SimulateShard(config, traffic, channels, progress);
  WriteTrace(config.run.out + "/trace.h5", traffic, outcome);

  const auto whole = static_cast<std::uint64_t>(std::count_if(
      outcome.whole.begin(), outcome.whole.end(), [](Nanos at) { return at != ShardOutcome::kNever; }));
  config::Json dropped = config::Json::object();
  if (outcome.not_sent > 0) dropped["not_sent"] = outcome.not_sent;
  if (packets - whole - outcome.not_sent > 0) dropped["never_whole"] = packets - whole - outcome.not_sent;
  config::Json notes = config::Json::array();
  for (const auto* some : {&run.capture.notes, &run.after.notes, &traffic.notes})
    for (const std::string& note : *some) notes.push_back(note);
  const Nanos last = packets == 0 ? Nanos() : traffic.arrivals.back().time;
  // The direction that has more to carry is the one that a load speaks of.
  const unsigned busier = outcome.ways[1].plain_bytes > outcome.ways[0].plain_bytes ? 1 : 0;
  const auto sum = [&](auto member) { return outcome.ways[0].*member + outcome.ways[1].*member; };
  const config::Json summary = {
      {"system", "shard"},
      {"packets", {{"in", packets}, {"out", whole}, {"held", 0}, {"dropped", dropped}}},
      {"fingerprint", outcome.fingerprint},
      {"notes", notes},
      {"simulated_s", ToSeconds(last + config.network.give_up)},
      {"wall_s", std::chrono::duration<double>(Clock::now() - start).count()},
      {"shard",
       {{"give_up_ms", ToSeconds(config.network.give_up) * 1e3},
        {"plain_bytes", sum(&ShardTraffic::plain_bytes)},
        {"wire_bytes", sum(&ShardTraffic::wire_bytes)},
        {"asked", sum(&ShardTraffic::asked)},
        {"requests", sum(&ShardTraffic::requests)},
        {"spurious", sum(&ShardTraffic::spurious)},
        {"early", sum(&ShardTraffic::early)},
        {"wrong_bytes", outcome.wrong_bytes},
        {"hurt", outcome.hurt},
        {"busier",
         {{"link_bytes", static_cast<double>(config.run.link.rate.count()) / 8 * ToSeconds(last) *
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
