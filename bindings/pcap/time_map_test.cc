// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/time_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

#include "bindings/pcap/replay.h"
#include "models/base/refusal.h"
#include "models/wire/packet_builder.h"

namespace foreflow::pcap {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A capture of UDP packets; the source port tells which record it was, the MAC who sent it.
class Recording {
 public:
  void Add(std::int64_t time_ns, std::uint32_t wire_bytes = 1000, int sender = 1) {
    const auto port = static_cast<std::uint16_t>(capture_.records.size());
    frames_.push_back(
        std::make_unique<std::vector<std::uint8_t>>(wire::PacketBuilder()
                                                        .Ethernet("02:00:00:00:00:0" + std::to_string(sender))
                                                        .Ipv4()
                                                        .Udp(port, 53)
                                                        .Build()));
    Record record;
    record.link = wire::Link::kEthernet;
    record.captured = {frames_.back()->data(), frames_.back()->size()};
    record.wire_bytes = wire_bytes;
    record.time = Nanos(time_ns);
    capture_.records.push_back(record);
  }
  const Capture& capture() const { return capture_; }

 private:
  Capture capture_;
  std::vector<std::unique_ptr<std::vector<std::uint8_t>>> frames_;
};

TimeMap At10Gbps() {
  TimeMap map;
  map.link_rate = BitsPerSecond(10'000'000'000);
  return map;
}

std::vector<int> Order(const Traffic& traffic) {
  std::vector<int> order;
  for (const path::Arrival& arrival : traffic.arrivals) {
    order.push_back(arrival.captured.data[34] << 8 | arrival.captured.data[35]);
  }
  return order;
}
std::vector<std::int64_t> SentOf(const Traffic& traffic) {
  std::vector<std::int64_t> times;
  for (const path::Arrival& arrival : traffic.arrivals) times.push_back(arrival.sent.count());
  return times;
}
std::vector<std::int64_t> TimesOf(const Traffic& traffic) {
  std::vector<std::int64_t> times;
  for (const path::Arrival& arrival : traffic.arrivals) times.push_back(arrival.time.count());
  return times;
}

TEST(MapRecorded, SortsStablyAndBeginsAtZero) {
  Recording recording;
  for (const std::int64_t time : {50, 20, 50, 10, 20}) recording.Add(time);
  const Traffic traffic = MapRecorded(recording.capture(), 64);
  EXPECT_THAT(Order(traffic), ElementsAre(3, 1, 4, 0, 2));
  EXPECT_THAT(TimesOf(traffic), ElementsAre(0, 10, 10, 40, 40));
  EXPECT_EQ(TimesOf(traffic), SentOf(traffic));
  EXPECT_THAT(traffic.notes, ElementsAre(HasSubstr("runs backwards at 2 records")));
}

TEST(MapRecorded, NumbersSendersInOrderOfTimeUpToTheBound) {
  Recording recording;
  recording.Add(30, 1000, 1);
  recording.Add(10, 1000, 2);
  recording.Add(20, 1000, 3);
  recording.Add(40, 1000, 2);
  const Traffic traffic = MapRecorded(recording.capture(), 2);
  std::vector<int> vms;
  for (const path::Arrival& arrival : traffic.arrivals) vms.push_back(arrival.vm);
  EXPECT_THAT(vms, ElementsAre(1, 2, 0, 1));
  EXPECT_EQ(traffic.vms, 2u);
  EXPECT_THAT(traffic.notes, Contains(HasSubstr("1 packet of senders beyond the 2 profiled VMs")));
}

TEST(MapToLoad, AnEmptyCaptureStaysEmpty) {
  EXPECT_THAT(MapToLoad(Capture(), 64, TimeMap()).arrivals, IsEmpty());
}

TEST(MapToLoad, CutsSilences) {
  Recording recording;
  for (const std::int64_t time : {0, 100, 5'000'000, 5'000'100}) recording.Add(time);
  TimeMap map = At10Gbps();
  map.max_gap = Nanos(1'000'000);
  const Traffic traffic = MapToLoad(recording.capture(), 64, map);
  EXPECT_THAT(SentOf(traffic), ElementsAre(0, 100, 1'000'100, 1'000'200));
  EXPECT_THAT(traffic.notes, Contains(HasSubstr("1 silence longer than 1 ms was cut")));
}

TEST(MapToLoad, ScalesToTheWantedRateExactly) {
  // 3 packets of 1250 bytes are 30000 bits; 10 Gb/s at load 0.5 carries them in 6 us, 2 us a packet.
  Recording recording;
  for (const std::int64_t time : {0, 300, 400}) recording.Add(time, 1250);
  TimeMap map = At10Gbps();
  map.load = 0.5;
  EXPECT_THAT(TimesOf(MapToLoad(recording.capture(), 64, map)), ElementsAre(0, 3000, 4000));
  map.load = 1.0;
  const Traffic traffic = MapToLoad(recording.capture(), 64, map);
  EXPECT_THAT(TimesOf(traffic), ElementsAre(0, 1500, 2000));
  EXPECT_THAT(SentOf(traffic), ElementsAre(0, 300, 400));
  EXPECT_THAT(traffic.notes, Contains(HasSubstr("multiplied by 5 ")));
}

TEST(MapToLoad, SpreadsAFlatClockEvenlyOnBothClocks) {
  Recording recording;
  for (int i = 0; i < 5; ++i) recording.Add(777, 1250);
  TimeMap map = At10Gbps();
  map.load = 1.0;
  const Traffic traffic = MapToLoad(recording.capture(), 64, map);
  EXPECT_THAT(TimesOf(traffic), ElementsAre(0, 1000, 2000, 3000, 4000));
  EXPECT_EQ(TimesOf(traffic), SentOf(traffic));
  EXPECT_THAT(traffic.notes, Contains(HasSubstr("clock stands still")));
}

TEST(MapToLoad, TakesTheFirstPacketsInOrderOfTime) {
  Recording recording;
  for (const std::int64_t time : {50, 20, 40, 10}) recording.Add(time);
  TimeMap map = At10Gbps();
  map.max_packets = 2;
  const Traffic traffic = MapToLoad(recording.capture(), 64, map);
  EXPECT_THAT(Order(traffic), ElementsAre(3, 1));
  EXPECT_THAT(traffic.notes, Contains(HasSubstr("first 2 of 4 packets")));
}

TEST(MapToLoad, RefusesALoadThatIsNone) {
  for (const double load : {0.0, -1.0, 1e9, std::numeric_limits<double>::quiet_NaN()}) {
    TimeMap map = At10Gbps();
    map.load = load;
    EXPECT_THROW(MapToLoad(Capture(), 64, map), Refusal) << load;
  }
  TimeMap map = At10Gbps();
  map.link_rate = BitsPerSecond(0);
  EXPECT_THROW(MapToLoad(Capture(), 64, map), Refusal);
}

TEST(MapToLoad, SeedsRotateAndTheFirstDoesNot) {
  Recording recording;
  for (int i = 0; i < 100; ++i) recording.Add(i * 1000, 1000, 1 + i % 3);
  TimeMap map = At10Gbps();
  const Traffic plain = MapToLoad(recording.capture(), 64, map);
  EXPECT_EQ(Order(plain).front(), 0);
  std::set<int> starts;
  for (std::uint64_t seed = 2; seed < 22; ++seed) {
    map.seed = seed;
    const Traffic rotated = MapToLoad(recording.capture(), 64, map);
    const int start = Order(rotated).front();
    starts.insert(start);
    for (std::size_t i = 0; i < 100; ++i) {
      // Evenly spaced packets stay so across the seam, and keep their VM.
      EXPECT_EQ(Order(rotated)[i], (start + static_cast<int>(i)) % 100);
      EXPECT_EQ(SentOf(rotated)[i], static_cast<std::int64_t>(i) * 1000);
      EXPECT_EQ(rotated.arrivals[i].vm, 1 + Order(rotated)[i] % 3);
    }
    EXPECT_EQ(Order(rotated), Order(MapToLoad(recording.capture(), 64, map)));
  }
  EXPECT_GT(starts.size(), 10u);
}

// Whatever the capture: no packet is lost, no clock runs backwards, gaps are bounded, the load is met.
RC_GTEST_PROP(MapToLoad, KeepsItsPromises,
              (std::vector<std::uint32_t> gaps, std::uint64_t seed, std::uint32_t load_ppm)) {
  Recording recording;
  std::int64_t time = 1'600'000'000'000'000'000;
  std::uint64_t bits = 0;
  for (const std::uint32_t gap : gaps) {
    time += gap % 3 == 0 ? -static_cast<std::int64_t>(gap % 1000) : static_cast<std::int64_t>(gap);
    recording.Add(time, 64 + gap % 1400);
    bits += (64 + gap % 1400) * 8;
  }
  TimeMap map = At10Gbps();
  map.seed = seed;
  map.load = 0.001 + (load_ppm % 2'000'000) * 1e-6;
  map.max_gap = Millis(50);
  const Traffic traffic = MapToLoad(recording.capture(), 64, map);
  std::vector<int> order = Order(traffic);
  std::sort(order.begin(), order.end());
  RC_ASSERT(order.size() == gaps.size());
  for (std::size_t i = 0; i < order.size(); ++i) RC_ASSERT(order[i] == static_cast<int>(i));
  for (std::size_t i = 1; i < traffic.arrivals.size(); ++i) {
    const Nanos gap = traffic.arrivals[i].sent - traffic.arrivals[i - 1].sent;
    RC_ASSERT(traffic.arrivals[i].time >= traffic.arrivals[i - 1].time);
    RC_ASSERT(gap >= Nanos(0));
    RC_ASSERT(gap <= map.max_gap);
  }
  if (traffic.arrivals.size() < 2) return;
  RC_ASSERT(traffic.arrivals.front().time == Nanos(0));
  const double count = static_cast<double>(gaps.size());
  const double wanted = static_cast<double>(bits) / (map.load * 10) * (count - 1) / count;  // ns at 10 Gb/s
  const double got = static_cast<double>(traffic.arrivals.back().time.count());
  RC_ASSERT(std::abs(got - wanted) <= 2 + wanted * 2e-3);  // the load is rounded to a millionth
}

TEST(Replay, CountsEveryPacketAndDecidesTheSameTwice) {
  Recording recording;
  for (int i = 0; i < 300; ++i) recording.Add(i * 1000, 1000, 1 + i % 5);
  std::uint64_t seen = 0;
  const auto observe = [&](std::uint64_t packet, const path::Arrival&, const path::Verdict&,
                           const path::StageWork&) { EXPECT_EQ(packet, seen++); };
  const ReplayResult first = Replay(recording.capture(), DefaultReplayConfig(), nullptr, observe);
  EXPECT_EQ(seen, 300u);
  EXPECT_EQ(first.packets.in, 300u);
  EXPECT_EQ(first.packets.out, 300u);
  EXPECT_TRUE(first.packets.Balanced());
  EXPECT_EQ(first.vms, 5u);
  EXPECT_EQ(first.fingerprint.size(), 64u);
  EXPECT_EQ(Replay(recording.capture(), DefaultReplayConfig(), nullptr, nullptr).fingerprint,
            first.fingerprint);
  // No rule: everything is dropped by default, counted, and decided otherwise.
  config::RunConfig closed = DefaultReplayConfig();
  closed.path.rules.clear();
  const ReplayResult none = Replay(recording.capture(), closed, nullptr, nullptr);
  EXPECT_EQ(none.packets.dropped[static_cast<std::size_t>(Reason::kDefaultDrop)], 300u);
  EXPECT_TRUE(none.packets.Balanced());
  EXPECT_NE(none.fingerprint, first.fingerprint);
}

TEST(Replay, LoopsDecideAsTheSameCaptureWrittenOutDoes) {
  Recording recording;
  for (int i = 0; i < 101; ++i) recording.Add(i * 5000, 1000, 1 + i % 5);
  Capture written_out;
  for (std::int64_t pass = 0; pass < 3; ++pass) {
    for (Record record : recording.capture().records) {
      record.time += Micros(505) * pass;
      written_out.records.push_back(record);
    }
  }
  config::RunConfig config = DefaultReplayConfig();
  config.path.arm = path::Arm::kPredictive;
  const ReplayResult looped = Replay(recording.capture(), config, nullptr, nullptr, 3);
  EXPECT_EQ(looped.packets.in, 303u);
  EXPECT_EQ(looped.fingerprint, Replay(written_out, config, nullptr, nullptr).fingerprint);
  EXPECT_NE(looped.fingerprint, Replay(recording.capture(), config, nullptr, nullptr).fingerprint);
  config.path.arm = path::Arm::kOracle;
  EXPECT_THROW(Replay(recording.capture(), config, nullptr, nullptr, 2), Refusal);
}

}  // namespace
}  // namespace foreflow::pcap
