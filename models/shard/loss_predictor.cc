// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/loss_predictor.h"

#include <algorithm>

namespace foreflow::shard {
namespace {

constexpr std::uint32_t kOne = 65'536;
constexpr std::uint32_t kEnough = 16;  // fates of a half context before it has a say
constexpr std::uint32_t kWeight = 16;  // of what is believed beforehand, in fates
constexpr std::uint32_t kRecent = 32;
constexpr std::uint32_t kFewest = 4;        // recent fates that say something
constexpr std::uint16_t kMostFates = 4096;  // of a context: then older ones count half
constexpr std::uint32_t kMostLate = 16'384;
constexpr unsigned kSteps = 4;  // bins an octave

unsigned Magnitude(std::uint32_t value) { return 31u - static_cast<unsigned>(__builtin_clz(value | 1)); }

}  // namespace

LossPredictor::LossPredictor(const LossPredictorConfig& config, std::size_t paths)
    : config_(config), seen_(paths), tokens_(std::uint64_t{config.spurious_burst} * kOne) {}

// Lengths of the run: 1, 2 or 3, 4 to 7, more. Numbers since the last gap: below 8, 64, 512, more. Recent
// fates: unknown, or how many of 32 were lost (none, up to 4, 16, 27, 31, all) and the last.
std::uint8_t LossPredictor::ContextOf(const GapSigns& signs, std::size_t path) const {
  const Seen& seen = seen_[path];
  const unsigned run = std::min(Magnitude(signs.run), 3u);
  const unsigned since = std::min(Magnitude(signs.since) / 3, 3u);
  unsigned recent = 0;
  if (seen.known >= kFewest) {
    const auto lost = static_cast<unsigned>(__builtin_popcount(seen.recent)) * kRecent / seen.known;
    const unsigned level = (lost > 0) + (lost > 4) + (lost > 16) + (lost > 27) + (lost > 31);
    recent = 1 + level * 2 + (seen.recent & 1);
  }
  return static_cast<std::uint8_t>((run * 4 + since) * 16 + recent);
}

// Four bins an octave from 2^4 ns on.
std::size_t LossPredictor::BinOf(Nanos lateness) {
  const auto nanos = static_cast<std::uint64_t>(std::max<std::int64_t>(lateness.count(), 16));
  const unsigned octave = 63u - static_cast<unsigned>(__builtin_clzll(nanos));
  const auto step = static_cast<unsigned>(nanos >> (octave - 2)) & 3;
  return std::min<std::size_t>((octave - 4) * kSteps + step, kBins - 1);
}

// The first time that is past a bin.
Nanos LossPredictor::EndOf(std::size_t bin) {
  const std::size_t next = bin + 1;
  return Nanos(static_cast<std::int64_t>((std::uint64_t{4} + next % kSteps) << (next / kSteps + 2)));
}

// (1 - q) S(t) falls as t grows; both sides of posterior >= certainty are kept as integers:
// q (1 - certainty) late_in_all >= (1 - q) certainty late S-count.
Nanos LossPredictor::Wait(std::uint8_t context, Nanos window, bool& took_token, Work& work,
                          std::size_t path) {
  took_token = false;
  const Seen& seen = seen_[path];
  const Fates& half = seen.halves[context / 16];
  const bool is_known = !config_.trained.empty() || half.lost + half.late >= kEnough;
  if (!config_.is_on || tokens_ < kOne || !is_known) return window;
  const std::uint64_t share = LossShare(context, path);
  const std::uint64_t lost = share * (kOne - config_.certainty) * (seen.late + 1u);
  const std::uint64_t late = (kOne - share) * config_.certainty;
  std::uint64_t later = seen.late + 1u;
  Nanos wait;
  for (std::size_t bin = 0; lost < late * later; ++bin) {
    work.Add(WorkItem::kTableStep);
    if (bin == kBins || EndOf(bin) >= window) return window;
    later -= seen.lateness[bin];
    wait = EndOf(bin);
  }
  if (wait >= window) return window;
  took_token = true;
  tokens_ -= kOne;
  ++early_;
  return wait;
}

void LossPredictor::OnLost(std::uint8_t context, bool took_token, std::size_t path) {
  Settle(context, true, seen_[path]);
  const std::uint64_t most = std::uint64_t{config_.spurious_burst} * kOne;
  if (took_token) tokens_ = std::min(most, tokens_ + kOne + config_.spurious_share);
}

void LossPredictor::OnLate(std::uint8_t context, Nanos lateness, bool took_token, bool was_asked,
                           std::size_t path) {
  Seen& seen = seen_[path];
  Settle(context, false, seen);
  ++seen.lateness[BinOf(lateness)];
  if (++seen.late == kMostLate) {
    seen.late = 0;
    for (std::uint32_t& count : seen.lateness) seen.late += count /= 2;
  }
  if (!took_token) return;
  if (was_asked) {
    ++in_vain_;
  } else {
    tokens_ += kOne;  // it came before the request
    --early_;
  }
}

void LossPredictor::Settle(std::uint8_t context, bool is_lost, Seen& seen) {
  Count(is_lost, seen.fates[context]);
  Count(is_lost, seen.halves[context / 16]);
  seen.recent = seen.recent << 1 | (is_lost ? 1 : 0);
  seen.known = std::min(seen.known + 1, kRecent);
}

void LossPredictor::Count(bool is_lost, Fates& fates) {
  ++(is_lost ? fates.lost : fates.late);
  if (fates.lost + fates.late < kMostFates) return;
  fates.lost /= 2;
  fates.late /= 2;
}

// The share of a context's fates; what its upper half shows counts as kWeight more of them, and of those,
// what was trained as kWeight, or one of either: certain of nothing.
std::uint32_t LossPredictor::LossShare(std::uint8_t context, std::size_t path) const {
  const auto share = [](const Fates& fates, std::uint64_t before, std::uint32_t weight) {
    return (std::uint64_t{fates.lost} * kOne + before * weight) / (fates.lost + fates.late + weight);
  };
  const Seen& seen = seen_[path];
  const Fates& half = seen.halves[context / 16];
  const std::uint64_t before =
      config_.trained.empty() ? share(half, kOne / 2, 2) : share(half, config_.trained[context], kWeight);
  return static_cast<std::uint32_t>(share(seen.fates[context], before, kWeight));
}

}  // namespace foreflow::shard
