// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/packet_life.h"

#include <algorithm>
#include <array>
#include <utility>

#include "models/shard/epoch_keys.h"

namespace foreflow::shard {

const char* Name(SendCause cause) {
  static constexpr std::array<const char*, kSendCauses> kNames = {"cut", "asked", "tail_probe", "repair"};
  const auto index = static_cast<std::size_t>(cause);
  return index < kNames.size() ? kNames[index] : nullptr;
}

const char* Name(AskCause cause) {
  static constexpr std::array<const char*, kAskCauses> kNames = {"gap", "early", "tail", "again"};
  const auto index = static_cast<std::size_t>(cause);
  return index < kNames.size() ? kNames[index] : nullptr;
}

PacketLives::PacketLives(const UnitPairConfig& config)
    : rule_(config.unit.gaps.rule), looked_at_(config.unit.path_weights.size()) {
  back_key_.Set(config.cipher, config.SendingKeys()[1].data());
}

void PacketLives::OnInput(std::size_t frame) {
  lives_.resize(frame + 1);
  input_ = frame;
}

void PacketLives::OnDatagram(std::size_t from, const UnitDatagram& datagram, Nanos now) {
  wire::ShardMessage message;
  asks_.clear();
  if (wire::ReadShardMessage(datagram.bytes, message) != wire::ShardFault::kNone) return;
  if (from == 1) {
    if (datagram.type == wire::ShardType::kFeedback) OnFeedback(message, now);
    return;
  }
  leaving_ = message.header.number;
  if (numbers_.size() <= leaving_) numbers_.resize(leaving_ + 1);
  numbers_[leaving_].path = datagram.path;
  if (datagram.type == wire::ShardType::kData || datagram.type == wire::ShardType::kRepair)
    OnPart(datagram, message, now);
}

void PacketLives::OnPart(const UnitDatagram& datagram, const wire::ShardMessage& message, Nanos now) {
  const std::uint64_t base = message.base();
  PacketLife::Datagram part;
  part.number = message.header.number;
  part.index = message.fragment.index;
  part.original = base + part.index;
  part.epoch = message.header.epoch;
  part.path = datagram.path;
  part.bytes = datagram.bytes.size;
  part.sent = now;
  const bool is_cut = datagram.type == wire::ShardType::kData && part.number == part.original;
  const std::size_t life = is_cut ? input_ : numbers_[base].life;
  if (life == kNone) return;
  if (datagram.type == wire::ShardType::kRepair) {
    part.cause = SendCause::kRepair;
    part.original = part.number;
  } else if (!is_cut) {
    part.cause = IsAskedFor(life, part.index) ? SendCause::kAsked : SendCause::kTailProbe;
  }
  PacketLife& of = lives_[life];
  of.total = message.fragment.total;
  numbers_[part.number].life = life;
  numbers_[part.number].datagram = of.datagrams.size();
  of.datagrams.push_back(std::move(part));
}

// Whether the feedback that the first unit looks at asks for this part, under whichever of its numbers.
bool PacketLives::IsAskedFor(std::size_t life, std::size_t index) const {
  if (heard_ == nullptr) return false;
  return std::any_of(heard_->begin(), heard_->end(), [&](const Ask& ask) {
    if (ask.life != life) return false;
    const PacketLife& of = lives_[life];
    return of.datagrams[numbers_[of.requests[ask.request].number].datagram].index == index;
  });
}

void PacketLives::OnFeedback(const wire::ShardMessage& message, Nanos now) {
  std::vector<std::uint8_t> text(message.sealed.size);
  wire::FeedbackRows rows;
  if (!back_key_.Open(ShardNonce(message.header.session, message.header.number), message.associated,
                      message.sealed, message.tag, text.data()) ||
      !wire::ReadFeedback({text.data(), text.size()}, rows))
    return;
  for (std::size_t i = 0; i < rows.feedback.gaps; ++i) {
    const wire::FragmentGap gap = rows.Gap(i);
    for (std::uint64_t number = gap.first; number < gap.first + gap.count; ++number) OnAsk(number, now);
  }
}

void PacketLives::OnAsk(std::uint64_t number, Nanos now) {
  if (number >= numbers_.size()) return;
  Number& of = numbers_[number];
  ++of.asked;
  if (of.life == kNone) return;
  PacketLife::Request request;
  request.number = number;
  request.sent = now;
  request.nth = of.asked;
  request.missing = of.found == PacketLife::kNever ? PacketLife::kNever : now - of.found;
  request.window = of.window;
  if (of.asked > 1) {
    request.cause = AskCause::kAgain;
  } else if (of.found == PacketLife::kNever) {
    request.cause = AskCause::kTail;
  } else if (rule_ == GapRule::kLearned && request.missing < of.window) {
    request.cause = AskCause::kEarly;
  }
  std::vector<PacketLife::Request>& requests = lives_[of.life].requests;
  asks_.push_back({of.life, requests.size()});
  requests.push_back(request);
}

void PacketLives::OnPassage(const PairPassage& passage) {
  if (passage.from == 0) {
    passed_there_.resize(passage.datagram + 1);
    passed_there_[passage.datagram] = leaving_;
    const Number& of = numbers_[leaving_];
    if (of.life == kNone) return;
    PacketLife::Datagram& datagram = lives_[of.life].datagrams[of.datagram];
    datagram.fate = passage.fate;
    datagram.is_late = passage.is_late;
    return;
  }
  for (const Ask& ask : asks_) lives_[ask.life].requests[ask.request].fate = passage.fate;
  passed_back_.resize(passage.datagram + 1);
  passed_back_[passage.datagram] = std::move(asks_);
  asks_.clear();
}

void PacketLives::OnArrival(const PairArrival& arrival, const Unit& unit) {
  if (arrival.to == 0) {
    heard_ = &passed_back_[arrival.datagram];
  } else {
    window_ = unit.gaps(0).window(numbers_[passed_there_[arrival.datagram]].path);
  }
}

void PacketLives::OnVerdict(const PairArrival& arrival, UnitVerdict verdict, const Unit& unit, Nanos now) {
  if (arrival.to == 0) {
    if (verdict == UnitVerdict::kFeedback || verdict == UnitVerdict::kOldFeedback)
      for (const Ask& ask : *heard_) {
        Nanos& heard = lives_[ask.life].requests[ask.request].heard;
        if (heard == PacketLife::kNever) heard = now;
      }
    heard_ = nullptr;
    return;
  }
  const std::uint64_t number = passed_there_[arrival.datagram];
  const Number& of = numbers_[number];
  if (of.life != kNone)
    lives_[of.life].datagrams[of.datagram].arrivals.push_back({now, arrival.is_changed, verdict});
  const bool is_opened = verdict < UnitVerdict::kMalformed || verdict > UnitVerdict::kForged;
  if (is_opened) OnCome(number, unit, now);
}

void PacketLives::OnCome(std::uint64_t number, const Unit& unit, Nanos now) {
  numbers_[number].has_come = true;
  const unsigned path = numbers_[number].path;
  std::uint64_t& looked_at = looked_at_[path];
  for (std::uint64_t before = looked_at; before < number; ++before) {
    Number& missed = numbers_[before];
    if (missed.path != path || missed.has_come) continue;
    missed.found = now;
    missed.window = std::min(window_, unit.gaps(0).window(path));
  }
  looked_at = std::max(looked_at, number);
}

}  // namespace foreflow::shard
