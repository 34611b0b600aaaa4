// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/worker.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf_dyn.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <rte_ring_elem.h>
#include <unistd.h>

#include <algorithm>

#include "bindings/dpdk/tsc_clock.h"

namespace foreflow::dpdk {
namespace {

constexpr flow::VmId kVmByMac = 0xffff;  // until the frame is parsed
constexpr unsigned kPollsBeforeSleep = 512;
constexpr unsigned kSleepMicroseconds = 20;

static_assert(sizeof(Decided) % 4 == 0 && sizeof(DecidedRow) % 4 == 0, "rings copy whole words");

}  // namespace

Worker::Worker(const WorkerPlan& plan)
    : plan_(plan),
      switched_ports_(plan.tx.size() - (plan.mirror_port >= 0 ? 1 : 0)),
      vm_by_mac_(plan.vms),
      stashes_(plan.outboxes.size()) {
  for (std::size_t port = 0; port < plan.tx.size(); ++port) {
    egress_.push_back(std::make_unique<Egress>(plan.queue_packets));
  }
  if (plan.most_frame_bytes > 0) {
    scratch_ = std::make_unique<std::uint8_t[]>(std::size_t{plan.most_frame_bytes} * path::kBurst);
  }
}

Worker::~Worker() {
  for (Stash& stash : stashes_) {
    for (std::size_t i = 0; i < stash.count; ++i) rte_pktmbuf_free(Unpack(stash.frames[i]).frame);
  }
}

void Worker::Run() {
  running_.store(true, std::memory_order_release);
  const TscClock clock(plan_.start_tsc);
  unsigned idle = 0;
  std::uint64_t round = rte_rdtsc();
  for (Phase phase; (phase = plan_.phase->load(std::memory_order_acquire)) != Phase::kStop;) {
    std::size_t moved = 0;
    SwapRules();
    AdoptTable();
    AdoptMarks();
    if (plan_.clock == Clock::kLive) now_ = clock.At(round);
    RotateTagKeys();
    DoErrand();
    if (phase == Phase::kRun) {
      for (const RxQueue& rx : plan_.rx) moved += Receive(rx);
    }
    moved += TakeInbox();
    moved += SendAll();
    Answer();
    const std::uint64_t next = rte_rdtsc();
    if (moved > 0) {
      count_.busy_cycles += next - round;
      idle = 0;
    } else {
      rte_pause();
      // Where a feeder sets the pace it may need this very CPU.
      if (plan_.waits && ++idle >= kPollsBeforeSleep) ::usleep(kSleepMicroseconds);
    }
    round = next;
  }
  running_.store(false, std::memory_order_release);
  Answer();
}

WorkerCount Worker::Count() {
  const std::uint64_t question = asked_.load(std::memory_order_relaxed) + 1;
  asked_.store(question, std::memory_order_release);
  while (answered_.load(std::memory_order_acquire) < question) {
    if (!running_.load(std::memory_order_acquire)) {
      Answer();
    } else {
      ::usleep(kSleepMicroseconds);
    }
  }
  return answer_;
}

// Only what was asked for is copied: the counts themselves are nobody else's to read.
void Worker::Answer() {
  const std::uint64_t question = asked_.load(std::memory_order_acquire);
  if (question == answered_.load(std::memory_order_relaxed)) return;
  answer_ = count_;
  for (const auto& egress : egress_) {
    answer_.held += egress->held() - egress->held_copies();
    answer_.held_copies += egress->held_copies();
  }
  for (const Stash& stash : stashes_) {
    for (std::size_t i = 0; i < stash.count; ++i) {
      ++(Unpack(stash.frames[i]).is_copy ? answer_.held_copies : answer_.held);
    }
  }
  bool first = true;
  for (std::size_t lane = plan_.index; lane < plan_.lanes->size(); lane += plan_.workers) {
    const path::Counters& counters = plan_.lanes->lane(lane).counters();
    if (first) {
      answer_.path = counters;
    } else {
      answer_.path += counters;
    }
    first = false;
  }
  answered_.store(question, std::memory_order_release);
}

void Worker::OfferRules(std::vector<path::RuleSet>* sets) { offered_.store(sets, std::memory_order_release); }

bool Worker::TookRules() {
  if (!running_.load(std::memory_order_acquire)) SwapRules();
  return offered_.load(std::memory_order_acquire) == nullptr;
}

void Worker::SwapRules() {
  std::vector<path::RuleSet>* sets = offered_.load(std::memory_order_acquire);
  if (sets == nullptr) return;
  for (std::size_t lane = plan_.index; lane < plan_.lanes->size(); lane += plan_.workers) {
    plan_.lanes->lane(lane).SwapRules((*sets)[lane]);
  }
  offered_.store(nullptr, std::memory_order_release);
}

void Worker::OfferTable(const rules::RuleTable* table) {
  offered_table_.store(table, std::memory_order_release);
}

bool Worker::TookTable() {
  if (!running_.load(std::memory_order_acquire)) AdoptTable();
  return offered_table_.load(std::memory_order_acquire) == nullptr;
}

void Worker::AdoptTable() {
  const rules::RuleTable* table = offered_table_.load(std::memory_order_acquire);
  if (table == nullptr) return;
  for (std::size_t lane = plan_.index; lane < plan_.lanes->size(); lane += plan_.workers) {
    plan_.lanes->lane(lane).AdoptRules(*table);
  }
  offered_table_.store(nullptr, std::memory_order_release);
}

void Worker::OfferTagKeys(const TagKeys* keys) { offered_keys_.store(keys, std::memory_order_release); }

bool Worker::TookTagKeys() {
  if (!running_.load(std::memory_order_acquire)) RotateTagKeys();
  return offered_keys_.load(std::memory_order_acquire) == nullptr;
}

void Worker::RotateTagKeys() {
  const TagKeys* keys = offered_keys_.load(std::memory_order_acquire);
  if (keys == nullptr) return;
  for (std::size_t lane = plan_.index; lane < plan_.lanes->size(); lane += plan_.workers) {
    plan_.lanes->lane(lane).RotateTagKeys(keys->epoch, keys->master, now_, keys->overlap);
  }
  offered_keys_.store(nullptr, std::memory_order_release);
}

void Worker::OfferErrand(Errand* errand) { errand_.store(errand, std::memory_order_release); }

bool Worker::DidErrand() {
  if (!running_.load(std::memory_order_acquire)) DoErrand();
  return errand_.load(std::memory_order_acquire) == nullptr;
}

void Worker::DoErrand() {
  Errand* const errand = errand_.load(std::memory_order_acquire);
  if (errand == nullptr) return;
  for (std::size_t lane = plan_.index; lane < plan_.lanes->size(); lane += plan_.workers) {
    errand->Do(plan_.lanes->lane(lane), lane, std::max(now_, last_));
  }
  errand_.store(nullptr, std::memory_order_release);
}

void Worker::OfferMarks(const std::vector<PortMarks>* marks) {
  offered_marks_.store(marks, std::memory_order_relaxed);
  has_offered_marks_.store(true, std::memory_order_release);
}

bool Worker::TookMarks() {
  if (!running_.load(std::memory_order_acquire)) AdoptMarks();
  return !has_offered_marks_.load(std::memory_order_acquire);
}

void Worker::AdoptMarks() {
  if (!has_offered_marks_.load(std::memory_order_acquire)) return;
  marks_ = offered_marks_.load(std::memory_order_relaxed);
  has_offered_marks_.store(false, std::memory_order_release);
}

const rules::Decision* Worker::DecisionOf(const rte_mbuf* frame, std::uint16_t port) const {
  if (marks_ == nullptr || (frame->ol_flags & RTE_MBUF_F_RX_FDIR_ID) == 0) return nullptr;
  return (*marks_)[port].Find(frame->hash.fdir.hi);
}

bool Worker::HasRoom() const {
  if (!plan_.waits) return true;
  if (plan_.decided != nullptr && rte_ring_free_count(plan_.decided) < path::kBurst) return false;
  if (plan_.rows != nullptr && rte_ring_free_count(plan_.rows) < path::kBurst) return false;
  return std::all_of(egress_.begin(), egress_.end(), [](const auto& egress) { return egress->held() == 0; });
}

std::size_t Worker::Receive(const RxQueue& rx) {
  if (!HasRoom()) return 0;
  std::array<rte_mbuf*, path::kBurst> frames;
  const std::size_t count = rte_eth_rx_burst(rx.device, rx.queue, frames.data(), frames.size());
  if (count == 0) return 0;
  for (std::size_t i = 0; i < count; ++i) rte_prefetch0(rte_pktmbuf_mtod(frames[i], void*));
  WorkerCount::Port& port = count_.ports[rx.port];
  port.in += count;
  for (std::size_t i = 0; i < count; ++i) {
    port.in_bytes += frames[i]->pkt_len;
    if (plan_.clock == Clock::kCarried) {
      metas_[i] = MetaOf(frames[i]);
    } else {
      Describe(frames[i], rx, metas_[i]);
    }
  }
  Decide(frames.data(), count);
  return count;
}

std::size_t Worker::TakeInbox() {
  if (plan_.inboxes.empty() || !HasRoom()) return 0;
  std::array<rte_mbuf*, path::kBurst> frames;
  const std::size_t count =
      rte_ring_dequeue_burst(plan_.inboxes[plan_.index], reinterpret_cast<void**>(frames.data()),
                             static_cast<unsigned>(frames.size()), nullptr);
  for (std::size_t i = 0; i < count; ++i) metas_[i] = MetaOf(frames[i]);
  if (count > 0) Decide(frames.data(), count);
  return count;
}

// A frame that nobody described before it came.
void Worker::Describe(const rte_mbuf* frame, const RxQueue& rx, FrameMeta& meta) {
  meta.number = 0;
  meta.link = wire::Link::kEthernet;
  meta.port = rx.port;
  meta.wire_bytes = frame->pkt_len;
  if (plan_.clock == Clock::kPort && (frame->ol_flags & plan_.timestamp_flag) != 0) {
    const rte_mbuf_timestamp_t stamp =
        *RTE_MBUF_DYNFIELD(frame, plan_.timestamp_offset, const rte_mbuf_timestamp_t*);
    if (!has_timestamp_) first_timestamp_ = stamp;
    has_timestamp_ = true;
    now_ = Micros(static_cast<std::int64_t>(stamp - first_timestamp_));
  }
  meta.time = meta.sent = now_;
  meta.vm = rx.vm == RxQueue::kByMac ? kVmByMac : VmOfPort(rx.vm, plan_.vms);
}

// The cores read a frame as one piece.
BytesView Worker::BytesOf(rte_mbuf* frame, std::size_t place) {
  if (frame->nb_segs == 1) return {rte_pktmbuf_mtod(frame, const std::uint8_t*), frame->data_len};
  std::uint8_t* whole = scratch_.get() + place * plan_.most_frame_bytes;
  const std::uint32_t size = std::min(frame->pkt_len, plan_.most_frame_bytes);
  return {static_cast<const std::uint8_t*>(rte_pktmbuf_read(frame, 0, size, whole)), size};
}

void Worker::Decide(rte_mbuf** frames, std::size_t count) {
  const auto lanes = static_cast<std::uint16_t>(plan_.lanes->size());
  std::array<std::uint16_t, path::kBurst> lane;
  std::size_t own = 0;
  for (std::size_t i = 0; i < count; ++i) {
    FrameMeta& meta = metas_[i];
    path::Arrival& arrival = arrivals_[own];
    path::Parsed& parsed = parsed_[own];
    arrival.link = meta.link;
    arrival.captured = BytesOf(frames[i], own);
    arrival.wire_bytes = meta.wire_bytes;
    arrival.vm = meta.vm;
    arrival.time = meta.time;
    arrival.sent = meta.sent;
    path::Parse(arrival, parsed);
    if (meta.vm == kVmByMac) {
      meta.vm = arrival.vm = vm_by_mac_.VmOf(parsed.packet);
      if (parsed.decidable) parsed.key.vm = meta.vm;
    }
    lane[own] = path::LaneOf(parsed, lanes);
    const unsigned owner = lane[own] % plan_.workers;
    if (owner != plan_.index) {
      ++count_.handed_over;
      MetaOf(frames[i]) = meta;
      if (rte_ring_enqueue(plan_.inboxes[owner], frames[i]) != 0) Drop(frames[i], Reason::kStationFull);
      continue;
    }
    arrival.decision = parsed.decidable ? DecisionOf(frames[i], meta.port) : nullptr;
    if (arrival.decision != nullptr) ++count_.hardware_hits;
    // Frames that came by way of another worker may be older than those received here since.
    if (arrival.time < last_) arrival.time = arrival.sent = last_;
    last_ = arrival.time;
    if (own != i) metas_[own] = meta;
    frames[own++] = frames[i];
  }
  // Work is read by traces alone: without one, all packets' goes to the same place.
  const bool traced = plan_.rows != nullptr;
  if (traced) std::fill_n(work_.begin(), own, path::StageWork{});
  std::array<path::Job, path::kBurst> jobs;
  for (std::uint64_t left = (std::uint64_t{1} << own) - 1; left != 0;) {
    const std::uint16_t served = lane[static_cast<std::size_t>(__builtin_ctzll(left))];
    std::size_t size = 0;
    for (std::size_t i = 0; i < own; ++i) {
      if (lane[i] != served) continue;
      jobs[size++] = {&arrivals_[i], &parsed_[i], &verdicts_[i], &work_[traced ? i : 0]};
      left &= ~(std::uint64_t{1} << i);
    }
    plan_.lanes->lane(served).Process(jobs.data(), size);
  }
  count_.decided += own;
  const bool is_recorded = plan_.decided != nullptr || traced;
  for (std::size_t i = 0; i < own; ++i) {
    if (is_recorded) Record(i, metas_[i]);
    Forward(frames[i], metas_[i].port, i, lane[i]);
  }
}

void Worker::Record(std::size_t i, const FrameMeta& meta) {
  if (plan_.decided != nullptr) {
    const Decided decided{meta.number, verdicts_[i]};
    rte_ring_enqueue_elem(plan_.decided, const_cast<Decided*>(&decided), sizeof decided);
  }
  if (plan_.rows == nullptr) return;
  DecidedRow row;
  row.time = arrivals_[i].time;
  row.decidable = parsed_[i].decidable;
  row.seen =
      predict::Summarise(parsed_[i].packet, parsed_[i].key, arrivals_[i].sent, arrivals_[i].wire_bytes);
  row.verdict = verdicts_[i];
  row.work = work_[i];
  if (rte_ring_enqueue_elem(plan_.rows, &row, sizeof row) != 0) ++count_.rows_lost;
}

void Worker::Drop(rte_mbuf* frame, Reason reason) {
  ++count_.dropped[static_cast<std::size_t>(reason)];
  rte_pktmbuf_free(frame);
}

// The packet as its rule changes it, or nullptr where memory is short. A copy: the frame may be shared with
// the mirror, and the room in front of it is not always ours. `frame` is given back.
rte_mbuf* Worker::Change(rte_mbuf* frame, std::size_t i, std::uint16_t lane) {
  // A capture's own bytes: in a replay nothing leaves.
  if (RTE_MBUF_HAS_EXTBUF(frame)) return frame;
  const rules::PacketChange& change = plan_.lanes->lane(lane).changes()[verdicts_[i].change];
  rte_mbuf* copy = rte_pktmbuf_copy(frame, frame->pool, 0, UINT32_MAX);
  rte_pktmbuf_free(frame);
  if (copy == nullptr || copy->nb_segs > 1 || rte_pktmbuf_headroom(copy) < rules::Headroom(change)) {
    rte_pktmbuf_free(copy);
    return nullptr;
  }
  const rules::Changed changed =
      rules::Apply(change, arrivals_[i].link, {rte_pktmbuf_mtod(copy, std::uint8_t*), copy->data_len},
                   copy->data_len, parsed_[i].packet, KeyHasher(0)(&parsed_[i].key), {});
  copy->data_off =
      static_cast<std::uint16_t>(changed.captured.data - static_cast<std::uint8_t*>(copy->buf_addr));
  copy->data_len = static_cast<std::uint16_t>(changed.captured.size);
  copy->pkt_len = copy->data_len;
  return copy;
}

void Worker::Forward(rte_mbuf* frame, std::uint16_t in_port, std::size_t i, std::uint16_t lane) {
  const path::Arrival& arrival = arrivals_[i];
  const path::Verdict& verdict = verdicts_[i];
  if (verdict.mirrored) {
    ++count_.mirrored;
    if (plan_.mirror_port >= 0) {
      ++count_.copies_made;
      rte_pktmbuf_refcnt_update(frame, 1);
      Egress& egress = *egress_[static_cast<std::size_t>(plan_.mirror_port)];
      if (!egress.Put({frame, true}, verdict.queue, arrival.wire_bytes)) {
        ++count_.copies_dropped;
        rte_pktmbuf_free(frame);
      }
    }
  }
  if (verdict.verb == rules::Verb::kDrop) {
    Drop(frame, verdict.reason);
    return;
  }
  BytesView leaves = arrival.captured;
  std::uint32_t wire_bytes = arrival.wire_bytes;
  if (verdict.change != rules::kNoChange) {
    frame = Change(frame, i, lane);
    if (frame == nullptr) {
      ++count_.dropped[static_cast<std::size_t>(Reason::kStationFull)];
      return;
    }
    leaves = {rte_pktmbuf_mtod(frame, const std::uint8_t*), frame->data_len};
    wire_bytes = frame->pkt_len;
  }
  const std::uint16_t port = plan_.fabric->PortFor(leaves, in_port);
  if (port == Switch::kFilter) {
    Drop(frame, Reason::kSamePort);
  } else if (port == Switch::kFlood) {
    Flood(frame, in_port, verdict.queue, wire_bytes);
  } else if (!egress_[port]->Put({frame, false}, verdict.queue, wire_bytes)) {
    Drop(frame, Reason::kQueueFull);
  }
}

// The frame is the first that finds room, the others are copies of it.
void Worker::Flood(rte_mbuf* frame, std::uint16_t in_port, std::uint8_t queue, std::uint32_t wire_bytes) {
  const std::size_t targets = switched_ports_ - 1;
  ++count_.flooded;
  count_.copies_made += targets - 1;
  rte_pktmbuf_refcnt_update(frame, static_cast<std::int16_t>(targets - 1));
  std::size_t placed = 0;
  std::size_t refused = 0;
  for (std::size_t port = 0; port < switched_ports_; ++port) {
    if (port == in_port) continue;
    ++(egress_[port]->Put({frame, placed > 0}, queue, wire_bytes) ? placed : refused);
  }
  if (placed == 0) {
    count_.copies_dropped += targets - 1;
    ++count_.dropped[static_cast<std::size_t>(Reason::kQueueFull)];
  } else {
    count_.copies_dropped += refused;
  }
  for (std::size_t i = 0; i < refused; ++i) rte_pktmbuf_free(frame);
}

std::size_t Worker::SendAll() {
  std::size_t moved = 0;
  for (std::size_t port = 0; port < egress_.size(); ++port) {
    Egress& egress = *egress_[port];
    while (egress.held() > 0) {
      const std::size_t sent = egress.Send(plan_.tx[port], count_.ports[port].sent);
      if (sent == 0) break;
      moved += sent;
    }
  }
  for (std::size_t i = 0; i < plan_.outboxes.size(); ++i) {
    Stash& stash = stashes_[i];
    const Outbox& outbox = plan_.outboxes[i];
    stash.count += rte_ring_dequeue_burst(outbox.from, stash.frames.data() + stash.count,
                                          static_cast<unsigned>(path::kBurst - stash.count), nullptr);
    if (stash.count == 0) continue;
    const std::size_t sent =
        Transmit(outbox.tx, stash.frames.data(), stash.count, count_.ports[outbox.tx.port].sent);
    stash.count -= sent;
    std::copy_n(stash.frames.begin() + static_cast<std::ptrdiff_t>(sent), stash.count, stash.frames.begin());
    moved += sent;
  }
  return moved;
}

}  // namespace foreflow::dpdk
