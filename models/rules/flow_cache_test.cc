// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/flow_cache.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <optional>
#include <set>
#include <vector>

#include "models/base/refusal.h"
#include "models/rules/rule_table.h"
#include "models/rules/test_uniform.h"

namespace foreflow::rules {
namespace {

constexpr unsigned kVms = 3;

EntryKey KeyNumber(unsigned n) {
  EntryKey key;
  key.fields.vm = static_cast<flow::VmId>(n % kVms);
  key.fields.destination_address[3] = static_cast<std::uint8_t>(n);
  key.fields.l3 = 2;
  return key;
}

Decision DecisionNumber(unsigned n) {
  Decision decision;
  decision.rule = n;
  decision.action.verb = Verb::kForward;
  return decision;
}

FlowCache::Install InstallOf(unsigned n, InstallCause cause, std::uint64_t next_use = 0,
                             Nanos ready = Nanos(0)) {
  return {KeyNumber(n), DecisionNumber(n), ready, cause, next_use};
}

// Rules of which nothing is known before that generation.
RuleChanges Generation(std::uint64_t generation) {
  RuleChanges rules;
  rules.Restart(generation);
  return rules;
}

// The header's words, each by a search over all entries.
class NaiveCache {
 public:
  NaiveCache(std::size_t capacity, std::size_t most_of_vm) : capacity_(capacity), most_of_vm_(most_of_vm) {}

  struct Entry {
    unsigned key;
    std::uint32_t decision;
    std::uint32_t generation;
    std::int64_t ready;
    InstallCause cause;
    std::uint64_t next_use;
    bool unused;
    bool probation;
    std::uint64_t wanted;
    std::uint64_t stale_order;  // 0: live
  };

  struct Answer {
    bool hit = false;
    std::uint32_t decision = 0;
    InstallCause cause = InstallCause::kMiss;
    bool first_use = false;
  };

  Answer Lookup(unsigned key, std::uint32_t generation, std::int64_t now) {
    See(generation);
    Answer answer;
    Entry* e = Live(key);
    if (e == nullptr || e->generation != generation) return answer;
    if (e->ready <= now) {
      answer = {true, e->decision, e->cause, e->unused};
    } else {
      e->cause = InstallCause::kMiss;
    }
    Use(*e);
    return answer;
  }

  bool Contains(unsigned key, std::uint32_t generation) {
    const Entry* e = Live(key);
    return e != nullptr && e->generation == generation;
  }

  struct Result {
    bool installed = true;
    std::optional<unsigned> evicted;
    bool unused = false;
  };

  Result Put(unsigned key, std::uint32_t decision, std::uint32_t generation, std::int64_t ready,
             InstallCause cause, std::uint64_t next_use) {
    if (generation < generation_) return {false, {}, false};
    See(generation);
    if (Entry* e = Live(key)) {
      e->ready = std::min(e->ready, ready);
      e->next_use = next_use;
      if (cause == InstallCause::kMiss) {
        Use(*e);
        e->cause = cause;
      }
      return {};
    }
    const bool guess = cause == InstallCause::kPredicted && next_use == 0;
    const std::size_t share = capacity_ / 4;
    if (guess && (share == 0 || most_of_vm_ < 4)) return {false, {}, false};
    Result result;
    const auto probation = static_cast<std::size_t>(std::count_if(
        entries_.begin(), entries_.end(), [](const Entry& e) { return e.stale_order == 0 && e.probation; }));
    const auto is_older = [](const Entry& a, const Entry& b) { return a.wanted < b.wanted; };
    const auto is_own = [&](const Entry& e) { return e.key % kVms == key % kVms; };
    const auto is_own_guess = [&](const Entry& e) { return is_own(e) && e.probation; };
    const auto own = static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), is_own));
    const auto own_guesses =
        static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), is_own_guess));
    const bool gives_up_guess = guess && own_guesses > 0 && own_guesses >= most_of_vm_ / 4;
    if (most_of_vm_ < capacity_ && (gives_up_guess || own == most_of_vm_)) {
      const auto among = [&](const Entry& e) { return gives_up_guess ? is_own_guess(e) : is_own(e); };
      const auto victim = Find(among, is_older);
      if (guess && probation == share && !(victim->stale_order == 0 && victim->probation)) {
        return {false, {}, false};
      }
      Evict(result, among, is_older);
    } else if (guess && probation == share) {
      Evict(
          result, [](const Entry& e) { return e.stale_order == 0 && e.probation; }, is_older);
    } else if (entries_.size() == capacity_) {
      const auto is_stale = [](const Entry& e) { return e.stale_order != 0; };
      const auto is_known = [](const Entry& e) { return e.next_use != 0; };
      if (std::any_of(entries_.begin(), entries_.end(), is_stale)) {
        Evict(result, is_stale, [](const Entry& a, const Entry& b) { return a.stale_order < b.stale_order; });
      } else if (std::any_of(entries_.begin(), entries_.end(), is_known)) {
        std::uint64_t farthest = 0;
        for (const Entry& e : entries_) farthest = std::max(farthest, e.next_use);
        if (next_use >= farthest) return {false, {}, false};
        Evict(result, is_known, [](const Entry& a, const Entry& b) {
          return a.next_use != b.next_use ? a.next_use > b.next_use : a.wanted < b.wanted;
        });
      } else {
        Evict(
            result, [](const Entry&) { return true; },
            [](const Entry& a, const Entry& b) { return a.wanted < b.wanted; });
      }
    }
    const bool predicted = cause == InstallCause::kPredicted;
    entries_.push_back({key, decision, generation, ready, cause, next_use, predicted, guess, ++clock_, 0});
    return result;
  }

  void SetNextUse(unsigned key, std::uint64_t next_use) {
    if (Entry* e = Live(key)) e->next_use = next_use;
  }

  std::size_t size() const { return entries_.size(); }

 private:
  Entry* Live(unsigned key) {
    for (Entry& e : entries_) {
      if (e.key == key && e.stale_order == 0) return &e;
    }
    return nullptr;
  }

  void Use(Entry& e) {
    e.unused = false;
    e.probation = false;
    e.wanted = ++clock_;
  }

  void See(std::uint32_t generation) {
    if (generation <= generation_) return;
    generation_ = generation;
    // Stale entries leave in the order in which they became stale; wanted ones before guesses, older before
    // newer.
    for (const bool probation : {false, true}) {
      std::vector<Entry*> leaving;
      for (Entry& e : entries_) {
        if (e.stale_order == 0 && e.probation == probation) leaving.push_back(&e);
      }
      std::sort(leaving.begin(), leaving.end(),
                [](const Entry* a, const Entry* b) { return a->wanted < b->wanted; });
      for (Entry* e : leaving) e->stale_order = ++stale_clock_;
    }
  }

  template <typename Among, typename Before>
  std::vector<Entry>::iterator Find(Among among, Before before) {
    auto victim = entries_.end();
    for (auto e = entries_.begin(); e != entries_.end(); ++e) {
      if (among(*e) && (victim == entries_.end() || before(*e, *victim))) victim = e;
    }
    return victim;
  }

  template <typename Among, typename Before>
  void Evict(Result& result, Among among, Before before) {
    const auto victim = Find(among, before);
    result.evicted = victim->key;
    result.unused = victim->unused;
    entries_.erase(victim);
  }

  std::size_t capacity_;
  std::size_t most_of_vm_;
  std::vector<Entry> entries_;
  std::uint32_t generation_ = 0;
  std::uint64_t clock_ = 0;
  std::uint64_t stale_clock_ = 0;
};

enum class Hints { kNone, kAlways, kMixed };

void CompareWithNaive(Hints hints, bool are_vms_bounded = false) {
  const auto capacity = Uniform<std::size_t>(1, 40);
  const auto keys = Uniform<unsigned>(1, 80);
  const auto steps = Uniform<int>(1, 500);
  const std::size_t most = are_vms_bounded ? Uniform<std::size_t>(1, capacity + 1) : SIZE_MAX;
  FlowCache cache(capacity, 0, {most, kVms - 1});
  NaiveCache naive(capacity, most);
  std::uint32_t generation = 0;
  std::int64_t now = 0;
  Work work;
  for (int step = 0; step < steps; ++step) {
    now += Uniform(0, 4);
    const auto key = Uniform(0u, keys);
    const auto what = Uniform(0, 100);
    const bool hinted = hints == Hints::kAlways || (hints == Hints::kMixed && *rc::gen::arbitrary<bool>());
    const std::uint64_t next_use = hinted ? Uniform<std::uint64_t>(1, 40) : 0;
    if (what < 45) {
      // Now and then a look-up that was on its way when the rules changed.
      const std::uint32_t asked = generation > 0 && what == 0 ? generation - 1 : generation;
      FlowCache::Hit hit;
      const bool found = cache.Lookup(KeyNumber(key), Generation(asked), Nanos(now), hit, work);
      const auto expected = naive.Lookup(key, asked, now);
      RC_ASSERT(found == expected.hit);
      if (found) {
        RC_ASSERT(hit.decision.rule == expected.decision);
        RC_ASSERT(hit.cause == expected.cause);
        RC_ASSERT(hit.first_use == expected.first_use);
        cache.SetNextUse(KeyNumber(key), next_use);
        naive.SetNextUse(key, next_use);
      }
    } else if (what < 90) {
      const std::uint32_t asked = generation > 0 && what == 45 ? generation - 1 : generation;
      const auto cause = what % 2 == 0 ? InstallCause::kMiss : InstallCause::kPredicted;
      const Nanos ready(now + Uniform(0, 12));
      const auto got = cache.Put(InstallOf(key, cause, next_use, ready), Generation(asked), work);
      const auto expected = naive.Put(key, key, asked, ready.count(), cause, next_use);
      RC_ASSERT(got.installed == expected.installed);
      RC_ASSERT(got.any == expected.evicted.has_value());
      if (got.any) {
        RC_ASSERT(got.key == KeyNumber(*expected.evicted));
        RC_ASSERT(got.was_unused_prediction == expected.unused);
      }
    } else if (what < 98) {
      cache.SetNextUse(KeyNumber(key), next_use);
      naive.SetNextUse(key, next_use);
    } else {
      ++generation;
    }
    RC_ASSERT(cache.Contains(KeyNumber(key), Generation(generation)) == naive.Contains(key, generation));
    RC_ASSERT(cache.size() == naive.size());
    RC_ASSERT(cache.size() <= capacity);
    RC_ASSERT(cache.unused_predictions() <= capacity / 4);
  }
}

RC_GTEST_PROP(FlowCache, AgreesWithNaiveLru, ()) { CompareWithNaive(Hints::kNone); }
RC_GTEST_PROP(FlowCache, AgreesWithNaiveBelady, ()) { CompareWithNaive(Hints::kAlways); }
RC_GTEST_PROP(FlowCache, AgreesWithNaiveMixture, ()) { CompareWithNaive(Hints::kMixed); }
RC_GTEST_PROP(FlowCache, AgreesWithNaiveWhereVmsAreBounded, ()) { CompareWithNaive(Hints::kNone, true); }
RC_GTEST_PROP(FlowCache, AgreesWithNaiveMixtureWhereVmsAreBounded, ()) {
  CompareWithNaive(Hints::kMixed, true);
}

// Whatever VM 1 sends and has predicted, VM 2 keeps what the bound leaves it.
TEST(FlowCache, AFloodLeavesOthersTheirEntries) {
  constexpr std::size_t kCapacity = 64, kBound = 40;
  FlowCache cache(kCapacity, 1, {kBound, 2});
  const auto key_of = [](flow::VmId vm, std::uint32_t n) {
    EntryKey key;
    key.fields.vm = vm;
    std::memcpy(key.fields.source_address.data(), &n, sizeof(n));
    return key;
  };
  Work work;
  FlowCache::Hit hit;
  const auto use = [&](const EntryKey& key, InstallCause cause) {
    if (cache.Lookup(key, Generation(0), Nanos(0), hit, work)) return true;
    cache.Put({key, DecisionNumber(1), Nanos(0), cause, 0}, Generation(0), work);
    return false;
  };
  for (std::uint32_t n = 0; n < kCapacity - kBound; ++n) use(key_of(2, n), InstallCause::kMiss);
  for (std::uint32_t n = 0; n < 100'000; ++n) {
    use(key_of(1, n), n % 3 == 0 ? InstallCause::kPredicted : InstallCause::kMiss);
    if (n % 50 != 0) continue;
    ASSERT_TRUE(use(key_of(2, n / 50 % (kCapacity - kBound)), InstallCause::kMiss)) << n;
  }
  EXPECT_EQ(cache.size(), kCapacity);
}

// The invariant that bounds the anti-oracle: hits include those of LRU of three quarters of the size.
RC_GTEST_PROP(FlowCache, WrongPredictionsCostAtMostAQuarterOfTheCache, ()) {
  const auto capacity = Uniform<std::size_t>(1, 20);
  const auto wanted = *rc::gen::container<std::vector<unsigned>>(
      rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0u, 24u)));
  FlowCache cache(capacity);
  std::list<unsigned> lru;  // most recent first
  const std::size_t lru_capacity = capacity - capacity / 4;
  Work work;
  for (const unsigned key : wanted) {
    const auto guesses = Uniform(0, 4);
    for (int g = 0; g < guesses; ++g) {
      cache.Put(InstallOf(Uniform(100u, 130u), InstallCause::kPredicted), Generation(0), work);
    }
    FlowCache::Hit hit;
    const bool found = cache.Lookup(KeyNumber(key), Generation(0), Nanos(0), hit, work);
    const auto place = std::find(lru.begin(), lru.end(), key);
    if (place != lru.end()) {
      RC_ASSERT(found);
      lru.erase(place);
    } else if (lru.size() == lru_capacity) {
      lru.pop_back();
    }
    lru.push_front(key);
    if (!found) cache.Put(InstallOf(key, InstallCause::kMiss), Generation(0), work);
  }
}

// Fewest misses that any policy with bypass can have, by trying all of them.
unsigned FewestMisses(const std::vector<unsigned>& uses, std::size_t at, std::set<unsigned> held,
                      std::size_t capacity) {
  while (at < uses.size() && held.count(uses[at]) != 0) ++at;
  if (at == uses.size()) return 0;
  unsigned best = FewestMisses(uses, at + 1, held, capacity);
  std::set<unsigned> with = held;
  with.insert(uses[at]);
  if (with.size() <= capacity) return 1 + std::min(best, FewestMisses(uses, at + 1, with, capacity));
  for (const unsigned victim : held) {
    std::set<unsigned> next = with;
    next.erase(victim);
    best = std::min(best, FewestMisses(uses, at + 1, next, capacity));
  }
  return 1 + best;
}

RC_GTEST_PROP(FlowCache, KnownNextUsesGiveTheFewestMisses, ()) {
  const auto capacity = Uniform<std::size_t>(1, 4);
  const auto uses = *rc::gen::resize(11, rc::gen::container<std::vector<unsigned>>(
                                             rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0u, 6u))));
  const auto next_use = [&](std::size_t at) -> std::uint64_t {
    for (std::size_t i = at + 1; i < uses.size(); ++i) {
      if (uses[i] == uses[at]) return i;
    }
    return UINT64_MAX;
  };
  FlowCache cache(capacity);
  Work work;
  unsigned misses = 0;
  for (std::size_t i = 0; i < uses.size(); ++i) {
    FlowCache::Hit hit;
    if (cache.Lookup(KeyNumber(uses[i]), Generation(0), Nanos(0), hit, work)) {
      cache.SetNextUse(KeyNumber(uses[i]), next_use(i));
    } else {
      ++misses;
      cache.Put(InstallOf(uses[i], InstallCause::kMiss, next_use(i)), Generation(0), work);
    }
  }
  RC_ASSERT(misses == FewestMisses(uses, 0, {}, capacity));
}

TEST(FlowCache, EntryWorksFromItsReadyTimeOn) {
  FlowCache cache(4);
  Work work;
  FlowCache::Hit hit;
  cache.Put(InstallOf(1, InstallCause::kMiss, 0, Nanos(50)), Generation(0), work);
  EXPECT_TRUE(cache.Contains(KeyNumber(1), Generation(0)));
  EXPECT_FALSE(cache.Lookup(KeyNumber(1), Generation(0), Nanos(49), hit, work));
  EXPECT_TRUE(cache.Lookup(KeyNumber(1), Generation(0), Nanos(50), hit, work));
}

TEST(FlowCache, APredictionPaysOnceAndOnlyInTime) {
  FlowCache cache(8);
  Work work;
  FlowCache::Hit hit;
  cache.Put(InstallOf(1, InstallCause::kPredicted), Generation(0), work);
  ASSERT_TRUE(cache.Lookup(KeyNumber(1), Generation(0), Nanos(0), hit, work));
  EXPECT_EQ(hit.cause, InstallCause::kPredicted);
  EXPECT_TRUE(hit.first_use);
  ASSERT_TRUE(cache.Lookup(KeyNumber(1), Generation(0), Nanos(0), hit, work));
  EXPECT_FALSE(hit.first_use);

  cache.Put(InstallOf(2, InstallCause::kPredicted, 0, Nanos(10)), Generation(0), work);
  EXPECT_FALSE(cache.Lookup(KeyNumber(2), Generation(0), Nanos(9), hit, work));
  ASSERT_TRUE(cache.Lookup(KeyNumber(2), Generation(0), Nanos(10), hit, work));
  EXPECT_FALSE(hit.first_use);
  EXPECT_EQ(hit.cause, InstallCause::kMiss);
}

TEST(FlowCache, PredictionsNeedACapacityOfFour) {
  Work work;
  FlowCache small(3);
  EXPECT_FALSE(small.Put(InstallOf(1, InstallCause::kPredicted), Generation(0), work).installed);
  EXPECT_EQ(small.size(), 0u);
  FlowCache four(4);
  EXPECT_TRUE(four.Put(InstallOf(1, InstallCause::kPredicted), Generation(0), work).installed);
  const auto second = four.Put(InstallOf(2, InstallCause::kPredicted), Generation(0), work);
  EXPECT_TRUE(second.any);
  EXPECT_EQ(second.key, KeyNumber(1));
  EXPECT_TRUE(second.was_unused_prediction);
  EXPECT_EQ(four.unused_predictions(), 1u);
}

TEST(FlowCache, ANewGenerationEmptiesItAtOnce) {
  FlowCache cache(2);
  Work work;
  FlowCache::Hit hit;
  cache.Put(InstallOf(1, InstallCause::kMiss), Generation(1), work);
  cache.Put(InstallOf(2, InstallCause::kMiss), Generation(1), work);
  EXPECT_FALSE(cache.Lookup(KeyNumber(1), Generation(2), Nanos(0), hit, work));
  cache.Put(InstallOf(3, InstallCause::kMiss), Generation(2), work);
  const auto reclaimed = cache.Put(InstallOf(4, InstallCause::kMiss), Generation(2), work);
  EXPECT_EQ(reclaimed.key, KeyNumber(2));
  EXPECT_TRUE(cache.Contains(KeyNumber(3), Generation(2)));
  EXPECT_TRUE(cache.Contains(KeyNumber(4), Generation(2)));
  EXPECT_FALSE(cache.Put(InstallOf(5, InstallCause::kMiss), Generation(1), work).installed);
}

TEST(FlowCache, CountsItsWork) {
  FlowCache cache(4);
  Work put;
  cache.Put(InstallOf(1, InstallCause::kMiss), Generation(0), put);
  EXPECT_EQ(put[WorkItem::kHash], 1u);
  EXPECT_EQ(put[WorkItem::kInstall], 1u);
  Work miss;
  FlowCache::Hit hit;
  FlowCache empty(4);
  empty.Lookup(KeyNumber(1), Generation(0), Nanos(0), hit, miss);
  EXPECT_EQ(miss[WorkItem::kHash], 1u);
  EXPECT_EQ(miss[WorkItem::kProbe], 0u);
  EXPECT_EQ(miss[WorkItem::kCacheLine], 1u);
  Work found;
  cache.Lookup(KeyNumber(1), Generation(0), Nanos(0), hit, found);
  EXPECT_EQ(found[WorkItem::kProbe], 1u);
  EXPECT_EQ(found[WorkItem::kCacheLine], 3u);
  EXPECT_EQ(found[WorkItem::kUpdate], 1u);
}

TEST(FlowCache, RefusesImpossibleCapacities) {
  EXPECT_THROW(FlowCache(0), Refusal);
  EXPECT_THROW(FlowCache((std::size_t{1} << 24) + 1), Refusal);
}

TEST(FlowCache, TheReadmesExample) {
  Rule permit;
  permit.id = 1;
  permit.action.verb = Verb::kForward;
  const std::vector<Rule> rules = {permit};
  const std::uint64_t secret_seed = 5;
  const flow::FlowKey key = KeyNumber(1).fields;
  const Nanos now = Seconds(1), install_latency = Micros(10);
  RuleTable table;
  table.Load(rules);
  FlowCache cache(64, secret_seed);
  Work work;
  const EntryKey entry = table.EntryKeyOf(key, work);
  FlowCache::Hit hit;
  Decision decision;
  if (cache.Lookup(entry, table.changes(), now, hit, work)) {
    decision = hit.decision;
  } else {
    decision = table.Classify(key, work);
    cache.Put({entry, decision, now + install_latency, InstallCause::kMiss, 0}, table.changes(), work);
  }
  EXPECT_EQ(decision.rule, 1u);
  EXPECT_TRUE(cache.Lookup(entry, table.changes(), now + install_latency, hit, work));
}

}  // namespace
}  // namespace foreflow::rules
