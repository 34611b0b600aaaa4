// SPDX-License-Identifier: BSD-3-Clause
#include "models/flow/flow_table.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/rng.h"

namespace foreflow::flow {
namespace {

FlowKey KeyNumber(std::uint32_t number, VmId vm) {
  FlowKey key;
  key.source_address = {10, 0, 0, 1};
  key.destination_address = {10, static_cast<std::uint8_t>(number >> 16)};
  key.source_port = static_cast<std::uint16_t>(number);
  key.destination_port = 443;
  key.ip_protocol = 6;
  key.vm = vm;
  return key;
}

std::string KeyBytes(const FlowKey& key) { return {reinterpret_cast<const char*>(&key), sizeof(key)}; }

// The table's contract, by maps and vectors.
class NaiveTable {
 public:
  struct Flow {
    FlowKey key;
    std::int64_t first, last;
    std::uint64_t packets, bytes;
    ConnectionState connection;
  };

  explicit NaiveTable(const FlowTableConfig& config) : config_(config), turn_(config.vms) {}

  bool Holds(const FlowKey& key) const { return flows_.count(KeyBytes(key)) != 0; }
  Flow& At(const FlowKey& key) { return flows_.at(KeyBytes(key)); }
  // Returns the key that had to go, if any.
  std::vector<FlowKey> Insert(const FlowKey& key, std::int64_t now) {
    std::vector<FlowKey> gone;
    if (flows_.size() == config_.capacity) {
      std::size_t vm = Account(key);
      if (turn_[vm].size() < config_.capacity / config_.vms) {
        vm = 0;
        for (std::size_t i = 1; i < turn_.size(); ++i) {
          if (turn_[i].size() > turn_[vm].size()) vm = i;
        }
      }
      std::vector<FlowKey>& turn = turn_[vm];
      FlowKey victim = turn[0];
      for (std::size_t i = 1; i < 4; ++i) {
        const FlowKey& candidate = turn[i % turn.size()];
        if (Deadline(candidate) < Deadline(victim)) victim = candidate;
      }
      std::rotate(turn.begin(), turn.begin() + static_cast<std::ptrdiff_t>(4 % turn.size()), turn.end());
      Erase(victim);
      gone.push_back(victim);
    }
    flows_[KeyBytes(key)] = {key, now, now, 0, 0, {}};
    order_.push_back(key);
    turn_[Account(key)].push_back(key);
    return gone;
  }
  void Erase(const FlowKey& key) {
    flows_.erase(KeyBytes(key));
    order_.erase(std::find(order_.begin(), order_.end(), key));
    std::vector<FlowKey>& turn = turn_[Account(key)];
    turn.erase(std::find(turn.begin(), turn.end(), key));
  }
  std::int64_t Deadline(const FlowKey& key) const {
    const Flow& flow = flows_.at(KeyBytes(key));
    return flow.last + config_.timeouts[flow.connection.phase()].count();
  }
  // The tick at which a flow expires.
  std::int64_t Tick(const FlowKey& key) const {
    return (Deadline(key) + config_.tick.count() - 1) / config_.tick.count();
  }
  const std::vector<FlowKey>& order() const { return order_; }
  std::size_t HeldOf(VmId vm) const { return turn_[vm].size(); }

 private:
  std::size_t Account(const FlowKey& key) const { return key.vm < turn_.size() ? key.vm : 0; }

  FlowTableConfig config_;
  std::map<std::string, Flow> flows_;
  std::vector<FlowKey> order_;              // of insertion
  std::vector<std::vector<FlowKey>> turn_;  // of each VM, the next to be considered first
};

void ExpectSameRecord(const FlowRecord& record, const NaiveTable::Flow& flow) {
  RC_ASSERT(record.key == flow.key);
  RC_ASSERT(record.first.count() == flow.first);
  RC_ASSERT(record.last.count() == flow.last);
  RC_ASSERT(record.packets == flow.packets);
  RC_ASSERT(record.bytes == flow.bytes);
  RC_ASSERT(record.phase == flow.connection.phase());
}

RC_GTEST_PROP(FlowTable, DoesWhatTheNaiveTableDoes, ()) {
  FlowTableConfig config;
  config.capacity = *rc::gen::inRange<std::size_t>(1, 30);
  config.vms = *rc::gen::inRange<std::size_t>(1, std::min<std::size_t>(config.capacity, 4) + 1);
  config.tick = Nanos(10);
  config.timeouts.by_phase = {Nanos(300), Nanos(1200), Nanos(250), Nanos(5000), Nanos(1200), Nanos(45)};
  config.seed = *rc::gen::arbitrary<std::uint64_t>();
  FlowTable table(config);
  NaiveTable naive(config);
  Work work;
  std::int64_t now = 0;
  const int steps = *rc::gen::inRange(1, 400);
  for (int step = 0; step < steps; ++step) {
    now += *rc::gen::weightedElement<std::int64_t>({{10, 0}, {10, 3}, {5, 90}, {1, 2000}});

    // Expiry first, as a device does: exactly the flows whose tick has come, in order of ticks.
    std::int64_t last_tick = 0;
    FlowRecord gone;
    while (table.Expire(Nanos(now), gone, work)) {
      RC_ASSERT(naive.Holds(gone.key));
      ExpectSameRecord(gone, naive.At(gone.key));
      const std::int64_t tick = naive.Tick(gone.key);
      RC_ASSERT(tick >= last_tick);
      RC_ASSERT(tick <= now / 10);
      last_tick = tick;
      naive.Erase(gone.key);
    }
    for (const FlowKey& key : naive.order()) RC_ASSERT(naive.Tick(key) > now / 10);

    const auto vm = *rc::gen::inRange<VmId>(0, 5);
    const FlowKey key = KeyNumber(*rc::gen::inRange<std::uint32_t>(0, 20), vm);
    const bool held = naive.Holds(key);
    RC_ASSERT((table.Find(key, work) != kNoSlot) == held);
    switch (*rc::gen::inRange(0, 8)) {
      case 0:
        RC_ASSERT(table.Erase(key, work) == held);
        if (held) naive.Erase(key);
        break;
      case 1: {
        std::vector<FlowKey> keys(*rc::gen::inRange<std::size_t>(0, 70));
        for (FlowKey& k : keys)
          k = KeyNumber(*rc::gen::inRange<std::uint32_t>(0, 20), *rc::gen::inRange<VmId>(0, 5));
        std::vector<Slot> slots(keys.size());
        Work bulk;
        table.FindBulk(keys.data(), keys.size(), slots.data(), bulk);
        Work single;
        for (std::size_t i = 0; i < keys.size(); ++i) {
          RC_ASSERT(slots[i] == table.Find(keys[i], single));
          RC_ASSERT((slots[i] != kNoSlot) == naive.Holds(keys[i]));
        }
        RC_ASSERT(bulk == single);
        break;
      }
      default: {
        const std::size_t share = config.capacity / config.vms;
        std::vector<std::size_t> before;
        for (std::size_t v = 0; v < config.vms; ++v) before.push_back(table.size_of(static_cast<VmId>(v)));
        FlowRecord evicted;
        const FlowTable::Inserted inserted = table.FindOrInsert(key, Nanos(now), work, &evicted);
        RC_ASSERT(inserted.slot < config.capacity);
        RC_ASSERT(inserted.fresh == !held);
        if (!held) {
          const std::vector<FlowKey> victim = naive.Insert(key, now);
          RC_ASSERT(inserted.evicted == !victim.empty());
          if (!victim.empty()) {
            RC_ASSERT(evicted.key == victim[0]);
            // No VM within its share loses a flow to another.
            const std::size_t loser = victim[0].vm < config.vms ? victim[0].vm : 0u;
            const std::size_t winner = vm < config.vms ? vm : 0u;
            if (loser != winner) RC_ASSERT(before[loser] > share);
          }
        }
        ConnectionPacket packet;
        packet.side = *rc::gen::inRange<std::uint8_t>(0, 2);
        packet.is_tcp = *rc::gen::weightedElement<bool>({{3, true}, {1, false}});
        packet.tcp_flags = *rc::gen::element<std::uint8_t>(0x02, 0x12, 0x10, 0x10, 0x11, 0x04);
        packet.sequence = 100;
        packet.acknowledgement = 101;
        const auto length = *rc::gen::inRange<std::uint32_t>(60, 1515);
        table.Observe(inserted.slot, Nanos(now), length, packet, work);
        NaiveTable::Flow& flow = naive.At(key);
        flow.last = now;
        ++flow.packets;
        flow.bytes += length;
        flow.connection.Track(packet);
        ExpectSameRecord(table.record(inserted.slot), flow);
      }
    }
    // Contents and order.
    RC_ASSERT(table.size() == naive.order().size());
    std::size_t i = 0;
    for (Slot slot = table.First(); slot != kNoSlot; slot = table.After(slot), ++i) {
      RC_ASSERT(i < naive.order().size());
      RC_ASSERT(table.record(slot).key == naive.order()[i]);
    }
    RC_ASSERT(i == naive.order().size());
    for (std::size_t v = 0; v < config.vms; ++v) {
      RC_ASSERT(table.size_of(static_cast<VmId>(v)) == naive.HeldOf(static_cast<VmId>(v)));
    }
  }
}

// The index against a map, filled to the last slot, so that buckets overflow: many of them, and so few that
// each has been passed by some key.
TEST(FlowIndex, AgreesWithAMapWhenFull) {
  for (const std::uint32_t capacity : {1u, 9u, 17u, 33u, 100u, 5000u}) {
    SCOPED_TRACE(capacity);
    const std::uint64_t seed = capacity;
    const std::uint32_t numbers = capacity + capacity / 2 + 1;
    FlowIndex index(capacity, seed);
    std::map<std::uint32_t, Slot> naive;
    Rng rng(seed, "flow index");
    Work work;
    for (int step = 0; step < 100'000; ++step) {
      const std::uint32_t number = rng.Below(numbers);
      const FlowKey key = KeyNumber(number, 0);
      const auto it = naive.find(number);
      ASSERT_EQ(index.Find(key, work), it == naive.end() ? kNoSlot : it->second);
      // Growing, then shrinking, in turns, with a full index at the top.
      if (rng.Below(100) < (step / 20'000 % 2 == 0 ? 75u : 40u)) {
        const FlowIndex::Place place = index.FindOrInsert(key, work);
        ASSERT_EQ(place.fresh, it == naive.end() && naive.size() < capacity);
        if (it != naive.end()) {
          ASSERT_EQ(place.slot, it->second);
        }
        if (place.fresh) {
          for (const std::uint64_t counter :
               {index.entry(place.slot).packets, index.entry(place.slot).bytes}) {
            ASSERT_EQ(counter, 0u);
          }
          naive[number] = place.slot;
        }
        if (it == naive.end() && !place.fresh) {
          ASSERT_EQ(place.slot, kNoSlot);
        }
      } else if (it != naive.end()) {
        index.Erase(it->second, work);
        naive.erase(it);
      }
      ASSERT_EQ(index.size(), naive.size());
    }
    std::set<Slot> slots;
    for (const auto& [number, slot] : naive) slots.insert(slot);
    EXPECT_EQ(slots.size(), naive.size());
    // An emptied index has no trace of what was in it: every miss ends in its first bucket.
    for (const auto& [number, slot] : naive) index.Erase(slot, work);
    for (std::uint32_t number = 0; number < numbers; ++number) {
      Work miss;
      ASSERT_EQ(index.Find(KeyNumber(number, 0), miss), kNoSlot);
      ASSERT_EQ(miss[WorkItem::kProbe], 1u);
    }
  }
}

TEST(FlowTable, CountsItsWork) {
  FlowTableConfig config;
  config.capacity = 100;
  FlowTable table(config);
  Work work;
  table.FindOrInsert(KeyNumber(1, 0), Nanos(0), work);
  Work hit;
  ASSERT_NE(table.Find(KeyNumber(1, 0), hit), kNoSlot);
  EXPECT_EQ(hit[WorkItem::kHash], 1u);
  EXPECT_EQ(hit[WorkItem::kProbe], 2u);  // a bucket and a key
  EXPECT_EQ(hit[WorkItem::kCacheLine], 2u);
  Work miss;
  ASSERT_EQ(table.Find(KeyNumber(2, 0), miss), kNoSlot);
  EXPECT_EQ(miss[WorkItem::kProbe], 1u);
}

TEST(FlowTable, FitsIn128BytesAFlow) {
  FlowTableConfig config;
  config.capacity = 100'000;
  config.vms = 64;
  EXPECT_LE(FlowTable(config).bytes(), 128u * config.capacity);
}

// A half-open flood from one VM goes on at its own cost: no other VM loses a flow, and of its own flows the
// established ones next in turn are spared.
TEST(FlowTable, FloodEvictsItself) {
  FlowTableConfig config;
  config.capacity = 64;
  config.vms = 2;
  FlowTable table(config);
  Work work;
  ConnectionPacket packet;
  packet.is_tcp = true;
  const auto establish = [&](const FlowKey& key) {
    const Slot slot = table.FindOrInsert(key, Nanos(0), work).slot;
    packet.tcp_flags = 0x10;
    for (const std::uint8_t side : {std::uint8_t{0}, std::uint8_t{1}}) {
      packet.side = side;
      table.Observe(slot, Nanos(0), 60, packet, work);
    }
    ASSERT_EQ(table.record(slot).phase, Phase::kEstablished);
  };
  for (std::uint32_t i = 0; i < 32; ++i) establish(KeyNumber(i, 0));
  establish(KeyNumber(100, 1));
  packet.tcp_flags = 0x02;
  for (std::uint32_t i = 1000; i < 2000; ++i) {
    const FlowTable::Inserted inserted = table.FindOrInsert(KeyNumber(i, 1), Nanos(i), work);
    ASSERT_TRUE(inserted.fresh);
    table.Observe(inserted.slot, Nanos(i), 60, packet, work);
  }
  for (std::uint32_t i = 0; i < 32; ++i) EXPECT_NE(table.Find(KeyNumber(i, 0), work), kNoSlot);
  EXPECT_NE(table.Find(KeyNumber(100, 1), work), kNoSlot);
  EXPECT_EQ(table.size_of(1), 32u);
}

TEST(FlowTable, RefusesImpossibleSizes) {
  FlowTableConfig good;
  good.capacity = 4;
  EXPECT_NO_THROW(FlowTable{good});
  FlowTableConfig bad = good;
  bad.capacity = 0;
  EXPECT_THROW(FlowTable{bad}, Refusal);
  bad = good;
  bad.capacity = (std::size_t{1} << 30) + 1;
  EXPECT_THROW(FlowTable{bad}, Refusal);
  bad = good;
  bad.vms = 5;
  EXPECT_THROW(FlowTable{bad}, Refusal);
  bad.vms = 0;
  EXPECT_THROW(FlowTable{bad}, Refusal);
  bad = good;
  bad.tick = Nanos(0);
  EXPECT_THROW(FlowTable{bad}, Refusal);
  bad = good;
  bad.timeouts.by_phase[0] = Seconds(60 * 24 * 3600);
  EXPECT_THROW(FlowTable{bad}, Refusal);
  bad.timeouts.by_phase[0] = Nanos(-1);
  EXPECT_THROW(FlowTable{bad}, Refusal);
}

TEST(FlowTable, TheReadmesExample) {
  FlowTableConfig config;
  config.capacity = 4;
  const FlowKey key = KeyNumber(1, 0);
  const FlowKey keys[] = {key, KeyNumber(2, 0)};
  const std::size_t burst = 2;
  const Nanos now = Seconds(1);
  const std::uint32_t wire_bytes = 60;
  const wire::Dissection packet;
  const std::uint8_t side = 0;
  Work work;
  std::size_t expired = 0;
  const auto Report = [&](const FlowRecord&) { ++expired; };
  FlowTable table(config);
  table.Prefetch(keys, burst);  // up to 32
  const FlowTable::Inserted at = table.FindOrInsert(key, now, work);
  table.Observe(at.slot, now, wire_bytes, ConnectionPacketOf(packet, side), work);
  for (FlowRecord gone; table.Expire(now, gone, work);) Report(gone);
  EXPECT_EQ(table.record(at.slot).bytes, wire_bytes);
  EXPECT_EQ(expired, 0u);
}

}  // namespace
}  // namespace foreflow::flow
