// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/labeler.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <functional>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

constexpr Nanos kHorizon = Millis(200);
constexpr std::uint32_t kPlenty = 4096;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kSynAck = 0x12;
constexpr std::uint8_t kAckFlag = 0x10;

// A host with one address, behind one virtual port.
struct Host {
  flow::VmId vm;
  std::uint8_t address;
  std::uint16_t port;
};
constexpr Host kClient{1, 10, 40000};
constexpr Host kServer{2, 20, 80};

// Packets as sentences: Tcp(kClient, kServer, Millis(3)).Payload(100).
struct Sentence {
  PacketSummary packet;

  Sentence& Payload(std::uint32_t bytes) {
    packet.payload_bytes = bytes;
    return *this;
  }
  Sentence& Flags(std::uint8_t flags) {
    packet.tcp_flags = flags;
    return *this;
  }
  Sentence& ToGroup() {
    packet.is_group_addressed = true;
    return *this;
  }
};

Sentence Say(const Host& from, const Host& to, std::uint8_t protocol, Nanos time) {
  Sentence sentence;
  sentence.packet.arrival = time;
  sentence.packet.key.vm = from.vm;
  sentence.packet.key.source_address[0] = from.address;
  sentence.packet.key.destination_address[0] = to.address;
  sentence.packet.key.source_port = from.port;
  sentence.packet.key.destination_port = to.port;
  sentence.packet.key.ip_protocol = protocol;
  sentence.packet.key.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  sentence.packet.wire_bytes = 60;
  return sentence;
}
Sentence Tcp(const Host& from, const Host& to, Nanos time) {
  return Say(from, to, kTcp, time).Flags(kAckFlag);
}
Sentence Udp(const Host& from, const Host& to, Nanos time) { return Say(from, to, kUdp, time); }

using Types = std::vector<PacketType>;

Types LabelsOf(const std::vector<PacketSummary>& packets, Nanos horizon, std::uint32_t max_pending) {
  Labeler labeler(horizon, max_pending);
  Types types;
  const auto collect = [&] {
    Label label;
    while (labeler.Pop(label)) {
      EXPECT_EQ(label.packet, types.size() + 1000);
      types.push_back(label.type);
    }
  };
  for (std::size_t i = 0; i < packets.size(); ++i) {
    labeler.Push(i + 1000, packets[i]);
    collect();
    EXPECT_LE(i + 1 - types.size(), max_pending);
  }
  labeler.Flush();
  collect();
  EXPECT_EQ(types.size(), packets.size());
  EXPECT_EQ(labeler.lost(), 0u);
  return types;
}

Types LabelsOf(const std::vector<Sentence>& sentences) {
  std::vector<PacketSummary> packets;
  for (const Sentence& sentence : sentences) packets.push_back(sentence.packet);
  return LabelsOf(packets, kHorizon, kPlenty);
}

Types Repeat(std::size_t count, PacketType type) { return Types(count, type); }

constexpr PacketType kControl = PacketType::kControl;
constexpr PacketType kRequest = PacketType::kRequest;
constexpr PacketType kResponse = PacketType::kResponse;
constexpr PacketType kBulk = PacketType::kBulk;
constexpr PacketType kStream = PacketType::kStream;
constexpr PacketType kGroupType = PacketType::kGroup;
constexpr PacketType kIdleBurst = PacketType::kIdleBurst;

TEST(Labeler, HandshakeQuestionAnswer) {
  EXPECT_EQ(
      LabelsOf({Tcp(kClient, kServer, Millis(0)).Flags(kSyn), Tcp(kServer, kClient, Millis(1)).Flags(kSynAck),
                Tcp(kClient, kServer, Millis(2)), Tcp(kClient, kServer, Millis(2)).Payload(80),
                Tcp(kServer, kClient, Millis(5)).Payload(900), Tcp(kClient, kServer, Millis(6))}),
      (Types{kControl, kControl, kControl, kRequest, kResponse, kControl}));
}

TEST(Labeler, ServerThatSpeaksFirstStillResponds) {
  EXPECT_EQ(
      LabelsOf({Tcp(kClient, kServer, Millis(0)).Flags(kSyn), Tcp(kServer, kClient, Millis(1)).Flags(kSynAck),
                Tcp(kServer, kClient, Millis(3)).Payload(40), Tcp(kClient, kServer, Millis(4)).Payload(40)}),
      (Types{kControl, kControl, kResponse, kRequest}));
  // The SYN+ACK alone tells as much; without a handshake, the first to speak asks.
  EXPECT_EQ(LabelsOf({Tcp(kServer, kClient, Millis(1)).Flags(kSynAck),
                      Tcp(kServer, kClient, Millis(3)).Payload(40)}),
            (Types{kControl, kResponse}));
  EXPECT_EQ(
      LabelsOf({Tcp(kServer, kClient, Millis(3)).Payload(40), Tcp(kClient, kServer, Millis(4)).Payload(40)}),
      (Types{kRequest, kResponse}));
}

TEST(Labeler, WithoutHandshakeWhoBreaksTheSilenceAsks) {
  EXPECT_EQ(
      LabelsOf({Udp(kClient, kServer, Millis(0)).Payload(40), Udp(kServer, kClient, Millis(200)).Payload(40),
                Udp(kServer, kClient, Millis(401)).Payload(40),
                Udp(kClient, kServer, Millis(402)).Payload(40)}),
      (Types{kRequest, kResponse, kRequest, kResponse}));
}

TEST(Labeler, UnansweredQuestionStaysARequest) {
  EXPECT_EQ(LabelsOf({Udp(kClient, kServer, Millis(0)).Payload(40)}), (Types{kRequest}));
}

TEST(Labeler, BulkIsManyLargePackets) {
  // 11 * 1490 = 16390 >= 16384 > 16380 = 11 * 1489 + 1.
  const auto transfer = [](std::uint32_t payload) {
    std::vector<Sentence> packets{Tcp(kClient, kServer, Millis(0)).Payload(80)};
    for (int i = 0; i < 11; ++i)
      packets.push_back(Tcp(kServer, kClient, Millis(10 * i + 30)).Payload(payload));
    return LabelsOf(packets);
  };
  Types bulk = Repeat(12, kBulk);
  bulk[0] = kRequest;
  EXPECT_EQ(transfer(1490), bulk);
  Types small = Repeat(12, kResponse);
  small[0] = kRequest;
  EXPECT_EQ(transfer(1489), small);

  // More bytes, but in small packets: a busy dialogue, of which each side's first begins a burst.
  std::vector<Sentence> dialogue;
  for (int i = 0; i < 80; ++i) {
    dialogue.push_back(Tcp(kClient, kServer, Millis(30 + 2 * i)).Payload(511));
    dialogue.push_back(Tcp(kServer, kClient, Millis(31 + 2 * i)).Payload(100));
  }
  const Types types = LabelsOf(dialogue);
  for (std::size_t i = 2; i < types.size(); ++i) EXPECT_EQ(types[i], i % 2 == 0 ? kRequest : kResponse) << i;
}

TEST(Labeler, BulkGoesOnPastAcknowledgementsThatCarryData) {
  std::vector<Sentence> packets;
  for (int i = 0; i < 40; ++i) {
    packets.push_back(Udp(kServer, kClient, Millis(10 * i)).Payload(1200));
    if (i % 4 == 3) packets.push_back(Udp(kClient, kServer, Millis(10 * i + 1)).Payload(30));
  }
  const Types types = LabelsOf(packets);
  for (std::size_t i = 0; i < types.size(); ++i) {
    EXPECT_EQ(types[i], packets[i].packet.payload_bytes == 1200 ? kBulk : kResponse) << i;
  }
}

TEST(Labeler, StreamIsOneWayAndSteady) {
  std::vector<Sentence> voice;
  for (int i = 0; i < 30; ++i) voice.push_back(Udp(kClient, kServer, Millis(20 * i)).Payload(160));
  EXPECT_EQ(LabelsOf(voice), Repeat(30, kStream));

  // Three packets in every window of 400 ms are too few.
  std::vector<Sentence> slow;
  for (int i = 0; i < 30; ++i) slow.push_back(Udp(kClient, kServer, Millis(201 * i)).Payload(160));
  EXPECT_EQ(LabelsOf(slow), Repeat(30, kRequest));

  // An answer makes requests of the packets whose window it lies in, and of no others.
  voice.insert(voice.begin() + 15, Udp(kServer, kClient, Millis(281)).Payload(20));
  Types types = Repeat(31, kStream);
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::int64_t ms = voice[i].packet.arrival.count() / 1'000'000;
    if (ms >= 81 && ms <= 481) types[i] = kRequest;
  }
  types[15] = kResponse;
  EXPECT_EQ(LabelsOf(voice), types);
}

TEST(Labeler, GroupsComeFirst) {
  std::vector<Sentence> packets;
  for (int i = 0; i < 20; ++i) packets.push_back(Udp(kClient, kServer, Millis(i)).Payload(1400).ToGroup());
  EXPECT_EQ(LabelsOf(packets), Repeat(20, kGroupType));
}

TEST(Labeler, IdleBurstIsTheFirstOfMany) {
  const auto burst = [](Nanos begin, int more, Nanos step) {
    std::vector<Sentence> packets{Tcp(kClient, kServer, begin).Flags(kSyn)};
    for (int i = 1; i <= more; ++i) packets.push_back(Tcp(kClient, kServer, begin + step * i));
    return packets;
  };
  const auto first = [&](int more, Nanos step) { return LabelsOf(burst(Millis(0), more, step))[0]; };
  EXPECT_EQ(first(8, Micros(6250)), kIdleBurst);  // the eighth at exactly a quarter of the horizon
  EXPECT_EQ(first(8, Micros(6251)), kControl);
  EXPECT_EQ(first(7, Micros(1)), kControl);

  const auto second = [&](Nanos begin) {
    std::vector<Sentence> packets = burst(Millis(0), 8, Millis(1));
    for (const Sentence& sentence : burst(begin, 8, Millis(1))) packets.push_back(sentence);
    return LabelsOf(packets);
  };
  Types twice = Repeat(18, kControl);
  twice[0] = twice[9] = kIdleBurst;
  EXPECT_EQ(second(Millis(208) + Nanos(1)), twice);
  twice[9] = kControl;
  EXPECT_EQ(second(Millis(208)), twice);
}

TEST(Labeler, PortsAreIdleEachForItself) {
  std::vector<Sentence> packets;
  for (int i = 0; i < 20; ++i) packets.push_back(Tcp(kServer, kClient, Millis(20 * i)));
  for (int i = 0; i < 9; ++i) packets.push_back(Tcp(kClient, kServer, Millis(390) + Micros(i)));
  Types types = Repeat(29, kControl);
  types[20] = kIdleBurst;
  EXPECT_EQ(LabelsOf(packets), types);
}

TEST(Labeler, ControlIsAllElseWithoutData) {
  Sentence arp = Udp(kClient, kServer, Millis(1)).Payload(28);
  arp.packet.key.l3 = static_cast<std::uint8_t>(wire::Layer3::kArp);
  EXPECT_EQ(LabelsOf({Say(kClient, kServer, kIcmp, Millis(0)).Payload(56), arp,
                      Tcp(kClient, kServer, Millis(2)).Flags(0x14).Payload(12)}),
            (Types{kControl, kControl, kControl}));
}

TEST(Labeler, ResolvesOnlyPastTheHorizon) {
  Labeler labeler(kHorizon, kPlenty);
  Label label;
  labeler.Push(7, Udp(kClient, kServer, Millis(0)).Payload(1).packet);
  labeler.Push(8, Udp(kClient, kServer, Millis(200)).Payload(1).packet);
  EXPECT_FALSE(labeler.Pop(label));
  labeler.Push(9, Udp(kClient, kServer, Millis(200) + Nanos(1)).Payload(1).packet);
  ASSERT_TRUE(labeler.Pop(label));
  EXPECT_EQ(label.packet, 7u);
  EXPECT_FALSE(labeler.Pop(label));
}

TEST(Labeler, LabelsNobodyPopsAreCounted) {
  Labeler labeler(kHorizon, 4);
  for (std::uint64_t i = 0; i < 100; ++i) labeler.Push(i, Udp(kClient, kServer, Millis(0)).Payload(1).packet);
  labeler.Flush();
  Label label;
  std::uint64_t popped = 0;
  std::uint64_t last = 0;
  while (labeler.Pop(label)) {
    ++popped;
    last = label.packet;
  }
  EXPECT_EQ(popped + labeler.lost(), 100u);
  EXPECT_EQ(last, 99u);
}

TEST(Labeler, TimeThatRunsBackwardsStandsStill) {
  Sentence late = Udp(kServer, kClient, Millis(100)).Payload(40);
  EXPECT_EQ(LabelsOf({Udp(kClient, kServer, Millis(150)).Payload(40), late}), (Types{kRequest, kResponse}));
}

TEST(Labeler, TimesAtTheEndsOfTheirRange) {
  EXPECT_EQ(LabelsOf({Udp(kClient, kServer, Nanos(INT64_MIN)).Payload(40),
                      Udp(kServer, kClient, Nanos(INT64_MAX)).Payload(40)}),
            (Types{kRequest, kRequest}));
}

TEST(Labeler, ConversationsAreForgottenOldestFirst) {
  // The handshake makes the client the opener; the server speaks after `others` more conversations.
  const auto server_speaks_after = [](std::uint32_t others) {
    std::vector<Sentence> packets{Tcp(kClient, kServer, Millis(0)).Flags(kSyn)};
    for (std::uint32_t i = 0; i < others; ++i) {
      Sentence other = Tcp(kClient, kServer, Millis(1)).Flags(kSyn);
      other.packet.key.source_port = static_cast<std::uint16_t>(i);
      other.packet.key.source_address[1] = static_cast<std::uint8_t>(1 + (i >> 16));
      packets.push_back(other);
    }
    packets.push_back(Tcp(kServer, kClient, Millis(999)).Payload(40));
    return LabelsOf(packets).back();
  };
  EXPECT_EQ(server_speaks_after(Labeler::kRemembered + kPlenty - 1), kResponse);
  EXPECT_EQ(server_speaks_after(Labeler::kRemembered + kPlenty), kRequest);
}

TEST(Labeler, RefusesImpossibleSizes) {
  EXPECT_THROW(Labeler(Nanos(0), 1), Refusal);
  EXPECT_THROW(Labeler(Nanos(-1), 1), Refusal);
  EXPECT_THROW(Labeler(Nanos(1), 0), Refusal);
  EXPECT_THROW(Labeler(Nanos(1), Labeler::kMaxPending + 1), Refusal);
}

// The rules of the table once more, packet by packet over all packets.
class Reference {
 public:
  Reference(const std::vector<PacketSummary>& packets, Nanos horizon, std::uint32_t max_pending)
      : packets_(packets), horizon_(horizon), first_(packets.size()), last_(packets.size()) {
    std::size_t first = 0;
    for (std::size_t i = 0; i < packets.size(); ++i) {
      while (first < i && packets[i].arrival - packets[first].arrival > horizon) ++first;
      if (i - first == max_pending) ++first;
      first_[i] = first;
      for (std::size_t j = first; j <= i; ++j) last_[j] = i;
    }
  }

  PacketType TypeOf(std::size_t p) const {
    if (packets_[p].is_group_addressed) return kGroupType;
    if (FollowsIdle(p) && Burst(p) >= 8) return kIdleBurst;
    if (!CarriesData(packets_[p])) return kControl;
    std::uint64_t bytes = 0;
    std::uint32_t own = 0;
    std::uint32_t other = 0;
    for (std::size_t i = first_[p]; i <= last_[p]; ++i) {
      if (!IsData(i)) continue;
      if (SameDirection(i, p)) {
        bytes += packets_[i].payload_bytes;
        ++own;
      } else if (Reversed(i, p)) {
        ++other;
      }
    }
    if (bytes >= 16384 && bytes / own >= 512) return kBulk;
    if (own >= 4 && other == 0) return kStream;
    return IsFromOpener(p) ? kRequest : kResponse;
  }

 private:
  bool IsData(std::size_t i) const { return CarriesData(packets_[i]) && !packets_[i].is_group_addressed; }
  bool SameDirection(std::size_t i, std::size_t j) const {
    flow::FlowKey a = packets_[i].key;
    flow::FlowKey b = packets_[j].key;
    a.vm = b.vm = 0;
    return a == b;
  }
  bool Reversed(std::size_t i, std::size_t j) const {
    const flow::FlowKey& a = packets_[i].key;
    const flow::FlowKey& b = packets_[j].key;
    return a.source_address == b.destination_address && a.destination_address == b.source_address &&
           a.source_port == b.destination_port && a.destination_port == b.source_port &&
           a.ip_protocol == b.ip_protocol && a.l3 == b.l3;
  }
  bool FollowsIdle(std::size_t p) const {
    for (std::size_t i = 0; i < p; ++i) {
      if (packets_[i].key.vm == packets_[p].key.vm && packets_[p].arrival - packets_[i].arrival <= horizon_) {
        return false;
      }
    }
    return true;
  }
  int Burst(std::size_t p) const {
    int count = 0;
    for (std::size_t i = p + 1; i <= last_[p]; ++i) {
      if (packets_[i].key.vm == packets_[p].key.vm &&
          packets_[i].arrival - packets_[p].arrival <= horizon_ / 4) {
        ++count;
      }
    }
    return count;
  }
  bool IsFromOpener(std::size_t p) const {
    bool same_as_p = true;
    bool shaken = false;
    for (std::size_t i = 0; i <= p; ++i) {
      const bool same = SameDirection(i, p);
      if ((!same && !Reversed(i, p)) || packets_[i].is_group_addressed) continue;
      const std::uint8_t flags = packets_[i].tcp_flags;
      if (packets_[i].key.ip_protocol == kTcp && (flags & kSyn) != 0) {
        same_as_p = same == ((flags & kAckFlag) == 0);
        shaken = true;
      } else if (IsData(i) && !shaken) {
        bool silent = true;
        for (std::size_t j = first_[i]; j < i; ++j) {
          if (IsData(j) && (SameDirection(j, p) || Reversed(j, p))) silent = false;
        }
        if (silent) same_as_p = same;
      }
    }
    return same_as_p;
  }

  const std::vector<PacketSummary>& packets_;
  Nanos horizon_;
  std::vector<std::size_t> first_;  // of the window of a packet
  std::vector<std::size_t> last_;
};

// A packet made of small numbers, so that rules and their edges are met often.
PacketSummary Draw(const std::function<std::uint32_t(std::uint32_t)>& below, Nanos& now, Nanos horizon) {
  const std::array<std::int64_t, 12> gaps = {0,
                                             0,
                                             0,
                                             1,
                                             1,
                                             horizon.count() / 40,
                                             horizon.count() / 8,
                                             horizon.count() / 4,
                                             horizon.count() / 4 + 1,
                                             horizon.count() / 2,
                                             horizon.count(),
                                             horizon.count() + 1};
  now += Nanos(gaps[below(below(3) == 0 ? 12 : 7)]);
  const std::array<Host, 3> hosts = {Host{1, 1, 5000}, Host{2, 2, 80}, Host{1, 3, 80}};
  const Host& from = hosts[below(3)];
  const Host& to = hosts[below(3)];
  const std::array<std::uint8_t, 4> protocols = {kTcp, kTcp, kUdp, kIcmp};
  const std::array<std::uint32_t, 6> payloads = {0, 1, 511, 512, 1400, 9000};
  const std::array<std::uint8_t, 8> flags = {kAckFlag, kAckFlag, kAckFlag, kAckFlag,
                                             kAckFlag, 0x14,     kSyn,     kSynAck};
  Sentence sentence = Say(from, to, protocols[below(4)], now)
                          .Payload(payloads[below(below(2) == 0 ? 6 : 3)])
                          .Flags(flags[below(8)]);
  if (below(12) == 0) sentence.ToGroup();
  return sentence.packet;
}

void ExpectAgreement(const std::vector<PacketSummary>& packets, Nanos horizon, std::uint32_t max_pending,
                     std::array<std::uint32_t, kPacketTypes>& seen) {
  const Types types = LabelsOf(packets, horizon, max_pending);
  const Reference reference(packets, horizon, max_pending);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    ASSERT_STREQ(Name(types[i]), Name(reference.TypeOf(i))) << "packet " << i << " of " << packets.size();
    ++seen[static_cast<std::size_t>(types[i])];
  }
}

TEST(Labeler, AgreesWithTheReferenceOnRandomTraffic) {
  std::array<std::uint32_t, kPacketTypes> seen{};
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "labeler_test");
    const std::uint32_t max_pending = std::array<std::uint32_t, 5>{1, 2, 7, 30, 1000}[seed % 5];
    Nanos now(static_cast<std::int64_t>(rng.Below(1000)));
    std::vector<PacketSummary> packets;
    for (int i = 0; i < 150; ++i) {
      packets.push_back(Draw([&](std::uint32_t bound) { return rng.Below(bound); }, now, kHorizon));
    }
    ASSERT_NO_FATAL_FAILURE(ExpectAgreement(packets, kHorizon, max_pending, seen));
  }
  for (std::size_t i = 0; i < kPacketTypes; ++i) {
    EXPECT_GE(seen[i], 50u) << "hardly tested: " << Name(static_cast<PacketType>(i));
  }
}

RC_GTEST_PROP(Labeler, AgreesWithTheReferenceOnSmallCases, (std::uint8_t horizon, std::uint8_t pending)) {
  Nanos now;
  std::vector<PacketSummary> packets;
  const auto count = *rc::gen::inRange(0, 40);
  const Nanos scaled(std::int64_t{horizon} + 1);
  for (int i = 0; i < count; ++i) {
    packets.push_back(
        Draw([](std::uint32_t bound) { return *rc::gen::inRange<std::uint32_t>(0, bound); }, now, scaled));
  }
  const Types types = LabelsOf(packets, scaled, pending % 50 + 1u);
  const Reference reference(packets, scaled, pending % 50 + 1u);
  for (std::size_t i = 0; i < packets.size(); ++i) RC_ASSERT(types[i] == reference.TypeOf(i));
}

// Floods must neither grow nor slow the labeler. Sums are compared with the window arithmetic by hand: on a
// clock that stands still, a label's window is the max_pending packets around it.
TEST(Labeler, SurvivesFloodsOnAFlatClock) {
  constexpr std::uint32_t kPending = 512;
  Labeler labeler(kHorizon, kPending);
  const std::size_t bytes = labeler.bytes();
  Label label;
  std::uint64_t labels = 0;
  std::array<std::uint64_t, kPacketTypes> seen{};
  constexpr std::uint32_t kPackets = 300'000;
  for (std::uint32_t i = 0; i < kPackets; ++i) {
    Sentence packet = Udp(kClient, kServer, Millis(5)).Payload(100);
    const std::uint32_t source = (i % 10'000) * 2654435761u;
    packet.packet.key.vm = static_cast<flow::VmId>(1 + i % 10'000);
    for (std::size_t byte = 0; byte < 4; ++byte) {
      packet.packet.key.source_address[byte] = static_cast<std::uint8_t>(source >> (8 * byte));
    }
    labeler.Push(i, packet.packet);
    while (labeler.Pop(label)) {
      ASSERT_EQ(label.packet, labels++);
      ++seen[static_cast<std::size_t>(label.type)];
    }
  }
  labeler.Flush();
  while (labeler.Pop(label)) {
    ASSERT_EQ(label.packet, labels++);
    ++seen[static_cast<std::size_t>(label.type)];
  }
  EXPECT_EQ(labels, kPackets);
  EXPECT_EQ(labeler.lost(), 0u);
  EXPECT_EQ(seen[static_cast<std::size_t>(kRequest)], kPackets);
  EXPECT_EQ(labeler.bytes(), bytes);
}

}  // namespace
}  // namespace foreflow::predict
