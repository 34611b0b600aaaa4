// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/stream_frames.h"

#include <gtest/gtest.h>

#include <vector>

#include "models/base/rng.h"
#include "models/crypto/test_vectors.h"

namespace foreflow::crypto {
namespace {

// Packets of random sizes, the stream cut at random places.
TEST(StreamFrames, GivesBackWhatWasFramed) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "stream_frames_test");
    std::vector<ByteVector> packets;
    ByteVector stream;
    for (int i = 0; i < 20; ++i) {
      packets.push_back(Pattern(1 + rng.Below(i % 3 == 0 ? 300 : 3), rng.Below(256), 3));
      const auto header = FrameHeader(packets.back().size());
      stream.insert(stream.end(), header.begin(), header.end());
      stream.insert(stream.end(), packets.back().begin(), packets.back().end());
    }
    StreamFrames frames(300);
    std::vector<ByteVector> got;
    for (BytesView rest = View(stream); rest.size > 0;) {
      BytesView piece = rest.First(1 + rng.Below(50));
      rest = rest.From(piece.size);
      MutableBytes packet;
      while (frames.Next(piece, packet)) got.emplace_back(packet.begin(), packet.end());
      EXPECT_EQ(piece.size, 0u);
    }
    EXPECT_EQ(got, packets);
    EXPECT_FALSE(frames.IsBroken());
  }
}

TEST(StreamFrames, StopsAtLengthsThatNoPacketHas) {
  for (const ByteVector& stream : {ByteVector{0, 0, 1}, ByteVector{0x01, 0x2d, 1}}) {
    StreamFrames frames(300);
    BytesView rest = View(stream);
    MutableBytes packet;
    EXPECT_FALSE(frames.Next(rest, packet));
    EXPECT_TRUE(frames.IsBroken());
    const ByteVector good = {0, 1, 7};
    rest = View(good);
    EXPECT_FALSE(frames.Next(rest, packet));
    EXPECT_EQ(rest.size, good.size());
  }
}

}  // namespace
}  // namespace foreflow::crypto
