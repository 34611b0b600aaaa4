// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/impair_stage.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "bindings/config/impairment.h"
#include "models/base/refusal.h"
#include "models/wire/ethernet.h"
#include "models/wire/ipv4.h"
#include "models/wire/rewrite.h"
#include "models/wire/udp.h"

namespace foreflow::dpdk {
namespace {

constexpr std::size_t kHeaderBytes =
    wire::EthernetHeader::kBytes + wire::Ipv4Header::kBytes + wire::UdpHeader::kBytes;
constexpr std::uint8_t kCongestionExperienced = 3;
constexpr std::array<const char*, kPairPorts> kOnTheWay = {"on_the_way_there", "on_the_way_back"};

// Of one direction: its fates, and what became of what passed.
constexpr std::array<const char*, 6> kWayRows = {"duplicated", "corrupted", "late",
                                                 "marked",     "no_room",   "released"};
constexpr std::size_t kDirectionRows = impair::kFates + kWayRows.size();

MutableBytes BytesOf(rte_mbuf* frame) { return {rte_pktmbuf_mtod(frame, std::uint8_t*), frame->data_len}; }

// The same for all packets of a flow.
std::size_t PathOf(const wire::Dissection& packet) {
  std::size_t hash = packet.source_port * 0x9e3779b97f4a7c15u + packet.destination_port;
  for (std::size_t word = 0; word < 2; ++word) {
    hash = (hash ^ LoadWord(&packet.source_address, word)) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ LoadWord(&packet.destination_address, word)) * 0x9e3779b97f4a7c15u;
  }
  return hash >> 48;
}

}  // namespace

ImpairStageConfig ParseImpairStage(const std::string& where, const std::string& text) {
  const config::Json json = config::ParseJson(where, text);
  const config::Value value(json, where, "");
  config::Object root(value);
  ImpairStageConfig config;
  if (root.Has("seed")) config.seed = root.Get("seed").Unsigned(0, UINT64_MAX);
  if (root.Has("frames")) config.frames = static_cast<std::size_t>(root.Get("frames").Unsigned(1, 1u << 20));
  if (root.Has("there")) config.from[0] = config::ReadImpairment(root.Get("there"));
  if (root.Has("back")) config.from[1] = config::ReadImpairment(root.Get("back"));
  root.End();
  return config;
}

ImpairStageConfig LoadImpairStage(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw Refusal(file + ": cannot be opened");
  return ParseImpairStage(file, {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()});
}

ImpairStage::ImpairStage(const ImpairStageConfig& config) : line_(config.frames), places_(config.frames) {
  impairments_.reserve(kPairPorts);
  for (std::uint32_t port = 0; port < kPairPorts; ++port) {
    impairments_.emplace_back(config.from[port], config.seed, port);
  }
  free_.reserve(config.frames);
  for (std::size_t place = config.frames; place-- > 0;) free_.push_back(static_cast<std::uint32_t>(place));
}

void ImpairStage::Receive(std::size_t port, rte_mbuf* const* frames, std::size_t count, Nanos now,
                          PairLink& link) {
  for (std::size_t i = 0; i < count; ++i) {
    rte_mbuf* frame = frames[i];
    Work work;
    wire::Dissection packet;
    wire::Dissect(wire::Link::kEthernet, BytesOf(frame), frame->pkt_len, packet, work);
    const std::size_t bytes = frame->pkt_len > kHeaderBytes ? frame->pkt_len - kHeaderBytes : 0;
    const impair::Passage passage = impairments_[port].Pass(PathOf(packet), bytes, now);
    if (passage.copies == 0) {
      rte_pktmbuf_free(frame);
      continue;
    }
    if (passage.is_marked && packet.status == wire::DissectStatus::kOk && packet.ecn != 0) {
      wire::SetEcn(kCongestionExperienced, BytesOf(frame), packet);
    }
    rte_mbuf* copy = nullptr;
    if (passage.copies > 1) {
      copy = link.CopyOf(frame);
      if (copy == nullptr) ++counts_[port].no_room;
    }
    Hold(frame, port, passage.copy[0]);
    if (copy != nullptr) Hold(copy, port, passage.copy[1]);
  }
}

void ImpairStage::Hold(rte_mbuf* frame, std::size_t from, const impair::Passage::Copy& copy) {
  if (copy.flip != 0 && kHeaderBytes + copy.place < frame->data_len) {
    BytesOf(frame).data[kHeaderBytes + copy.place] ^= copy.flip;
  }
  if (free_.empty()) {
    ++counts_[from].no_room;
    rte_pktmbuf_free(frame);
    return;
  }
  line_.Push(copy.at, free_.back());
  places_[free_.back()] = {frame, static_cast<std::uint8_t>(1 - from)};
  free_.pop_back();
}

void ImpairStage::Advance(Nanos now, PairLink& link) {
  std::uint32_t place;
  Nanos at;
  while (line_.Pop(now, place, at)) {
    const OnItsWay& arrived = places_[place];
    ++counts_[1u - arrived.to].released;
    link.Send(arrived.to, arrived.frame);
    free_.push_back(place);
  }
}

void ImpairStage::Clear() {
  std::uint32_t place;
  Nanos at;
  while (line_.Pop(impair::DelayLine::kNever, place, at)) {
    rte_pktmbuf_free(places_[place].frame);
    free_.push_back(place);
  }
}

const std::vector<PairRow>& ImpairStage::rows() const {
  static const std::vector<PairRow> kRows = [] {
    std::vector<PairRow> rows;
    for (std::size_t port = 0; port < kPairPorts; ++port) {
      for (std::size_t fate = 0; fate < impair::kFates; ++fate) {
        rows.push_back({kFrom[port], Name(static_cast<impair::Fate>(fate))});
      }
      for (const char* name : kWayRows) rows.push_back({kOnTheWay[port], name});
    }
    return rows;
  }();
  return kRows;
}

void ImpairStage::Count(std::uint64_t* values) const {
  for (std::size_t port = 0; port < kPairPorts; ++port) {
    const impair::Impairment::Counts& counts = impairments_[port].counts();
    std::uint64_t* at = std::copy(counts.fates.begin(), counts.fates.end(), values + port * kDirectionRows);
    *at++ = counts.duplicated;
    *at++ = counts.corrupted;
    *at++ = counts.late;
    *at++ = counts.marked;
    *at++ = counts_[port].no_room;
    *at++ = counts_[port].released;
  }
}

std::string ImpairStage::Imbalance() const {
  std::uint64_t passed = 0, released = 0;
  for (std::size_t port = 0; port < kPairPorts; ++port) {
    passed += impairments_[port].counts().out;
    released += counts_[port].released + counts_[port].no_room;
  }
  if (passed == released + held()) return {};
  return std::to_string(passed) + " frames passed, and " + std::to_string(released + held()) +
         " were released, found no room or are held";
}

}  // namespace foreflow::dpdk
