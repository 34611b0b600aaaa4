// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/prediction_tag.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "models/rules/test_uniform.h"
#include "models/tag/tag_rules.h"

namespace foreflow::tag {
namespace {

using predict::PacketType;

constexpr crypto::Key128 kTagMaster = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
constexpr std::uint32_t kLength = 1514;

flow::FlowKey PacketOf(flow::VmId vm) {
  flow::FlowKey key;
  key.source_address = {10, 0, 0, 1};
  key.destination_address = {10, 0, 0, 2};
  key.source_port = 0x1234;
  key.destination_port = 0x5678;
  key.vm = vm;
  key.ip_protocol = 6;
  key.l3 = 2;
  return key;
}

class TagTest : public ::testing::Test {
 protected:
  SealedTag Seal(flow::VmId vm = 3) {
    return sealer_.Seal(vm, PacketType::kRequest, 50000, PacketOf(vm), kLength, work_);
  }
  TagStatus Check(const SealedTag& sealed, flow::VmId vm = 3) {
    return checker_.Check(&sealed, PacketOf(vm), kLength, tag_, work_);
  }

  TagSealer sealer_{kTagMaster, 8};
  TagChecker checker_{kTagMaster, 8};
  PredictionTag tag_;
  Work work_;
};

TEST(PredictionTag, LayoutIsFixed) {
  PredictionTag tag;
  tag.type = PacketType::kStream;
  tag.confidence = 0xabcd;
  tag.vm = 0x0102;
  tag.epoch = 7;
  tag.covers = 15;
  tag.sequence = 0xdeadbeef;
  std::uint8_t bytes[kTagFieldBytes];
  Encode(tag, bytes);
  const std::uint8_t kExpected[kTagFieldBytes] = {1, 4, 0xab, 0xcd, 1, 2, 7, 15, 0xde, 0xad, 0xbe, 0xef};
  EXPECT_TRUE(std::equal(bytes, bytes + kTagFieldBytes, kExpected));
  PredictionTag back;
  ASSERT_TRUE(Decode({bytes, kTagFieldBytes}, back));
  EXPECT_EQ(back.type, tag.type);
  EXPECT_EQ(back.confidence, tag.confidence);
  EXPECT_EQ(back.vm, tag.vm);
  EXPECT_EQ(back.epoch, tag.epoch);
  EXPECT_EQ(back.covers, tag.covers);
  EXPECT_EQ(back.sequence, tag.sequence);
}

TEST(PredictionTag, DecodeRefusesWhatNoSealerWrites) {
  PredictionTag tag;
  std::uint8_t good[kTagFieldBytes];
  Encode(tag, good);
  ASSERT_TRUE(Decode({good, kTagFieldBytes}, tag));
  for (std::size_t size = 0; size < kTagFieldBytes; ++size) EXPECT_FALSE(Decode({good, size}, tag));
  for (const std::size_t byte : {std::size_t{0}, std::size_t{1}}) {
    std::uint8_t bad[kTagFieldBytes];
    std::copy(good, good + kTagFieldBytes, bad);
    bad[byte] = 9;
    EXPECT_FALSE(Decode({bad, kTagFieldBytes}, tag)) << byte;
  }
}

// SipHash-2-4 as in the paper (Aumasson, Bernstein 2012, section 2), for whole 8 B words only.
std::uint64_t PaperSipHash(const crypto::Key128& key, const std::vector<std::uint8_t>& message) {
  const auto load = [](const std::uint8_t* p) {
    std::uint64_t word = 0;
    for (int i = 7; i >= 0; --i) word = word << 8 | p[i];
    return word;
  };
  const auto rotate = [](std::uint64_t x, int by) { return x << by | x >> (64 - by); };
  const std::uint64_t k0 = load(key.data());
  const std::uint64_t k1 = load(key.data() + 8);
  std::uint64_t v0 = k0 ^ 0x736f6d6570736575u;
  std::uint64_t v1 = k1 ^ 0x646f72616e646f6du;
  std::uint64_t v2 = k0 ^ 0x6c7967656e657261u;
  std::uint64_t v3 = k1 ^ 0x7465646279746573u;
  const auto round = [&] {
    v0 += v1, v1 = rotate(v1, 13), v1 ^= v0, v0 = rotate(v0, 32);
    v2 += v3, v3 = rotate(v3, 16), v3 ^= v2;
    v0 += v3, v3 = rotate(v3, 21), v3 ^= v0;
    v2 += v1, v1 = rotate(v1, 17), v1 ^= v2, v2 = rotate(v2, 32);
  };
  const auto absorb = [&](std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  };
  for (std::size_t i = 0; i < message.size(); i += 8) absorb(load(&message[i]));
  absorb(std::uint64_t{message.size()} << 56);
  v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) round();
  return v0 ^ v1 ^ v2 ^ v3;
}

TEST_F(TagTest, MacIsSipHashOfFieldsFlowAndLengthInNetworkOrder) {
  const SealedTag sealed = Seal();
  std::vector<std::uint8_t> message = {1, 1, 0xc3, 0x50, 0, 3, 0, 0, 0, 0, 0, 1};  // the fields
  ASSERT_TRUE(std::equal(message.begin(), message.end(), sealed.begin()));
  for (const std::uint8_t host : {std::uint8_t{1}, std::uint8_t{2}}) {
    message.insert(message.end(), {10, 0, 0, host});
    message.insert(message.end(), 12, 0);
  }
  message.insert(message.end(), {0x12, 0x34, 0x56, 0x78, 0, 3, 6, 2, 0, 0, 0x05, 0xea});
  ASSERT_EQ(message.size(), 56u);
  const std::uint64_t mac = PaperSipHash(TagKey(kTagMaster, 3, 0), message);
  for (unsigned i = 0; i < 8; ++i) {
    EXPECT_EQ(sealed[kTagFieldBytes + i], static_cast<std::uint8_t>(mac >> (56 - 8 * i))) << i;
  }
}

TEST_F(TagTest, SealedTagIsValidOnce) {
  const SealedTag sealed = Seal();
  EXPECT_EQ(Check(sealed), TagStatus::kValid);
  EXPECT_EQ(tag_.type, PacketType::kRequest);
  EXPECT_EQ(tag_.confidence, 50000);
  EXPECT_EQ(tag_.vm, 3);
  EXPECT_EQ(tag_.sequence, 1u);
  EXPECT_EQ(Check(sealed), TagStatus::kReplayed);
}

TEST_F(TagTest, NoTagIsAbsent) {
  EXPECT_EQ(checker_.Check(nullptr, PacketOf(3), kLength, tag_, work_), TagStatus::kAbsent);
  EXPECT_EQ(work_, Work{});
}

TEST_F(TagTest, EveryFlippedBitIsCaughtAndChangesNothing) {
  const SealedTag sealed = Seal();
  tag_.sequence = 4711;
  for (std::size_t bit = 0; bit < 8 * kTagBytes; ++bit) {
    SealedTag bad = sealed;
    bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ (1u << bit % 8));
    const TagStatus status = Check(bad);
    const std::size_t byte = bit / 8;
    const TagStatus expected = byte == 4 || byte == 5 ? TagStatus::kWrongVm
                               : byte == 6            ? TagStatus::kStale
                                                      : TagStatus::kForged;
    EXPECT_EQ(status, expected) << "bit " << bit;
    EXPECT_EQ(tag_.sequence, 4711u);
  }
  EXPECT_EQ(Check(sealed), TagStatus::kValid);
}

TEST_F(TagTest, FitsThePacketItWasMadeForAndNoOther) {
  const SealedTag sealed = Seal();
  const flow::FlowKey packet = PacketOf(3);
  for (std::size_t byte = 0; byte < sizeof(packet); ++byte) {
    flow::FlowKey other = packet;
    reinterpret_cast<std::uint8_t*>(&other)[byte] ^= 1;
    const TagStatus expected = other.vm != packet.vm ? TagStatus::kWrongVm : TagStatus::kForged;
    EXPECT_EQ(checker_.Check(&sealed, other, kLength, tag_, work_), expected) << "byte " << byte;
  }
  EXPECT_EQ(checker_.Check(&sealed, packet, kLength + 1, tag_, work_), TagStatus::kForged);
  EXPECT_EQ(Check(sealed), TagStatus::kValid);
}

TEST_F(TagTest, AnotherVmsTagIsRefusedEvenWhenRelabelled) {
  SealedTag sealed = Seal(3);
  EXPECT_EQ(Check(sealed, 4), TagStatus::kWrongVm);
  sealed[5] = 4;
  EXPECT_EQ(Check(sealed, 4), TagStatus::kForged);
}

TEST_F(TagTest, AVmWithoutKeyGetsNoAcceptedTag) {
  const SealedTag sealed = Seal(9);
  EXPECT_EQ(sealed, SealedTag{});
  EXPECT_EQ(Check(sealed, 9), TagStatus::kForged);
  PredictionTag tag;
  tag.vm = 9;
  SealedTag claimed{};
  Encode(tag, claimed.data());
  EXPECT_EQ(Check(claimed, 9), TagStatus::kWrongVm);
}

TEST_F(TagTest, AnotherMasterKeyDoesNotVerify) {
  crypto::Key128 master = kTagMaster;
  master[0] ^= 1;
  TagSealer other(master, 8);
  const SealedTag sealed = other.Seal(3, PacketType::kBulk, 1, PacketOf(3), kLength, work_);
  EXPECT_EQ(Check(sealed), TagStatus::kForged);
}

TEST_F(TagTest, WindowOf64) {
  std::vector<SealedTag> tags;
  for (int i = 0; i < 65; ++i) tags.push_back(Seal());
  EXPECT_EQ(Check(tags[64]), TagStatus::kValid);
  EXPECT_EQ(Check(tags[0]), TagStatus::kReplayed);  // 64 behind
  EXPECT_EQ(Check(tags[1]), TagStatus::kValid);     // 63 behind
  EXPECT_EQ(Check(tags[1]), TagStatus::kReplayed);
  EXPECT_EQ(Check(tags[63]), TagStatus::kValid);
}

RC_GTEST_PROP(ReplayWindow, AcceptsEachNumberOnceAndNoneThatIsTooOld, ()) {
  TagSealer sealer(kTagMaster, 1);
  TagChecker checker(kTagMaster, 1);
  Work work;
  std::vector<SealedTag> tags;
  for (int i = 0; i < 300; ++i) {
    tags.push_back(sealer.Seal(1, PacketType::kBulk, 0, PacketOf(1), kLength, work));
  }
  std::set<std::int64_t> seen;
  std::int64_t highest = 0;
  std::int64_t around = 0;
  const auto arrivals = rules::Uniform(0, 200);
  for (int i = 0; i < arrivals; ++i) {
    around = std::min<std::int64_t>(299, std::max<std::int64_t>(0, around + rules::Uniform(-40, 44)));
    const std::int64_t sequence = around + 1;
    PredictionTag tag;
    const TagStatus status =
        checker.Check(&tags[static_cast<std::size_t>(around)], PacketOf(1), kLength, tag, work);
    const bool fresh = seen.count(sequence) == 0 && sequence > highest - 64;
    RC_ASSERT(status == (fresh ? TagStatus::kValid : TagStatus::kReplayed));
    seen.insert(sequence);
    highest = std::max(highest, sequence);
  }
}

TEST_F(TagTest, PreviousEpochOverlapsAndOlderOnesAreStale) {
  const SealedTag epoch0 = Seal();
  const SealedTag epoch0_late = Seal();
  checker_.Rotate(3);
  EXPECT_EQ(Check(epoch0), TagStatus::kValid);
  EXPECT_EQ(Check(epoch0), TagStatus::kReplayed);
  sealer_.Rotate(3);
  Seal();
  Seal();
  const SealedTag epoch1 = Seal();
  EXPECT_EQ(Check(epoch1), TagStatus::kValid);
  EXPECT_EQ(tag_.epoch, 1);
  EXPECT_EQ(tag_.sequence, 3u);
  checker_.Rotate(3);
  EXPECT_EQ(Check(epoch0_late), TagStatus::kStale);
  EXPECT_EQ(Check(epoch1), TagStatus::kReplayed);  // its window moved along
}

TEST_F(TagTest, TheNextEpochIsNotAcceptedBeforeTheCheckerRotates) {
  sealer_.Rotate(3);
  EXPECT_EQ(Check(Seal()), TagStatus::kStale);
  checker_.Rotate(4);  // another VM's
  EXPECT_EQ(Check(Seal()), TagStatus::kStale);
}

TEST_F(TagTest, FirstEpochHasNoPredecessor) {
  const SealedTag old = Seal();
  for (int i = 0; i < 255; ++i) sealer_.Rotate(3);
  EXPECT_EQ(Check(Seal()), TagStatus::kStale);  // epoch byte 255 is not "one before 0"
  EXPECT_EQ(Check(old), TagStatus::kValid);
}

TEST_F(TagTest, AnOldTagDoesNotReturnWhenTheEpochByteDoes) {
  const SealedTag old = Seal();
  for (int i = 0; i < 256; ++i) {
    checker_.Rotate(3);
    sealer_.Rotate(3);
  }
  const SealedTag fresh = Seal();
  EXPECT_EQ(fresh[6], old[6]);
  EXPECT_EQ(Check(old), TagStatus::kForged);
  EXPECT_EQ(Check(fresh), TagStatus::kValid);
}

TEST_F(TagTest, TwoEpochsLiveWhileTheyOverlap) {
  constexpr crypto::Key128 kOther = {42};
  const SealedTag early = Seal();
  const SealedTag late = Seal();
  checker_.See(Millis(1000));
  ASSERT_TRUE(checker_.RotateKeys(5, kOther, Millis(1010)));
  ASSERT_TRUE(sealer_.RotateKeys(5, kOther));
  const SealedTag fresh = Seal();
  EXPECT_EQ(fresh[6], 5);
  EXPECT_EQ(Check(fresh), TagStatus::kValid);
  checker_.See(Millis(1010) - Nanos(1));
  EXPECT_EQ(Check(early), TagStatus::kValid);
  checker_.See(Millis(1010));
  EXPECT_EQ(Check(late), TagStatus::kStale);
  EXPECT_EQ(Check(Seal()), TagStatus::kValid);
  // Epochs only rise, for both halves.
  EXPECT_FALSE(checker_.RotateKeys(5, kTagMaster, Millis(2000)));
  EXPECT_FALSE(sealer_.RotateKeys(4, kTagMaster));
  EXPECT_EQ(Check(Seal()), TagStatus::kValid);
  // The same epoch of another master key is a forgery.
  TagSealer other(kTagMaster, 8);
  ASSERT_TRUE(other.RotateKeys(5, kTagMaster));
  const SealedTag forged = other.Seal(3, PacketType::kBulk, 0, PacketOf(3), kLength, work_);
  EXPECT_EQ(Check(forged), TagStatus::kForged);
}

// What was held back for the window's time is refused at the latest after twice that, and never before it.
TEST_F(TagTest, TheReplayWindowIsOfATimeToo) {
  constexpr int kTags = 2000;
  std::vector<SealedTag> tags;
  for (int i = 0; i < kTags; ++i) tags.push_back(Seal());
  // One tag in 20 is held back by 0..250 ms and comes after all that is due by then, one tag is due every 40
  // ms.
  for (int held = 0; held <= 250; ++held) {
    TagChecker checker(kTagMaster, 8, Millis(100));
    std::vector<std::pair<Nanos, int>> arrivals;
    for (int i = 0; i < 200; ++i) {
      const Nanos late = i % 20 == 7 ? Millis(held) : Nanos();
      arrivals.push_back({Millis(5 * i) + late, i});
    }
    std::stable_sort(arrivals.begin(), arrivals.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [time, i] : arrivals) {
      checker.See(time);
      const TagStatus status =
          checker.Check(&tags[static_cast<std::size_t>(i)], PacketOf(3), kLength, tag_, work_);
      if (i % 20 != 7 || held < 100) {
        EXPECT_EQ(status, TagStatus::kValid) << i << " held " << held << " ms";
      } else if (held >= 220 && i < 140) {
        EXPECT_EQ(status, TagStatus::kReplayed) << i << " held " << held << " ms";
      }
    }
  }
}

TEST_F(TagTest, KeysDifferByVmAndEpoch) {
  std::set<crypto::Key128> keys;
  for (const flow::VmId vm : {flow::VmId{0}, flow::VmId{1}, flow::VmId{65535}}) {
    for (const std::uint64_t epoch : {0u, 1u, 256u, 65536u}) keys.insert(TagKey(kTagMaster, vm, epoch));
  }
  EXPECT_EQ(keys.size(), 12u);
}

TEST_F(TagTest, CountsMacWords) {
  Work seal;
  const SealedTag sealed = sealer_.Seal(3, PacketType::kBulk, 0, PacketOf(3), kLength, seal);
  EXPECT_EQ(seal[WorkItem::kMacWord], 8u);  // 56 B and SipHash's own length word
  Work check;
  checker_.Check(&sealed, PacketOf(3), kLength, tag_, check);
  EXPECT_EQ(check[WorkItem::kMacWord], 8u);
}

TEST(TagStatus, HasDistinctNames) {
  std::set<std::string> names;
  const auto count = static_cast<std::size_t>(TagStatus::kCount);
  for (std::size_t i = 0; i < count; ++i) names.insert(Name(static_cast<TagStatus>(i)));
  EXPECT_EQ(names.size(), count);
  EXPECT_EQ(Name(TagStatus::kCount), nullptr);
}

TEST(PredictionTag, TheReadmesExample) {
  const crypto::Key128 master = kTagMaster;
  const std::size_t vms = 4;
  const flow::VmId vm = 2;
  const flow::FlowKey key = PacketOf(vm);
  const std::uint16_t confidence = 50'000;
  const std::uint32_t length = kLength;
  std::uint8_t queue = rules::kNoQueue;
  TagRule rule_of_bulk;
  rule_of_bulk.id = 1;
  rule_of_bulk.types = 1u << static_cast<unsigned>(PacketType::kBulk);
  rule_of_bulk.action.verb = rules::Verb::kForward;
  rule_of_bulk.action.queue = 3;
  TagRules tag_rules;
  tag_rules.Load({rule_of_bulk});
  TagSealer sealer(master, vms);
  TagChecker checker(master, vms);
  Work work;
  const SealedTag sealed = sealer.Seal(vm, PacketType::kBulk, confidence, key, length, work);
  PredictionTag tag;
  if (checker.Check(&sealed, key, length, tag, work) == TagStatus::kValid) {
    if (const TagRule* rule = tag_rules.Match(tag, work)) queue = rule->action.queue;
  }
  EXPECT_EQ(queue, 3);
}

}  // namespace
}  // namespace foreflow::tag
