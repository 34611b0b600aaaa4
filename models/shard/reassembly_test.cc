// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>

#include "models/base/refusal.h"
#include "models/shard/test_pair.h"

namespace foreflow::shard {
namespace {

std::uint64_t Sum(const Reassembler::Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

// ---- cutting

TEST(Sharder, TakesTheFewestFragmentsThatMakeAGrid) {
  for (std::size_t length = 1; length <= 2000; length += length < 300 ? 1 : 37) {
    for (std::size_t most = 1; most <= 1500; most += most < 40 ? 1 : 61) {
      const std::size_t total = FragmentsFor(length, most);
      ASSERT_TRUE(wire::IsGrid(length, total)) << length << " by " << most;
      const std::size_t needed = (length + most - 1) / most;
      if (needed <= wire::kMostFragments) {
        ASSERT_LE(wire::FragmentUnit(length, total), most);
        // A smaller number would need larger fragments.
        if (total > 1) {
          ASSERT_GT(wire::FragmentUnit(length, total - 1), most) << length << " by " << most;
        }
      }
    }
  }
  EXPECT_EQ(FragmentsFor(65535, 1), 64);
}

TEST(Sharder, NeverUsesANumberTwice) {
  Rng rng(1, "sharder_test");
  TestSender sender(5);
  const Raw packet = RandomPacket(rng, 1400);
  std::set<std::uint64_t> numbers;
  const auto take = [&](const Raw& datagram) {
    wire::ShardMessage message;
    ASSERT_EQ(wire::ReadShardMessage(View(datagram), message), wire::ShardFault::kNone);
    ASSERT_TRUE(numbers.insert(message.header.number).second) << message.header.number;
  };
  std::vector<PacketCut> cuts;
  for (int round = 0; round < 200; ++round) {
    if (round % 50 == 49) sender.Install(static_cast<std::uint8_t>(round));
    std::vector<Raw> datagrams;
    cuts.push_back(sender.Split(packet, 100 + rng.Below(1400), Nanos(), datagrams));
    for (const Raw& datagram : datagrams) take(datagram);
    if (const auto again =
            sender.Again(cuts[rng.Below(static_cast<std::uint32_t>(cuts.size()))], 0, packet, Nanos()))
      take(*again);
    if (const auto repair = sender.Repair(cuts.back(), packet, Nanos())) take(*repair);
  }
  EXPECT_EQ(numbers.size(), sender.sharder.next_number()) << "and leaves none out";
}

TEST(Sharder, ARetiredKeySealsNothing) {
  TestSender sender(5);
  const Raw packet(500, 1);
  std::vector<Raw> datagrams;
  const PacketCut cut = sender.Split(packet, 250, Nanos(), datagrams);
  sender.Install(1);
  EXPECT_TRUE(sender.Again(cut, 1, packet, Nanos()));
  sender.sharder.keys().Retire();
  EXPECT_FALSE(sender.Again(cut, 1, packet, Nanos()));
  EXPECT_FALSE(sender.sharder.keys().Install(1, kTestCipher, TestKey(1).data())) << "it lives";
}

TEST(Sharder, StampsTellTimeAcrossTheirWrap) {
  for (const std::int64_t sent : {0ll, 16'777'215'000ll, 16'777'216'999ll, 123'456'789'012ll})
    for (const std::int64_t after : {0, 1'000, 250'000'000})
      EXPECT_LE(std::abs((SinceStamp(SentStamp(Nanos(sent)), Nanos(sent + after)) - Nanos(after)).count()),
                1000);
}

// ---- against a map of everything

// Holds every fragment of every packet for ever, but for the time of each packet.
class NaiveReassembler {
 public:
  FragmentFate Input(const wire::ShardMessage& message, BytesView text, Nanos now, Nanos time,
                     std::optional<Raw>& packet) {
    const std::uint64_t base = message.base();
    const wire::FragmentHeader& header = message.fragment;
    auto [it, is_new] = packets_.try_emplace(base);
    Packet& known = it->second;
    if (is_new) {
      known.length = header.length;
      known.total = header.total;
      known.epoch = message.header.epoch;
      known.until = now + time;
    }
    const bool is_repair = message.header.type == wire::ShardType::kRepair;
    if (known.is_whole) return is_repair ? FragmentFate::kRepairUnused : FragmentFate::kAlreadyWhole;
    if (now >= known.until && !is_new) return FragmentFate::kTooLate;
    if (known.length != header.length || known.total != header.total) return FragmentFate::kConflict;
    if (known.epoch != message.header.epoch) return FragmentFate::kMixedEpoch;
    const int key = is_repair ? -1 : header.index;
    if (!known.parts.emplace(key, Raw(text.begin(), text.end())).second) return FragmentFate::kDuplicate;
    const std::size_t data = known.parts.size() - known.parts.count(-1);
    if (data + known.parts.count(-1) < known.total) return FragmentFate::kHeld;
    if (data + 1 == known.total) {
      int missing = 0;
      while (known.parts.count(missing) != 0) ++missing;
      Raw sum = known.parts.at(-1);
      for (const auto& [index, part] : known.parts)
        for (std::size_t i = 0; index >= 0 && i < part.size(); ++i)
          sum[i] = static_cast<std::uint8_t>(sum[i] ^ part[i]);
      known.parts[missing] = sum;
    }
    known.parts.erase(-1);
    packet.emplace();
    for (const auto& [index, part] : known.parts) packet->insert(packet->end(), part.begin(), part.end());
    packet->resize(known.length);  // a computed last part has its padding
    known.is_whole = true;
    return FragmentFate::kDelivered;
  }

 private:
  struct Packet {
    std::uint16_t length = 0;
    std::uint8_t total = 0, epoch = 0;
    bool is_whole = false;
    Nanos until;
    std::map<int, Raw> parts;
  };
  std::map<std::uint64_t, Packet> packets_;
};

// A network that loses, repeats, delays, reorders and changes; keys that change; packets of all sizes.
TEST(Reassembly, AgreesWithAMapOfEverything) {
  std::array<std::uint64_t, kFragmentFates> seen{};
  std::array<std::uint64_t, kOpenStatuses> statuses{};
  std::size_t packets = 0, delivered = 0, repaired = 0;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "reassembly_test");
    OpenerConfig opening;
    opening.replay_time = Seconds(1);
    ReassemblerConfig holding;
    holding.slots = 1u << 14;
    holding.most_fragments = 64;
    holding.least_fragment_bytes = 1;
    holding.longest = Millis(20);
    holding.tick = Nanos(1);
    TestReceiver receiver(opening, holding);
    TestSender sender(7 + 8 * static_cast<std::uint32_t>(seed), rng.Below(2) == 0);
    receiver.Begin(sender.sharder.session());
    NaiveReassembler naive;
    std::multimap<Nanos, Raw> network;
    std::map<std::uint64_t, Raw> sent;
    std::vector<PacketCut> cuts;
    const auto send = [&](const Raw& datagram, Nanos now) {
      const std::uint32_t fortune = rng.Below(100);
      if (fortune < 4) return;  // lost
      Raw copy = datagram;
      if (fortune < 8) {
        copy[rng.Below(static_cast<std::uint32_t>(copy.size()))] ^=
            static_cast<std::uint8_t>(1 << rng.Below(8));
      } else if (fortune < 10) {
        copy.resize(rng.Below(static_cast<std::uint32_t>(copy.size())));
      }
      const Nanos at = now + Micros(rng.Below(fortune < 14 ? 30'000 : 400));
      network.emplace(at, copy);
      if (fortune >= 97) network.emplace(at + Micros(rng.Below(500)), copy);
    };
    Nanos now;
    std::uint8_t epoch = 0;
    const auto receive = [&](Nanos until) {
      while (!network.empty() && network.begin()->first <= until) {
        const Nanos at = network.begin()->first;
        const Raw datagram = network.begin()->second;
        network.erase(network.begin());
        const auto result = receiver.Input(datagram, at);
        ++statuses[static_cast<std::size_t>(result.status)];
        ASSERT_TRUE(receiver.IsSound());
        if (!result.fate) continue;
        // A second opinion on the plaintext, from the packet that was sent.
        const auto original = sent.find(result.message.base());
        ASSERT_NE(original, sent.end());
        wire::ShardMessage message;
        ASSERT_EQ(wire::ReadShardMessage(View(datagram), message), wire::ShardFault::kNone);
        Raw text;
        const std::size_t unit = wire::FragmentUnit(message.fragment.length, message.fragment.total);
        if (message.header.type == wire::ShardType::kRepair) {
          text.assign(unit, 0);
          for (std::size_t i = 0; i < original->second.size(); ++i)
            text[i % unit] = static_cast<std::uint8_t>(text[i % unit] ^ original->second[i]);
        } else {
          const auto from =
              original->second.begin() + static_cast<std::ptrdiff_t>(message.fragment.index * unit);
          text.assign(from, from + static_cast<std::ptrdiff_t>(message.sealed.size));
        }
        std::optional<Raw> packet;
        const FragmentFate expected = naive.Input(message, View(text), at, Millis(20), packet);
        ASSERT_EQ(Name(*result.fate), Name(expected));
        ASSERT_EQ(result.packet, packet);
        ++seen[static_cast<std::size_t>(expected)];
        if (packet) {
          ASSERT_EQ(*packet, original->second);
          ++delivered;
        }
      }
    };
    for (int step = 0; step < 150; ++step) {
      now += Micros(rng.Below(300));
      receive(now);
      if (HasFatalFailure()) return;
      if (rng.Below(40) == 0) {
        ++epoch;
        sender.Install(epoch);
        receiver.Install(sender.sharder.session(), epoch);
      }
      const Raw packet = RandomPacket(rng, 1 + rng.Below(rng.Below(10) == 0 ? 9000 : 1500));
      std::vector<Raw> datagrams;
      const PacketCut cut = sender.Split(packet, 1 + rng.Below(1400), now, datagrams);
      sent[cut.base] = packet;
      ++packets;
      for (std::size_t i = datagrams.size(); i > 1; --i)
        std::swap(datagrams[i - 1], datagrams[rng.Below(static_cast<std::uint32_t>(i))]);
      for (const Raw& datagram : datagrams) send(datagram, now);
      if (rng.Below(3) == 0) {
        if (const auto repair = sender.Repair(cut, packet, now)) send(*repair, now + Micros(rng.Below(500)));
        ++repaired;
      }
      // Some are sent again, whether they were lost or not, and some far too late.
      cuts.push_back(cut);
      if (rng.Below(3) == 0) {
        const auto recent = static_cast<std::uint32_t>(std::min<std::size_t>(cuts.size(), 10));
        const PacketCut& before = cuts[cuts.size() - 1 - rng.Below(recent)];
        if (const auto datagram = sender.Again(before, rng.Below(before.total), sent[before.base], now))
          send(*datagram, now + Micros(rng.Below(40'000)));
      }
    }
    receive(now + Seconds(1));
    if (HasFatalFailure()) return;
    Work work;
    receiver.reassembler.Expire(now + Seconds(2), receiver, work);
    EXPECT_EQ(receiver.reassembler.held(), 0u);
    EXPECT_TRUE(receiver.IsSound());
    EXPECT_EQ(Sum(receiver.reassembler.counts()), receiver.Count(OpenStatus::kOpened));
  }
  EXPECT_GT(delivered, packets / 4);
  for (const OpenStatus status : {OpenStatus::kOpened, OpenStatus::kMalformed, OpenStatus::kUnknownSession,
                                  OpenStatus::kReplayed, OpenStatus::kForged})
    EXPECT_GT(statuses[static_cast<std::size_t>(status)], 10u) << Name(status);
  for (const FragmentFate fate :
       {FragmentFate::kHeld, FragmentFate::kDelivered, FragmentFate::kAlreadyWhole, FragmentFate::kDuplicate,
        FragmentFate::kRepairUnused, FragmentFate::kTooLate})
    EXPECT_GT(seen[static_cast<std::size_t>(fate)], 5u) << Name(fate);
}

// ---- every order, duplicate, repair and timeout of small packets

class DropSink final : public FragmentSink {
 public:
  void OnDropped(FragmentHandle fragment, FragmentFate) override { back.push_back(fragment); }
  std::vector<FragmentHandle> back;
};

TEST(Reassembly, IsExhaustivelyRightUpToFourFragments) {
  constexpr int kTimeout = -2, kRepair = -1;
  std::size_t cases = 0, whole_cases = 0;
  for (int total = 1; total <= 4; ++total) {
    for (int with_repair = 0; with_repair <= 1; ++with_repair) {
      std::vector<int> order(static_cast<std::size_t>(total + with_repair));
      std::iota(order.begin(), order.end(), with_repair == 1 ? kRepair : 0);
      do {
        for (int duplicate = kTimeout; duplicate < total; ++duplicate) {  // kTimeout: none
          if (duplicate == kRepair && with_repair == 0) continue;
          for (std::size_t at = 0; at <= (duplicate == kTimeout ? 0 : order.size()); ++at) {
            std::vector<int> events = order;
            if (duplicate != kTimeout)
              events.insert(events.begin() + static_cast<std::ptrdiff_t>(at), duplicate);
            for (std::size_t timeout = 0; timeout <= events.size() + 1; ++timeout) {
              std::vector<int> all = events;
              if (timeout <= events.size())
                all.insert(all.begin() + static_cast<std::ptrdiff_t>(timeout), kTimeout);
              ++cases;
              ReassemblerConfig config;
              config.slots = 2;
              config.most_fragments = 4;
              config.least_fragment_bytes = 1;
              config.held = 6;
              config.longest = Millis(10);
              static Reassembler reassembler(config);
              static std::uint64_t base = 0;
              static Nanos now;
              base += 5;
              DropSink sink;
              Work work;
              std::set<int> there;
              std::size_t held = 0;
              bool is_whole = false, is_given_up = false;
              for (const int event : all) {
                if (event == kTimeout) {
                  now += Millis(30);
                  reassembler.Expire(now, sink, work);
                  if (!there.empty() && !is_whole) is_given_up = true;
                  ASSERT_EQ(sink.back.size(), is_given_up ? held : 0u);
                  continue;
                }
                now += Micros(1);
                ArrivedFragment fragment;
                fragment.base = base;
                fragment.is_repair = event == kRepair;
                fragment.header.index = static_cast<std::uint8_t>(event < 0 ? 0 : event);
                fragment.header.total = static_cast<std::uint8_t>(total);
                fragment.header.length = 100;
                fragment.handle = static_cast<FragmentHandle>(event + 10);
                WholePacket whole;
                const FragmentFate fate = reassembler.Input(fragment, now, whole, sink, work);
                FragmentFate expected = FragmentFate::kHeld;
                if (is_whole) {
                  expected = event == kRepair ? FragmentFate::kRepairUnused : FragmentFate::kAlreadyWhole;
                } else if (is_given_up) {
                  expected = FragmentFate::kTooLate;
                } else if (!there.insert(event).second) {
                  expected = FragmentFate::kDuplicate;
                } else {
                  ++held;
                  if (held >= static_cast<std::size_t>(total)) expected = FragmentFate::kDelivered;
                }
                ASSERT_EQ(Name(fate), Name(expected));
                if (fate != FragmentFate::kDelivered) continue;
                is_whole = true;
                ++whole_cases;
                for (int i = 0; i < total; ++i) {
                  if (static_cast<std::size_t>(i) == whole.missing) {
                    ASSERT_EQ(there.count(i), 0u);
                    ASSERT_TRUE(whole.has_repair);
                    ASSERT_EQ(whole.repair, static_cast<FragmentHandle>(kRepair + 10));
                  } else {
                    ASSERT_EQ(whole.fragments[i], static_cast<FragmentHandle>(i + 10));
                  }
                }
              }
              now += Millis(30);
              reassembler.Expire(now, sink, work);
              ASSERT_EQ(reassembler.held(), 0u);
              ASSERT_EQ(reassembler.packets(), 0u);
            }
          }
        }
      } while (std::next_permutation(order.begin(), order.end()));
    }
  }
  EXPECT_GT(cases, 20'000u);
  EXPECT_GT(whole_cases, 5'000u);
}

// ---- rules

struct Direct {
  explicit Direct(const ReassemblerConfig& config) : reassembler(config) {}
  FragmentFate Input(std::size_t session, std::uint64_t base, std::uint8_t index, std::uint8_t total,
                     Nanos now, std::uint8_t ecn = 0) {
    ArrivedFragment fragment;
    fragment.session = session;
    fragment.base = base;
    fragment.header.index = index;
    fragment.header.total = total;
    fragment.header.length = 1400;
    fragment.ecn = ecn;
    return reassembler.Input(fragment, now, whole, sink, work);
  }
  Reassembler reassembler;
  DropSink sink;
  Work work;
  WholePacket whole;
};

TEST(Reassembly, EcnFieldsMergeAsInRfc3168) {
  ReassemblerConfig config;
  config.most_fragments = 2;
  Direct direct(config);
  std::uint64_t base = 0;
  for (std::uint8_t a = 0; a < 4; ++a) {
    for (std::uint8_t b = 0; b < 4; ++b) {
      base += 2;
      direct.Input(0, base, 0, 2, Nanos(), a);
      const FragmentFate fate = direct.Input(0, base, 1, 2, Nanos(), b);
      const bool is_mixed = (a == 3 && b == 0) || (a == 0 && b == 3);
      ASSERT_EQ(fate, is_mixed ? FragmentFate::kEcnMixed : FragmentFate::kDelivered);
      if (is_mixed) continue;
      const int expected = a == 3 || b == 3 ? 3 : a == 0 || b == 0 ? 0 : a == b ? a : 2;
      EXPECT_EQ(direct.whole.ecn, expected) << int{a} << int{b};
    }
  }
  EXPECT_EQ(direct.reassembler.held(), 0u);
  EXPECT_EQ(direct.sink.back.size(), 4u);
}

TEST(Reassembly, LaterFragmentsDoNotRestartThePacketsTime) {
  ReassemblerConfig config;
  config.longest = Millis(10);
  Direct direct(config);
  direct.reassembler.SetTime(0, Millis(5));
  direct.Input(0, 0, 0, 4, Millis(0));
  for (std::uint8_t i = 1; i < 3; ++i) direct.Input(0, 0, i, 4, Millis(2 * i));
  direct.reassembler.Expire(Millis(5), direct.sink, direct.work);
  EXPECT_EQ(direct.sink.back.size(), 3u);
  EXPECT_EQ(direct.Input(0, 0, 3, 4, Millis(6)), FragmentFate::kTooLate);
}

// Each packet's time is its own, whatever the slot's last packet had, whatever the session has had since, and
// however time jumps: against a list of all packets under way and the ticks at which they end.
TEST(Reassembly, EveryPacketHasItsOwnTime) {
  std::size_t timed_out = 0, jumps = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "times");
    ReassemblerConfig config;
    config.sessions = 1 + rng.Below(3);
    config.slots = 8u << rng.Below(3);
    config.most_fragments = 4;
    config.held = 4096;
    config.shortest = Nanos(1);
    config.longest = Seconds(10);
    config.start = Nanos(static_cast<std::int64_t>(rng.Below(1000)));
    config.tick = std::array{Nanos(1), Nanos(7), Micros(100)}[rng.Below(3)];
    Direct direct(config);
    const std::int64_t tick = config.tick.count(), start = config.start.count();
    constexpr std::int64_t kFarthest = 2'147'483'647;
    struct UnderWay {
      std::int64_t ends;
      FragmentHandle handle;
    };
    std::map<std::pair<std::size_t, std::uint64_t>, UnderWay> under_way;
    std::array<Nanos, 3> time;
    time.fill(config.longest);
    std::array<std::uint64_t, 3> base{};
    std::int64_t reached = 0;
    FragmentHandle next = 0;
    Nanos now = config.start;
    for (int step = 0; step < 2000; ++step) {
      const std::size_t session = rng.Below(static_cast<std::uint32_t>(config.sessions));
      const std::uint32_t what = rng.Below(100);
      if (what < 5) {
        time[session] = Nanos(1 + static_cast<std::int64_t>(rng.Below(200)) * (what == 0 ? 1'000'000 : 200));
        direct.reassembler.SetTime(session, time[session]);
      }
      if (what < 30) now += Nanos(static_cast<std::int64_t>(rng.Below(20'000)));
      if (what == 30) now += Seconds(1 + static_cast<std::int64_t>(rng.Below(20)));
      if (what == 31) now = Nanos(now.count() / 2);
      if (what < 50) {
        std::set<FragmentHandle> expected;
        if (now >= config.start) {
          const std::int64_t target = (now.count() - start) / tick;
          if (target - reached > kFarthest) ++jumps;
          reached = std::max(reached, target);
          for (auto it = under_way.begin(); it != under_way.end();) {
            const bool is_over = it->second.ends <= reached;
            if (is_over) expected.insert(it->second.handle);
            it = is_over ? under_way.erase(it) : std::next(it);
          }
        }
        direct.reassembler.Expire(now, direct.sink, direct.work);
        ASSERT_EQ(std::set<FragmentHandle>(direct.sink.back.begin(), direct.sink.back.end()), expected);
        timed_out += expected.size();
        direct.sink.back.clear();
      }
      // The last packet of the session is made whole, or another one begins; of the slot's last only its
      // timer is left.
      const auto last = under_way.find({session, base[session]});
      ArrivedFragment fragment;
      fragment.session = session;
      fragment.header.total = 2;
      fragment.header.length = 500;
      fragment.handle = next++;
      if (last != under_way.end() && rng.Below(2) == 0) {
        fragment.base = base[session];
        fragment.header.index = 1;
        ASSERT_EQ(direct.reassembler.Input(fragment, now, direct.whole, direct.sink, direct.work),
                  FragmentFate::kDelivered);
        ASSERT_EQ(direct.whole.fragments[0], last->second.handle);
        under_way.erase(last);
        continue;
      }
      fragment.base = base[session] += 1 + rng.Below(3);
      ASSERT_EQ(direct.reassembler.Input(fragment, now, direct.whole, direct.sink, direct.work),
                FragmentFate::kHeld);
      if (!direct.sink.back.empty()) {  // overrun
        ASSERT_EQ(direct.sink.back.size(), 1u);
        const auto is_it = [&](const auto& each) { return each.second.handle == direct.sink.back[0]; };
        const auto overrun = std::find_if(under_way.begin(), under_way.end(), is_it);
        ASSERT_NE(overrun, under_way.end());
        under_way.erase(overrun);
        direct.sink.back.clear();
      }
      const std::int64_t deadline = (now + time[session]).count();
      const std::int64_t ends = deadline <= start ? 0 : (deadline - start + tick - 1) / tick;
      under_way[{session, fragment.base}] = {std::clamp(ends, reached + 1, reached + kFarthest),
                                             fragment.handle};
      ASSERT_EQ(direct.reassembler.packets(), under_way.size());
    }
  }
  EXPECT_GT(timed_out, 5000u);
  EXPECT_GT(jumps, 10u);
}

TEST(Reassembly, ALaterPacketOfThePlaceOverruns) {
  ReassemblerConfig config;
  config.slots = 16;
  Direct direct(config);
  direct.Input(0, 3, 0, 2, Nanos());
  EXPECT_EQ(direct.Input(0, 19, 0, 2, Nanos()), FragmentFate::kHeld);
  EXPECT_EQ(direct.sink.back.size(), 1u);
  EXPECT_EQ(direct.Input(0, 3, 1, 2, Nanos()), FragmentFate::kStale);
  EXPECT_EQ(direct.Input(0, 19, 1, 2, Nanos()), FragmentFate::kDelivered);
  EXPECT_EQ(direct.Input(0, 19, 1, 2, Nanos()), FragmentFate::kAlreadyWhole);
  direct.reassembler.Forget(0, direct.sink, direct.work);
  EXPECT_EQ(direct.Input(0, 3, 0, 2, Nanos()), FragmentFate::kHeld) << "numbers begin anew";
}

// Sessions within their share lose nothing to the others, whatever those send; nobody is refused.
TEST(Reassembly, ASessionWithinItsShareLosesNothing) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "shares");
    ReassemblerConfig config;
    config.sessions = 4;
    config.slots = 256;
    config.most_fragments = 4;
    config.held = 4 * 8 + rng.Below(4);
    config.longest = Seconds(10);
    Direct direct(config);
    std::array<std::uint64_t, 4> base{};
    std::uint64_t modest_base = 0;
    for (int step = 0; step < 3000; ++step) {
      // Session 0: two packets of four under way, 8 fragments at most, its share.
      const std::size_t greedy = 1 + rng.Below(3);
      base[greedy] += 4;
      const auto parts = static_cast<std::uint8_t>(1 + rng.Below(3));
      for (std::uint8_t i = 0; i < parts; ++i)
        ASSERT_EQ(direct.Input(greedy, base[greedy], i, 4, Nanos()), FragmentFate::kHeld);
      ASSERT_LE(direct.reassembler.held(), config.held);
      if (step % 8 == 0) {
        for (std::uint8_t i = 0; i < 3; ++i) {
          ASSERT_EQ(direct.Input(0, modest_base + 4, i, 4, Nanos()), FragmentFate::kHeld);
          ASSERT_EQ(direct.Input(0, modest_base + 8, i, 4, Nanos()), FragmentFate::kHeld);
        }
      } else if (step % 8 == 7) {
        ASSERT_EQ(direct.Input(0, modest_base + 4, 3, 4, Nanos()), FragmentFate::kDelivered);
        ASSERT_EQ(direct.Input(0, modest_base + 8, 3, 4, Nanos()), FragmentFate::kDelivered);
        modest_base += 8;
      }
      std::size_t sum = 0;
      for (std::size_t i = 0; i < 4; ++i) sum += direct.reassembler.held_of(i);
      ASSERT_EQ(sum, direct.reassembler.held());
    }
    EXPECT_GT(direct.reassembler.counts()[static_cast<std::size_t>(FragmentFate::kEvicted)], 1000u);
  }
}

// Random calls on full tables, times that jump and go back: everything that goes in comes out, once.
TEST(Reassembly, NothingIsLostOrFoundUncounted) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "conservation");
    ReassemblerConfig config;
    config.sessions = 1 + rng.Below(3);
    config.slots = 8u << rng.Below(4);
    config.most_fragments = 1 + rng.Below(8);
    config.held = config.sessions * (config.most_fragments + 2) + rng.Below(10);
    Direct direct(config);
    std::set<FragmentHandle> out;
    FragmentHandle next = 1;
    std::uint64_t calls = 0, base = 0;
    Nanos now;
    for (int step = 0; step < 3000; ++step) {
      now +=
          rng.Below(100) == 0 ? Nanos(static_cast<std::int64_t>(rng.Next64() >> 30)) : Micros(rng.Below(500));
      if (rng.Below(200) == 0) now = Nanos();
      if (rng.Below(10) == 0) direct.reassembler.Expire(now, direct.sink, direct.work);
      if (rng.Below(300) == 0)
        direct.reassembler.Forget(rng.Below(static_cast<std::uint32_t>(config.sessions)), direct.sink,
                                  direct.work);
      ArrivedFragment fragment;
      fragment.session = rng.Below(static_cast<std::uint32_t>(config.sessions));
      base += rng.Below(3);
      fragment.base = base < 20 ? base : base - rng.Below(20);
      fragment.header.total = static_cast<std::uint8_t>(1 + rng.Below(9));
      fragment.header.index = static_cast<std::uint8_t>(rng.Below(fragment.header.total));
      fragment.header.length = static_cast<std::uint16_t>(64 * 9 + rng.Below(2) * 900);
      fragment.is_repair = rng.Below(8) == 0;
      fragment.epoch = rng.Below(20) == 0;
      fragment.ecn = static_cast<std::uint8_t>(rng.Below(4));
      fragment.handle = next++;
      ++calls;
      WholePacket whole;
      const FragmentFate fate = direct.reassembler.Input(fragment, now, whole, direct.sink, direct.work);
      if (fate == FragmentFate::kHeld || fate == FragmentFate::kDelivered ||
          fate == FragmentFate::kEcnMixed) {
        ASSERT_TRUE(out.insert(fragment.handle).second);
      }
      if (fate == FragmentFate::kDelivered) {
        for (std::size_t i = 0; i < whole.total; ++i) {
          if (i != whole.missing) {
            ASSERT_EQ(out.erase(whole.fragments[i]), 1u);
          }
        }
        if (whole.has_repair) {
          ASSERT_EQ(out.erase(whole.repair), 1u);
        }
      }
      for (const FragmentHandle back : direct.sink.back) ASSERT_EQ(out.erase(back), 1u);
      direct.sink.back.clear();
      ASSERT_EQ(out.size(), direct.reassembler.held());
      ASSERT_EQ(Sum(direct.reassembler.counts()), calls);
    }
  }
}

TEST(Reassembly, RefusesWhatItCannotHold) {
  const auto expect_refusal = [](const ReassemblerConfig& config, const std::string& key) {
    try {
      Reassembler reassembler(config);
      FAIL() << key;
    } catch (const Refusal& refusal) {
      EXPECT_NE(std::string(refusal.what()).find(key), std::string::npos) << refusal.what();
    }
  };
  ReassemblerConfig config;
  config.sessions = 0;
  expect_refusal(config, "sessions");
  config = {};
  config.slots = 1000;
  expect_refusal(config, "slots");
  config = {};
  config.most_fragments = 65;
  expect_refusal(config, "most_fragments");
  config = {};
  config.held = 17;
  expect_refusal(config, "held");
  config = {};
  config.shortest = Seconds(1);
  expect_refusal(config, "shortest");
  config = {};
  config.longest = Seconds(11);
  expect_refusal(config, "longest");
  OpenerConfig opening;
  opening.sessions = 3;
  EXPECT_THROW(Opener{opening}, Refusal);
  opening = {};
  opening.replay_records = 100;
  EXPECT_THROW(Opener{opening}, Refusal);
  for (std::size_t i = 0; i < kFragmentFates; ++i) EXPECT_NE(Name(static_cast<FragmentFate>(i)), nullptr);
  for (std::size_t i = 0; i < kOpenStatuses; ++i) EXPECT_NE(Name(static_cast<OpenStatus>(i)), nullptr);
}

}  // namespace
}  // namespace foreflow::shard
