// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/unit_stage.h"

#include <rte_ring_elem.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "models/shard/host_frame.h"
#include "models/shard/session_keys.h"

namespace foreflow::dpdk {
namespace {

using shard::UnitVerdict;

constexpr unsigned kPollMicroseconds = 20;
constexpr std::size_t kHost = 0;  // ports
constexpr std::size_t kNetwork = 1;
constexpr std::size_t kPeer = 0;
constexpr unsigned kPathStep =
    0x1051;  // between the source ports of a flow's paths: switches hash them apart
constexpr std::size_t kMostAgreementBytes = 252;
// The verdicts of packets from the host come first.
constexpr std::size_t kHostVerdicts = static_cast<std::size_t>(UnitVerdict::kKeySpent) + 1;

// A packet of key agreement on its way from the host's thread.
struct AgreementPacket {
  std::uint32_t size = 0;
  std::array<std::uint8_t, kMostAgreementBytes> bytes{};
};
static_assert(sizeof(AgreementPacket) % 4 == 0, "rings copy whole words");

// Of what goes before the unit, by UnitStage::FrameFate.
constexpr std::array<const char*, 8> kFrameFateNames = {"arp_answered", "other_frame",   "frame_malformed",
                                                        "ip_fragment",  "bad_checksum",  "segmented",
                                                        "agreement",    "agreement_full"};

// Of a unit with several paths.
constexpr std::array<const char*, shard::PathChooser::kMost> kPathNames = {
    "path_0", "path_1", "path_2",  "path_3",  "path_4",  "path_5",  "path_6",  "path_7",
    "path_8", "path_9", "path_10", "path_11", "path_12", "path_13", "path_14", "path_15"};

MutableBytes BytesOf(rte_mbuf* frame) { return {rte_pktmbuf_mtod(frame, std::uint8_t*), frame->data_len}; }

}  // namespace

UnitStage::UnitStage(const UnitStageConfig& config)
    : own_(config.own),
      peer_(config.peer),
      unit_(config.unit),
      rows_(RowsOf(unit_.paths())),
      trace_(config.trace) {
  static std::atomic<unsigned> made{0};
  const std::string number = std::to_string(made.fetch_add(1));
  constexpr unsigned kOneToOne = RING_F_SP_ENQ | RING_F_SC_DEQ;
  agreements_in_ = MakeRing("foreflow_agreed" + number, sizeof(void*), kMostHeld, kOneToOne);
  agreements_out_ = MakeRing("foreflow_agree" + number, sizeof(AgreementPacket), kMostHeld, kOneToOne);
}

UnitStage::~UnitStage() { Clear(); }

void UnitStage::Receive(std::size_t port, rte_mbuf* const* frames, std::size_t count, Nanos now,
                        PairLink& link) {
  link_ = &link;
  now_ = now;
  for (std::size_t i = 0; i < count; ++i) {
    if (i + 1 < count) rte_prefetch0(rte_pktmbuf_mtod(frames[i + 1], void*));
    if (port == kHost) {
      FromHost(frames[i], now);
    } else {
      FromNetwork(frames[i], now);
    }
  }
}

void UnitStage::FromHost(rte_mbuf* frame, Nanos now) {
  if (frame->nb_segs > 1) {
    ++segmented_from_host_;
  } else {
    Work work;
    const MutableBytes bytes = BytesOf(frame);
    const shard::HostFrame inner = shard::ReadHostFrame(bytes, work);
    shard::HostPacket packet;
    packet.peer = kPeer;
    packet.bytes = bytes;
    packet.ecn = inner.ecn;
    packet.flow = inner.flow;
    ++verdicts_from_host_[static_cast<std::size_t>(unit_.Send(packet, now, *this, work_))];
  }
  rte_pktmbuf_free(frame);
}

void UnitStage::FromNetwork(rte_mbuf* frame, Nanos now) {
  if (frame->nb_segs > 1) {
    ++fates_[kSegmented];
    rte_pktmbuf_free(frame);
    return;
  }
  const MutableBytes bytes = BytesOf(frame);
  Work work;
  wire::Datagram datagram;
  const wire::DatagramStatus status = wire::ReadDatagram(own_, bytes, datagram, work);
  if (status == wire::DatagramStatus::kAddressRequest) {
    wire::AnswerArp(own_, bytes);
    ++fates_[kArpAnswered];
    link_->Send(kNetwork, frame);
    return;
  }
  if (status == wire::DatagramStatus::kDatagram) {
    const MutableBytes payload = {bytes.data + datagram.offset, datagram.size};
    if (shard::IsKeyAgreement(payload)) {
      const bool is_taken = rte_ring_enqueue(agreements_in_.get(), frame) == 0;
      ++fates_[is_taken ? kAgreement : kAgreementFull];
      if (!is_taken) rte_pktmbuf_free(frame);
      return;
    }
    const shard::Received received = unit_.Receive(payload, datagram.ecn, now, *this, work_);
    ++verdicts_from_network_[static_cast<std::size_t>(received.verdict)];
    if (trace_ != nullptr && shard::IsOpened(received.verdict)) Trace(payload, now);
  } else {
    static constexpr std::array<FrameFate, wire::kDatagramStatuses> kFates = {
        kFrameFates, kArpAnswered, kOther, kFrameMalformed, kIpFragment, kBadChecksum};
    ++fates_[kFates[static_cast<std::size_t>(status)]];
  }
  rte_pktmbuf_free(frame);
}

// It was opened: its header is there, and the peer's.
void UnitStage::Trace(BytesView datagram, Nanos now) {
  wire::ShardHeader header;
  wire::Decode(datagram.begin(), datagram.end(), header);
  trace::MessageRow row;
  row.arrival_ns = now.count();
  row.number = header.number;
  row.session = header.session;
  row.type = static_cast<std::uint8_t>(static_cast<unsigned>(header.type) - 1);
  trace_->Add(row);
}

void UnitStage::OnDatagram(const shard::UnitDatagram& datagram) {
  rte_mbuf* frame = link_->NewFrame();
  const auto size = static_cast<std::uint16_t>(wire::kDatagramHeaderBytes + datagram.bytes.size);
  char* at = frame == nullptr ? nullptr : rte_pktmbuf_append(frame, size);
  if (at == nullptr) {
    ++no_memory_;
    rte_pktmbuf_free(frame);
    return;
  }
  auto* bytes = reinterpret_cast<std::uint8_t*>(at);
  wire::DatagramEnd from = own_;
  from.port = shard::SourcePortOf(static_cast<std::uint16_t>(datagram.flow + datagram.path * kPathStep));
  Work work;
  wire::WriteDatagram(from, peer_, datagram.ecn, datagram.bytes.size, bytes, work);
  std::memcpy(bytes + wire::kDatagramHeaderBytes, datagram.bytes.data, datagram.bytes.size);
  link_->Send(kNetwork, frame);
}

void UnitStage::OnPacket(const shard::UnitPacket& packet) {
  ++host_.packets;
  rte_mbuf* frame = link_->NewFrame();
  char* at =
      frame == nullptr ? nullptr : rte_pktmbuf_append(frame, static_cast<std::uint16_t>(packet.bytes.size));
  if (at == nullptr) {
    ++host_.no_memory;
    rte_pktmbuf_free(frame);
    return;
  }
  std::memcpy(at, packet.bytes.data, packet.bytes.size);
  Work work;
  if (!shard::TakeOverEcn(packet.ecn, BytesOf(frame), work)) {
    ++host_.unmarkable;
    rte_pktmbuf_free(frame);
    return;
  }
  ++host_.given;
  link_->Send(kHost, frame);
}

void UnitStage::Advance(Nanos now, PairLink& link) {
  link_ = &link;
  now_ = now;
  unit_.Advance(now, *this, work_);
  ServeHost(now);
}

void UnitStage::ServeHost(Nanos now) {
  const UnitOrder* order = order_.load(std::memory_order_acquire);
  if (order != nullptr) {
    obeyed_ = Obey(*order, now);
    order_.store(nullptr, std::memory_order_release);
  }
  sealed_bytes_.store(unit_.key_use(kPeer).bytes, std::memory_order_relaxed);
  AgreementPacket packet;
  while (rte_ring_dequeue_elem(agreements_out_.get(), &packet, sizeof packet) == 0) {
    rte_mbuf* frame = link_->NewFrame();
    if (frame == nullptr) {
      ++no_memory_;
      continue;
    }
    const auto size = static_cast<std::uint16_t>(wire::kDatagramHeaderBytes + packet.size);
    auto* bytes = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(frame, size));
    Work work;
    wire::WriteDatagram(own_, peer_, 0, packet.size, bytes, work);
    std::memcpy(bytes + wire::kDatagramHeaderBytes, packet.bytes.data(), packet.size);
    link_->Send(kNetwork, frame);
  }
}

bool UnitStage::Obey(const UnitOrder& order, Nanos now) {
  switch (order.kind) {
    case UnitOrder::Kind::kBegin:
      ++begun_;
      return unit_.Begin(kPeer, order.sending_session, order.receiving_session, now, *this, work_);
    case UnitOrder::Kind::kReceivingKey:
      return unit_.InstallReceivingKey(kPeer, order.epoch, order.cipher, order.key.data());
    case UnitOrder::Kind::kSendingKey:
      if (unit_.IsReady(kPeer)) ++rekeyed_;
      return unit_.InstallSendingKey(kPeer, order.epoch, order.cipher, order.key.data());
    case UnitOrder::Kind::kRetireKeys:
      unit_.RetireKeys(kPeer);
      return true;
    case UnitOrder::Kind::kEnd:
      unit_.End(kPeer, now, *this, work_);
      return true;
  }
  return false;
}

bool UnitStage::Do(const UnitOrder& order) {
  order_.store(&order, std::memory_order_release);
  while (order_.load(std::memory_order_acquire) != nullptr) ::usleep(kPollMicroseconds);
  return obeyed_;
}

rte_mbuf* UnitStage::TakeAgreement() {
  void* frame = nullptr;
  return rte_ring_dequeue(agreements_in_.get(), &frame) == 0 ? static_cast<rte_mbuf*>(frame) : nullptr;
}

void UnitStage::SendAgreement(BytesView packet) {
  if (packet.size > kMostAgreementBytes) return;
  AgreementPacket out;
  out.size = static_cast<std::uint32_t>(packet.size);
  std::copy(packet.begin(), packet.end(), out.bytes.begin());
  rte_ring_enqueue_elem(agreements_out_.get(), &out, sizeof out);
}

void UnitStage::Clear() {
  while (rte_mbuf* frame = TakeAgreement()) rte_pktmbuf_free(frame);
}

// Of a unit with so many paths.
std::vector<PairRow> UnitStage::RowsOf(std::size_t paths) {
  static_assert(kFrameFateNames.size() == kFrameFates, "a name a fate");
  std::vector<PairRow> rows;
  for (std::size_t i = 0; i < kHostVerdicts; ++i) {
    rows.push_back({kFrom[kHost], Name(static_cast<UnitVerdict>(i))});
  }
  rows.push_back({kFrom[kHost], "segmented"});
  for (const char* name : kFrameFateNames) rows.push_back({kFrom[kNetwork], name});
  for (std::size_t i = 0; i < shard::kUnitVerdicts; ++i) {
    const auto verdict = static_cast<UnitVerdict>(i);
    if (i >= kHostVerdicts || verdict == UnitVerdict::kTooLong)
      rows.push_back({kFrom[kNetwork], Name(verdict)});
  }
  for (const char* name : {"given", "unmarkable", "no_memory"}) rows.push_back({"to_host", name});
  for (const char* name :
       {"data", "resent", "repairs", "feedback", "probes", "mtu_probes", "bytes", "no_memory"}) {
    rows.push_back({"to_network", name});
  }
  for (std::size_t i = 0; i < shard::kFragmentFates; ++i) {
    rows.push_back({"fragments", Name(static_cast<shard::FragmentFate>(i))});
  }
  for (const char* name : {"missing", "asked", "requests", "late", "spurious"})
    rows.push_back({"gaps", name});
  for (std::size_t path = 0; path < paths; ++path) {
    const char* const of = paths == 1 ? "path" : kPathNames[path];
    for (const char* name : {"latency_us", "loss_ppm", "severity", "path_mtu", "fragments"})
      rows.push_back({of, name});
    if (paths == 1) continue;
    for (const char* name : {"datagrams", "bytes", "lost"}) rows.push_back({of, name});
  }
  for (const char* name : {"ready", "begun", "rekeyed", "sealed", "sealed_bytes"})
    rows.push_back({"key", name});
  for (const char* name : {"packets_under_way", "packets_kept"}) rows.push_back({"unit_holds", name});
  return rows;
}

void UnitStage::Count(std::uint64_t* at) const {
  at = std::copy_n(verdicts_from_host_.begin(), kHostVerdicts, at);
  *at++ = segmented_from_host_;
  at = std::copy(fates_.begin(), fates_.end(), at);
  for (std::size_t i = 0; i < shard::kUnitVerdicts; ++i) {
    if (i >= kHostVerdicts || i == static_cast<std::size_t>(UnitVerdict::kTooLong))
      *at++ = verdicts_from_network_[i];
  }
  for (const std::uint64_t count : {host_.given, host_.unmarkable, host_.no_memory}) *at++ = count;
  const shard::Unit::Sent& sent = unit_.sent();
  for (const std::uint64_t count : {sent.data, sent.resent, sent.repairs, sent.feedback, sent.probes,
                                    sent.mtu_probes, sent.bytes, no_memory_}) {
    *at++ = count;
  }
  at = std::copy(unit_.fragments().begin(), unit_.fragments().end(), at);
  const shard::GapDetector::Counts& gaps = unit_.gaps(kPeer).counts();
  for (const std::uint64_t count : {gaps.missing, gaps.asked, gaps.requests, gaps.late, gaps.spurious}) {
    *at++ = count;
  }
  for (std::size_t path = 0; path < unit_.paths(); ++path) {
    const shard::CongestionReport report = unit_.Report(kPeer, now_, path);
    *at++ = static_cast<std::uint64_t>(report.latency.count() / 1000);
    *at++ = static_cast<std::uint64_t>(report.loss * 1e6);
    *at++ = report.severity;
    *at++ = unit_.path_mtu(kPeer, path);
    *at++ = unit_.Choice(kPeer, path).fragments;
    if (unit_.paths() == 1) continue;
    const shard::PathUse use = unit_.path_use(kPeer, path);
    for (const std::uint64_t count : {use.datagrams, use.bytes, use.lost}) *at++ = count;
  }
  const shard::Unit::KeyUse use = unit_.key_use(kPeer);
  for (const std::uint64_t count :
       {std::uint64_t{unit_.IsReady(kPeer)}, begun_, rekeyed_, use.messages, use.bytes}) {
    *at++ = count;
  }
  *at++ = unit_.packets_under_way();
  *at++ = unit_.held_packets();
}

std::string UnitStage::Imbalance() const {
  const std::uint64_t told = host_.given + host_.unmarkable + host_.no_memory;
  if (host_.packets == told) return {};
  return "the unit gave its host " + std::to_string(host_.packets) + " packets, and it is known of " +
         std::to_string(told) + " what became of them";
}

}  // namespace foreflow::dpdk
