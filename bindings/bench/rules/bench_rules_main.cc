// SPDX-License-Identifier: BSD-3-Clause
#include <pthread.h>
#include <rte_acl.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bindings/bench/measure.h"
#include "bindings/config/classbench.h"
#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/flow_offload.h"
#include "models/base/hash.h"
#include "models/base/refusal.h"
#include "models/rules/flow_cache.h"
#include "models/rules/rule_table.h"
#include "models/rules/table_pair.h"

namespace foreflow::bench {
namespace {

constexpr std::size_t kBurst = rules::RuleTable::kBurst;
constexpr std::size_t kFlowEntries = 32'768;
constexpr double kNanosASecond = 1e9;

// What rte_acl reads, in network byte order.
struct Tuple5 {
  std::uint8_t protocol;
  std::uint8_t padding[3];
  std::uint32_t source;
  std::uint32_t destination;
  std::uint16_t source_port;
  std::uint16_t destination_port;
};

struct Header {  // of a trace file, in the order of this machine
  std::uint32_t source;
  std::uint32_t destination;
  std::uint16_t source_port;
  std::uint16_t destination_port;
  std::uint32_t protocol;
};

struct Trace {
  std::vector<flow::FlowKey> keys;
  std::vector<Tuple5> tuples;
};

std::string TextOf(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Refusal(file + ": cannot be read");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Trace TraceOf(const std::string& file) {
  const std::string text = TextOf(file);
  Trace trace;
  for (std::size_t at = 0; at + sizeof(Header) <= text.size(); at += sizeof(Header)) {
    Header header;
    std::memcpy(&header, &text[at], sizeof(header));
    Tuple5 tuple{};
    tuple.protocol = static_cast<std::uint8_t>(header.protocol);
    tuple.source = __builtin_bswap32(header.source);
    tuple.destination = __builtin_bswap32(header.destination);
    tuple.source_port = __builtin_bswap16(header.source_port);
    tuple.destination_port = __builtin_bswap16(header.destination_port);
    flow::FlowKey key;
    key.l3 = 2;
    key.vm = 1;
    key.ip_protocol = tuple.protocol;
    key.source_port = header.source_port;
    key.destination_port = header.destination_port;
    std::memcpy(key.source_address.data(), &tuple.source, sizeof(tuple.source));
    std::memcpy(key.destination_address.data(), &tuple.destination, sizeof(tuple.destination));
    trace.keys.push_back(key);
    trace.tuples.push_back(tuple);
  }
  const std::size_t bursts = trace.keys.size() / kBurst;
  if (bursts == 0) throw Refusal(file + ": has fewer packets than a burst");
  trace.keys.resize(bursts * kBurst);
  trace.tuples.resize(bursts * kBurst);
  return trace;
}

// The peer: DPDK's classifier, by the method that is fastest on this processor and rule set.
class Acl {
 public:
  explicit Acl(const std::vector<rules::Rule>& rules) {
    const std::size_t before = Allocated();
    const double begin = Now();
    rte_acl_param parameters{};
    parameters.name = "foreflow";
    parameters.socket_id = SOCKET_ID_ANY;
    parameters.rule_size = RTE_ACL_RULE_SZ(kFields);
    parameters.max_rule_num = static_cast<std::uint32_t>(rules.size());
    context_ = rte_acl_create(&parameters);
    if (context_ == nullptr) throw std::runtime_error("rte_acl_create: " + dpdk::ErrorOf());
    for (const rules::Rule& rule : rules) Add(rule);
    rte_acl_config config{};
    config.num_categories = 1;
    config.num_fields = kFields;
    const auto field = [&](std::uint32_t i, std::uint8_t type, std::uint8_t size, std::uint8_t input,
                           std::size_t offset) {
      config.defs[i] = {type, size, static_cast<std::uint8_t>(i), input, static_cast<std::uint32_t>(offset)};
    };
    field(0, RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, offsetof(Tuple5, protocol));
    field(1, RTE_ACL_FIELD_TYPE_MASK, 4, 1, offsetof(Tuple5, source));
    field(2, RTE_ACL_FIELD_TYPE_MASK, 4, 2, offsetof(Tuple5, destination));
    field(3, RTE_ACL_FIELD_TYPE_RANGE, 2, 3, offsetof(Tuple5, source_port));
    field(4, RTE_ACL_FIELD_TYPE_RANGE, 2, 3, offsetof(Tuple5, destination_port));
    const int built = rte_acl_build(context_, &config);
    if (built != 0) throw std::runtime_error("rte_acl_build: " + dpdk::ErrorOf(built));
    seconds_ = Now() - begin;
    bytes_ = Allocated() - before;
  }
  ~Acl() { rte_acl_free(context_); }
  Acl(const Acl&) = delete;
  Acl& operator=(const Acl&) = delete;

  // Rule id + 1 of each, 0 where none matches.
  void Classify(const Tuple5* tuples, std::uint32_t* results) const {
    std::array<const std::uint8_t*, kBurst> data;
    for (std::size_t i = 0; i < kBurst; ++i) data[i] = reinterpret_cast<const std::uint8_t*>(&tuples[i]);
    rte_acl_classify(context_, data.data(), results, kBurst, 1);
  }
  void ChooseMethod(const Trace& trace) {
    enum rte_acl_classify_alg best = RTE_ACL_CLASSIFY_DEFAULT;
    double least = 0;
    for (const enum rte_acl_classify_alg method : {RTE_ACL_CLASSIFY_AVX512X32, RTE_ACL_CLASSIFY_AVX512X16,
                                                   RTE_ACL_CLASSIFY_AVX2, RTE_ACL_CLASSIFY_SSE}) {
      if (rte_acl_set_ctx_classify(context_, method) != 0) continue;
      for (int round = 0; round < 3; ++round) {
        std::array<std::uint32_t, kBurst> results;
        const double begin = ThreadSeconds();
        for (std::size_t i = 0; i < trace.tuples.size(); i += kBurst)
          Classify(&trace.tuples[i], results.data());
        const double seconds = ThreadSeconds() - begin;
        if (least != 0 && seconds >= least) continue;
        least = seconds;
        best = method;
      }
    }
    rte_acl_set_ctx_classify(context_, best);
    std::fprintf(stderr, "rte_acl classifies by method %d\n", static_cast<int>(best));
  }
  double seconds() const { return seconds_; }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::uint32_t kFields = 5;
  RTE_ACL_RULE_DEF(AclRule, kFields);

  static std::size_t Allocated() {
    rte_malloc_socket_stats stats{};
    rte_malloc_get_socket_stats(0, &stats);
    return stats.heap_allocsz_bytes;
  }
  void Add(const rules::Rule& rule) {
    const auto number_of = [](const rules::Prefix& prefix) {
      std::uint32_t number;
      std::memcpy(&number, prefix.address.data(), sizeof(number));
      return __builtin_bswap32(number);
    };
    AclRule acl{};
    acl.data.category_mask = 1;
    acl.data.priority = static_cast<std::int32_t>(RTE_ACL_MAX_PRIORITY) + rule.priority;
    acl.data.userdata = rule.id + 1;
    const bool any = rule.ip_protocol == rules::kAnyProtocol;
    acl.field[0].value.u8 = any ? std::uint8_t{0} : static_cast<std::uint8_t>(rule.ip_protocol);
    acl.field[0].mask_range.u8 = any ? 0 : 0xff;
    acl.field[1].value.u32 = number_of(rule.source);
    acl.field[1].mask_range.u32 = rule.source.length;
    acl.field[2].value.u32 = number_of(rule.destination);
    acl.field[2].mask_range.u32 = rule.destination.length;
    acl.field[3].value.u16 = rule.source_port.low;
    acl.field[3].mask_range.u16 = rule.source_port.high;
    acl.field[4].value.u16 = rule.destination_port.low;
    acl.field[4].mask_range.u16 = rule.destination_port.high;
    const int added = rte_acl_add_rules(context_, reinterpret_cast<const rte_acl_rule*>(&acl), 1);
    if (added != 0) throw std::runtime_error("rte_acl_add_rules: " + dpdk::ErrorOf(added));
  }

  rte_acl_ctx* context_ = nullptr;
  double seconds_ = 0;
  std::size_t bytes_ = 0;
};

Contender AclLookup(const Acl& acl, const Trace& trace) {
  return [&acl, &trace] {
    std::array<std::uint32_t, kBurst> results;
    std::uint64_t sum = 0;
    const double begin = ThreadSeconds();
    for (std::size_t i = 0; i < trace.tuples.size(); i += kBurst) {
      acl.Classify(&trace.tuples[i], results.data());
      sum += results[0];
    }
    const double seconds = ThreadSeconds() - begin;
    Keep(sum);
    return seconds * kNanosASecond / static_cast<double>(trace.tuples.size());
  };
}

Contender BareLookup(const rules::RuleTable& table, const Trace& trace) {
  return [&table, &trace] {
    std::array<rules::Decision, kBurst> decisions;
    std::uint64_t sum = 0;
    Work work;
    const double begin = ThreadSeconds();
    for (std::size_t i = 0; i < trace.keys.size(); i += kBurst) {
      table.ClassifyBurst(&trace.keys[i], kBurst, decisions.data(), work);
      sum += decisions[0].rule;
    }
    const double seconds = ThreadSeconds() - begin;
    Keep(sum + work[WorkItem::kHash]);
    return seconds * kNanosASecond / static_cast<double>(trace.keys.size());
  };
}

// As the path does it: entry keys and hashes of a burst, their memory asked for, then one packet after the
// other.
class CachedLookup {
 public:
  explicit CachedLookup(const rules::VmBound& bound = {}) : cache_(kFlowEntries, 1, bound) {}

  // The table may be another one of the same rules than before.
  std::uint64_t Burst(const rules::RuleTable& table, const flow::FlowKey* keys) {
    std::uint64_t sum = 0;
    std::array<rules::EntryKey, kBurst> entries;
    std::array<std::uint64_t, kBurst> hashes;
    for (std::size_t i = 0; i < kBurst; ++i) {
      entries[i] = table.EntryKeyOf(keys[i], work_);
      hashes[i] = cache_.HashOf(entries[i]);
      cache_.PrefetchBucket(hashes[i]);
    }
    for (std::size_t i = 0; i < kBurst; ++i) cache_.PrefetchEntry(hashes[i]);
    for (std::size_t i = 0; i < kBurst; ++i) {
      rules::FlowCache::Hit hit;
      if (!cache_.Lookup(entries[i], hashes[i], table.changes(), Nanos(0), hit, work_)) {
        hit.decision = table.Classify(keys[i], work_);
        cache_.Put({entries[i], hit.decision, Nanos(0), rules::InstallCause::kMiss, 0}, hashes[i],
                   table.changes(), work_);
      }
      sum += hit.decision.rule;
    }
    return sum;
  }

 private:
  rules::FlowCache cache_;
  Work work_;
};

Contender LookupBehindCache(const rules::RuleTable& table, const Trace& trace) {
  return [lookup = std::make_shared<CachedLookup>(), &table, &trace] {
    std::uint64_t sum = 0;
    const double begin = ThreadSeconds();
    for (std::size_t i = 0; i < trace.keys.size(); i += kBurst) sum += lookup->Burst(table, &trace.keys[i]);
    const double seconds = ThreadSeconds() - begin;
    Keep(sum);
    return seconds * kNanosASecond / static_cast<double>(trace.keys.size());
  };
}

// A VM that does what it can against another's packets on the same core: rules of its own of every pair of
// prefix lengths, above all others, and a stream of new flows among them.
constexpr flow::VmId kAttacker = 2;
constexpr std::size_t kAttackedPackets = 8192 * kBurst;

std::vector<rules::Rule> WithAttack(std::vector<rules::Rule> rules) {
  std::int32_t top = 0;
  for (const rules::Rule& rule : rules) top = std::max(top, rule.priority);
  for (std::uint32_t i = 0; i < 33 * 33; ++i) {
    rules::Rule rule;
    rule.id = static_cast<std::uint32_t>(rules.size());
    rule.priority = top + 1;
    rule.l3 = 2;
    rule.vm = kAttacker;
    rule.source = {{10}, static_cast<std::uint8_t>(i % 33)};
    rule.destination = {{10}, static_cast<std::uint8_t>(i / 33)};
    rules.push_back(rule);
  }
  return rules;
}

// Nanoseconds of a packet of `trace`, of which every second burst is the attacker's where `attacked`.
Contender HonestLookup(const rules::RuleTable& table, const Trace& trace, const rules::VmBound& bound,
                       bool attacked) {
  return [lookup = std::make_shared<CachedLookup>(bound), &table, &trace, attacked,
          fresh = std::make_shared<std::uint64_t>(0)] {
    std::uint64_t sum = 0;
    double seconds = 0;
    std::array<flow::FlowKey, kBurst> flood;
    const std::size_t packets = std::min(trace.keys.size(), kAttackedPackets);
    for (std::size_t i = 0; i < packets; i += kBurst) {
      if (attacked) {
        for (flow::FlowKey& key : flood) {
          key = flow::FlowKey{};
          key.l3 = 2;
          key.vm = kAttacker;
          const std::uint64_t bits = Mix64(++*fresh);
          std::memcpy(key.source_address.data(), &bits, 4);
          std::memcpy(key.destination_address.data(), reinterpret_cast<const char*>(&bits) + 4, 4);
          key.source_address[0] = key.destination_address[0] = 10;
        }
        sum += lookup->Burst(table, flood.data());
      }
      const double begin = Now();
      sum += lookup->Burst(table, &trace.keys[i]);
      seconds += Now() - begin;
    }
    Keep(sum);
    return seconds * kNanosASecond / static_cast<double>(packets);
  };
}

std::vector<Row> MeasureAttack(const std::string& set, const std::vector<rules::Rule>& rules,
                               const rules::RuleTable& table, const Trace& trace) {
  rules::RuleTable attacked;
  attacked.Load(WithAttack(rules));
  const rules::VmBound half{kFlowEntries / 2, kAttacker};
  const std::vector<double> nanos =
      Medians({HonestLookup(table, trace, half, false), HonestLookup(attacked, trace, half, true),
               HonestLookup(attacked, trace, {}, true)});
  return {{"rules/attacked_" + set, "ns/packet of another VM, half of the flow cache a VM's at the most",
           nanos[1], "not attacked", nanos[0], Better::kLess},
          {"rules/attacked_unbounded_" + set, "ns/packet of another VM", nanos[2], "not attacked", nanos[0],
           Better::kLess}};
}

// What a port that refuses nothing is given of a set, and how long a core works it out.
struct Offloaded {
  std::size_t entries = 0;
  std::size_t whole = 0;         // rules that the port decides for all of their kinds of packets
  std::uint32_t priorities = 0;  // different ones
  double seconds = 0;            // of the processor
};

constexpr std::size_t kMostOffloaded = 20'000;  // rules: what takes minutes is left out

Offloaded OffloadAll(const std::vector<rules::Rule>& rules, bool with_ranges) {
  dpdk::OffloadScope scope;
  scope.vm = std::uint16_t{1};
  scope.abilities = {true, with_ranges};
  scope.marks = true;
  scope.most_entries = SIZE_MAX;
  Offloaded offloaded;
  const double begin = ThreadSeconds();
  const dpdk::OffloadPlan plan = dpdk::Offload(rules, scope, [&](const dpdk::FlowEntry& entry) {
    offloaded.priorities = std::max(offloaded.priorities, entry.priority + 1);
    return std::string();
  });
  offloaded.seconds = ThreadSeconds() - begin;
  offloaded.entries = plan.entries;
  for (const dpdk::RuleOffload& rule : plan.rules) {
    if (rule.in_port == rule.kinds) ++offloaded.whole;
  }
  return offloaded;
}

std::vector<Row> MeasureOffload(const std::string& set, const std::vector<rules::Rule>& rules) {
  const Offloaded ranges = OffloadAll(rules, true);
  const Offloaded prefixes = OffloadAll(rules, false);
  return {
      {"rules/offload_entries_" + set, "flow rules of a port that has port ranges",
       static_cast<double>(ranges.entries), "with prefixes of ports", static_cast<double>(prefixes.entries),
       Better::kLess},
      {"rules/offload_whole_" + set, "rules that the port decides whole", static_cast<double>(ranges.whole),
       "with prefixes of ports", static_cast<double>(prefixes.whole), Better::kMore},
      {"rules/offload_priorities_" + set, "priorities of flow rules", static_cast<double>(ranges.priorities),
       "", 0, Better::kLess},
      {"rules/offload_s_" + set, "s to work it out, once", ranges.seconds, "with prefixes of ports",
       prefixes.seconds, Better::kLess}};
}

// Both decide alike, or the comparison is none.
void Compare(const Acl& acl, const rules::RuleTable& table, const Trace& trace) {
  std::array<std::uint32_t, kBurst> results;
  std::array<rules::Decision, kBurst> decisions;
  Work work;
  for (std::size_t i = 0; i < trace.keys.size(); i += kBurst) {
    acl.Classify(&trace.tuples[i], results.data());
    table.ClassifyBurst(&trace.keys[i], kBurst, decisions.data(), work);
    for (std::size_t n = 0; n < kBurst; ++n) {
      if (results[n] - 1 != decisions[n].rule) throw std::logic_error("ours and rte_acl disagree");
    }
  }
}

// Looks up a burst by the table, and returns something that depends on what was found.
using LookUp = std::function<std::uint64_t(const rules::RuleTable&, const flow::FlowKey*)>;

LookUp Bare() {
  return [](const rules::RuleTable& table, const flow::FlowKey* keys) -> std::uint64_t {
    std::array<rules::Decision, kBurst> decisions;
    Work work;
    table.ClassifyBurst(keys, kBurst, decisions.data(), work);
    return decisions[0].rule;
  };
}

LookUp BehindCache() {
  return [lookup = std::make_shared<CachedLookup>()](
             const rules::RuleTable& table, const flow::FlowKey* keys) { return lookup->Burst(table, keys); };
}

// A worker: looks up bursts by the table that is offered, as the runner's do, and counts them.
class Reader {
 public:
  Reader(const rules::RuleTable& table, const Trace& trace, const LookUp& look_up)
      : table_(&table), thread_([this, &trace, &look_up] { Run(trace, look_up); }) {}
  ~Reader() {
    stop_.store(true);
    thread_.join();
  }
  void Adopt(const rules::RuleTable& table) {
    offered_.store(&table, std::memory_order_release);
    while (offered_.load(std::memory_order_acquire) != nullptr) std::this_thread::yield();
  }
  // That it has had of a processor.
  double Seconds() {
    clockid_t clock;
    pthread_getcpuclockid(thread_.native_handle(), &clock);
    timespec used;
    clock_gettime(clock, &used);
    return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
  }
  // Nanoseconds of its processor a packet, between two calls.
  double NanosAPacket() {
    asked_.store(true);
    while (asked_.load()) ::usleep(20);
    return nanos_;
  }

 private:
  void Run(const Trace& trace, const LookUp& look_up) {
    std::uint64_t sum = 0;
    std::uint64_t packets = 0;
    double begin = ThreadSeconds();
    for (std::size_t i = 0; !stop_.load(std::memory_order_relaxed); i += kBurst) {
      if (const rules::RuleTable* next = offered_.load(std::memory_order_acquire)) {
        table_ = next;
        offered_.store(nullptr, std::memory_order_release);
      }
      if (asked_.load(std::memory_order_relaxed)) {
        const double now = ThreadSeconds();
        nanos_ = (now - begin) * kNanosASecond / static_cast<double>(std::max<std::uint64_t>(packets, 1));
        begin = now;
        packets = 0;
        asked_.store(false);
      }
      if (i >= trace.keys.size()) i = 0;
      sum += look_up(*table_, &trace.keys[i]);
      packets += kBurst;
    }
    Keep(sum);
  }

  const rules::RuleTable* table_;
  std::atomic<const rules::RuleTable*> offered_{nullptr};
  std::atomic<bool> asked_{false};
  std::atomic<bool> stop_{false};
  double nanos_ = 0;
  std::thread thread_;
};

// Takes rules out and puts them back, a batch of so many changes.
class Writer {
 public:
  Writer(const rules::RuleTable& table, const std::vector<rules::Rule>& rules)
      : pair_(table), rules_(rules) {}

  const rules::RuleTable& published() const { return pair_.published(); }
  // With a reader, it reads what is published; without, nobody does.
  void Update(Reader* reader, std::size_t changes) {
    rules::RuleBatch batch;
    batch.generation = pair_.published().generation();
    for (std::size_t i = 0; i < changes / 2; ++i) {
      // A step prime to the number of rules comes by all of them.
      const rules::Rule& rule = rules_[(next_ * 7919) % rules_.size()];
      ++next_;
      batch.changes.push_back({rules::RuleOperation::kErase, rule});
      batch.changes.push_back({rules::RuleOperation::kInsert, rule});
    }
    pair_.Apply(batch);
    if (reader != nullptr) reader->Adopt(pair_.published());
    pair_.CatchUp();
    if (reader != nullptr) reader->Adopt(pair_.published());
  }

 private:
  rules::TablePair pair_;
  const std::vector<rules::Rule>& rules_;
  std::uint64_t next_ = 0;
};

// What 100 batches of 100 changes cost a thread that looks up meanwhile, in each second that it has a
// processor. Of `writers` each makes them in turn, and then nobody: the first to what is looked up, others to
// a table of their own.
std::vector<double> LookUpsUnderUpdates(const Trace& trace, const LookUp& look_up,
                                        const std::vector<Writer*>& writers) {
  Reader reader(writers[0]->published(), trace, look_up);
  std::vector<Contender> contenders;
  for (std::size_t i = 0; i <= writers.size(); ++i) {
    contenders.push_back([&reader, &writers, i] {
      reader.NanosAPacket();
      const double begin = reader.Seconds();
      for (int batch = 0; batch < 30; ++batch) {
        if (i < writers.size()) writers[i]->Update(i == 0 ? &reader : nullptr, 100);
        while (reader.Seconds() < begin + 0.01 * (batch + 1)) ::usleep(200);
      }
      return reader.NanosAPacket();
    });
  }
  return Medians(contenders);
}

std::vector<Row> MeasureUpdates(const std::string& set, const std::vector<rules::Rule>& rules,
                                const rules::RuleTable& table, const Trace& uniform, const Trace& zipf) {
  Writer writer(table, rules);
  Writer elsewhere(table, rules);
  std::vector<double> rates;
  {
    const LookUp bare = Bare();
    Reader reader(writer.published(), uniform, bare);
    rates = Medians({[&] {
      constexpr std::size_t kChanges = 20'000;
      const double begin = ThreadSeconds();
      for (std::size_t done = 0; done < kChanges; done += 200) writer.Update(&reader, 200);
      return kChanges / (ThreadSeconds() - begin);
    }});
  }
  const std::vector<double> bare = LookUpsUnderUpdates(uniform, Bare(), {&writer, &elsewhere});
  const std::vector<double> cached = LookUpsUnderUpdates(zipf, BehindCache(), {&writer, &elsewhere});
  const std::string without = "without updates";
  return {{"rules/updates_per_s_" + set, "changes/s beside look-ups", rates[0], "", 0, Better::kMore},
          {"rules/lookup_at_10k_updates_" + set, "ns/packet", bare[0], without, bare[2], Better::kLess},
          {"rules/lookup_beside_10k_updates_" + set, "ns/packet, updates of a table that is not looked up",
           bare[1], without, bare[2], Better::kLess},
          {"rules/cached_at_10k_updates_" + set, "ns/packet of Zipf traffic behind the flow cache", cached[0],
           without, cached[2], Better::kLess},
          {"rules/cached_beside_10k_updates_" + set, "the same, updates of a table that is not looked up",
           cached[1], without, cached[2], Better::kLess}};
}

std::vector<Row> MeasureSet(const std::string& folder, const std::string& set) {
  const std::string file = folder + "/" + set;
  const std::vector<rules::Rule> rules = config::ParseClassBench(file + ".rules", TextOf(file + ".rules"));
  const Trace uniform = TraceOf(file + ".uniform");
  const Trace zipf = TraceOf(file + ".zipf");
  rules::RuleTable table;
  const double begin = Now();
  table.Load(rules);
  const double seconds = Now() - begin;
  Acl acl(rules);
  acl.ChooseMethod(uniform);
  Compare(acl, table, uniform);
  const std::vector<double> medians = Medians({BareLookup(table, uniform), AclLookup(acl, uniform),
                                               LookupBehindCache(table, zipf), AclLookup(acl, zipf)});
  std::fprintf(stderr, "%s: %zu rules, %zu tuples\n", set.c_str(), table.size(), table.tuples());
  std::vector<Row> rows = {
      {"rules/lookup_uniform_" + set, "ns/packet", medians[0], "rte_acl", medians[1], Better::kLess},
      {"rules/lookup_zipf_" + set, "ns/packet behind the flow cache", medians[2], "rte_acl", medians[3],
       Better::kLess},
      {"rules/build_" + set, "s", seconds, "rte_acl", acl.seconds(), Better::kLess},
      {"rules/memory_" + set, "MB", static_cast<double>(table.bytes()) * 1e-6, "rte_acl",
       static_cast<double>(acl.bytes()) * 1e-6, Better::kLess},
  };
  for (Row& row : MeasureUpdates(set, rules, table, uniform, zipf)) rows.push_back(std::move(row));
  for (Row& row : MeasureAttack(set, rules, table, zipf)) rows.push_back(std::move(row));
  if (rules.size() <= kMostOffloaded) {
    for (Row& row : MeasureOffload(set, rules)) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace
}  // namespace foreflow::bench

int main(int argc, char** argv) {
  return foreflow::bench::Report([&] {
    if (argc < 3) throw foreflow::Refusal("foreflow-bench-rules FOLDER SET...");
    std::vector<std::string> arguments = foreflow::dpdk::UnprivilegedEal(4096);
    arguments.emplace_back("--force-max-simd-bitwidth=512");
    const foreflow::dpdk::Eal eal(arguments, 0, foreflow::dpdk::Placement::kFloating);
    std::vector<foreflow::bench::Row> rows;
    for (int i = 2; i < argc; ++i) {
      for (auto& row : foreflow::bench::MeasureSet(argv[1], argv[i])) rows.push_back(std::move(row));
    }
    return rows;
  });
}
