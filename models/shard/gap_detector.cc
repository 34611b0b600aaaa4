// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/gap_detector.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::shard {
namespace {

constexpr unsigned kMostQuarters = 64;  // of the least round trip; the smoothed one bounds it before
constexpr std::int64_t kCalmRoundTrips = 16;
constexpr Nanos kUnknown =
    Seconds(1);  // how unequal paths may be until that is measured (RFC 6298's first timeout)
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
  if (config.paths < 1 || config.paths > wire::kMostPaths)
    refuse("paths", static_cast<std::int64_t>(config.paths), "1 .. 16");
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
      predictor_(config.predictor, config.paths),
      certainty_(config.predictor.certainty / 65'536.0),
      received_(config.numbers / 64),
      gap_of_(config.numbers, kNone),
      watched_(config.gaps),
      paths_(config.paths),
      open_(config.gaps),
      wheel_(config.gaps, config.tick, config.start) {
  for (Path& path : paths_) {
    if (rule_ == GapRule::kBayes) path.filter.emplace(config.channel);
    if (rule_ == GapRule::kThree) path.in_order.resize(config.gaps);
  }
  overtaken_.reserve(config.gaps);
  for (std::size_t i = 0; i < watched_.size(); ++i)
    watched_[i].next_free = i + 1 < watched_.size() ? static_cast<Gap>(i + 1) : kNone;
  Compare();
}

void GapDetector::Clear() {
  for (const Gap gap : gap_of_)
    if (gap != kNone) Release(gap);
  std::fill(received_.begin(), received_.end(), 0);
  for (Path& path : paths_) {
    path.order_first = path.order_last = 0;
    path.run = path.next = 0;
    path.has_any = false;
  }
  open_first_ = open_last_ = 0;
  next_ = highest_ = expected_ = 0;
  has_any_ = has_paths_ = false;
  Compare();
}

void GapDetector::SetRoundTrip(Nanos least, Nanos smoothed, std::size_t path) {
  Path& of = paths_[path];
  of.is_measured = true;
  of.least = least;
  of.smoothed = std::max(least, smoothed);
  SetWindow(of);
  Compare();
}

void GapDetector::SetWindow(Path& path) {
  path.window = std::min(path.least * path.quarters / 4, path.smoothed);
}

// What follows from the paths' round trips together. The least ones differ by how unequal the ways here are:
// what goes back is the same for all.
void GapDetector::Compare() {
  slowest_ = 0;
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    if (!paths_[i].IsUsed()) continue;
    if (!paths_[slowest_].IsUsed() || paths_[i].smoothed > paths_[slowest_].smoothed) slowest_ = i;
  }
  Nanos fastest = paths_[slowest_].least;
  bool is_known = true;
  for (const Path& path : paths_) {
    if (!path.IsUsed()) continue;
    fastest = std::min(fastest, path.least);
    is_known = is_known && path.is_measured;
  }
  const Path& slowest = paths_[slowest_];
  apart_ = !has_paths_ ? Nanos() : is_known ? slowest.smoothed - fastest : kUnknown;
  quiet_ = slowest.window * 2 + slowest.least / 4 + apart_;
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

void GapDetector::OnNumber(std::uint64_t number, Nanos now, Work& work, const SentBy& by) {
  const std::size_t which = by.is_only ? 0 : std::min<std::size_t>(by.path.path, paths_.size() - 1);
  Path& path = paths_[which];
  ++counts_.received;
  ++path.received;
  if (!by.is_only && !path.has_any) {
    has_paths_ = path.has_any = true;
    path.next = number < kStart ? 0 : number;
    Compare();
  }
  quiet_until_ = now + quiet_;
  const bool is_in_turn = number >= (by.is_only ? next_ : path.next);
  if (number >= next_) {
    const std::uint64_t first = next_;
    Advance(number + 1);
    if (number > first && (has_any_ || number < kStart)) {
      if (by.is_only) {
        Find(first, number - 1, now, false, work);
      } else {
        Await(first, number - 1, now, OpenWait(), work);
      }
    }
  } else if (next_ - number > received_.size() * 64) {
    return;
  } else if (const Gap gap = GapOf(number); gap != kNone) {
    Came(gap, now);
  }
  received_[PlaceOf(number) / 64] |= std::uint64_t{1} << number % 64;
  if (is_in_turn) {
    if (!by.is_only) Overtake(number, which, by.path.same, now, work);
    ++path.run;
    if (path.filter) path.filter->OnReceived(work);
  }
  if (!has_any_ || number > highest_) highest_ = number;
  has_any_ = true;
  if (rule_ == GapRule::kThree) AskAfterThree(path, now);
}

// What was watched has come.
void GapDetector::Came(Gap gap, Nanos now) {
  const Watched& watched = watched_[gap];
  if (!watched.is_open) {
    const bool was_asked = watched.asks > 0;
    const bool is_known = watched.path != kNoPath;
    Path& path = paths_[is_known ? watched.path : slowest_];
    ++(was_asked ? counts_.spurious : counts_.late);
    if (rule_ == GapRule::kLearned && is_known)
      predictor_.OnLate(watched.context, now - watched.found, watched.took_token, was_asked, watched.path);
    if (rule_ == GapRule::kEwma && is_known) SmoothLateness(path, now - watched.found);
    // A request ahead of the window says nothing of the window.
    if (was_asked && !watched.took_token) Widen(path, now);
  }
  Release(gap);
}

// A gap is found by the first later number; the third is two more.
void GapDetector::AskAfterThree(Path& path, Nanos now) {
  for (; path.order_first != path.order_last; ++path.order_first) {
    const InOrder& next = path.in_order[path.order_first % path.in_order.size()];
    if (path.received < next.received + 2) return;
    if (const Gap gap = GapOf(next.number); gap != kNone && watched_[gap].asks == 0) wheel_.Arm(gap, now);
  }
}

void GapDetector::OnSentAgain(std::uint64_t original, Nanos now) {
  const Gap gap = GapOf(original);
  if (gap == kNone || watched_[gap].asks == 0) return;
  // The original may still come, and tell that it had not been lost.
  watched_[gap].asks = static_cast<std::uint8_t>(asks_);
  wheel_.Arm(gap, now + paths_[slowest_].smoothed);
}

void GapDetector::Expect(std::uint64_t last, Nanos now) {
  // No further than a packet reaches: what a message says must not make us look for much.
  if (last + 1 > expected_ && last - highest_ <= wire::kMostFragments) expected_ = last + 1;
  quiet_until_ = now + quiet_;
}

// What is seen as a run of numbers is found missing on a path.
GapSigns GapDetector::SignsOf(Path& path, std::uint64_t run, Nanos now) {
  if (now - path.widened >= path.smoothed * kCalmRoundTrips && path.quarters > 1) {
    path.quarters = 1;
    SetWindow(path);
    Compare();
  }
  GapSigns signs;
  signs.run = static_cast<std::uint32_t>(std::min<std::uint64_t>(run, 1u << 20));
  signs.since = static_cast<std::uint32_t>(std::min<std::uint64_t>(path.run, 1u << 20));
  path.run = 0;
  return signs;
}

// The sender has one path: what lies before a number that came is missing.
void GapDetector::Find(std::uint64_t first, std::uint64_t last, Nanos now, bool is_tail, Work& work) {
  Path& path = paths_[0];
  const GapSigns signs = SignsOf(path, last - first + 1, now);
  counts_.missing += last - first + 1;
  if (rule_ == GapRule::kNone || rule_ == GapRule::kClairvoyant) return;
  const std::uint8_t context = predictor_.ContextOf(signs);
  const std::uint64_t from = std::max(first, last - std::min<std::uint64_t>(last, received_.size() * 64 - 1));
  counts_.unwatched += from - first;
  if (path.filter && !is_tail) path.filter->OnMissing(last - first + 1, work);
  for (std::uint64_t number = from; number <= last; ++number) {
    Watched* const watched = Watch(number, now, work);
    if (watched == nullptr) {
      counts_.unwatched += last - number + 1;
      return;
    }
    watched->context = context;
    if (is_tail) {
      wheel_.Arm(static_cast<Gap>(watched - watched_.data()), now);
    } else {
      AskLater(*watched, last - number, now, work);
    }
  }
}

// The sender has several: these have not come, and it is not known by which path they do. After `wait` they
// are taken for missing.
void GapDetector::Await(std::uint64_t first, std::uint64_t last, Nanos now, Nanos wait, Work& work) {
  if (rule_ == GapRule::kNone || rule_ == GapRule::kClairvoyant) return;
  const std::uint64_t from = std::max(first, last - std::min<std::uint64_t>(last, received_.size() * 64 - 1));
  counts_.unwatched += from - first;
  for (std::uint64_t number = from; number <= last; ++number) {
    Watched* const watched = Watch(number, now, work);
    if (watched == nullptr) {
      counts_.unwatched += last - number + 1;
      return;
    }
    watched->is_open = true;
    watched->path = kNoPath;
    // That rule knows no time but that of the tail.
    if (rule_ != GapRule::kThree || wait == Nanos())
      wheel_.Arm(static_cast<Gap>(watched - watched_.data()), now + wait);
    open_[open_last_++ % open_.size()] = number;
    if (open_last_ - open_first_ > open_.size()) ++open_first_;
  }
}

// A number came in its turn by a path: what went there before it, and what all paths have passed, is missing.
void GapDetector::Overtake(std::uint64_t number, std::size_t which, std::uint32_t same, Nanos now,
                           Work& work) {
  Path& path = paths_[which];
  // What came by it before has told of what went before that.
  const std::uint64_t fresh = std::min<std::uint64_t>(number - path.next, wire::PathHeader::kReach);
  const std::uint32_t missing =
      same & ~ReceivedBefore(number) & wire::PathHeader::kAll & ~(wire::PathHeader::kAll >> fresh);
  path.next = number + 1;
  std::uint64_t passed = number;
  for (const Path& each : paths_)
    if (each.IsUsed()) passed = std::min(passed, each.next);
  overtaken_.clear();
  const auto take = [&](std::uint64_t lost) {
    const Gap gap = GapOf(lost);
    if (gap == kNone || !watched_[gap].is_open) return;
    watched_[gap].is_open = false;
    overtaken_.push_back(gap);
  };
  for (; open_first_ != open_last_; ++open_first_) {
    const std::uint64_t lost = open_[open_first_ % open_.size()];
    if (lost >= passed) break;
    // Within reach it says so itself.
    if (number - lost > wire::PathHeader::kReach) take(lost);
  }
  for (std::uint32_t left = missing; left != 0; left &= left - 1)
    take(number - wire::PathHeader::kReach + static_cast<unsigned>(__builtin_ctz(left)));
  if (rule_ == GapRule::kNone || rule_ == GapRule::kClairvoyant)
    counts_.missing += static_cast<unsigned>(__builtin_popcount(missing));
  if (overtaken_.empty()) return;
  const std::uint64_t run = overtaken_.size();
  counts_.missing += run;
  const std::uint8_t context = predictor_.ContextOf(SignsOf(path, run, now), which);
  if (path.filter) path.filter->OnMissing(run, work);
  for (std::uint64_t i = 0; i < run; ++i) {
    Watched& watched = watched_[overtaken_[i]];
    watched.found = now;
    watched.path = static_cast<std::uint8_t>(which);
    watched.context = context;
    AskLater(watched, run - 1 - i, now, work);
  }
}

// Bit i: number - kReach + i came.
std::uint32_t GapDetector::ReceivedBefore(std::uint64_t number) const {
  const std::size_t place = PlaceOf(number - wire::PathHeader::kReach);
  const std::size_t word = place / 64, shift = place % 64;
  std::uint64_t bits = received_[word] >> shift;
  if (shift > 64 - wire::PathHeader::kReach) bits |= received_[(word + 1) % received_.size()] << (64 - shift);
  return static_cast<std::uint32_t>(bits) & wire::PathHeader::kAll;
}

// The slowest path would have brought it by then, and something after it.
Nanos GapDetector::OpenWait() const {
  return apart_ + (rule_ == GapRule::kFixed ? wait_ : paths_[slowest_].window);
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
void GapDetector::AskLater(Watched& watched, std::uint64_t back, Nanos now, Work& work) {
  const Gap gap = static_cast<Gap>(&watched - watched_.data());
  if (rule_ != GapRule::kThree) {
    wheel_.Arm(gap, now + WaitFor(watched, back, work));
    return;
  }
  wheel_.Disarm(gap);
  Path& path = paths_[watched.path];
  path.in_order[path.order_last++ % path.in_order.size()] = {watched.number, path.received};
  if (path.order_last - path.order_first > path.in_order.size()) ++path.order_first;
}

Nanos GapDetector::WaitFor(Watched& watched, std::uint64_t back, Work& work) {
  const Path& path = paths_[watched.path];
  switch (rule_) {
    case GapRule::kFixed:
      return wait_;
    case GapRule::kRack:
      return path.window;
    case GapRule::kLearned:
      return predictor_.Wait(watched.context, path.window, watched.took_token, work, watched.path);
    case GapRule::kEwma:
      return path.has_lateness ? std::min(path.lateness + path.deviation * 4, path.smoothed) : path.window;
    case GapRule::kBayes:
      return path.filter->Wait(path.filter->Posterior(back), certainty_);
    case GapRule::kNone:
    case GapRule::kThree:
    case GapRule::kClairvoyant:
      break;
  }
  return Nanos();
}

void GapDetector::SmoothLateness(Path& path, Nanos lateness) {
  if (!path.has_lateness) {
    path.lateness = lateness;
    path.deviation = lateness / 2;
    path.has_lateness = true;
    return;
  }
  const Nanos off = lateness > path.lateness ? lateness - path.lateness : path.lateness - lateness;
  path.deviation = (path.deviation * 3 + off) / 4;
  path.lateness = (path.lateness * 7 + lateness) / 8;
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
    if (has_paths_) {
      Await(first, expected_ - 1, now, Nanos(), work);
    } else {
      Find(first, expected_ - 1, now, true, work);
    }
  }
  for (Gap gap = wheel_.Next(now); gap != kNone; gap = wheel_.Next(now)) {
    Watched& watched = watched_[gap];
    if (watched.asks == asks_) {
      if (rule_ == GapRule::kLearned && watched.path != kNoPath)
        predictor_.OnLost(watched.context, watched.took_token, watched.path);
      Release(gap);
      continue;
    }
    if (watched.is_open) {
      watched.is_open = false;
      ++counts_.missing;
    }
    if (watched.asks == 0) ++counts_.asked;
    ++counts_.requests;
    const Path& slowest = paths_[slowest_];
    wheel_.Arm(gap, now + (slowest.smoothed + slowest.window) * (std::int64_t{1} << watched.asks));
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

void GapDetector::Widen(Path& path, Nanos now) {
  if (path.quarters > 1 && now - path.widened < path.smoothed) return;
  path.widened = now;
  path.quarters = std::min(path.quarters + 1, kMostQuarters);
  SetWindow(path);
  Compare();
}

}  // namespace foreflow::shard
