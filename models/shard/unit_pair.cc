// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/unit_pair.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"
#include "models/shard/host_frame.h"
#include "models/shard/key_log.h"
#include "models/wire/be.h"

namespace foreflow::shard {
namespace {

constexpr std::array<std::uint32_t, 2> kSessions = {0x464f5245, 0x464c4f57};  // that each receives by
constexpr std::uint8_t kCongestionExperienced = 3;

// What a record of the fingerprint is of.
constexpr std::uint8_t kFrameIn = 1, kDatagramOut = 2, kDatagramIn = 3, kPacketOut = 4;

UnitPairConfig Resolved(UnitPairConfig config) {
  config.unit.peers = 1;
  config.unit.start = Nanos();
  if (config.warm_up < Nanos() || config.warm_up > Seconds(3600))
    throw Refusal("pair of units", "warm_up", std::to_string(config.warm_up.count()) + " ns",
                  "0 .. 3600000000000 ns");
  if (!crypto::Runs(config.cipher))
    throw Refusal("pair of units: this machine does not run the cipher; allowed: chacha20_poly1305");
  return config;
}

impair::LinkConfig LinkOf(const impair::ImpairmentConfig& impairment, const UnitConfig& unit) {
  impair::LinkConfig config;
  config.impairment = impairment;
  config.largest_bytes = unit.mtu.most;
  return config;
}

}  // namespace

const char* Name(FrameFate fate) {
  static constexpr std::array<const char*, kFrameFates> kNames = {"under_way", "out", "refused", "marked",
                                                                  "lost"};
  const auto index = static_cast<std::size_t>(fate);
  return index < kNames.size() ? kNames[index] : nullptr;
}

std::array<std::array<std::uint8_t, 32>, 2> UnitPairConfig::SendingKeys() const {
  std::array<std::uint8_t, 32> other = key;
  for (std::uint8_t& byte : other) byte = static_cast<std::uint8_t>(~byte);
  return {key, other};
}

UnitPair::UnitPair(const UnitPairConfig& config, UnitPairTap* tap)
    : config_(Resolved(config)),
      tap_(tap),
      units_{Unit(config_.unit), Unit(config_.unit)},
      links_{impair::Link(LinkOf(config_.forth, config_.unit), config_.seed, 0),
             impair::Link(LinkOf(config_.back, config_.unit), config_.seed, 1)},
      ends_{End(this, 0), End(this, 1)},
      whole_(config_.unit.most_packet_bytes) {
  const auto sending = config_.SendingKeys();
  for (std::size_t i = 0; i < 2; ++i) {
    units_[i].Begin(0, kSessions[1 - i], kSessions[i], Nanos(), ends_[i], works_[i]);
    units_[i].InstallReceivingKey(0, 0, config_.cipher, sending[1 - i].data());
    units_[i].InstallSendingKey(0, 0, config_.cipher, sending[i].data());
  }
}

std::string UnitPair::KeyLog() const {
  const auto keys = config_.SendingKeys();
  std::string log;
  for (std::size_t i = 0; i < 2; ++i) log += KeyLogLine(kSessions[1 - i], 0, config_.cipher, keys[i].data());
  return log;
}

void UnitPair::Record(std::uint8_t what, std::uint64_t value, BytesView bytes) {
  std::array<std::uint8_t, 25> record{};
  record[0] = what;
  wire::Store64(&record[1], value);
  wire::Store64(&record[9], static_cast<std::uint64_t>(now_.count()));
  wire::Store64(&record[17], bytes.size);
  digest_.Update({record.data(), record.size()});
  digest_.Update(bytes);
}

void UnitPair::OnDatagram(std::size_t from, const UnitDatagram& datagram) {
  Record(kDatagramOut, from << 8 | datagram.path, datagram.bytes);
  if (tap_ != nullptr) tap_->OnDatagram(from, datagram, now_);
  wire::ShardHeader header;
  if (is_sending_ && datagram.type == wire::ShardType::kData &&
      wire::Decode(datagram.bytes.begin(), datagram.bytes.end(), header) != nullptr) {
    frames_.back().base = header.number;
    is_sending_ = false;
  }
  const std::uint64_t late = links_[from].counts().late;
  PairPassage passage;
  passage.from = from;
  passage.fate = links_[from].Send(datagram.bytes, datagram.path, now_, datagram.ecn);
  passage.datagram = links_[from].counts().in;
  passage.is_late = links_[from].counts().late > late;
  if (tap_ != nullptr) tap_->OnPassage(passage);
}

void UnitPair::OnPacket(std::size_t to, const UnitPacket& packet) {
  std::copy(packet.bytes.begin(), packet.bytes.end(), whole_.begin());
  const MutableBytes frame = {whole_.data(), packet.bytes.size};
  const bool is_out = TakeOverEcn(packet.ecn, frame, works_[to][UnitEngine::kReassembly]);
  Record(kPacketOut, to << 8 | (is_out ? 1u : 0u), frame);
  if (tap_ != nullptr && is_out) tap_->OnFrame(to, frame, now_);
  const auto it =
      std::lower_bound(sent_.begin(), sent_.end(), packet.base,
                       [this](std::size_t index, std::uint64_t base) { return frames_[index].base < base; });
  Frame& of = frames_[*it];
  of.out = now_;
  of.fate = is_out ? FrameFate::kOut : FrameFate::kMarked;
}

// What happens before `until`, in order; of one time, arrivals at the second unit first, then at the first,
// then timers.
void UnitPair::RunUntil(Nanos until) {
  for (;;) {
    Nanos next = until;
    for (std::size_t i = 0; i < 2; ++i) next = std::min({next, links_[i].next(), units_[i].NextTick()});
    if (next >= until) break;
    now_ = next;
    for (std::size_t from = 0; from < 2; ++from) {
      const std::size_t to = 1 - from;
      for (impair::Link::Arrival arrival; links_[from].Receive(now_, arrival);) {
        const bool heeds = arrival.note == 1 || arrival.note == 2;
        const std::uint8_t ecn = arrival.is_marked && heeds ? kCongestionExperienced : arrival.note;
        const PairArrival here = {to, arrival.number, arrival.is_changed};
        if (tap_ != nullptr) tap_->OnArrival(here, units_[to]);
        const Received received = units_[to].Receive(arrival.datagram, ecn, now_, ends_[to], works_[to]);
        if (tap_ != nullptr) tap_->OnVerdict(here, received.verdict, units_[to], now_);
        Record(kDatagramIn, to << 8 | static_cast<unsigned>(received.verdict), {});
      }
    }
    for (std::size_t i = 0; i < 2; ++i) units_[i].Advance(now_, ends_[i], works_[i]);
  }
  now_ = until;
}

void UnitPair::Input(BytesView bytes, Nanos now) {
  RunUntil(now + config_.warm_up);
  Frame frame;
  frame.in = now_;
  frame.bytes = static_cast<std::uint32_t>(bytes.size);
  const HostFrame read = ReadHostFrame(bytes, works_[0][UnitEngine::kSplit]);
  frames_.push_back(frame);
  // Whatever was due before the frame has gone out by then, so that the next data is the frame's.
  units_[0].Advance(now_, ends_[0], works_[0]);
  is_sending_ = true;
  if (tap_ != nullptr) tap_->OnInput(frames_.size() - 1);
  const UnitVerdict verdict = units_[0].Send({0, bytes, read.ecn, read.flow}, now_, ends_[0], works_[0]);
  is_sending_ = false;
  Record(kFrameIn, static_cast<std::uint64_t>(verdict), {});
  frames_.back().verdict = verdict;
  if (verdict == UnitVerdict::kSent) {
    sent_.push_back(frames_.size() - 1);
  } else {
    frames_.back().fate = FrameFate::kRefused;
  }
}

void UnitPair::Finish() {
  const UnitConfig& unit = config_.unit;
  Nanos longest = std::max(unit.reassembler.longest, unit.retransmission.keep);
  for (const auto* network : {&config_.forth, &config_.back})
    for (const impair::PathConfig& path : network->paths)
      longest = std::max(longest, path.delay + path.late_most + path.jitter * 16);
  // A copy is kept for so long, is asked for and sent again, and what is put together waits again so long.
  RunUntil(now_ + longest * 4);
  for (Frame& frame : frames_)
    if (frame.fate == FrameFate::kUnderWay) frame.fate = FrameFate::kLost;
}

}  // namespace foreflow::shard
