// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/successions.h"

#include <algorithm>
#include <string>

#include "models/base/hash.h"
#include "models/base/refusal.h"

namespace foreflow::predict {
namespace {

constexpr std::uint32_t kOddsMemory = 1024;  // outcomes, before they are halved
constexpr std::uint32_t kPrior = 4;          // outcomes that count / (total + 1) stands for
constexpr std::uint8_t kMemory = 32;         // of a context, before its counts are halved
constexpr std::size_t kMostContexts = std::size_t{1} << 20;

}  // namespace

std::size_t SuccessionOdds::ClassOf(std::uint8_t count) {
  if (count == 0) return 0;
  return std::min<std::size_t>(kClasses - 1, static_cast<std::size_t>(32 - __builtin_clz(count)));
}

std::size_t SuccessionOdds::At(Context context, std::uint8_t count, std::uint8_t total) const {
  const auto rest = static_cast<std::uint8_t>(total - count);
  return (static_cast<std::size_t>(context) * kClasses + ClassOf(count)) * kClasses + ClassOf(rest);
}

void SuccessionOdds::Score(Context context, std::uint8_t count, std::uint8_t total, bool came) {
  Record& record = records_[At(context, count, total)];
  ++record.scored;
  record.came += came ? 1 : 0;
  if (record.scored < kOddsMemory) return;
  record.scored /= 2;
  record.came /= 2;
}

std::uint16_t SuccessionOdds::Of(Context context, std::uint8_t count, std::uint8_t total) const {
  const Record& record = records_[At(context, count, total)];
  // (came + kPrior * count / (total + 1)) / (scored + kPrior)
  const std::uint64_t came = std::uint64_t{record.came} * (total + 1u) + kPrior * std::uint64_t{count};
  return static_cast<std::uint16_t>(65535 * came / ((total + 1u) * (record.scored + std::uint64_t{kPrior})));
}

Successions::Successions(std::size_t contexts) {
  if (contexts == 0 || contexts > kMostContexts) {
    throw Refusal("successions", "contexts", std::to_string(contexts), "1.." + std::to_string(kMostContexts));
  }
  std::size_t size = kWays;
  while (size < contexts) size *= 2;
  contexts_.resize(size);
}

bool Successions::Context::Names(std::uint32_t next) const {
  for (std::size_t i = 0; i < kMost; ++i) {
    if (count[i] > 0 && symbol[i] == next) return true;
  }
  return false;
}

std::uint64_t Successions::TagOf(std::size_t symbols) const {
  const std::uint64_t pair = symbols == 1 ? 0 : std::uint64_t{before_} << 32 | 1u << 31;
  return Mix64(Mix64(pair + symbols) + last_) | 1;
}

const Successions::Context* Successions::Find(std::size_t symbols) const {
  const std::uint64_t tag = TagOf(symbols);
  const Context* const set = &contexts_[SetOf(tag)];
  for (std::size_t way = 0; way < kWays; ++way) {
    if (set[way].tag == tag) return &set[way];
  }
  return nullptr;
}

Successions::Context& Successions::FindOrAdd(std::size_t symbols) {
  const std::uint64_t tag = TagOf(symbols);
  Context* const set = &contexts_[SetOf(tag)];
  Context* oldest = set;
  for (std::size_t way = 0; way < kWays; ++way) {
    if (set[way].tag == tag) return set[way];
    const bool is_older = set[way].tag == 0 || set[way].used < oldest->used;
    if (oldest->tag != 0 && is_older) oldest = &set[way];
  }
  *oldest = Context{};
  oldest->tag = tag;
  return *oldest;
}

void Successions::Learn(Context& context, std::uint32_t next) {
  context.used = serial_;
  if (context.total == kMemory) {
    context.total /= 2;
    for (std::uint8_t& count : context.count) count /= 2;
  }
  ++context.total;
  std::size_t place = 0;
  for (std::size_t i = 0; i < kMost; ++i) {
    if (context.count[i] > 0 && context.symbol[i] == next) {
      ++context.count[i];
      return;
    }
    if (context.count[i] < context.count[place]) place = i;
  }
  if (context.count[place] > 0 && --context.count[place] > 0) return;
  context.symbol[place] = next;
  context.count[place] = 1;
}

void Successions::See(std::uint32_t symbol, SuccessionOdds& odds, Work& work) {
  work.Add(WorkItem::kUpdate, static_cast<std::uint32_t>(seen_));
  work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(seen_));
  ++serial_;
  const Context* const two = seen_ == 2 ? Find(2) : nullptr;
  const Context* const one = seen_ >= 1 ? Find(1) : nullptr;
  for (std::size_t i = 0; i < kMost; ++i) {
    if (two != nullptr && two->count[i] > 0) {
      odds.Score(SuccessionOdds::Context::kTwo, two->count[i], two->total, two->symbol[i] == symbol);
    }
    if (one == nullptr || one->count[i] == 0 || (two != nullptr && two->Names(one->symbol[i]))) continue;
    const auto context = two == nullptr ? SuccessionOdds::Context::kOne : SuccessionOdds::Context::kBehind;
    odds.Score(context, one->count[i], one->total, one->symbol[i] == symbol);
  }
  for (std::size_t symbols = 1; symbols <= seen_; ++symbols) Learn(FindOrAdd(symbols), symbol);
  before_ = last_;
  last_ = symbol;
  seen_ = std::min<std::size_t>(seen_ + 1, 2);
}

std::size_t Successions::Predict(Next* out, std::size_t limit, const SuccessionOdds& odds, Work& work) const {
  work.Add(WorkItem::kTableStep, static_cast<std::uint32_t>(seen_));
  work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(seen_));
  const Context* const two = seen_ == 2 ? Find(2) : nullptr;
  const Context* const one = seen_ >= 1 ? Find(1) : nullptr;
  std::array<Next, 2 * kMost> found;
  std::size_t count = 0;
  // Insertion into a sorted list; among equals the earlier comes first.
  const auto add = [&](std::uint32_t symbol, std::uint16_t confidence) {
    std::size_t at = count++;
    for (; at > 0 && found[at - 1].confidence < confidence; --at) found[at] = found[at - 1];
    found[at] = {symbol, confidence};
  };
  for (std::size_t i = 0; two != nullptr && i < kMost; ++i) {
    if (two->count[i] == 0) continue;
    add(two->symbol[i], odds.Of(SuccessionOdds::Context::kTwo, two->count[i], two->total));
  }
  for (std::size_t i = 0; one != nullptr && i < kMost; ++i) {
    if (one->count[i] == 0 || (two != nullptr && two->Names(one->symbol[i]))) continue;
    const auto context = two == nullptr ? SuccessionOdds::Context::kOne : SuccessionOdds::Context::kBehind;
    add(one->symbol[i], odds.Of(context, one->count[i], one->total));
  }
  count = std::min(count, limit);
  std::copy_n(found.begin(), count, out);
  return count;
}

}  // namespace foreflow::predict
