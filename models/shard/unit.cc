// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/unit.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "models/base/refusal.h"
#include "models/shard/path_chooser.h"
#include "models/shard/repair.h"
#include "models/shard/sharder.h"

namespace foreflow::shard {
namespace {

constexpr Nanos kChooseEvery = Millis(1);  // a fragment size
constexpr Nanos kDemandOver = Millis(10);  // what the host sends is summed
constexpr Nanos kBusyFor = Millis(500);    // after a packet; a peer without any is looked after
constexpr Nanos kIdleTick = Millis(1);     // so often
constexpr std::uint8_t kCongestionExperienced = 3;

std::size_t PlacesFor(std::size_t peers) {
  std::size_t places = 1;
  while (places < peers) places *= 2;
  return places;
}

bool HasPaths(const UnitConfig& config) { return config.path_weights.size() > 1; }
std::size_t DataOverhead(const UnitConfig& config) {
  return wire::ShardDatagramBytes(wire::ShardType::kData, config.has_uuid, 0, HasPaths(config));
}
std::size_t MessageOverhead(const UnitConfig& config, wire::ShardType type) {
  return wire::ShardDatagramBytes(type, false, 0, HasPaths(config));
}

void Check(const char* key, std::uint64_t value, std::uint64_t least, std::uint64_t most) {
  if (value < least || value > most)
    throw Refusal("packet dynamics unit", key, std::to_string(value),
                  std::to_string(least) + " .. " + std::to_string(most));
}
void Check(const char* key, Nanos value, Nanos least, Nanos most) {
  if (value < least || value > most)
    throw Refusal("packet dynamics unit", key, std::to_string(value.count()) + " ns",
                  std::to_string(least.count()) + " .. " + std::to_string(most.count()) + " ns");
}

// What it comes to: the parts' sizes follow from the whole's.
UnitConfig Resolved(UnitConfig config) {
  Check("peers", config.peers, 1, 256);
  Check("mtu.base", config.mtu.base, 128, 65'507);
  Check("reassembler.most_fragments", config.reassembler.most_fragments, 1, wire::kMostFragments);
  Check("most_packet_bytes", config.most_packet_bytes, 1,
        std::min<std::size_t>(65'535,
                              config.reassembler.most_fragments * (config.mtu.base - DataOverhead(config))));
  Check("held_packets", config.held_packets, config.peers, 1u << 20);
  Check("size.most_fragments", config.size.most_fragments, 1, config.reassembler.most_fragments);
  Check("size.least_bytes", config.size.least_bytes, config.reassembler.least_fragment_bytes, 65'535);
  Check("robust_fragments", config.robust_fragments, 1, config.size.most_fragments);
  Check("repair_after", config.repair_after, Nanos(), Seconds(1));
  Check("paths", config.path_weights.size(), 1, PathChooser::kMost);
  for (const std::uint32_t weight : config.path_weights) Check("path weight", weight, 1, 65'535);
  Check("feedback.most_bytes", config.feedback.most_bytes, 128,
        config.mtu.base - MessageOverhead(config, wire::ShardType::kFeedback));
  Check("monitor.small_probe", config.monitor.small_probe,
        MessageOverhead(config, wire::ShardType::kProbe) + wire::ShardProbe::kBytes, config.mtu.base);
  Check("most_key_bytes", config.most_key_bytes, 1, std::uint64_t{1} << 48);
  Check("tick", config.tick, Micros(1), Millis(10));
  config.reassembler.sessions = config.peers;
  config.reassembler.start = config.start;
  config.opener.sessions = PlacesFor(config.peers);
  config.gaps.start = config.start;
  config.gaps.paths = config.path_weights.size();
  config.size.overhead = DataOverhead(config) + config.monitor.below_bytes;
  return config;
}

// What a preference lets the controller do.
SizeControllerConfig SizeOf(const UnitConfig& config, Preference preference) {
  SizeControllerConfig size = config.size;
  if (preference != Preference::kLatency) size.hops = size.paths = 1;
  return size;
}

struct Repair {
  RetransmissionBuffer::Packet packet = 0;
  Nanos due;
};

// How packets that go by a path are cut, and what that is chosen by.
struct Cutting {
  explicit Cutting(const SizeControllerConfig& config) : size(config) {}

  SizeController size;
  SizeChoice choice;
  Nanos choose_at;
  Nanos demand_since;
  std::uint64_t demand_bytes = 0;
  double demand = 0;
  std::size_t largest = 0, largest_before = 0;  // packets of this and the last interval
  std::uint64_t sent = 0, sent_bytes = 0;
};

struct Peer {
  explicit Peer(const UnitConfig& config)
      : sharder(0, config.has_uuid, HasPaths(config)),
        gaps(config.gaps),
        writer(config.feedback),
        buffer(config.retransmission),
        known(config.path_weights.size(), KnownPath(config.monitor, config.mtu)),
        cutting(config.path_weights.size(), Cutting(SizeOf(config, config.preference))),
        preference(config.preference),
        paths(config.path_weights),
        repairs(config.retransmission.packets) {}

  Sharder sharder;
  GapDetector gaps;
  FeedbackWriter writer;
  FeedbackReader reader;
  RetransmissionBuffer buffer;
  std::vector<KnownPath> known;  // by path
  std::vector<Cutting> cutting;  // by path
  Preference preference;
  PathChooser paths;
  std::vector<Repair> repairs;  // a ring, in order of time
  std::uint64_t first_repair = 0, next_repair = 0;

  std::uint32_t receiving_session = 0;
  bool has_begun = false;
  bool can_open = false;
  Nanos busy_until;
  Unit::KeyUse use;
  GuestStatistics guest;
};

// The copy of a packet that may be sent again.
struct Copy {
  std::uint16_t length = 0;
  std::uint16_t flow = 0;
  std::uint8_t ecn = 0;
};

}  // namespace

const char* Name(Preference preference) {
  static constexpr std::array<const char*, kPreferences> kNames = {"bandwidth", "latency", "robustness"};
  const auto index = static_cast<std::size_t>(preference);
  return index < kNames.size() ? kNames[index] : nullptr;
}

const char* Name(UnitEngine engine) {
  static constexpr std::array<const char*, kUnitEngines> kNames = {"split", "cipher", "reassembly", "timers"};
  const auto index = static_cast<std::size_t>(engine);
  return index < kNames.size() ? kNames[index] : nullptr;
}

struct Unit::State final : PacketSink, FragmentSink, ResendSink {
  explicit State(const UnitConfig& given)
      : config(Resolved(given)),
        opener(config.opener),
        reassembler(config.reassembler),
        fragment_bytes(config.mtu.most),
        copies(config.held_packets),
        copied(config.held_packets * config.most_packet_bytes),
        fragments((config.reassembler.held + 1) * fragment_bytes),
        datagram(config.mtu.most),
        assembled(65'536 + 2 * config.mtu.most),
        text(config.mtu.most),
        idle_tick(config.tick * std::max<std::int64_t>(1, kIdleTick / config.tick)),
        next_tick(config.start) {
    peers.reserve(config.peers);
    for (std::size_t i = 0; i < config.peers; ++i) peers.push_back(std::make_unique<Peer>(config));
    for (std::size_t i = config.held_packets; i > 0; --i)
      free_copies.push_back(static_cast<FragmentHandle>(i - 1));
    for (std::size_t i = config.reassembler.held + 1; i > 0; --i)
      free_fragments.push_back(static_cast<FragmentHandle>(i - 1));
  }

  // Of one call: what its parts call back needs.
  void Enter(Nanos time, UnitSink& to, UnitWork& counted) {
    now = time;
    sink = &to;
    work = &counted;
  }
  Work& Of(UnitEngine engine) { return (*work)[engine]; }
  UnitVerdict Count(UnitVerdict verdict) {
    ++counts[static_cast<std::size_t>(verdict)];
    return verdict;
  }

  void OnReleased(FragmentHandle copy) override { free_copies.push_back(copy); }
  void OnDropped(FragmentHandle fragment, FragmentFate) override { free_fragments.push_back(fragment); }
  void OnResend(const RetransmissionBuffer::Resend& resend) override;

  bool CanSeal(const Peer& peer) const {
    return peer.sharder.keys().IsReady() && peer.use.bytes < config.most_key_bytes;
  }
  bool IsReady(const Peer& peer) const { return peer.can_open && CanSeal(peer); }

  Nanos NextOnGrid(Nanos after, Nanos grid) const {
    return config.start + grid * ((after - config.start) / grid + 1);
  }
  void RunTicks(Nanos until);
  void Touch(Peer& peer);
  void Run(std::size_t index);
  void Answer(std::size_t index);
  void SendRepairs(std::size_t index);
  void SendProbe(std::size_t index, unsigned path, std::size_t bytes, SentKind kind);
  unsigned LaterPath(Peer& peer, std::uint16_t flow, std::size_t bytes);
  Nanos TailPatience(const Peer& peer) const;

  std::size_t TextFor(Peer& peer, std::size_t path, std::size_t length, double share);
  std::size_t TextForAny(Peer& peer, std::size_t length);
  void Choose(Peer& peer, std::size_t path, std::size_t length, double share);
  FragmentHandle TakeCopy(std::size_t index);
  void Emit(std::size_t index, wire::ShardType type, unsigned path, const Copy& of, std::size_t bytes,
            std::size_t text_bytes);
  UnitVerdict Assemble(std::size_t index, const wire::ShardMessage& message, std::uint8_t ecn);
  void Deliver(std::size_t index, const WholePacket& whole, FragmentHandle last, BytesView last_text);
  UnitVerdict ReadFeedback(std::size_t index, const wire::ShardMessage& message);

  BytesView CopyOf(FragmentHandle handle) const {
    return {copied.data() + handle * config.most_packet_bytes, copies[handle].length};
  }
  std::uint8_t* FragmentAt(FragmentHandle handle) { return fragments.data() + handle * fragment_bytes; }

  UnitConfig config;
  Opener opener;
  Reassembler reassembler;
  std::vector<std::unique_ptr<Peer>> peers;
  std::size_t fragment_bytes;
  std::vector<Copy> copies;
  std::vector<std::uint8_t> copied;
  std::vector<std::uint8_t> fragments;
  std::vector<FragmentHandle> free_copies, free_fragments;
  std::vector<std::uint8_t> datagram, assembled, text;
  Nanos idle_tick;
  Nanos next_tick;
  Counts counts{};
  Sent sent;

  Nanos now;
  UnitSink* sink = nullptr;
  UnitWork* work = nullptr;
  std::size_t current = 0;  // the peer whose buffer calls back
};

// Hands out the datagram that was sealed last.
void Unit::State::Emit(std::size_t index, wire::ShardType type, unsigned path, const Copy& of,
                       std::size_t bytes, std::size_t text_bytes) {
  Peer& peer = *peers[index];
  Work& cipher = Of(UnitEngine::kCipher);
  cipher.Add(WorkItem::kSeal);
  cipher.Add(WorkItem::kByteCiphered, static_cast<std::uint32_t>(text_bytes));
  ++peer.use.messages;
  peer.use.bytes += text_bytes;
  sent.bytes += bytes;
  ++peer.cutting[path].sent;
  peer.cutting[path].sent_bytes += bytes;
  UnitDatagram out;
  out.peer = index;
  out.path = path;
  out.type = type;
  out.ecn = of.ecn;
  out.flow = of.flow;
  out.bytes = {datagram.data(), bytes};
  sink->OnDatagram(out);
}

// A buffer for one more copy. Where all are taken, whoever holds the most gives up its oldest: never a peer
// within its share while another is beyond (longest queue drop).
FragmentHandle Unit::State::TakeCopy(std::size_t index) {
  if (free_copies.empty()) {
    std::size_t most = index;
    for (std::size_t i = 0; i < peers.size(); ++i)
      if (peers[i]->buffer.held() > peers[most]->buffer.held()) most = i;
    Of(UnitEngine::kSplit).Add(WorkItem::kProbe, static_cast<std::uint32_t>(peers.size()));
    peers[most]->buffer.ReleaseOldest(*this);
  }
  const FragmentHandle handle = free_copies.back();
  free_copies.pop_back();
  return handle;
}

// The size is chosen for the largest packets of late, and at most once in kChooseEvery, unless a larger one
// comes. `share` of the packet's bytes go by the path.
void Unit::State::Choose(Peer& peer, std::size_t path, std::size_t length, double share) {
  Cutting& of = peer.cutting[path];
  const KnownPath& known = peer.known[path];
  of.demand_bytes += length;
  const bool is_larger = length > std::max(of.largest, of.largest_before);
  of.largest = std::max(of.largest, length);
  if (now < of.choose_at && !is_larger) return;
  of.choose_at = now + kChooseEvery;
  const Nanos passed = now - of.demand_since;
  if (passed >= kDemandOver || of.demand == 0) {
    of.demand = static_cast<double>(of.demand_bytes) * share / ToSeconds(std::max(passed, kDemandOver));
    of.demand_since = now;
    of.demand_bytes = 0;
    of.largest_before = of.largest;
    of.largest = length;
  }
  const CongestionReport report = known.monitor.Report(now);
  SizeInputs inputs;
  inputs.loss = known.monitor.loss_parts();
  inputs.demand = of.demand;
  inputs.delivered = static_cast<double>(report.bandwidth.count()) / 8;
  inputs.most_text = known.mtu.current() - DataOverhead(config);
  inputs.packet = std::max(of.largest, of.largest_before);
  inputs.severity = report.severity;
  of.choice = of.size.Choose(inputs, now);
}

// Bytes of a fragment of a packet of so many bytes, by this path.
std::size_t Unit::State::TextFor(Peer& peer, std::size_t path, std::size_t length, double share) {
  Choose(peer, path, length, share);
  const SizeChoice& choice = peer.cutting[path].choice;
  const std::size_t most_text = peer.known[path].mtu.current() - DataOverhead(config);
  std::size_t text_bytes = most_text;
  // What is cut for the path's MTU alone is cut only where it does not fit.
  if (choice.reason != SizeReason::kWhole && choice.reason != SizeReason::kPathMtu)
    text_bytes = std::min(choice.text, most_text);
  if (peer.preference == Preference::kRobustness) {
    const std::size_t least = std::max<std::size_t>(length / config.size.least_bytes, 1);
    const std::size_t parts = std::min(config.robust_fragments, least);
    text_bytes = std::min(text_bytes, (length + parts - 1) / parts);
  }
  // Never more fragments than the peer takes.
  const std::size_t most = config.reassembler.most_fragments;
  return std::max(text_bytes, (length + most - 1) / most);
}

// By whichever path: what goes by all of them is cut for the one that asks for the most.
std::size_t Unit::State::TextForAny(Peer& peer, std::size_t length) {
  double sum = 0;
  for (const std::uint32_t weight : config.path_weights) sum += weight;
  std::size_t text_bytes = length;
  for (std::size_t path = 0; path < peer.known.size(); ++path)
    text_bytes = std::min(text_bytes, TextFor(peer, path, length, config.path_weights[path] / sum));
  return text_bytes;
}

// By which path that carries it something is sent later.
unsigned Unit::State::LaterPath(Peer& peer, std::uint16_t flow, std::size_t bytes) {
  return peer.paths.Later(config.path_rule, flow,
                          [&](unsigned path) { return peer.known[path].mtu.current() >= bytes; });
}

void Unit::State::OnResend(const RetransmissionBuffer::Resend& resend) {
  Peer& peer = *peers[current];
  if (!CanSeal(peer)) return;
  const Copy& copy = copies[resend.handle];
  const unsigned path =
      LaterPath(peer, copy.flow, peer.sharder.FragmentDatagramBytes(resend.cut, resend.index));
  const std::uint64_t number = peer.sharder.next_number();
  const std::size_t bytes =
      peer.sharder.SealAgain(resend.cut, resend.index, CopyOf(resend.handle), now,
                             {datagram.data(), datagram.size()}, Of(UnitEngine::kSplit), path);
  if (bytes == 0) return;
  peer.buffer.OnSent(number, SentKind::kFragment, resend.packet, resend.index, bytes, now,
                     Of(UnitEngine::kTimers), path);
  ++sent.data;
  ++sent.resent;
  Emit(current, wire::ShardType::kData, path, copy, bytes, bytes - DataOverhead(config));
}

void Unit::State::SendRepairs(std::size_t index) {
  Peer& peer = *peers[index];
  for (; peer.first_repair != peer.next_repair; ++peer.first_repair) {
    const Repair& repair = peer.repairs[peer.first_repair % peer.repairs.size()];
    if (repair.due > now) return;
    RetransmissionBuffer::Resend of;
    // Whatever the receiver has whole by now, or nobody holds, needs none.
    if (!CanSeal(peer) || !peer.buffer.FindHeld(repair.packet, of)) continue;
    const Copy& copy = copies[of.handle];
    const unsigned path = LaterPath(peer, copy.flow, peer.sharder.FragmentDatagramBytes(of.cut, 0));
    const std::uint64_t number = peer.sharder.next_number();
    const std::size_t bytes = peer.sharder.SealRepair(
        of.cut, CopyOf(of.handle), now, {datagram.data(), datagram.size()}, Of(UnitEngine::kSplit), path);
    if (bytes == 0) continue;
    peer.buffer.OnSent(number, SentKind::kRepair, repair.packet, 0, bytes, now, Of(UnitEngine::kTimers),
                       path);
    ++sent.repairs;
    Emit(index, wire::ShardType::kRepair, path, copy, bytes, of.cut.unit());
  }
}

void Unit::State::Answer(std::size_t index) {
  Peer& peer = *peers[index];
  if (!CanSeal(peer)) return;
  const std::size_t bytes =
      peer.writer.Write(peer.gaps, now, {text.data(), text.size()}, Of(UnitEngine::kTimers));
  if (bytes == 0) return;
  const std::uint64_t number = peer.sharder.next_number();
  const unsigned path = peer.paths.Message();
  const std::size_t size =
      peer.sharder.SealMessage(wire::ShardType::kFeedback, {text.data(), bytes},
                               {datagram.data(), datagram.size()}, Of(UnitEngine::kSplit), path);
  peer.buffer.OnSent(number, SentKind::kFeedback, 0, 0, size, now, Of(UnitEngine::kTimers), path);
  ++sent.feedback;
  Emit(index, wire::ShardType::kFeedback, path, Copy(), size, bytes);
}

void Unit::State::SendProbe(std::size_t index, unsigned path, std::size_t bytes, SentKind kind) {
  Peer& peer = *peers[index];
  const std::size_t text_bytes = bytes - MessageOverhead(config, wire::ShardType::kProbe);
  std::memset(text.data(), 0, text_bytes);
  wire::Encode(text.data(), text.data() + text_bytes, wire::ShardProbe{SentStamp(now)});
  const std::uint64_t number = peer.sharder.next_number();
  const std::size_t size =
      peer.sharder.SealMessage(wire::ShardType::kProbe, {text.data(), text_bytes},
                               {datagram.data(), datagram.size()}, Of(UnitEngine::kSplit), path);
  peer.buffer.OnSent(number, kind, 0, 0, size, now, Of(UnitEngine::kTimers), path);
  ++(kind == SentKind::kMtuProbe ? sent.mtu_probes : sent.probes);
  Emit(index, wire::ShardType::kProbe, path, Copy(), size, text_bytes);
}

// How long after the last sending the receiver must have been heard of, if that came: twice the smoothed
// round trip, but no less than a round trip, its deviation, and what the receiver, which is taken to be
// configured as this end, waits with feedback (RFC 8985, section 7.2). 0: nothing was heard yet.
Nanos Unit::State::TailPatience(const Peer& peer) const {
  Nanos patience;
  for (const KnownPath& path : peer.known) {
    if (path.monitor.smoothed() == Nanos()) continue;
    const Nanos answered = path.monitor.probe_timeout() + config.feedback.every + config.tick * 2;
    patience = std::max({patience, path.monitor.smoothed() * 2, answered});
  }
  return patience;
}

// All that is due for a peer at `now`, a time of the grid.
void Unit::State::Run(std::size_t index) {
  Peer& peer = *peers[index];
  current = index;
  Work& timers = Of(UnitEngine::kTimers);
  SendRepairs(index);
  Answer(index);
  RetransmissionBuffer::Resend resend;
  const Nanos patience = config.has_tail_probe ? TailPatience(peer) : Nanos();
  if (patience > Nanos() && peer.buffer.TailProbe(patience, now, resend, timers)) OnResend(resend);
  peer.buffer.Expire(now, *this);
  if (!CanSeal(peer)) return;
  for (unsigned path = 0; path < peer.known.size(); ++path) {
    KnownPath& of = peer.known[path];
    if (const std::size_t bytes = of.mtu.NextProbe(now); bytes != 0)
      SendProbe(index, path, bytes, SentKind::kMtuProbe);
    if (const std::size_t bytes = of.monitor.NextProbe(of.mtu.current(), now); bytes != 0)
      SendProbe(index, path, bytes, SentKind::kProbe);
  }
}

// Peers that packets came or went to of late are looked after at every tick, others now and then.
void Unit::State::RunTicks(Nanos until) {
  const Nanos last = now;
  const auto has_begun = [](const std::unique_ptr<Peer>& peer) { return peer->has_begun; };
  if (std::none_of(peers.begin(), peers.end(), has_begun)) {
    next_tick = NextOnGrid(until, idle_tick);
    return;
  }
  while (next_tick <= until) {
    now = next_tick;
    const bool is_idle_tick = (now - config.start).count() % idle_tick.count() == 0;
    bool is_busy = false;
    for (std::size_t i = 0; i < peers.size(); ++i) {
      if (!peers[i]->has_begun) continue;
      if (now < peers[i]->busy_until) {
        is_busy = true;
      } else if (!is_idle_tick) {
        continue;
      }
      Run(i);
    }
    reassembler.Expire(now, *this, Of(UnitEngine::kReassembly));
    next_tick = NextOnGrid(now, is_busy ? config.tick : idle_tick);
  }
  now = last;
}

// Something came or went: the next tick is due.
void Unit::State::Touch(Peer& peer) {
  peer.busy_until = now + kBusyFor;
  next_tick = std::min(next_tick, NextOnGrid(now, config.tick));
}

void Unit::State::Deliver(std::size_t index, const WholePacket& whole, FragmentHandle last,
                          BytesView last_text) {
  BytesView bytes = last_text.First(whole.length);
  if (whole.total > 1) {
    const std::size_t unit = wire::FragmentUnit(whole.length, whole.total);
    const auto text_of = [&](FragmentHandle handle) {
      return handle == last ? last_text.data : FragmentAt(handle);
    };
    for (std::size_t i = 0; i < whole.total; ++i) {
      if (i == whole.missing) continue;
      std::memcpy(assembled.data() + i * unit, text_of(whole.fragments[i]),
                  wire::FragmentBytes(whole.length, whole.total, i));
    }
    Work& reassembly = Of(UnitEngine::kReassembly);
    reassembly.Add(WorkItem::kByteCopied, whole.length);
    if (whole.missing != WholePacket::kNone) {
      // The sum has a whole unit, which behind the last place reaches past the packet.
      const MutableBytes sum = {assembled.data() + whole.missing * unit, unit};
      std::memcpy(sum.data, text_of(whole.repair), unit);
      for (std::size_t i = 0; i < whole.total; ++i) {
        if (i == whole.missing) continue;
        AddInto(sum, {assembled.data() + i * unit, wire::FragmentBytes(whole.length, whole.total, i)});
      }
      reassembly.Add(WorkItem::kByteCopied, whole.length);
    }
    bytes = {assembled.data(), whole.length};
  }
  for (std::size_t i = 0; i < whole.total; ++i)
    if (i != whole.missing) free_fragments.push_back(whole.fragments[i]);
  if (whole.has_repair) free_fragments.push_back(whole.repair);
  Peer& peer = *peers[index];
  ++peer.guest.delivered;
  peer.guest.delivered_bytes += whole.length;
  UnitPacket packet;
  packet.peer = index;
  packet.base = whole.base;
  packet.ecn = whole.ecn;
  packet.waited = now - whole.first;
  packet.bytes = bytes;
  sink->OnPacket(packet);
}

UnitVerdict Unit::State::Assemble(std::size_t index, const wire::ShardMessage& message, std::uint8_t ecn) {
  const wire::FragmentHeader& header = message.fragment;
  // A peer may have larger frames, or a larger path, than we have room for.
  if (header.length > config.most_packet_bytes || (header.total > 1 && message.sealed.size > fragment_bytes))
    return UnitVerdict::kTooLong;
  ArrivedFragment fragment;
  fragment.session = index;
  fragment.base = message.base();
  fragment.header = header;
  fragment.is_repair = message.header.type == wire::ShardType::kRepair;
  fragment.epoch = message.header.epoch;
  fragment.ecn = ecn;
  fragment.handle = free_fragments.back();
  free_fragments.pop_back();
  WholePacket whole;
  Work& reassembly = Of(UnitEngine::kReassembly);
  const FragmentFate fate = reassembler.Input(fragment, now, whole, *this, reassembly);
  switch (fate) {
    case FragmentFate::kHeld:
      std::memcpy(FragmentAt(fragment.handle), message.sealed.data, message.sealed.size);
      reassembly.Add(WorkItem::kByteCopied, static_cast<std::uint32_t>(message.sealed.size));
      break;
    case FragmentFate::kDelivered:
      Deliver(index, whole, fragment.handle, message.sealed);
      break;
    case FragmentFate::kEcnMixed:
      break;  // came back through OnDropped, with all others of its packet
    default:
      free_fragments.push_back(fragment.handle);
  }
  return VerdictOf(fate);
}

UnitVerdict Unit::State::ReadFeedback(std::size_t index, const wire::ShardMessage& message) {
  Peer& peer = *peers[index];
  current = index;
  const bool is_old = peer.reader.IsOld(message.header.number);
  if (!peer.reader.Read(message.header.number, message.sealed, peer.sharder.next_number(), now, peer.buffer,
                        peer.known, *this, *this, Of(UnitEngine::kTimers)))
    return UnitVerdict::kWrongFeedback;
  if (is_old) return UnitVerdict::kOldFeedback;
  Nanos timeout;
  for (std::size_t path = 0; path < peer.known.size(); ++path) {
    const CongestionMonitor& monitor = peer.known[path].monitor;
    if (monitor.smoothed() == Nanos()) continue;
    peer.gaps.SetRoundTrip(monitor.least(), monitor.smoothed(), path);
    timeout = std::max(timeout, monitor.probe_timeout());
  }
  if (timeout > Nanos()) reassembler.SetTime(index, timeout * 4);
  return UnitVerdict::kFeedback;
}

Unit::Unit(const UnitConfig& config) : state_(std::make_unique<State>(config)) {}
Unit::~Unit() = default;

std::size_t Unit::places() const { return state_->config.opener.sessions; }

bool Unit::Begin(std::size_t index, std::uint32_t sending_session, std::uint32_t receiving_session, Nanos now,
                 UnitSink& sink, UnitWork& work) {
  if (index >= state_->peers.size() || receiving_session % places() != index) return false;
  End(index, now, sink, work);
  Peer& peer = *state_->peers[index];
  peer.sharder.Begin(sending_session);
  state_->opener.Begin(receiving_session);
  peer.receiving_session = receiving_session;
  peer.has_begun = true;
  return true;
}

void Unit::End(std::size_t index, Nanos now, UnitSink& sink, UnitWork& work) {
  Advance(now, sink, work);
  if (index >= state_->peers.size()) return;
  Peer& peer = *state_->peers[index];
  if (!peer.has_begun) return;
  peer.has_begun = peer.can_open = false;
  peer.sharder.Begin(0);
  state_->opener.keys(peer.receiving_session)->Clear();
  state_->reassembler.Forget(index, *state_, work[UnitEngine::kReassembly]);
  peer.buffer.Clear(*state_);
  peer.gaps.Clear();
  // What is known of the path stays; counts that the peer begins anew do not.
  for (KnownPath& path : peer.known) path.monitor.Restart();
  peer.writer = FeedbackWriter(state_->config.feedback);
  peer.reader = FeedbackReader();
  peer.first_repair = peer.next_repair;
  peer.use = {};
}

bool Unit::InstallReceivingKey(std::size_t index, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                               const std::uint8_t* key) {
  if (index >= state_->peers.size() || !state_->peers[index]->has_begun) return false;
  Peer& peer = *state_->peers[index];
  if (!state_->opener.keys(peer.receiving_session)->Install(epoch, cipher, key)) return false;
  return peer.can_open = true;
}

bool Unit::InstallSendingKey(std::size_t index, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                             const std::uint8_t* key) {
  if (index >= state_->peers.size() || !state_->peers[index]->has_begun) return false;
  Peer& peer = *state_->peers[index];
  if (!peer.sharder.keys().Install(epoch, cipher, key)) return false;
  peer.use = {};
  return true;
}

void Unit::RetireKeys(std::size_t index) {
  Peer& peer = *state_->peers[index];
  if (!peer.has_begun) return;
  peer.sharder.keys().Retire();
  state_->opener.keys(peer.receiving_session)->Retire();
}

bool Unit::IsReady(std::size_t index) const { return state_->IsReady(*state_->peers[index]); }
Unit::KeyUse Unit::key_use(std::size_t index) const { return state_->peers[index]->use; }

void Unit::SetPreference(std::size_t index, Preference preference) {
  Peer& peer = *state_->peers[index];
  if (peer.preference == preference) return;
  peer.preference = preference;
  for (Cutting& cutting : peer.cutting) {
    cutting.size = SizeController(SizeOf(state_->config, preference));
    cutting.choice = {};
    cutting.choose_at = Nanos();
  }
}

UnitVerdict Unit::Send(const HostPacket& packet, Nanos now, UnitSink& sink, UnitWork& work) {
  Advance(now, sink, work);
  State& state = *state_;
  state.Enter(now, sink, work);
  if (packet.peer >= state.peers.size()) return state.Count(UnitVerdict::kNoSession);
  Peer& peer = *state.peers[packet.peer];
  UnitVerdict refused = UnitVerdict::kSent;
  if (packet.bytes.size == 0) {
    refused = UnitVerdict::kEmpty;
  } else if (packet.bytes.size > state.config.most_packet_bytes) {
    refused = UnitVerdict::kTooLong;
  } else if (!peer.sharder.keys().IsReady()) {
    refused = UnitVerdict::kNoSession;
  } else if (!state.CanSeal(peer)) {
    refused = UnitVerdict::kKeySpent;
  }
  if (refused != UnitVerdict::kSent) {
    ++peer.guest.refused;
    return state.Count(refused);
  }
  ++peer.guest.sent;
  peer.guest.sent_bytes += packet.bytes.size;
  state.Touch(peer);
  Work& split = work[UnitEngine::kSplit];
  const PathRule path_rule = state.config.path_rule;
  peer.paths.Packet(path_rule);
  const bool is_spread = path_rule == PathRule::kFragment && peer.known.size() > 1;
  unsigned path = is_spread ? 0 : peer.paths.Fragment(path_rule, packet.flow);
  const std::size_t text_bytes =
      is_spread ? state.TextForAny(peer, packet.bytes.size) : state.TextFor(peer, path, packet.bytes.size, 1);
  const PacketCut cut = peer.sharder.Cut(packet.bytes.size, text_bytes);
  const FragmentHandle handle = state.TakeCopy(packet.peer);
  Copy& copy = state.copies[handle];
  copy.length = static_cast<std::uint16_t>(packet.bytes.size);
  copy.flow = packet.flow;
  copy.ecn = packet.ecn;
  std::memcpy(state.copied.data() + handle * state.config.most_packet_bytes, packet.bytes.data,
              packet.bytes.size);
  split.Add(WorkItem::kByteCopied, copy.length);
  const RetransmissionBuffer::Packet held = peer.buffer.Hold(cut, handle, now, state, split);
  const Copy of = copy;
  for (std::size_t i = 0; i < cut.total; ++i) {
    if (is_spread) path = peer.paths.Fragment(path_rule, packet.flow);
    const std::size_t bytes = peer.sharder.Seal(cut, i, packet.bytes, now,
                                                {state.datagram.data(), state.datagram.size()}, split, path);
    peer.buffer.OnSent(cut.base + i, SentKind::kFragment, held, i, bytes, now, split, path);
    ++state.sent.data;
    state.Emit(packet.peer, wire::ShardType::kData, path, of, bytes,
               wire::FragmentBytes(cut.length, cut.total, i));
  }
  const RepairRule rule = state.config.repair;
  const bool is_robust = peer.preference == Preference::kRobustness && rule != RepairRule::kNever;
  if (is_robust || rule == RepairRule::kAlways || (rule == RepairRule::kSplit && cut.total > 1)) {
    // As many wait as packets are held: what is overwritten here is not held any more.
    if (peer.next_repair - peer.first_repair == peer.repairs.size()) ++peer.first_repair;
    peer.repairs[peer.next_repair++ % peer.repairs.size()] = {held, now + state.config.repair_after};
  }
  return state.Count(UnitVerdict::kSent);
}

Received Unit::Receive(MutableBytes datagram, std::uint8_t ecn, Nanos now, UnitSink& sink, UnitWork& work) {
  Advance(now, sink, work);
  State& state = *state_;
  state.Enter(now, sink, work);
  Received received;
  wire::ShardMessage message;
  const OpenStatus status = state.opener.Open(datagram, now, message, work[UnitEngine::kReassembly]);
  if (status == OpenStatus::kOpened || status == OpenStatus::kForged) {
    Work& cipher = work[UnitEngine::kCipher];
    cipher.Add(WorkItem::kSeal);
    cipher.Add(WorkItem::kByteCiphered, static_cast<std::uint32_t>(message.sealed.size));
  }
  if (status != OpenStatus::kMalformed && status != OpenStatus::kUnknownSession)
    received.peer = state.opener.IndexOf(message.header.session);
  if (status != OpenStatus::kOpened) {
    received.verdict = state.Count(VerdictOf(status));
    return received;
  }
  const std::size_t index = received.peer;
  Peer& peer = *state.peers[index];
  const wire::ShardType type = message.header.type;
  const std::uint64_t number = message.header.number;
  Work& timers = work[UnitEngine::kTimers];
  SentBy by;
  by.is_only = !message.header.has_path;
  by.path = message.path;
  peer.gaps.OnNumber(number, now, timers, by);
  std::uint32_t sent_us = 0;
  wire::ShardProbe probe;
  const bool is_fragment = type == wire::ShardType::kData || type == wire::ShardType::kRepair;
  if (is_fragment) {
    sent_us = message.fragment.sent_us;
  } else if (type == wire::ShardType::kProbe &&
             wire::Decode(message.sealed.begin(), message.sealed.end(), probe) != nullptr) {
    sent_us = probe.sent_us & wire::kMost24;
  }
  peer.writer.OnMessage(number, datagram.size, sent_us, (ecn & 3) == kCongestionExperienced,
                        type == wire::ShardType::kFeedback, now, by);
  UnitVerdict verdict = UnitVerdict::kProbe;
  if (is_fragment) {
    const std::uint64_t base = message.base();
    if (type == wire::ShardType::kData) {
      const std::uint64_t original = base + message.fragment.index;
      if (number != original) peer.gaps.OnSentAgain(original, now);
      peer.gaps.Expect(base + message.fragment.total - 1, now);
    }
    state.Touch(peer);
    verdict = state.Assemble(index, message, ecn);
  } else if (type == wire::ShardType::kFeedback) {
    verdict = state.ReadFeedback(index, message);
  } else if (message.sealed.size < wire::ShardProbe::kBytes) {
    verdict = UnitVerdict::kWrongProbe;
  }
  state.Answer(index);
  received.verdict = state.Count(verdict);
  return received;
}

void Unit::TellLost(std::size_t index, std::uint64_t number, Nanos now, UnitSink& sink, UnitWork& work) {
  Advance(now, sink, work);
  state_->Enter(now, sink, work);
  state_->Touch(*state_->peers[index]);
  state_->peers[index]->gaps.OnLost(number, now, work[UnitEngine::kTimers]);
}

void Unit::Advance(Nanos now, UnitSink& sink, UnitWork& work) {
  if (now < state_->next_tick) return;
  state_->Enter(now, sink, work);
  state_->RunTicks(now);
}
Nanos Unit::NextTick() const { return state_->next_tick; }

GuestStatistics Unit::Statistics(std::size_t peer) const { return state_->peers[peer]->guest; }
std::size_t Unit::paths() const { return state_->config.path_weights.size(); }
CongestionReport Unit::Report(std::size_t peer, Nanos now, std::size_t path) const {
  return state_->peers[peer]->known[path].monitor.Report(now);
}
const SizeChoice& Unit::Choice(std::size_t peer, std::size_t path) const {
  return state_->peers[peer]->cutting[path].choice;
}
std::size_t Unit::path_mtu(std::size_t peer, std::size_t path) const {
  return state_->peers[peer]->known[path].mtu.current();
}
PathUse Unit::path_use(std::size_t peer, std::size_t path) const {
  const Peer& of = *state_->peers[peer];
  return {of.cutting[path].sent, of.cutting[path].sent_bytes, of.known[path].lost};
}
const Unit::Counts& Unit::counts() const { return state_->counts; }
const Unit::Sent& Unit::sent() const { return state_->sent; }
const Reassembler::Counts& Unit::fragments() const { return state_->reassembler.counts(); }
std::size_t Unit::packets_under_way() const { return state_->reassembler.packets(); }
std::size_t Unit::held_packets() const { return state_->copies.size() - state_->free_copies.size(); }
std::size_t Unit::held_fragments() const {
  return state_->config.reassembler.held + 1 - state_->free_fragments.size();
}
const GapDetector& Unit::gaps(std::size_t peer) const { return state_->peers[peer]->gaps; }
const RetransmissionBuffer& Unit::retransmission(std::size_t peer) const {
  return state_->peers[peer]->buffer;
}
std::size_t Unit::held_packets(std::size_t peer) const { return state_->peers[peer]->buffer.held(); }
std::size_t Unit::held_fragments(std::size_t peer) const { return state_->reassembler.held_of(peer); }

std::size_t Unit::bytes() const {
  const State& state = *state_;
  const UnitConfig& config = state.config;
  const std::size_t peer_bytes = sizeof(Peer) + config.gaps.numbers * 5 + config.gaps.gaps * 56 +
                                 config.retransmission.numbers * 32 + config.retransmission.packets * 64 +
                                 config.path_weights.size() * (sizeof(KnownPath) + sizeof(Cutting) + 2048);
  return sizeof(State) + state.copied.size() + state.fragments.size() + state.copies.size() * sizeof(Copy) +
         (state.free_copies.capacity() + state.free_fragments.capacity()) * sizeof(FragmentHandle) +
         state.assembled.size() + state.datagram.size() + state.text.size() + state.reassembler.bytes() +
         config.opener.sessions * (3072 + config.opener.replay_records / 8) + config.peers * peer_bytes;
}

}  // namespace foreflow::shard
