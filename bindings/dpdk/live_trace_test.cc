// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/live_trace.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <cstdio>
#include <random>

#include "models/path/future.h"
#include "models/wire/packet_builder.h"

namespace foreflow::dpdk {
namespace {

std::vector<trace::PacketRow> PacketsOf(const std::string& path) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t set = H5Dopen2(file, "packets", H5P_DEFAULT);
  const hid_t space = H5Dget_space(set);
  std::vector<trace::PacketRow> rows(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  // Two columns are enough, by their names.
  const hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(trace::PacketRow));
  H5Tinsert(type, "packet", HOFFSET(trace::PacketRow, packet), H5T_NATIVE_UINT64);
  H5Tinsert(type, "truth", HOFFSET(trace::PacketRow, truth), H5T_NATIVE_UINT8);
  EXPECT_GE(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows.data()), 0);
  H5Tclose(type);
  H5Sclose(space);
  H5Dclose(set);
  H5Fclose(file);
  return rows;
}

// Labels that are found on the way are those that knowing all packets beforehand gives.
TEST(LiveTrace, WritesEveryPacketWithItsTrueType) {
  const std::uint64_t seed = 4;
  std::mt19937_64 random(seed);
  std::vector<std::vector<std::uint8_t>> frames;
  std::vector<path::Arrival> arrivals;
  Nanos now;
  constexpr std::size_t kPackets = 3000;
  for (std::size_t i = 0; i < kPackets; ++i) {
    const bool reply = random() % 2 == 0;
    const auto port = static_cast<std::uint16_t>(40'000 + random() % 5);
    wire::PacketBuilder packet;
    packet.Ethernet().Ipv4(reply ? "10.0.0.2" : "10.0.0.1", reply ? "10.0.0.1" : "10.0.0.2");
    packet.Udp(reply ? std::uint16_t{53} : port, reply ? port : std::uint16_t{53}).Payload(random() % 1400);
    frames.push_back(packet.Build());
    if (random() % 10 == 0) frames.back().resize(20);  // undecidable
  }
  for (const auto& frame : frames) {
    now += Nanos(static_cast<std::int64_t>(random() % 20'000'000));
    path::Arrival arrival;
    arrival.captured = {frame.data(), frame.size()};
    arrival.wire_bytes = static_cast<std::uint32_t>(frame.size());
    arrival.time = arrival.sent = now;
    arrivals.push_back(arrival);
  }
  const Nanos horizon = Millis(200);
  const path::Future future(arrivals, horizon);

  const std::string file = ::testing::TempDir() + "live_trace_test.h5";
  LiveTrace trace(file, 1, horizon, 32'768);
  for (const path::Arrival& arrival : arrivals) {
    const path::Parsed parsed = path::Parse(arrival);
    DecidedRow row;
    row.time = arrival.time;
    row.decidable = parsed.decidable;
    row.seen = predict::Summarise(parsed.packet, parsed.key, arrival.sent, arrival.wire_bytes);
    trace.Add(0, row);
  }
  trace.End();

  const std::vector<trace::PacketRow> rows = PacketsOf(file);
  ASSERT_EQ(rows.size(), kPackets);
  std::array<std::size_t, predict::kPacketTypes> types{};
  for (std::size_t i = 0; i < kPackets; ++i) {
    ASSERT_EQ(rows[i].packet, i);
    ASSERT_EQ(rows[i].truth, static_cast<std::uint8_t>(future.type(i))) << "packet " << i;
    ++types[rows[i].truth];
  }
  EXPECT_GT(types[static_cast<std::size_t>(predict::PacketType::kRequest)], 100u);
  std::remove(file.c_str());
}

}  // namespace
}  // namespace foreflow::dpdk
