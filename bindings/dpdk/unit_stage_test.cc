// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/unit_stage.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bindings/dpdk/test_messages.h"
#include "bindings/dpdk/test_pair_link.h"
#include "bindings/dpdk/unit_link.h"
#include "models/base/refusal.h"
#include "models/wire/packet_builder.h"

namespace foreflow::dpdk {
namespace {

using Raw = std::vector<std::uint8_t>;
constexpr crypto::AeadAlgorithm kCipher = crypto::AeadAlgorithm::kChaCha20Poly1305;

const wire::DatagramEnd kEndA = {{2, 0, 0, 0, 0, 1}, {10, 0, 0, 1}, 6900};
const wire::DatagramEnd kEndB = {{2, 0, 0, 0, 0, 2}, {10, 0, 0, 2}, 6901};

// Two stages, joined at port 1, with keys that are known.
class Pair {
 public:
  explicit Pair(MessageTrace* trace_of_b = nullptr)
      : a_(Config(kEndA, kEndB, nullptr)), b_(Config(kEndB, kEndA, trace_of_b)) {
    Order(a_, a_link_, UnitOrder::Kind::kBegin, 7, 9);
    Order(b_, b_link_, UnitOrder::Kind::kBegin, 9, 7);
    for (UnitStage* stage : {&a_, &b_}) {
      Order(*stage, stage == &a_ ? a_link_ : b_link_, UnitOrder::Kind::kReceivingKey, 0, 0);
      Order(*stage, stage == &a_ ? a_link_ : b_link_, UnitOrder::Kind::kSendingKey, 0, 0);
    }
  }

  // Time passes, and frames go from one to the other.
  void Step(Nanos time) {
    for (const Nanos end = now_ + time; now_ < end; now_ += Micros(50)) {
      a_.Advance(now_, a_link_.link());
      b_.Advance(now_, b_link_.link());
      for (const Raw& frame : a_link_.Sent(1)) b_link_.Receive(b_, 1, frame, now_);
      for (const Raw& frame : b_link_.Sent(1)) a_link_.Receive(a_, 1, frame, now_);
    }
  }
  void FromHost(const Raw& frame) { a_link_.Receive(a_, 0, frame, now_); }
  void FromNetwork(const Raw& frame) { b_link_.Receive(b_, 1, frame, now_); }
  std::vector<Raw> FromAToNetwork() { return a_link_.Sent(1); }
  std::vector<Raw> ToHost() { return b_link_.Sent(0); }
  std::vector<Raw> ToNetwork() { return b_link_.Sent(1); }
  UnitStage& a() { return a_; }
  UnitStage& b() { return b_; }
  std::size_t FramesOut() const { return a_link_.Out() + b_link_.Out(); }

 private:
  static UnitStageConfig Config(const wire::DatagramEnd& own, const wire::DatagramEnd& peer,
                                MessageTrace* trace) {
    UnitStageConfig config;
    config.own = own;
    config.peer = peer;
    config.trace = trace;
    return config;
  }
  // The stage obeys in its own time, so somebody has to give it some.
  void Order(UnitStage& stage, TestPairLink& link, UnitOrder::Kind kind, std::uint32_t sending,
             std::uint32_t receiving) {
    UnitOrder order;
    order.kind = kind;
    order.sending_session = sending;
    order.receiving_session = receiving;
    order.cipher = kCipher;
    std::future<bool> done = std::async(std::launch::async, [&] { return stage.Do(order); });
    while (done.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      stage.Advance(now_, link.link());
    }
    EXPECT_TRUE(done.get());
  }

  TestPairLink a_link_{"unit_a"};
  TestPairLink b_link_{"unit_b"};
  UnitStage a_;
  UnitStage b_;
  Nanos now_ = Millis(1);
};

Raw HostFrame(std::size_t payload, std::uint8_t ecn = 0) {
  return wire::PacketBuilder().Ethernet().Ipv4().Ecn(ecn).Udp(40'000, 443).Payload(payload).Build();
}

TEST(UnitStage, CarriesFramesOfAnySizeAndKindWhole) {
  Pair pair;
  std::vector<Raw> frames;
  for (const std::size_t payload : {0u, 1u, 500u, 1400u, 1472u}) frames.push_back(HostFrame(payload));
  frames.push_back(wire::PacketBuilder().Ethernet().Vlan(7).Ipv6().Tcp(1, 2).Payload(900).Build());
  frames.push_back(wire::PacketBuilder().Ethernet().Arp(1, "10.9.0.1", "10.9.0.2").Build());
  std::vector<Raw> got;
  for (const Raw& frame : frames) {
    pair.FromHost(frame);
    pair.Step(Micros(500));
    for (const Raw& arrived : pair.ToHost()) got.push_back(arrived);
  }
  EXPECT_EQ(got, frames);
  EXPECT_EQ(RowOf(pair.a(), "from_port_0", "sent"), frames.size());
  EXPECT_EQ(RowOf(pair.b(), "from_port_1", "delivered"), frames.size());
  EXPECT_EQ(RowOf(pair.b(), "to_host", "given"), frames.size());
  EXPECT_GT(RowOf(pair.b(), "from_port_1", "held"), 0u) << "the longest go in two";
  EXPECT_EQ(pair.a().Imbalance() + pair.b().Imbalance(), "");
  EXPECT_EQ(pair.FramesOut(), 0u);
}

TEST(UnitStage, ADatagramSaysWhereItGoesAndTakesTheMarkAlong) {
  Pair pair;
  pair.FromHost(HostFrame(100, 2));
  const std::vector<Raw> out = pair.FromAToNetwork();
  ASSERT_EQ(out.size(), 1u);
  Work work;
  wire::Datagram datagram;
  ASSERT_EQ(wire::ReadDatagram(kEndB, {out[0].data(), out[0].size()}, datagram, work),
            wire::DatagramStatus::kDatagram);
  EXPECT_EQ(datagram.from.mac, kEndA.mac);
  EXPECT_EQ(datagram.from.address, kEndA.address);
  EXPECT_GE(datagram.from.port, 49'152) << "the flow";
  EXPECT_EQ(datagram.ecn, 2);
  EXPECT_EQ(out[0].size(), datagram.offset + datagram.size);
  // Congestion experienced on the way is the host's to know.
  Raw marked = wire::PacketBuilder()
                   .Ethernet("02:00:00:00:00:01", "02:00:00:00:00:02")
                   .Ipv4("10.0.0.1", "10.0.0.2")
                   .Ecn(3)
                   .Udp(datagram.from.port, kEndB.port)
                   .Payload(Raw(out[0].begin() + static_cast<std::ptrdiff_t>(datagram.offset), out[0].end()))
                   .Build();
  pair.FromNetwork(marked);
  EXPECT_EQ(pair.ToHost(), std::vector<Raw>{HostFrame(100, 3)});
}

TEST(UnitStage, WhatItOpensIsARowOfItsTraceAndNothingElseIs) {
  const std::string file = ::testing::TempDir() + "unit_stage_test.h5";
  TestEal();
  MessageTrace trace(file);
  Pair pair(&trace);
  std::vector<Raw> frames;
  for (std::size_t i = 0; i < 4; ++i) {
    pair.FromHost(HostFrame(100 + i));
    for (const Raw& frame : pair.FromAToNetwork()) frames.push_back(frame);
  }
  ASSERT_EQ(frames.size(), 4u);
  Raw forged = frames[1];
  forged.back() ^= 1;
  forged[40] = forged[41] = 0;  // no checksum
  // The second is lost; the first comes last, and again.
  for (const Raw& frame : {frames[2], forged, frames[3], frames[0], frames[0]}) pair.FromNetwork(frame);
  EXPECT_EQ(RowOf(pair.b(), "from_port_1", "forged"), 1u);
  EXPECT_EQ(RowOf(pair.b(), "from_port_1", "replayed"), 1u);
  trace.End();
  const std::vector<trace::MessageRow> rows = MessagesOf(file);
  std::vector<std::uint64_t> numbers;
  for (const trace::MessageRow& row : rows) {
    numbers.push_back(row.number);
    EXPECT_EQ(row.session, 7u);
    EXPECT_EQ(row.type, 0u) << "data";
    EXPECT_EQ(row.arrival_ns, Millis(1).count());
  }
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{2, 3, 0}));
  EXPECT_EQ(trace.lost(), 0u);
  std::remove(file.c_str());
}

TEST(UnitStage, WithoutKeysNothingLeaves) {
  TestPairLink link("unit_idle");
  UnitStageConfig config;
  config.own = kEndB;
  config.peer = kEndA;
  UnitStage idle(config);
  link.Receive(idle, 0, HostFrame(100), Millis(1));
  EXPECT_EQ(RowOf(idle, "from_port_0", "no_session"), 1u);
  EXPECT_TRUE(link.Sent(1).empty());
  EXPECT_EQ(link.Out(), 0u);
}

TEST(UnitStage, FramesThatAreNotForItAreCountedAndNothingElse) {
  Pair pair;
  const auto to_b = [] {
    wire::PacketBuilder packet;
    packet.Ethernet("02:00:00:00:00:01", "02:00:00:00:00:02").Ipv4("10.0.0.1", "10.0.0.2");
    return packet;
  };
  pair.FromNetwork(HostFrame(10));
  pair.FromNetwork(to_b().Udp(1, 6902).Payload(40).Build());
  pair.FromNetwork(to_b().Fragment(0, true).Udp(1, kEndB.port).Payload(40).Build());
  pair.FromNetwork(Raw(9));
  Raw wrong_sum = to_b().Udp(1, kEndB.port).Payload(40).Build();
  wrong_sum.back() ^= 1;
  pair.FromNetwork(wrong_sum);
  pair.FromNetwork(to_b().Udp(1, kEndB.port).Payload(Raw(60, 0x11)).Build());
  pair.FromNetwork(to_b().Udp(1, kEndB.port).Payload(0).Build());
  EXPECT_EQ(RowOf(pair.b(), "from_port_1", "other_frame"), 2u);
  EXPECT_EQ(RowOf(pair.b(), "from_port_1", "ip_fragment"), 1u);
  EXPECT_EQ(RowOf(pair.b(), "from_port_1", "frame_malformed"), 1u);
  EXPECT_EQ(RowOf(pair.b(), "from_port_1", "bad_checksum"), 1u);
  EXPECT_EQ(SumOf(pair.b(), "from_port_1"), 7u);
  EXPECT_TRUE(pair.ToHost().empty());
  EXPECT_TRUE(pair.ToNetwork().empty());
  EXPECT_EQ(pair.FramesOut(), 0u);
}

TEST(UnitStage, AnswersArpAndHandsKeyAgreementToItsHost) {
  Pair pair;
  pair.FromNetwork(wire::PacketBuilder()
                       .Ethernet("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff")
                       .Arp(1, "10.0.0.1", "10.0.0.2")
                       .Build());
  const std::vector<Raw> answers = pair.ToNetwork();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(Raw(answers[0].begin(), answers[0].begin() + 6), Raw(kEndA.mac.begin(), kEndA.mac.end()));

  const Raw packet(100, 2);
  for (std::size_t i = 0; i < UnitStage::kMostHeld + 3; ++i) {
    pair.FromNetwork(wire::PacketBuilder()
                         .Ethernet("02:00:00:00:00:01", "02:00:00:00:00:02")
                         .Ipv4("10.0.0.1", "10.0.0.2")
                         .Udp(kEndA.port, kEndB.port)
                         .Payload(packet)
                         .Build());
  }
  EXPECT_EQ(RowOf(pair.b(), "from_port_1", "agreement"), UnitStage::kMostHeld);
  EXPECT_EQ(RowOf(pair.b(), "from_port_1", "agreement_full"), 3u);
  rte_mbuf* frame = pair.b().TakeAgreement();
  ASSERT_NE(frame, nullptr);
  rte_pktmbuf_free(frame);
  pair.b().Clear();
  EXPECT_EQ(pair.b().TakeAgreement(), nullptr);
  EXPECT_EQ(pair.FramesOut(), 0u);

  pair.b().SendAgreement({packet.data(), packet.size()});
  pair.Step(Micros(100));
  EXPECT_EQ(RowOf(pair.a(), "from_port_1", "agreement"), 1u);
  pair.a().Clear();
}

const char kLink[] =
    R"({"own": {"mac": "02:00:00:00:00:01", "address": "10.0.0.1", "port": 6900},
        "peer": {"mac": "02:00:00:00:00:02", "address": "10.0.0.2", "port": 6901,
                 "public_key": "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"},
        "key_file": "key", "rekey_s": 2.5, "rekey_mb": 10, "cipher": "chacha20_poly1305"})";

TEST(UnitLink, IsRead) {
  const UnitLink link = ParseUnitLink("file", kLink);
  EXPECT_EQ(link.own.mac, kEndA.mac);
  EXPECT_EQ(link.own.address, kEndA.address);
  EXPECT_EQ(link.peer.port, 6901);
  ASSERT_EQ(link.keys.peers.size(), 1u);
  EXPECT_EQ(link.keys.peers[0][1], 0x11);
  EXPECT_EQ(link.keys.rekey_after, Millis(2500));
  EXPECT_EQ(link.keys.rekey_after_bytes, 10'000'000u);
  EXPECT_EQ(link.keys.overlap, Seconds(1));
  EXPECT_EQ(link.keys.cipher, kCipher);
  EXPECT_EQ(link.key_file, "key");
}

TEST(UnitLink, WhatCannotBeIsRefused) {
  const std::vector<std::array<std::string, 3>> cases = {
      {"02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "own.mac"},
      {"10.0.0.1", "224.0.0.1", "own.address"},
      {"\"10.0.0.1\", \"port\"", "\"10.0.0.2\", \"port\"", "another one than own.address"},
      {"6901", "0", "peer.port is 0, allowed: integers 1 .. 65535"},
      {"00112233445566778899aabbccddeeff0011", "11", "peer.public_key"},
      {"2.5", "0", "rekey_s is 0"},
      {"\"rekey_s\": 2.5", "\"overlap_ms\": 1000, \"rekey_s\": 0.5",
       "overlap_ms is 1000, allowed: at most rekey_s"},
      {"chacha20_poly1305", "rot13", "allowed: aes_128_gcm"},
      {"\"key_file\"", "\"keyfile\"", "key_file is missing"},
  };
  for (const auto& [what, by, says] : cases) {
    std::string text = kLink;
    text.replace(text.find(what), what.size(), by);
    try {
      ParseUnitLink("file", text);
      ADD_FAILURE() << text << " was taken";
    } catch (const Refusal& refusal) {
      EXPECT_NE(std::string(refusal.what()).find(says), std::string::npos) << refusal.what();
    }
  }
}

}  // namespace
}  // namespace foreflow::dpdk
