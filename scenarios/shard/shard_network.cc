// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/shard/shard_network.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "models/wire/datagram.h"
#include "models/wire/ethernet.h"
#include "models/wire/fragment.h"
#include "models/wire/ipv4.h"
#include "models/wire/udp.h"
#include "ns3/callback.h"
#include "ns3/simulator.h"
#include "ns3/uinteger.h"

namespace foreflow::scenarios {
namespace {

namespace ff = ns3::foreflow;
using Frame = ns3::Ptr<const ns3::Packet>;

constexpr std::uint16_t kUnitPort = 7800;
constexpr std::size_t kClearBytes = 64;  // of a datagram, at the most

Nanos Now() { return Nanos(ns3::Simulator::Now().GetNanoSeconds()); }
Nanos Ceiling(Picos time) { return ToNanosFloor(time + Picos(999)); }

// The clear part of a unit's datagram.
struct Clear {
  std::uint64_t number = 0;
  std::uint64_t base = 0;  // of a fragment's packet
  bool is_fragment = false;
  bool is_first = false;  // sending of it
};
bool Read(const std::uint8_t* at, const std::uint8_t* end, Clear& clear) {
  wire::ShardHeader header;
  at = wire::Decode(at, end, header);
  if (at == nullptr) return false;
  clear.number = header.number;
  wire::FragmentHeader fragment;
  if (header.type != wire::ShardType::kData || wire::Decode(at, end, fragment) == nullptr) return true;
  clear.is_fragment = true;
  clear.base = header.number - fragment.base_delta;
  clear.is_first = header.number == clear.base + fragment.index;
  return true;
}
bool ReadFrame(const Frame& frame, Clear& clear) {
  std::array<std::uint8_t, wire::kDatagramHeaderBytes + kClearBytes> bytes;
  const std::uint8_t* const end = bytes.data() + frame->CopyData(bytes.data(), bytes.size());
  wire::EthernetHeader ethernet;
  wire::Ipv4Header ip;
  wire::UdpHeader udp;
  const std::uint8_t* at = wire::Decode(bytes.data(), end, ethernet);
  if (at == nullptr || ethernet.ethertype != wire::kEthertypeIpv4) return false;
  at = wire::Decode(at, end, ip);
  if (at == nullptr || ip.protocol != wire::kProtocolUdp) return false;
  at = wire::Decode(at, end, udp);
  return at != nullptr && udp.destination_port == kUnitPort && Read(at, end, clear);
}

}  // namespace

ShardNetwork::ShardNetwork(const ShardConfig& config, const std::array<shard::ChannelModel, 2>& channels,
                           std::size_t most_frame, Whole whole)
    : config_(config), topology_(BuildShardTopology(config, channels, most_frame)), whole_(std::move(whole)) {
  for (Way& way : ways_) {
    way.records.resize(config.network.paths);
    way.in_turn.resize(config.network.paths);
    way.late.resize(config.network.paths);
  }
  others_.reserve(ways_.size());  // their events know where they are
  for (std::uint32_t side = 0; side < ways_.size(); ++side)
    others_.emplace_back(config, topology_.cables[0], host(side).ports[0], side);
  Watch();
}

void ShardNetwork::Watch() {
  for (std::size_t path = 0; path < topology_.cables.size(); ++path) {
    topology_.cables[path]->TraceConnectWithoutContext(
        "Passage", ns3::Callback<void, Frame, std::size_t, const impair::Passage&>(
                       [this, path](Frame frame, std::size_t side, const impair::Passage& passage) {
                         OnPassage(path, frame, side, passage);
                       }));
    for (unsigned side = 0; side < ways_.size(); ++side)
      host(side).ports[path]->TraceConnectWithoutContext(
          "PhyRxEnd",
          ns3::Callback<void, Frame>([this, side, path](Frame frame) { OnArrival(side, path, frame); }));
  }
  for (unsigned side = 0; side < ways_.size(); ++side) {
    if (host(side).unit == nullptr) {
      host(side).device->TraceConnectWithoutContext(
          "MacRx", ns3::Callback<void, Frame>([this](Frame frame) { OnPlain(frame); }));
      continue;
    }
    host(side).unit->TraceConnectWithoutContext(
        "Datagram", ns3::Callback<void, const ff::PduDatagram&>(
                        [this, side](const ff::PduDatagram& datagram) { OnDatagram(side, datagram); }));
    host(side).unit->TraceConnectWithoutContext("Received",
                                                ns3::Callback<void, shard::UnitVerdict, std::uint32_t>(
                                                    [this](shard::UnitVerdict verdict, std::uint32_t) {
                                                      const auto byte = static_cast<std::uint8_t>(verdict);
                                                      digest_.Update({&byte, 1});
                                                    }));
    host(side).unit->TraceConnectWithoutContext(
        "PacketWhole", ns3::Callback<void, const ff::PduPacket&>(
                           [this, side](const ff::PduPacket& packet) { OnPacket(side, packet); }));
  }
}

void ShardNetwork::Address(unsigned side, MutableBytes frame) const {
  host(1 - side).device->GetMac().CopyTo(frame.data);
  host(side).device->GetMac().CopyTo(frame.data + 6);
}

bool ShardNetwork::Send(unsigned side, BytesView frame, std::uint32_t number) {
  const ShardHost& from = host(side);
  wire::EthernetHeader header;
  const std::uint8_t* const body = wire::Decode(frame.begin(), frame.end(), header);
  const auto payload = ns3::Create<ns3::Packet>(body, static_cast<std::uint32_t>(frame.end() - body));
  const ns3::Address to = host(1 - side).device->GetAddress();
  if (from.unit == nullptr) {
    under_way_[payload->GetUid()] = number;
    from.device->Send(payload, to, header.ethertype);
    return true;
  }
  const std::uint64_t before = from.unit->GetStatistics().sent;
  sending_ = number;
  from.device->Send(payload, to, header.ethertype);
  sending_ = kNobody;
  return from.unit->GetStatistics().sent > before;
}

ShardNetwork::Cut* ShardNetwork::Find(Way& way, std::uint64_t base) {
  const auto found = std::lower_bound(way.cuts.begin(), way.cuts.end(), base,
                                      [](const Cut& cut, std::uint64_t wanted) { return cut.base < wanted; });
  return found == way.cuts.end() || found->base != base ? nullptr : &*found;
}

void ShardNetwork::OnDatagram(unsigned side, const ff::PduDatagram& datagram) {
  Clear clear;
  if (!Read(datagram.bytes.begin(), datagram.bytes.end(), clear) || !clear.is_first) return;
  Way& way = ways_[side];
  if (way.cuts.empty() || way.cuts.back().base < clear.base)
    way.cuts.push_back({clear.base, sending_, Picos(), false});
  if (datagram.accepted) {
    way.cuts.back().sealed = std::max(way.cuts.back().sealed, datagram.ready - datagram.decided);
  } else {
    Hurt(way.cuts.back());
  }
}

void ShardNetwork::Hurt(Cut& cut) {
  if (!std::exchange(cut.is_hurt, true) && cut.frame != kNobody) hurt_.push_back(cut.frame);
}

Nanos ShardNetwork::DelayOf(std::size_t path) const {
  return config_.run.link.delay + config_.network.path_gap * static_cast<std::int64_t>(path);
}

void ShardNetwork::OnPassage(std::size_t path, Frame frame, std::size_t side,
                             const impair::Passage& passage) {
  Way& way = ways_[side];
  const std::uint64_t late = topology_.cables[path]->GetCounts(side).late;
  const bool is_late = late != std::exchange(way.late[path], late);
  const bool is_lost = passage.copies == 0;
  Nanos& in_turn = way.in_turn[path];
  if (!is_lost && !is_late) in_turn = std::max(in_turn, passage.copy[0].at + DelayOf(path));
  if (CrossTraffic::IsOf(*frame)) return;
  ++way.traffic.datagrams;
  way.traffic.wire_bytes += frame->GetSize() + kFrameFraming;
  if (host(0).unit == nullptr) {
    const auto found = under_way_.find(frame->GetUid());
    if (is_lost && found != under_way_.end()) {
      hurt_.push_back(found->second);
      under_way_.erase(found);
    }
    return;
  }
  Clear clear;
  if (!ReadFrame(frame, clear)) return;
  way.records[path].Sent(clear.number, is_lost);
  if (!is_lost) return;
  Cut* const cut = clear.is_first ? Find(way, clear.base) : nullptr;
  if (cut != nullptr) Hurt(*cut);
  if (config_.arm != ShardArm::kClairvoyant) return;
  // Word of it is there when it could have been: not before the one ahead of it.
  in_turn = std::max(in_turn, Now() + DelayOf(path));
  ns3::Simulator::Schedule(ns3::NanoSeconds(static_cast<std::uint64_t>((in_turn - Now()).count())),
                           &ShardNetwork::TellLost, this, static_cast<unsigned>(1 - side), clear.number);
}

void ShardNetwork::TellLost(unsigned side, std::uint64_t number) { host(side).unit->TellLost(0, number); }

void ShardNetwork::OnArrival(unsigned side, std::size_t path, Frame frame) {
  Clear clear;
  if (host(side).unit == nullptr || CrossTraffic::IsOf(*frame) || !ReadFrame(frame, clear)) return;
  ways_[1 - side].records[path].Arrived(clear.number, Now());
}

void ShardNetwork::OnPacket(unsigned side, const ff::PduPacket& packet) {
  const Cut* const cut = Find(ways_[1 - side], packet.base);
  if (cut == nullptr) throw std::logic_error("a packet came that was not sent");
  in_units_.push_back(cut->sealed + packet.ready - packet.decided);
  if (cut->frame != kNobody && whole_) whole_(cut->frame, packet.frame, Ceiling(packet.ready));
}

void ShardNetwork::OnPlain(Frame frame) {
  const auto found = under_way_.find(frame->GetUid());
  if (found == under_way_.end()) return;
  bytes_.resize(frame->GetSize());
  frame->CopyData(bytes_.data(), frame->GetSize());
  const std::uint32_t number = found->second;
  under_way_.erase(found);
  if (whole_) whole_(number, {bytes_.data(), bytes_.size()}, Now());
}

void ShardNetwork::Finish() {
  const auto add = [this](const shard::Unit::Sent& sent) {
    sent_.data += sent.data;
    sent_.repairs += sent.repairs;
    sent_.feedback += sent.feedback;
    sent_.probes += sent.probes;
    sent_.mtu_probes += sent.mtu_probes;
    sent_.resent += sent.resent;
    sent_.bytes += sent.bytes;
  };
  for (unsigned side = 0; side < ways_.size(); ++side) {
    ShardTraffic& traffic = ways_[side].traffic;
    for (const auto& cable : topology_.cables) {
      const auto& fates = cable->GetCounts(side).fates;
      traffic.queue_full += fates[static_cast<std::size_t>(impair::Fate::kQueueFull)];
      traffic.lost += fates[static_cast<std::size_t>(impair::Fate::kRandomLoss)] +
                      fates[static_cast<std::size_t>(impair::Fate::kBurstLoss)];
    }
    if (host(side).unit == nullptr) continue;
    add(host(side).unit->GetUnit().sent());
    const auto& receiver = *host(1 - side).unit;
    const shard::GapDetector& gaps = receiver.GetUnit().gaps(0);
    traffic.asked = gaps.counts().asked;
    traffic.requests = gaps.counts().requests;
    traffic.spurious = gaps.counts().spurious;
    traffic.early = gaps.predictor().early();
    const auto& dropped = receiver.GetStatistics().packetDropped;
    not_delivered_ = std::accumulate(dropped.begin(), dropped.end(), not_delivered_);
    if (!receiver.IsBalanced()) throw std::logic_error("a unit's counts are not balanced");
  }
  std::sort(hurt_.begin(), hurt_.end());
  std::sort(in_units_.begin(), in_units_.end());
}

std::vector<hw::StationReport> ShardNetwork::Stations() const {
  std::vector<hw::StationReport> stations;
  for (const ShardHost& host : topology_.hosts) {
    if (host.unit == nullptr) continue;
    const std::string prefix = &host == topology_.hosts.data() ? "vms_" : "uplink_";
    for (hw::StationReport station : host.unit->GetStations()) {
      station.name = prefix + station.name;
      stations.push_back(std::move(station));
    }
  }
  return stations;
}

// Losses by the law that was configured, where a queue adds none to speak of; else as they were.
shard::ChannelModel ShardNetwork::ChannelOf(unsigned side) const {
  const NetworkConfig& network = config_.network;
  const std::vector<LatenessRecord>& records = ways_[side].records;
  shard::ChannelModel model;
  if (network.cross_load > 0) {
    model = LatenessRecord::Gilbert(records);
  } else if (network.burst > 1) {
    model.to_good = 1 / network.burst;
    model.to_bad = network.loss / (1 - network.loss) * model.to_good;
    model.loss_bad = 1;
  } else {
    model.loss_good = model.loss_bad = network.loss;
  }
  model.lateness = LatenessRecord::Lateness(records);
  return model;
}

}  // namespace foreflow::scenarios
