// SPDX-License-Identifier: BSD-3-Clause
#include "models/impair/impairment.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::impair {
namespace {

constexpr Nanos kLongest = Seconds(3600);
constexpr std::size_t kMostQueue = std::size_t{1} << 30;

void CheckShare(const char* key, double share) {
  if (!(share >= 0 && share <= 1)) throw Refusal("impairment", key, std::to_string(share), "0 .. 1");
}
void CheckTime(const char* key, Nanos time) {
  if (time < Nanos() || time > kLongest)
    throw Refusal("impairment", key, std::to_string(time.count()) + " ns", "0 .. 1 h");
}
void CheckBytes(const char* key, std::size_t bytes, std::size_t least, std::size_t most) {
  if (bytes < least || bytes > most)
    throw Refusal("impairment", key, std::to_string(bytes),
                  std::to_string(least) + " .. " + std::to_string(most));
}

void Check(const BurstLoss& burst) {
  CheckShare("burst.to_bad", burst.to_bad);
  CheckShare("burst.to_good", burst.to_good);
  CheckShare("burst.loss_good", burst.loss_good);
  CheckShare("burst.loss_bad", burst.loss_bad);
  CheckTime("burst.good", burst.good);
  CheckTime("burst.bad", burst.bad);
  if (burst.to_bad == 0 && burst.to_good == 0)
    throw Refusal("impairment: burst.to_bad and burst.to_good are both 0, allowed: one of them above 0");
  const bool has_good = burst.good >= Micros(1), has_bad = burst.bad >= Micros(1);
  const bool has_none = burst.good == Nanos() && burst.bad == Nanos();
  if (!has_none && !(has_good && has_bad))
    throw Refusal("impairment", "burst.good, burst.bad",
                  std::to_string(burst.good.count()) + ", " + std::to_string(burst.bad.count()) + " ns",
                  "both 0, or both 1 us .. 1 h");
}

void Check(const PathConfig& path) {
  const std::uint64_t rate = path.rate.count();
  if (rate != 0 && (rate < 1000 || rate > 1'000'000'000'000))
    throw Refusal("impairment", "rate", std::to_string(rate) + " bit/s", "0, or 1000 .. 10^12");
  CheckBytes("queue_bytes", path.queue_bytes, 1, kMostQueue);
  CheckBytes("mark_bytes", path.mark_bytes, 1, kMostQueue);
  CheckBytes("largest_bytes", path.largest_bytes, 1, 65'535);
  CheckShare("loss", path.loss);
  Check(path.burst);
  CheckShare("bit_errors", path.bit_errors);
  CheckTime("delay", path.delay);
  CheckTime("jitter", path.jitter);
  CheckShare("late", path.late);
  CheckTime("late_least", path.late_least);
  CheckTime("late_most", path.late_most);
  if (path.late_least > path.late_most)
    throw Refusal("impairment", "late_least", std::to_string(path.late_least.count()) + " ns",
                  "0 .. late_most");
  CheckShare("duplicate", path.duplicate);
  CheckTime("duplicate_after", path.duplicate_after);
  CheckShare("corrupt", path.corrupt);
}

Nanos Scaled(Nanos time, double factor) {
  return Nanos(static_cast<std::int64_t>(static_cast<double>(time.count()) * factor));
}
Nanos Exponential(Rng& rng, Nanos mean) {
  return Nanos(static_cast<std::int64_t>(rng.Exponential(static_cast<double>(mean.count()))));
}

Nanos Jitter(const PathConfig& path, Rng& rng) {
  if (path.jitter == Nanos()) return Nanos();
  return path.shape == JitterShape::kUniform ? Scaled(path.jitter, 2 * rng.Real())
                                             : Exponential(rng, path.jitter);
}
void Corrupt(const PathConfig& path, std::size_t bytes, Rng& rng, Passage::Copy& copy) {
  if (path.corrupt == 0 || bytes == 0) return;
  const bool is_corrupted = rng.Real() < path.corrupt;
  const std::size_t place = rng.Below(static_cast<std::uint32_t>(bytes));
  const auto flip = static_cast<std::uint8_t>(1 + rng.Below(255));
  if (!is_corrupted) return;
  copy.place = place;
  copy.flip = flip;
}

// Bit-nanoseconds a second: what is divided by a rate to get nanoseconds.
constexpr std::uint64_t WorkOf(std::size_t bytes) { return std::uint64_t{bytes} * 8 * 1'000'000'000; }
Nanos TimeOf(std::size_t bytes, BitsPerSecond rate) {
  return Nanos(static_cast<std::int64_t>(WorkOf(bytes) / rate.count()));
}

}  // namespace

const char* Name(Fate fate) {
  switch (fate) {
    case Fate::kPassed:
      return "passed";
    case Fate::kTooLarge:
      return "too_large";
    case Fate::kQueueFull:
      return "queue_full";
    case Fate::kRandomLoss:
      return "random_loss";
    case Fate::kBurstLoss:
      return "burst_loss";
    case Fate::kBitErrors:
      return "bit_errors";
  }
  return nullptr;
}

Impairment::Path::Path(const PathConfig& given, std::uint64_t seed, std::uint32_t stream)
    : config(given),
      loss(seed, "impair.loss", stream),
      burst(seed, "impair.burst", stream),
      bits(seed, "impair.bits", stream),
      jitter(seed, "impair.jitter", stream),
      late(seed, "impair.late", stream),
      duplicate(seed, "impair.duplicate", stream),
      corrupt(seed, "impair.corrupt", stream) {
  double factor = 1 - config.bit_errors;
  for (double& power : pass) {
    power = factor;
    factor *= factor;
  }
  if (config.rate.count() == 0) return;
  queue_time = TimeOf(config.queue_bytes, config.rate);
  mark_time = TimeOf(config.mark_bytes, config.rate);
}

Impairment::Impairment(const ImpairmentConfig& config, std::uint64_t seed, std::uint32_t index)
    : framing_bytes_(config.framing_bytes) {
  if (config.paths.empty() || config.paths.size() > kMostPaths)
    throw Refusal("impairment", "paths", std::to_string(config.paths.size()) + " of them", "1 .. 16");
  CheckBytes("framing_bytes", config.framing_bytes, 0, 1024);
  for (const PathConfig& path : config.paths) {
    Check(path);
    paths_.emplace_back(path, seed, index * kMostPaths + static_cast<std::uint32_t>(paths_.size()));
  }
}

bool Impairment::Enqueue(Path& path, std::size_t bytes, Nanos now, Nanos& leaves, bool& is_marked) const {
  leaves = now;
  const std::uint64_t rate = path.config.rate.count();
  if (rate == 0) return true;
  if (path.free_at < now) {
    path.free_at = now;
    path.rest = 0;
  }
  const Nanos wait = path.free_at - now;
  const std::uint64_t work = WorkOf(bytes + framing_bytes_) + path.rest;
  const Nanos free_at = path.free_at + Nanos(static_cast<std::int64_t>(work / rate));
  if (free_at - now > path.queue_time) return false;
  is_marked = wait >= path.mark_time;
  path.free_at = free_at;
  path.rest = work % rate;
  leaves = path.rest == 0 ? free_at : free_at + Nanos(1);
  return true;
}

bool Impairment::IsLostInBurst(Path& path, Nanos now) {
  const BurstLoss& model = path.config.burst;
  const bool is_in_time = model.good > Nanos();
  if (!is_in_time && model.to_bad == 0 && model.loss_good == 0) return false;
  const double share = is_in_time ? static_cast<double>(model.bad.count()) /
                                        static_cast<double>((model.good + model.bad).count())
                                  : model.to_bad / (model.to_bad + model.to_good);
  // After so many changes the state has nothing to do with what it was: less than 2^-300.
  if (!path.has_begun || (is_in_time && now - path.changes_at > (model.good + model.bad) * 64)) {
    path.has_begun = true;
    path.is_bad = path.burst.Real() < share;
    if (is_in_time) path.changes_at = now + Exponential(path.burst, path.is_bad ? model.bad : model.good);
  } else if (is_in_time) {
    while (path.changes_at <= now) {
      path.is_bad = !path.is_bad;
      path.changes_at += Exponential(path.burst, path.is_bad ? model.bad : model.good);
    }
  } else if (path.burst.Real() < (path.is_bad ? model.to_good : model.to_bad)) {
    path.is_bad = !path.is_bad;
  }
  return path.burst.Real() < (path.is_bad ? model.loss_bad : model.loss_good);
}

bool Impairment::HasBitError(Path& path, std::size_t bytes) const {
  if (path.config.bit_errors == 0) return false;
  const std::size_t bits = (bytes + framing_bytes_) * 8;
  double passes = 1;
  for (std::size_t k = 0; k < kBits; ++k)
    if ((bits >> k & 1) != 0) passes *= path.pass[k];
  return path.bits.Real() >= passes;
}

Passage Impairment::Pass(std::size_t path_index, std::size_t bytes, Nanos now) {
  Path& path = paths_[path_index % paths_.size()];
  const PathConfig& config = path.config;
  Passage passage;
  ++counts_.in;
  Nanos leaves;
  if (bytes > config.largest_bytes) {
    passage.fate = Fate::kTooLarge;
  } else if (!Enqueue(path, bytes, now, leaves, passage.is_marked)) {
    passage.fate = Fate::kQueueFull;
  } else {
    const bool is_lost = config.loss > 0 && path.loss.Real() < config.loss;
    const bool is_in_burst = IsLostInBurst(path, leaves);
    const bool has_bit_error = HasBitError(path, bytes);
    passage.fate = is_lost         ? Fate::kRandomLoss
                   : is_in_burst   ? Fate::kBurstLoss
                   : has_bit_error ? Fate::kBitErrors
                                   : Fate::kPassed;
    const bool is_late = config.late > 0 && path.late.Real() < config.late;
    const Nanos lateness =
        config.late > 0 ? config.late_least + Scaled(config.late_most - config.late_least, path.late.Real())
                        : Nanos();
    Nanos at = leaves + config.delay + Jitter(config, path.jitter);
    Passage::Copy& first = passage.copy[0];
    Corrupt(config, bytes, path.corrupt, first);
    Passage::Copy& second = passage.copy[1];
    const bool is_duplicated = config.duplicate > 0 && path.duplicate.Real() < config.duplicate;
    if (is_duplicated) {
      second.at = leaves + config.delay + Jitter(config, path.duplicate) + config.duplicate_after;
      Corrupt(config, bytes, path.duplicate, second);
    }
    if (passage.fate == Fate::kPassed) {
      if (config.keeps_order) path.last = at = std::max(at, path.last);
      first.at = is_late ? at + lateness : at;
      passage.copies = is_duplicated ? 2 : 1;
      counts_.late += is_late ? 1 : 0;
      counts_.marked += passage.is_marked ? 1 : 0;
      counts_.duplicated += is_duplicated ? 1 : 0;
      for (std::size_t i = 0; i < passage.copies; ++i)
        counts_.corrupted += passage.copy[i].flip != 0 ? 1u : 0u;
      counts_.out += passage.copies;
    }
  }
  ++counts_.fates[static_cast<std::size_t>(passage.fate)];
  return passage;
}

}  // namespace foreflow::impair
