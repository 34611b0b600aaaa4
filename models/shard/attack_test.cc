// SPDX-License-Identifier: BSD-3-Clause
// What has been done to those who put fragments together, done to ours; each test prints what was sent, the
// fragments held before, at most and after, and what honest packets came through.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "models/shard/test_pair.h"
#include "models/shard/unit.h"

namespace {

// All memory that the cores took at set-up, to be compared byte by byte; and what was taken later.
struct Block {
  void* at;
  std::size_t size;
};
bool g_recording = false, g_counting = false;
std::size_t g_blocks = 0, g_allocations = 0;
Block g_block[4096];

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  if (g_counting) ++g_allocations;
  if (g_recording && g_blocks < 4096) g_block[g_blocks++] = {memory, size};
  return memory;
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  void* const memory = std::aligned_alloc(align, (size + align - 1) / align * align);
  if (memory == nullptr) throw std::bad_alloc();
  if (g_counting) ++g_allocations;
  if (g_recording && g_blocks < 4096) g_block[g_blocks++] = {memory, size};
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace foreflow::shard {
namespace {

// Sessions: 0 is honest, 1 is the attacker's where it is a peer itself.
constexpr std::uint32_t kHonest = 0, kAttacker = 1;

ReassemblerConfig Holding(std::size_t held = 256) {
  ReassemblerConfig config;
  config.sessions = 2;
  config.slots = 4096;
  config.held = held;
  return config;
}
OpenerConfig Opening() {
  OpenerConfig config;
  config.sessions = 2;
  return config;
}

// An honest sender whose packets of 4 come through, or do not, while something else goes on.
class Honest {
 public:
  explicit Honest(TestReceiver& receiver) : receiver_(receiver), sender_(kHonest) { receiver.Begin(kHonest); }
  // Two fragments, what happens between, and the other two.
  template <typename Between>
  void Send(Nanos now, const Between& between) {
    const Raw packet = RandomPacket(rng_, 1400);
    std::vector<Raw> datagrams;
    sender_.Split(packet, 350, now, datagrams);
    ++sent;
    receiver_.Input(datagrams[1], now);
    receiver_.Input(datagrams[3], now);
    between();
    receiver_.Input(datagrams[0], now);
    const auto result = receiver_.Input(datagrams[2], now);
    if (result.packet == packet) ++delivered;
  }
  std::size_t sent = 0, delivered = 0;

 private:
  TestReceiver& receiver_;
  TestSender sender_;
  Rng rng_{1, "honest"};
};

void Print(const char* attack, std::size_t datagrams, const TestReceiver& receiver, const Honest& honest) {
  std::printf("%s: %zu datagrams; held 0, at most %zu, now %zu; honest packets %zu of %zu\n", attack,
              datagrams, receiver.most_held, receiver.reassembler.held(), honest.delivered, honest.sent);
  EXPECT_EQ(honest.delivered, honest.sent) << attack;
  EXPECT_TRUE(receiver.IsSound()) << attack;
}

// 1. First fragments without the rest, by a peer: its memory is its own problem. (A table of 4096 packets of
// rte_ip_frag completes none of 1000 honest ones under 8192 of these.) The work for each is the same.
TEST(Attack, LoneFirstFragments) {
  TestReceiver receiver(Opening(), Holding());
  Honest honest(receiver);
  TestSender attacker(kAttacker);
  receiver.Begin(kAttacker);
  const Raw packet(1400, 1);
  std::size_t datagrams = 0;
  for (int round = 0; round < 1000; ++round) {
    honest.Send(Micros(round), [&] {
      for (int i = 0; i < 9; ++i, ++datagrams) {
        std::vector<Raw> fragments;
        attacker.Split(packet, 350, Micros(round), fragments);
        const Work before = receiver.work;
        EXPECT_EQ(receiver.Input(fragments[0], Micros(round)).fate, FragmentFate::kHeld);
        EXPECT_LE(receiver.work[WorkItem::kProbe] - before[WorkItem::kProbe], 1u);
        EXPECT_LE(receiver.work[WorkItem::kUpdate] - before[WorkItem::kUpdate], 2u);
      }
    });
  }
  EXPECT_EQ(receiver.most_held, 256u);
  Print("lone first fragments", datagrams, receiver, honest);
  Work work;
  receiver.reassembler.Expire(Seconds(1), receiver, work);
  EXPECT_EQ(receiver.reassembler.held(), 0u);
}

// 2. One more fragment whenever the last is about to be forgotten: the packet's time does not begin anew.
TEST(Attack, SlowDrip) {
  TestReceiver receiver(Opening(), Holding());
  Honest honest(receiver);
  TestSender attacker(kAttacker);
  receiver.Begin(kAttacker);
  const Raw packet(1600, 1);
  std::vector<std::vector<Raw>> packets(100);
  for (auto& fragments : packets) attacker.Split(packet, 100, Nanos(), fragments);
  std::size_t datagrams = 0;
  for (std::size_t i = 0; i < 15; ++i) {
    const Nanos now = Millis(190) * static_cast<std::int64_t>(i);
    for (const auto& fragments : packets) {
      if (receiver.Input(fragments[i], now).fate == FragmentFate::kHeld) ++datagrams;
    }
    if (now < Millis(200)) continue;
    honest.Send(now, [] {});
    EXPECT_EQ(receiver.reassembler.held_of(kAttacker), 0u) << i;
  }
  EXPECT_EQ(datagrams, 200u) << "two fragments each, of 16";
  Print("slow drip", 1500, receiver, honest);
}

// 3. Overlaps and contradictions: no header can say any (the grid), and what another header says of the same
// packet is refused; whatever order they come in, the bytes are those of the first description.
TEST(Attack, OverlapsAndContradictions) {
  TestReceiver receiver(Opening(), Holding());
  Honest honest(receiver);
  receiver.Begin(kAttacker);
  Rng rng(1, "overlap");
  const Raw a = RandomPacket(rng, 1400), b = RandomPacket(rng, 1390);
  std::size_t datagrams = 0, whole = 0;
  for (int round = 0; round < 200; ++round) {
    // Two senders with the same key and numbers from the same base on: a peer that breaks the rules. The
    // second's fragments come under numbers of their own.
    TestSender one(kAttacker), other(kAttacker);
    receiver.opener.Begin(kAttacker);
    receiver.Install(kAttacker, 0);
    Work work;
    receiver.reassembler.Forget(kAttacker, receiver, work);
    std::vector<Raw> first, unused;
    const PacketCut cut = one.Split(a, 350, Nanos(), first);
    PacketCut lie = other.Split(b, round % 2 == 0 ? 280 : 330, Nanos(), unused);
    lie.base = cut.base;
    std::vector<Raw> all = first;
    for (int i = 0; i < 20; ++i) other.sharder.Cut(1, 1);
    for (std::size_t i = 0; i < lie.total; ++i) all.push_back(*other.Again(lie, i, b, Nanos()));
    const Raw begins = all[0];
    for (std::size_t i = all.size() - 1; i > 1; --i)
      std::swap(all[i], all[1 + rng.Below(static_cast<std::uint32_t>(i))]);
    for (const Raw& datagram : all) {
      const auto result = receiver.Input(datagram, Nanos());
      ++datagrams;
      if (!result.packet) continue;
      EXPECT_EQ(*result.packet, a);
      ++whole;
    }
    honest.Send(Nanos(), [] {});
  }
  EXPECT_EQ(whole, 200u);
  EXPECT_GT(receiver.Count(FragmentFate::kConflict), 200u);
  Print("overlaps and contradictions", datagrams, receiver, honest);
}

// 4. Duplicates without end, tiny fragments, one-byte ends, and headers that cannot be.
TEST(Attack, DuplicatesAndTinyFragments) {
  TestReceiver receiver(Opening(), Holding());
  Honest honest(receiver);
  TestSender attacker(kAttacker);
  receiver.Begin(kAttacker);
  const Raw packet(1400, 1), odd(351, 2), small(64 * 20, 3);
  std::vector<Raw> fragments;
  const PacketCut cut = attacker.Split(packet, 350, Nanos(), fragments);
  receiver.Input(fragments[1], Nanos());
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_EQ(receiver.Input(fragments[1], Nanos()).status, OpenStatus::kReplayed);
    if (i % 10 == 0) {
      EXPECT_EQ(receiver.Input(*attacker.Again(cut, 1, packet, Nanos()), Nanos()).fate,
                FragmentFate::kDuplicate);
      honest.Send(Nanos(), [] {});
    }
  }
  for (const std::size_t i : {0u, 2u, 3u}) receiver.Input(fragments[i], Nanos());
  EXPECT_EQ(receiver.Count(FragmentFate::kDelivered), 4 + 4 * honest.sent) << "none of them inflated a count";
  fragments.clear();
  attacker.Split(small, 20, Nanos(), fragments);
  for (const Raw& fragment : fragments)
    EXPECT_EQ(receiver.Input(fragment, Nanos()).fate, FragmentFate::kTooMany);
  fragments.clear();
  attacker.Split(Raw(300, 3), 20, Nanos(), fragments);
  for (const Raw& fragment : fragments)
    EXPECT_EQ(receiver.Input(fragment, Nanos()).fate, FragmentFate::kTooSmall);
  fragments.clear();
  attacker.Split(odd, 88, Nanos(), fragments);
  std::optional<Raw> whole;
  for (const Raw& fragment : fragments) whole = receiver.Input(fragment, Nanos()).packet;
  EXPECT_EQ(whole, odd);
  // All values of total, index and length in a header of ours: none is held, since none verifies, and none is
  // read past its end (under the sanitizers).
  fragments.clear();
  attacker.Split(packet, 350, Nanos(), fragments);
  for (std::size_t at = 14; at < 24; ++at) {
    for (int value = 0; value < 256; ++value) {
      Raw changed = fragments[0];
      if (changed[at] == value) continue;
      changed[at] = static_cast<std::uint8_t>(value);
      EXPECT_NE(receiver.Input(changed, Nanos()).status, OpenStatus::kOpened);
    }
  }
  Print("duplicates and tiny fragments", 10'000 + 1'000 + 2'560, receiver, honest);
}

// 5. Identifiers that come round: numbers of 64 bits do not, and packets whose numbers agree in 12, 16 or 32
// bits are two. 6. Collisions: there is no hash; what shares a place in the ring are packets as far apart as
// the ring is long, of one session.
TEST(Attack, NumbersThatWrapAndCollide) {
  ReassemblerConfig config = Holding();
  Reassembler reassembler(config);
  struct : FragmentSink {
    void OnDropped(FragmentHandle, FragmentFate) override {}
  } sink;
  Work work;
  WholePacket whole;
  std::size_t held = 0, delivered = 0;
  for (const unsigned bits : {12u, 16u, 32u, 48u}) {
    for (std::uint64_t i = 1; i < 1000; ++i) {
      ArrivedFragment fragment;
      fragment.session = kAttacker;
      fragment.base = (std::uint64_t{bits} << 58) + (i << bits);
      fragment.header.total = 2;
      fragment.header.length = 1400;
      const Work before = work;
      held += reassembler.Input(fragment, Nanos(), whole, sink, work) == FragmentFate::kHeld ? 1 : 0;
      ASSERT_LE(work[WorkItem::kProbe] - before[WorkItem::kProbe], 1u);
      // The other half of the one before: its place is another packet's now.
      fragment.base -= std::uint64_t{1} << bits;
      fragment.header.index = 1;
      if (i > 1) {
        ASSERT_EQ(reassembler.Input(fragment, Nanos(), whole, sink, work), FragmentFate::kStale);
      }
      fragment.session = kHonest;
      fragment.base = 1'000'000 * bits + 2 * i;
      ASSERT_EQ(reassembler.Input(fragment, Nanos(), whole, sink, work), FragmentFate::kHeld);
      fragment.header.index = 0;
      delivered +=
          reassembler.Input(fragment, Nanos(), whole, sink, work) == FragmentFate::kDelivered ? 1 : 0;
    }
  }
  EXPECT_EQ(held, 4 * 999u);
  EXPECT_EQ(delivered, 4 * 999u);
  std::printf("numbers that wrap and collide: 7992 fragments; held now %zu; honest packets %zu of 3996\n",
              reassembler.held(), delivered);
}

// 7. Mixed keys and the fragment cache (CVE-2020-24586, CVE-2020-24587): fragments under an older or newer
// key, and fragments from before a session began anew, are never put together with others.
TEST(Attack, MixedKeysAndTheFragmentCache) {
  TestReceiver receiver(Opening(), Holding());
  Honest honest(receiver);
  receiver.Begin(kAttacker);
  TestSender sender(kAttacker);
  const Raw packet(1400, 1), other(1400, 2);
  std::vector<Raw> fragments;
  PacketCut cut = sender.Split(packet, 350, Nanos(), fragments);
  receiver.Input(fragments[0], Nanos());
  receiver.Input(fragments[1], Nanos());
  sender.Install(1);
  receiver.Install(kAttacker, 1);
  cut.epoch = 1;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(receiver.Input(*sender.Again(cut, i, other, Nanos()), Nanos()).fate, FragmentFate::kMixedEpoch);
  }
  receiver.Input(fragments[2], Nanos());
  EXPECT_EQ(receiver.Input(fragments[3], Nanos()).packet, packet) << "the older key lives beside";
  // Half a packet, then the session begins anew with other keys and the same numbers.
  fragments.clear();
  sender.Split(packet, 350, Nanos(), fragments);
  receiver.Input(fragments[0], Nanos());
  receiver.Input(fragments[1], Nanos());
  Work work;
  receiver.opener.Begin(kAttacker);
  receiver.reassembler.Forget(kAttacker, receiver, work);
  receiver.Install(kAttacker, 7);
  EXPECT_EQ(receiver.Count(FragmentFate::kForgotten), 2u);
  EXPECT_EQ(receiver.Input(fragments[2], Nanos()).status, OpenStatus::kUnknownEpoch);
  TestSender again(kAttacker);
  again.Install(7);
  again.sharder.Cut(1, 1);
  again.sharder.Cut(1400, 200);
  std::vector<Raw> anew;
  again.Split(other, 350, Nanos(), anew);
  EXPECT_EQ(receiver.Input(anew[2], Nanos()).fate, FragmentFate::kHeld);
  EXPECT_EQ(receiver.Input(anew[3], Nanos()).fate, FragmentFate::kHeld) << "what was cached is gone";
  for (int i = 0; i < 100; ++i) honest.Send(Nanos(), [] {});
  Print("mixed keys and the fragment cache", 16, receiver, honest);
}

// 8. Replays: at once, from behind the window, and after its time.
TEST(Attack, Replays) {
  TestReceiver receiver(Opening(), Holding(8192));
  Honest honest(receiver);
  receiver.Begin(kAttacker);
  TestSender peer(kAttacker);  // an honest one, whose traffic was recorded
  const Raw packet(1400, 1);
  std::vector<Raw> recorded;
  for (int i = 0; i < 5000; ++i) peer.Split(packet, 350, Micros(i), recorded);
  std::size_t whole = 0, again = 0;
  for (const Raw& datagram : recorded) whole += receiver.Input(datagram, Millis(10)).packet ? 1 : 0;
  EXPECT_EQ(whole, 5000u);
  for (const Nanos now : {Millis(10), Millis(700), Seconds(3), Seconds(100)}) {
    for (std::size_t i = recorded.size(); i > 0; --i)
      again += receiver.Input(recorded[i - 1], now).status == OpenStatus::kOpened ? 1 : 0;
    honest.Send(now, [] {});
  }
  EXPECT_EQ(again, 0u);
  EXPECT_EQ(receiver.Count(OpenStatus::kReplayed) + receiver.Count(OpenStatus::kStale), 4 * recorded.size());
  Print("replays", 4 * recorded.size(), receiver, honest);
}

// 8. A peer that asks for everything, always: what is sent again stays within the budget, whatever it asks.
TEST(Attack, RequestsWithoutEnd) {
  RetransmissionConfig config;
  RetransmissionBuffer buffer(config);
  struct : PacketSink {
    void OnReleased(FragmentHandle) override {}
  } sink;
  Work work;
  std::uint64_t next = 0, asked = 0;
  for (int round = 0; round < 2000; ++round) {
    const Nanos now = Micros(100) * round;
    PacketCut cut;
    cut.base = next;
    cut.length = 1400;
    cut.total = 4;
    const auto packet = buffer.Hold(cut, 0, now, sink, work);
    for (std::size_t i = 0; i < 4; ++i) buffer.OnSent(next++, SentKind::kFragment, packet, i, 390, now, work);
    const std::uint64_t last = next;
    for (std::uint64_t number = last > 200 ? last - 200 : 0; number < last; ++number, ++asked) {
      RetransmissionBuffer::Resend resend;
      if (buffer.Ask(number, Micros(1), now, resend, work) != AskVerdict::kResend) continue;
      buffer.OnSent(next++, SentKind::kFragment, resend.packet, resend.index, 390, now, work);
    }
  }
  EXPECT_LE(buffer.resent_bytes(), config.resend_burst + buffer.sent_bytes() / 4);
  EXPECT_GT(buffer.resent_bytes(), buffer.sent_bytes() / 8);
  std::printf("requests without end: %llu for %llu B sent; %llu B sent again\n",
              static_cast<unsigned long long>(asked), static_cast<unsigned long long>(buffer.sent_bytes()),
              static_cast<unsigned long long>(buffer.resent_bytes()));
}

// 9. Boxes on the way that drop what they do not like: each fragment is a datagram of its own, complete with
// ports, so there is no second fragment to be dropped for having none. One that drops by size is found
// (PathMtu), and one that cuts datagrams gets nothing held.
TEST(Attack, BoxesThatDropAndCut) {
  TestReceiver receiver(Opening(), Holding());
  Honest honest(receiver);
  receiver.Begin(kAttacker);
  TestSender sender(kAttacker);
  const Raw packet(1400, 1);
  for (int round = 0; round < 300; ++round) {
    std::vector<Raw> fragments;
    sender.Split(packet, 350, Nanos(), fragments);
    fragments[1].resize(100);
    fragments[2].resize(200);
    for (std::size_t i = 1; i < 3; ++i)
      EXPECT_EQ(receiver.Input(fragments[i], Nanos()).status, OpenStatus::kMalformed);
    honest.Send(Nanos(), [] {});
  }
  EXPECT_EQ(receiver.reassembler.held(), 0u);
  Print("boxes that cut", 600, receiver, honest);
}

// 10. Two workers, each with sessions of its own, make of the same traffic what one makes: a session's state
// is in one place only. No handle is lost or given back twice (IsSound, throughout).
TEST(Attack, TwoWorkersAreOne) {
  TestReceiver one(Opening(), Holding()), left(Opening(), Holding()), right(Opening(), Holding());
  for (TestReceiver* receiver : {&one, &left, &right}) {
    receiver->Begin(0);
    receiver->Begin(1);
  }
  Rng rng(10, "workers");
  TestSender senders[] = {TestSender(0), TestSender(1)};
  std::vector<std::pair<std::size_t, Raw>> traffic;
  for (int round = 0; round < 300; ++round) {
    for (std::size_t i = 0; i < 2; ++i) {
      std::vector<Raw> fragments;
      senders[i].Split(RandomPacket(rng, 1 + rng.Below(1400)), 400, Nanos(), fragments);
      for (const Raw& fragment : fragments)
        if (rng.Below(8) != 0) traffic.emplace_back(i, fragment);
    }
  }
  std::vector<Raw> by_one, by_two;
  for (const auto& [session, datagram] : traffic) {
    const auto a = one.Input(datagram, Nanos()), b = (session == 0 ? left : right).Input(datagram, Nanos());
    ASSERT_EQ(a.fate, b.fate);
    ASSERT_EQ(a.packet, b.packet);
  }
  EXPECT_TRUE(one.IsSound() && left.IsSound() && right.IsSound());
  EXPECT_EQ(one.reassembler.held(), left.reassembler.held() + right.reassembler.held());
}

// A million forged datagrams change no byte of what the cores hold: not of the keys, windows, rings, wheels.
TEST(Attack, AMillionForgedFragmentsLeaveEveryTableAsItWas) {
  g_blocks = 0;
  g_recording = true;
  auto receiver = std::make_unique<TestReceiver>(Opening(), Holding());
  g_recording = false;
  ASSERT_LT(g_blocks, 4096u);
  receiver->Begin(kHonest);
  TestSender sender(kHonest);
  Rng rng(11, "forged");
  std::vector<Raw> genuine;
  for (int i = 0; i < 40; ++i) sender.Split(RandomPacket(rng, 1400), 350, Nanos(), genuine);
  // The table is in use: half packets under way, some numbers seen.
  for (std::size_t i = 0; i < genuine.size(); i += 2) receiver->Input(genuine[i], Nanos());
  ASSERT_EQ(receiver->reassembler.held(), 80u);

  std::vector<std::vector<std::uint8_t>> before;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < g_blocks; ++i) {
    const auto* const at = static_cast<const std::uint8_t*>(g_block[i].at);
    before.emplace_back(at, at + g_block[i].size);
    bytes += g_block[i].size;
  }
  // The reassembler and the opener themselves, but not what the test counts beside them.
  Opener& opener = receiver->opener;
  std::vector<std::uint8_t> whole(sizeof(Reassembler));
  std::memcpy(whole.data(), static_cast<const void*>(&receiver->reassembler), whole.size());
  std::array<std::uint64_t, kOpenStatuses> statuses{};
  std::vector<std::uint8_t> datagram(2048);
  constexpr std::size_t kForged = 1'000'000;
  Work work;
  g_allocations = 0;
  g_counting = true;
  for (std::size_t i = 0; i < kForged; ++i) {
    const Raw& from = genuine[i % genuine.size()];
    std::memcpy(datagram.data(), from.data(), from.size());
    std::size_t size = from.size();
    const std::uint32_t what = rng.Below(10);
    if (what == 0) size = rng.Below(static_cast<std::uint32_t>(size));
    if (what == 1) datagram[rng.Below(24)] = static_cast<std::uint8_t>(rng.Next32());
    // Most: a number not seen yet, so that the tag is what is left to stop it.
    if (what > 1) datagram[12] = static_cast<std::uint8_t>(1 + rng.Below(100));
    datagram[size == 0 ? 0 : rng.Below(static_cast<std::uint32_t>(size))] ^=
        static_cast<std::uint8_t>(1u << rng.Below(8));
    if (size == from.size() && std::memcmp(datagram.data(), from.data(), size) == 0) continue;
    wire::ShardMessage message;
    ++statuses[static_cast<std::size_t>(opener.Open({datagram.data(), size}, Nanos(), message, work))];
  }
  g_counting = false;
  EXPECT_EQ(g_allocations, 0u);
  EXPECT_EQ(statuses[static_cast<std::size_t>(OpenStatus::kOpened)], 0u);
  EXPECT_GT(statuses[static_cast<std::size_t>(OpenStatus::kForged)], kForged / 2);
  for (std::size_t i = 0; i < g_blocks; ++i) {
    if (g_block[i].size == sizeof(TestReceiver))
      continue;  // counts of the test; its cores are looked at above
    EXPECT_EQ(std::memcmp(before[i].data(), g_block[i].at, before[i].size()), 0) << "block " << i;
  }
  EXPECT_EQ(std::memcmp(whole.data(), static_cast<const void*>(&receiver->reassembler), whole.size()), 0);
  std::size_t delivered = 0;
  for (std::size_t i = 1; i < genuine.size(); i += 2)
    delivered += receiver->Input(genuine[i], Nanos()).packet ? 1 : 0;
  EXPECT_EQ(delivered, 40u);
  std::printf(
      "forged fragments: %zu, of which %llu by their tag alone; %zu B of tables unchanged; honest packets"
      " %zu of 40\n",
      kForged, static_cast<unsigned long long>(statuses[static_cast<std::size_t>(OpenStatus::kForged)]),
      bytes, delivered);
}

// Everything that packets and their recovery go through, on tables that fill up and sessions that begin anew,
// takes no memory.
TEST(NoAllocation, AfterSetUpNothingIsTaken) {
  UnitConfig config;
  config.held_packets = 64;
  config.reassembler.held = 64;
  config.gaps.rule = GapRule::kLearned;
  config.preference = Preference::kRobustness;
  Unit a(config), b(config);
  struct Wire final : UnitSink {
    void OnDatagram(const UnitDatagram& datagram) override {
      if (count == 64) return;
      std::copy(datagram.bytes.begin(), datagram.bytes.end(), bytes[count].begin());
      sizes[count++] = datagram.bytes.size;
    }
    void OnPacket(const UnitPacket&) override { ++packets; }
    std::array<std::array<std::uint8_t, 1500>, 64> bytes;
    std::array<std::size_t, 64> sizes{};
    std::size_t count = 0, packets = 0;
  };
  auto from_a = std::make_unique<Wire>(), from_b = std::make_unique<Wire>();
  UnitWork work;
  const Raw packet(1400, 8);
  g_allocations = 0;
  for (std::uint32_t life = 0; life < 3; ++life) {
    const Nanos start = Seconds(life);
    g_counting = true;
    a.Begin(0, 2 + life, 1 + life, start, *from_a, work);
    b.Begin(0, 1 + life, 2 + life, start, *from_b, work);
    a.InstallReceivingKey(0, 0, kTestCipher, TestKey(1).data());
    a.InstallSendingKey(0, 0, kTestCipher, TestKey(0).data());
    b.InstallReceivingKey(0, 0, kTestCipher, TestKey(0).data());
    b.InstallSendingKey(0, 0, kTestCipher, TestKey(1).data());
    for (unsigned i = 0; i < 2000; ++i) {
      const Nanos now = start + Micros(250) * i;
      a.Send({0, View(packet), 0, 0}, now, *from_a, work);
      for (std::size_t k = 0; k < from_a->count; ++k)
        if ((i + k) % 9 != 0) b.Receive({from_a->bytes[k].data(), from_a->sizes[k]}, 0, now, *from_b, work);
      from_a->count = 0;
      for (std::size_t k = 0; k < from_b->count; ++k)
        a.Receive({from_b->bytes[k].data(), from_b->sizes[k]}, 0, now, *from_a, work);
      from_b->count = 0;
    }
    g_counting = false;
  }
  EXPECT_EQ(g_allocations, 0u);
  EXPECT_GT(from_b->packets, 5500u);
}

}  // namespace
}  // namespace foreflow::shard
