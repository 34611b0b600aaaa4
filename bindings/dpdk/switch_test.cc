// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/switch.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "models/wire/packet_builder.h"

namespace foreflow::dpdk {
namespace {

const char kA[] = "02:00:00:00:00:0a";
const char kB[] = "02:00:00:00:00:0b";
const char kEverybody[] = "ff:ff:ff:ff:ff:ff";

std::uint16_t Send(Switch& fabric, const std::string& source, const std::string& destination,
                   std::uint16_t port) {
  const std::vector<std::uint8_t> frame = wire::PacketBuilder().Ethernet(source, destination).Build();
  return fabric.PortFor({frame.data(), frame.size()}, port);
}

TEST(Switch, LearnsFromSourcesAndFloodsWhatItDoesNotKnow) {
  Switch fabric(Switching::kLearn, 3);
  EXPECT_EQ(Send(fabric, kA, kB, 0), Switch::kFlood);
  EXPECT_EQ(Send(fabric, kB, kA, 2), 0);
  EXPECT_EQ(Send(fabric, kA, kB, 0), 2);
  EXPECT_EQ(Send(fabric, kA, kEverybody, 0), Switch::kFlood);
}

TEST(Switch, KeepsWhatIsBehindOnePortThere) {
  Switch fabric(Switching::kLearn, 2);
  Send(fabric, kA, kEverybody, 1);
  EXPECT_EQ(Send(fabric, kB, kA, 1), Switch::kFilter);
}

TEST(Switch, FollowsAStationThatMoves) {
  Switch fabric(Switching::kLearn, 3);
  Send(fabric, kA, kEverybody, 0);
  Send(fabric, kA, kEverybody, 2);
  EXPECT_EQ(Send(fabric, kB, kA, 1), 2);
}

TEST(Switch, LearnsNoGroupAddressAndNothingFromFragmentsOfHeaders) {
  Switch fabric(Switching::kLearn, 2);
  Send(fabric, "01:00:5e:00:00:01", kB, 0);
  EXPECT_EQ(Send(fabric, kB, "01:00:5e:00:00:01", 1), Switch::kFlood);
  const std::vector<std::uint8_t> frame = wire::PacketBuilder().Ethernet(kA, kB).Build();
  EXPECT_EQ(fabric.PortFor({frame.data(), 13}, 0), Switch::kFlood);
  EXPECT_EQ(Send(fabric, kB, kA, 1), Switch::kFlood);
}

TEST(Switch, AllZeroAddressIsAnAddressLikeAnother) {
  Switch fabric(Switching::kLearn, 2);
  EXPECT_EQ(Send(fabric, kA, "00:00:00:00:00:00", 0), Switch::kFlood);
  Send(fabric, "00:00:00:00:00:00", kEverybody, 1);
  EXPECT_EQ(Send(fabric, kA, "00:00:00:00:00:00", 0), 1);
}

// However many stations there are, a frame for one of them goes to its port or to all.
TEST(Switch, ForgetsUnderPressureButNeverErrs) {
  Switch fabric(Switching::kLearn, 4);
  const auto mac = [](std::size_t i) {
    char text[18];
    std::snprintf(text, sizeof text, "02:00:%02zx:%02zx:%02zx:%02zx", i >> 24 & 255, i >> 16 & 255,
                  i >> 8 & 255, i & 255);
    return std::string(text);
  };
  constexpr std::size_t kStations = 2 * Switch::kPlaces;
  for (std::size_t i = 0; i < kStations; ++i)
    Send(fabric, mac(i), kEverybody, static_cast<std::uint16_t>(i % 3));
  std::size_t known = 0;
  for (std::size_t i = 0; i < kStations; ++i) {
    const std::uint16_t port = Send(fabric, "06:00:00:00:00:01", mac(i), 3);
    if (port == Switch::kFlood) continue;
    EXPECT_EQ(port, i % 3) << mac(i);
    ++known;
  }
  EXPECT_GT(known, Switch::kPlaces / 2);
}

TEST(Switch, OnePortSendsBackAndPairsAreWires) {
  Switch one(Switching::kLearn, 1);
  EXPECT_EQ(Send(one, kA, kEverybody, 0), 0);
  Switch pairs(Switching::kPair, 3);
  EXPECT_EQ(Send(pairs, kA, kEverybody, 0), 1);
  EXPECT_EQ(Send(pairs, kA, kEverybody, 1), 0);
  EXPECT_EQ(Send(pairs, kA, kEverybody, 2), 2);
}

// Stations that stay where they are, seen by several workers at once: whatever is known is right.
TEST(Switch, IsSharedByWorkers) {
  Switch fabric(Switching::kLearn, 3);
  std::vector<std::thread> workers;
  std::atomic<int> wrong{0};
  for (int worker = 0; worker < 3; ++worker) {
    workers.emplace_back([&, worker] {
      for (int i = 0; i < 20'000; ++i) {
        const auto port = static_cast<std::uint16_t>((i + worker) % 2);
        const std::uint16_t out = Send(fabric, port == 0 ? kA : kB, port == 0 ? kB : kA, port);
        if (out != Switch::kFlood && out != 1 - port) ++wrong;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace foreflow::dpdk
