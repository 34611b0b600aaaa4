// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/residency_policy.h"

#include <algorithm>

#include "models/base/hash.h"
#include "models/base/refusal.h"

namespace foreflow::rules {
namespace {

// What Open vSwitch's offload rebalancing does by default.
constexpr Nanos kPeriod = Millis(3000);
constexpr Nanos kStaleness = Millis(2000);
constexpr std::size_t kMostSwaps = 1024;
// Its exact-match cache takes one miss in so many by default.
constexpr std::uint64_t kDrawnOf = 100;
// Of the greedy policy's rates.
constexpr Nanos kHalfLife = Millis(1000);

// Base-2 logarithm in 1/4096, of value >= 1: the fraction taken as linear, which keeps the order.
std::int64_t Log2(std::uint64_t value) {
  const int whole = 63 - __builtin_clzll(value);
  const std::uint64_t fraction = whole >= 12 ? value >> (whole - 12) : value << (12 - whole);
  return std::int64_t{whole} * 4096 + static_cast<std::int64_t>(fraction & 4095);
}

class Static : public ResidencyPolicy {
 public:
  Static(const CoverPlan& plan, const std::vector<std::uint64_t>& weights) : worth_(plan.size()) {
    if (weights.size() != plan.size()) {
      throw Refusal(
          "configuration: device.residency = static needs an input that is known in advance; allowed without "
          "one are lru, lfu, rebalance, random and greedy");
    }
    for (std::uint32_t rank = 0; rank < plan.size(); ++rank) {
      worth_[rank] = static_cast<std::int64_t>(weights[rank]);
    }
  }
  void See(std::uint32_t, Nanos, std::uint64_t) override {}
  std::int64_t Worth(std::uint32_t rank) const override { return worth_[rank]; }
  std::int64_t WorthIfUsedNow(std::uint32_t rank) const override { return worth_[rank]; }
  bool WritesOnMiss() const override { return false; }
  bool Displaces(std::uint32_t, std::uint32_t) const override { return false; }
  bool StartsFull() const override { return true; }

 private:
  std::vector<std::int64_t> worth_;
};

class Lru : public ResidencyPolicy {
 public:
  explicit Lru(const CoverPlan& plan) : last_(plan.size()) {}
  void See(std::uint32_t rank, Nanos, std::uint64_t) override { last_[rank] = ++serial_; }
  std::int64_t Worth(std::uint32_t rank) const override { return last_[rank]; }
  std::int64_t WorthIfUsedNow(std::uint32_t) const override { return serial_; }
  bool Displaces(std::uint32_t, std::uint32_t) const override { return true; }

 private:
  std::vector<std::int64_t> last_;
  std::int64_t serial_ = 0;
};

class Lfu : public ResidencyPolicy {
 public:
  explicit Lfu(const CoverPlan& plan) : uses_(plan.size()) {}
  void See(std::uint32_t rank, Nanos, std::uint64_t) override { ++uses_[rank]; }
  std::int64_t Worth(std::uint32_t rank) const override { return uses_[rank]; }
  std::int64_t WorthIfUsedNow(std::uint32_t rank) const override { return uses_[rank] + 1; }
  bool Displaces(std::uint32_t, std::uint32_t) const override { return true; }

 private:
  std::vector<std::int64_t> uses_;
};

class Random : public Lru {
 public:
  Random(const CoverPlan& plan, std::uint64_t seed) : Lru(plan), seed_(seed) {}
  void See(std::uint32_t rank, Nanos now, std::uint64_t next_use) override {
    Lru::See(rank, now, next_use);
    is_drawn_ = Mix64(seed_ + ++draws_ * 0x9e3779b97f4a7c15u) % kDrawnOf == 0;
  }
  bool WritesOnMiss() const override { return is_drawn_; }

 private:
  std::uint64_t seed_;
  std::uint64_t draws_ = 0;
  bool is_drawn_ = false;
};

class Rebalance : public ResidencyPolicy {
 public:
  explicit Rebalance(const CoverPlan& plan)
      : count_(plan.size()), read_(plan.size()), measured_(plan.size()), rate_(plan.size()) {}
  void See(std::uint32_t rank, Nanos now, std::uint64_t) override {
    if (!has_begun_) {
      has_begun_ = true;
      next_read_ = now + (kPeriod - kStaleness);
      next_swap_ = now + kPeriod;
    }
    swaps_ = 0;
    while (now >= std::min(next_read_, next_swap_)) {
      if (next_read_ < next_swap_) {
        for (std::size_t i = 0; i < count_.size(); ++i) {
          measured_[i] = count_[i] - read_[i];
          read_[i] = count_[i];
        }
        next_read_ = next_read_ + kPeriod;
      } else {
        rate_.swap(measured_);
        swaps_ = kMostSwaps;
        next_swap_ = next_swap_ + kPeriod;
      }
    }
    ++count_[rank];
  }
  std::int64_t Worth(std::uint32_t rank) const override { return rate_[rank]; }
  std::int64_t WorthIfUsedNow(std::uint32_t rank) const override { return rate_[rank]; }
  bool Displaces(std::uint32_t, std::uint32_t) const override { return false; }
  std::size_t Swaps() const override { return swaps_; }

 private:
  std::vector<std::int64_t> count_;
  std::vector<std::int64_t> read_;      // counters as last read
  std::vector<std::int64_t> measured_;  // of the period before, not yet acted on
  std::vector<std::int64_t> rate_;
  Nanos next_read_;
  Nanos next_swap_;
  std::size_t swaps_ = 0;
  bool has_begun_ = false;
};

class Greedy : public ResidencyPolicy {
 public:
  explicit Greedy(const CoverPlan& plan) : rules_(plan.size()) {
    for (std::uint32_t rank = 0; rank < plan.size(); ++rank) {
      rules_[rank].log_slots = Log2(1 + plan.cover_count(rank));
    }
  }
  void See(std::uint32_t rank, Nanos now, std::uint64_t) override {
    period_ = std::max(period_, now.count() / kHalfLife.count());
    Rule& rule = rules_[rank];
    rule.uses = UsesNow(rule);
    rule.period = period_;
    rule.worth = WorthOf(rule, rule.uses);
  }
  std::int64_t Worth(std::uint32_t rank) const override { return rules_[rank].worth; }
  std::int64_t WorthIfUsedNow(std::uint32_t rank) const override {
    return WorthOf(rules_[rank], UsesNow(rules_[rank]));
  }
  bool Displaces(std::uint32_t newcomer, std::uint32_t victim) const override {
    return rules_[newcomer].worth > rules_[victim].worth;
  }

 private:
  static constexpr std::uint64_t kUse = 1 << 16;
  struct Rule {
    std::uint64_t uses = 0;
    std::int64_t period = INT64_MIN / 8192;
    std::int64_t log_slots = 0;
    std::int64_t worth = INT64_MIN;
  };
  // With one that is made now.
  std::uint64_t UsesNow(const Rule& rule) const {
    return (rule.uses >> std::min<std::int64_t>(period_ - rule.period, 63)) + kUse;
  }
  // Of now. Halved once a period, the later of two rates that look alike is the higher.
  std::int64_t WorthOf(const Rule& rule, std::uint64_t uses) const {
    return period_ * 4096 + Log2(uses) - rule.log_slots;
  }

  std::vector<Rule> rules_;
  std::int64_t period_ = INT64_MIN / 8192;
};

class Belady : public ResidencyPolicy {
 public:
  explicit Belady(const std::vector<std::uint64_t>& first_use) : next_use_(first_use) {}
  void See(std::uint32_t rank, Nanos, std::uint64_t next_use) override { next_use_[rank] = next_use; }
  std::int64_t Worth(std::uint32_t rank) const override {
    return -static_cast<std::int64_t>(std::min<std::uint64_t>(next_use_[rank], INT64_MAX));
  }
  std::int64_t WorthIfUsedNow(std::uint32_t rank) const override { return Worth(rank); }
  bool Displaces(std::uint32_t newcomer, std::uint32_t victim) const override {
    return next_use_[newcomer] < next_use_[victim];
  }

 private:
  std::vector<std::uint64_t> next_use_;
};

}  // namespace

std::unique_ptr<ResidencyPolicy> MakePolicy(Residency residency, const CoverPlan& plan, std::uint64_t seed,
                                            const std::vector<std::uint64_t>& known_weights) {
  switch (residency) {
    case Residency::kStatic:
      return std::make_unique<Static>(plan, known_weights);
    case Residency::kLru:
      return std::make_unique<Lru>(plan);
    case Residency::kLfu:
      return std::make_unique<Lfu>(plan);
    case Residency::kRebalance:
      return std::make_unique<Rebalance>(plan);
    case Residency::kRandom:
      return std::make_unique<Random>(plan, seed);
    case Residency::kGreedy:
      return std::make_unique<Greedy>(plan);
  }
  throw Refusal("configuration: device.residency is none that is known");
}

std::unique_ptr<ResidencyPolicy> MakeBeladyPolicy(const std::vector<std::uint64_t>& first_use) {
  return std::make_unique<Belady>(first_use);
}

}  // namespace foreflow::rules
