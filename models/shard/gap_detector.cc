// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/gap_detector.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"
#include "models/wire/fragment.h"

namespace foreflow::shard {
namespace {

constexpr unsigned kMostQuarters = 64;  // of the least round trip; the smoothed one bounds it before
constexpr std::int64_t kCalmRoundTrips = 16;
constexpr std::uint64_t kStart = 64;  // a session heard from a later number on began before we listened

const GapDetectorConfig& Checked(const GapDetectorConfig& config) {
  const auto refuse = [](const char* key, std::int64_t value, const char* allowed) {
    throw Refusal("gap detector", key, std::to_string(value), allowed);
  };
  if (config.numbers < 64 || config.numbers > (1u << 20) || (config.numbers & (config.numbers - 1)) != 0)
    refuse("numbers", static_cast<std::int64_t>(config.numbers), "a power of two, 64 .. 1048576");
  if (config.gaps < 1 || config.gaps > config.numbers)
    refuse("gaps", static_cast<std::int64_t>(config.gaps), "1 .. numbers");
  if (config.asks < 1 || config.asks > 15) refuse("asks", config.asks, "1 .. 15");
  if (config.wait < Nanos()) refuse("wait", config.wait.count(), "0 ns or more");
  const LossPredictorConfig& predictor = config.predictor;
  if (predictor.certainty < 1 || predictor.certainty > 65'535)
    refuse("predictor.certainty", predictor.certainty, "1 .. 65535");
  if (predictor.spurious_share > 65'536)
    refuse("predictor.spurious_share", predictor.spurious_share, "0 .. 65536");
  if (predictor.spurious_burst < 1 || predictor.spurious_burst > 65'535)
    refuse("predictor.spurious_burst", predictor.spurious_burst, "1 .. 65535");
  if (!predictor.trained.empty() && predictor.trained.size() != LossPredictor::kContexts)
    refuse("predictor.trained", static_cast<std::int64_t>(predictor.trained.size()), "none or 256 contexts");
  return config;
}

}  // namespace

GapDetector::GapDetector(const GapDetectorConfig& config)
    : rule_(Checked(config).rule),
      wait_(config.wait),
      asks_(config.asks),
      predictor_(config.predictor),
      certainty_(config.predictor.certainty / 65'536.0),
      received_(config.numbers / 64),
      gap_of_(config.numbers, kNone),
      watched_(config.gaps),
      in_order_(config.gaps),
      wheel_(config.gaps, config.tick, config.start),
      least_(Millis(1)),
      smoothed_(Millis(1)),
      window_(least_ / 4) {
  if (rule_ == GapRule::kBayes) filter_.emplace(config.channel);
  for (std::size_t i = 0; i < watched_.size(); ++i)
    watched_[i].next_free = i + 1 < watched_.size() ? static_cast<Gap>(i + 1) : kNone;
}

void GapDetector::Clear() {
  for (const Gap gap : gap_of_)
    if (gap != kNone) Release(gap);
  std::fill(received_.begin(), received_.end(), 0);
  order_first_ = order_last_ = 0;
  next_ = highest_ = expected_ = received_run_ = 0;
  has_any_ = false;
}

void GapDetector::SetRoundTrip(Nanos least, Nanos smoothed) {
  least_ = least;
  smoothed_ = std::max(least, smoothed);
  window_ = std::min(least_ * quarters_ / 4, smoothed_);
}

GapDetector::Gap GapDetector::GapOf(std::uint64_t number) const {
  const Gap gap = gap_of_[PlaceOf(number)];
  return gap != kNone && watched_[gap].number == number ? gap : kNone;
}

void GapDetector::Advance(std::uint64_t next) {
  const std::uint64_t last = next - 1;
  const std::uint64_t words =
      next_ == 0 ? received_.size() : std::min<std::uint64_t>(last / 64 - (next_ - 1) / 64, received_.size());
  for (std::uint64_t i = 0; i < words; ++i) received_[PlaceOf(last - 64 * i) / 64] = 0;
  next_ = next;
}

void GapDetector::OnNumber(std::uint64_t number, Nanos now, Work& work) {
  ++counts_.received;
  quiet_until_ = now + window_ * 2 + least_ / 4;
  if (number >= next_) {
    const std::uint64_t first = next_;
    Advance(number + 1);
    if (number > first && (has_any_ || number < kStart)) Find(first, number - 1, now, false, work);
    ++received_run_;
    if (filter_) filter_->OnReceived(work);
  } else if (next_ - number > received_.size() * 64) {
    return;
  } else if (const Gap gap = GapOf(number); gap != kNone) {
    const Watched& watched = watched_[gap];
    const bool was_asked = watched.asks > 0;
    ++(was_asked ? counts_.spurious : counts_.late);
    if (rule_ == GapRule::kLearned)
      predictor_.OnLate(watched.context, now - watched.found, watched.took_token, was_asked);
    if (rule_ == GapRule::kEwma) SmoothLateness(now - watched.found);
    // A request ahead of the window says nothing of the window.
    if (was_asked && !watched.took_token) Widen(now);
    Release(gap);
  }
  received_[PlaceOf(number) / 64] |= std::uint64_t{1} << number % 64;
  if (!has_any_ || number > highest_) highest_ = number;
  has_any_ = true;
  if (rule_ == GapRule::kThree) AskAfterThree(now);
}

// A gap is found by the first later number; the third is two more.
void GapDetector::AskAfterThree(Nanos now) {
  for (; order_first_ != order_last_; ++order_first_) {
    const InOrder& next = in_order_[order_first_ % in_order_.size()];
    if (counts_.received < next.received + 2) return;
    if (const Gap gap = GapOf(next.number); gap != kNone && watched_[gap].asks == 0) wheel_.Arm(gap, now);
  }
}

void GapDetector::OnSentAgain(std::uint64_t original, Nanos now) {
  const Gap gap = GapOf(original);
  if (gap == kNone || watched_[gap].asks == 0) return;
  // The original may still come, and tell that it had not been lost.
  watched_[gap].asks = static_cast<std::uint8_t>(asks_);
  wheel_.Arm(gap, now + smoothed_);
}

void GapDetector::Expect(std::uint64_t last, Nanos now) {
  // No further than a packet reaches: what a message says must not make us look for much.
  if (last + 1 > expected_ && last - highest_ <= wire::kMostFragments) expected_ = last + 1;
  quiet_until_ = now + window_ * 2 + least_ / 4;
}

void GapDetector::Find(std::uint64_t first, std::uint64_t last, Nanos now, bool is_tail, Work& work) {
  if (now - widened_ >= smoothed_ * kCalmRoundTrips && quarters_ > 1) {
    quarters_ = 1;
    SetRoundTrip(least_, smoothed_);
  }
  GapSigns signs;
  signs.run = static_cast<std::uint32_t>(std::min<std::uint64_t>(last - first + 1, 1u << 20));
  signs.since = static_cast<std::uint32_t>(std::min<std::uint64_t>(received_run_, 1u << 20));
  received_run_ = 0;
  counts_.missing += last - first + 1;
  if (rule_ == GapRule::kNone || rule_ == GapRule::kClairvoyant) return;
  const std::uint8_t context = predictor_.ContextOf(signs);
  const std::uint64_t from = std::max(first, last - std::min<std::uint64_t>(last, received_.size() * 64 - 1));
  counts_.unwatched += from - first;
  if (filter_ && !is_tail) filter_->OnMissing(last - first + 1, work);
  for (std::uint64_t number = from; number <= last; ++number) {
    Watched* const watched = Watch(number, now, work);
    if (watched == nullptr) {
      counts_.unwatched += last - number + 1;
      return;
    }
    watched->context = context;
    if (rule_ == GapRule::kThree) {
      in_order_[order_last_++ % in_order_.size()] = {number, counts_.received};
      if (order_last_ - order_first_ > in_order_.size()) ++order_first_;
      if (!is_tail) continue;
    }
    const Nanos wait = is_tail ? Nanos() : WaitFor(*watched, last - number, work);
    wheel_.Arm(static_cast<Gap>(watched - watched_.data()), now + wait);
  }
}

GapDetector::Watched* GapDetector::Watch(std::uint64_t number, Nanos now, Work& work) {
  const Gap gap = free_;
  if (gap == kNone) return nullptr;
  Watched& watched = watched_[gap];
  free_ = watched.next_free;
  watched = {};
  watched.number = number;
  watched.found = now;
  gap_of_[PlaceOf(number)] = gap;
  work.Add(WorkItem::kUpdate);
  return &watched;
}

// `back`: numbers found missing with it that are later.
Nanos GapDetector::WaitFor(Watched& watched, std::uint64_t back, Work& work) {
  switch (rule_) {
    case GapRule::kFixed:
      return wait_;
    case GapRule::kRack:
      return window_;
    case GapRule::kLearned:
      return predictor_.Wait(watched.context, window_, watched.took_token, work);
    case GapRule::kEwma:
      return has_lateness_ ? std::min(lateness_ + deviation_ * 4, smoothed_) : window_;
    case GapRule::kBayes:
      return filter_->Wait(filter_->Posterior(back), certainty_);
    case GapRule::kNone:
    case GapRule::kThree:
    case GapRule::kClairvoyant:
      break;
  }
  return Nanos();
}

void GapDetector::SmoothLateness(Nanos lateness) {
  if (!has_lateness_) {
    lateness_ = lateness;
    deviation_ = lateness / 2;
    has_lateness_ = true;
    return;
  }
  const Nanos off = lateness > lateness_ ? lateness - lateness_ : lateness_ - lateness;
  deviation_ = (deviation_ * 3 + off) / 4;
  lateness_ = (lateness_ * 7 + lateness) / 8;
}

void GapDetector::OnLost(std::uint64_t number, Nanos now, Work& work) {
  if (rule_ != GapRule::kClairvoyant || GapOf(number) != kNone) return;
  if (Watched* const watched = Watch(number, now, work)) {
    wheel_.Arm(static_cast<Gap>(watched - watched_.data()), now);
  } else {
    ++counts_.unwatched;
  }
}

bool GapDetector::NextAsk(Nanos now, std::uint64_t& number, Work& work) {
  if (expected_ > next_ && now >= quiet_until_ && rule_ != GapRule::kNone) {
    const std::uint64_t first = next_;
    Advance(expected_);
    Find(first, expected_ - 1, now, true, work);
  }
  for (Gap gap = wheel_.Next(now); gap != kNone; gap = wheel_.Next(now)) {
    Watched& watched = watched_[gap];
    if (watched.asks == asks_) {
      if (rule_ == GapRule::kLearned) predictor_.OnLost(watched.context, watched.took_token);
      Release(gap);
      continue;
    }
    if (watched.asks == 0) ++counts_.asked;
    ++counts_.requests;
    wheel_.Arm(gap, now + (smoothed_ + window_) * (std::int64_t{1} << watched.asks));
    ++watched.asks;
    work.Add(WorkItem::kUpdate);
    number = watched.number;
    return true;
  }
  return false;
}

std::uint64_t GapDetector::ReceivedWord(std::size_t word) const {
  // Bit i is highest - 64 word - i: the words of the window, mirrored.
  std::uint64_t bits = 0;
  for (unsigned i = 0; i < 64; ++i) {
    const std::uint64_t back = 64 * std::uint64_t{word} + i;
    if (back > highest_ || next_ - (highest_ - back) > received_.size() * 64) break;
    if (IsReceived(highest_ - back)) bits |= std::uint64_t{1} << i;
  }
  return bits;
}

void GapDetector::Release(Gap gap) {
  wheel_.Disarm(gap);
  Gap& place = gap_of_[PlaceOf(watched_[gap].number)];
  if (place == gap) place = kNone;
  watched_[gap].next_free = free_;
  free_ = gap;
}

void GapDetector::Widen(Nanos now) {
  if (quarters_ > 1 && now - widened_ < smoothed_) return;
  widened_ = now;
  quarters_ = std::min(quarters_ + 1, kMostQuarters);
  SetRoundTrip(least_, smoothed_);
}

}  // namespace foreflow::shard
