// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/loss_predictor.h"

#include <algorithm>

namespace foreflow::shard {
namespace {

constexpr std::uint32_t kOne = 65'536;
constexpr std::uint32_t kEnough = 16;       // fates of a context before it has a say
constexpr std::uint16_t kMostFates = 4096;  // of a context: then older ones count half
constexpr std::uint32_t kMostLate = 16'384;
constexpr unsigned kSteps = 4;  // bins an octave

unsigned Magnitude(std::uint32_t value) { return 31u - static_cast<unsigned>(__builtin_clz(value | 1)); }

}  // namespace

LossPredictor::LossPredictor(const LossPredictorConfig& config)
    : config_(config), tokens_(std::uint64_t{config.spurious_burst} * kOne) {}

// Lengths of the run: 1, 2 or 3, 4 to 7, more. Numbers since the last gap: below 8, 64, 512, more.
std::uint8_t LossPredictor::ContextOf(const GapSigns& signs) {
  const unsigned run = std::min(Magnitude(signs.run), 3u);
  const unsigned since = std::min(Magnitude(signs.since) / 3, 3u);
  return static_cast<std::uint8_t>(run * 4 + since);
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

// q S(t) falls as t grows; both sides of posterior >= certainty are kept as integers:
// lost (1 - certainty) late_in_all >= certainty late S-count.
Nanos LossPredictor::Wait(std::uint8_t context, Nanos window, bool& took_token, Work& work) {
  took_token = false;
  const Fates& fates = fates_[context];
  if (!config_.is_on || tokens_ < kOne || fates.lost + fates.late < kEnough) return window;
  // Add-one smoothing: certain of nothing.
  const std::uint64_t lost = (fates.lost + 1u) * std::uint64_t{kOne - config_.certainty} * (late_ + 1u);
  const std::uint64_t late = (fates.late + 1u) * std::uint64_t{config_.certainty};
  std::uint64_t later = late_ + 1u;
  Nanos wait;
  for (std::size_t bin = 0; lost < late * later; ++bin) {
    work.Add(WorkItem::kTableStep);
    if (bin == kBins || EndOf(bin) >= window) return window;
    later -= lateness_[bin];
    wait = EndOf(bin);
  }
  if (wait >= window) return window;
  took_token = true;
  tokens_ -= kOne;
  ++early_;
  return wait;
}

void LossPredictor::OnLost(std::uint8_t context, bool took_token) {
  Count(fates_[context].lost, fates_[context]);
  const std::uint64_t most = std::uint64_t{config_.spurious_burst} * kOne;
  if (took_token) tokens_ = std::min(most, tokens_ + kOne + config_.spurious_share);
}

void LossPredictor::OnLate(std::uint8_t context, Nanos lateness, bool took_token, bool was_asked) {
  Count(fates_[context].late, fates_[context]);
  ++lateness_[BinOf(lateness)];
  if (++late_ == kMostLate) {
    late_ = 0;
    for (std::uint32_t& count : lateness_) late_ += count /= 2;
  }
  if (!took_token) return;
  if (was_asked) {
    ++in_vain_;
  } else {
    tokens_ += kOne;  // it came before the request
    --early_;
  }
}

void LossPredictor::Count(std::uint16_t& one, Fates& both) {
  ++one;
  if (both.lost + both.late < kMostFates) return;
  both.lost /= 2;
  both.late /= 2;
}

std::uint32_t LossPredictor::LossShare(std::uint8_t context) const {
  const Fates& fates = fates_[context];
  return (fates.lost + 1u) * kOne / (fates.lost + fates.late + 2u);
}

}  // namespace foreflow::shard
