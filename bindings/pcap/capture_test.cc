// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/capture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "bindings/pcap/test_bytes.h"
#include "models/base/refusal.h"

namespace foreflow::pcap {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<std::uint8_t> kData = {1, 2, 3, 4, 5};

Capture Read(const FileBytes& file) { return ReadCapture("test", file.bytes()); }

std::string RefusalOf(const std::vector<std::uint8_t>& bytes) {
  try {
    ReadCapture("test", bytes);
  } catch (const Refusal& refusal) {
    return refusal.what();
  }
  return "accepted";
}
std::string RefusalOf(const FileBytes& file) { return RefusalOf(file.bytes()); }

std::vector<std::int64_t> Times(const Capture& capture) {
  std::vector<std::int64_t> times;
  for (const Record& record : capture.records) times.push_back(record.time.count());
  return times;
}

struct ClassicCase {
  const char* name;
  bool big;
  std::uint32_t magic;
  std::int64_t fraction_ns;  // of one unit of the second time field
};
class Classic : public testing::TestWithParam<ClassicCase> {};

TEST_P(Classic, RecordsTimesAndLengthsAreRead) {
  const ClassicCase& variant = GetParam();
  FileBytes file(variant.big);
  file.Header(variant.magic, 1).Record(10, 20, kData, 60).Record(9, 999, {}, 0);
  const Capture capture = Read(file);
  ASSERT_EQ(capture.records.size(), 2u);
  EXPECT_THAT(Times(capture), ElementsAre(10'000'000'000 + 20 * variant.fraction_ns,
                                          9'000'000'000 + 999 * variant.fraction_ns));
  const Record& first = capture.records[0];
  EXPECT_EQ(first.link, wire::Link::kEthernet);
  EXPECT_EQ(first.wire_bytes, 60u);
  EXPECT_EQ(std::vector<std::uint8_t>(first.captured.begin(), first.captured.end()), kData);
  EXPECT_EQ(capture.records[1].captured.size, 0u);
  EXPECT_THAT(capture.notes, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Variants, Classic,
                         testing::Values(ClassicCase{"MicroLittle", false, 0xa1b2c3d4, 1000},
                                         ClassicCase{"MicroBig", true, 0xa1b2c3d4, 1000},
                                         ClassicCase{"NanoLittle", false, 0xa1b23c4d, 1},
                                         ClassicCase{"NanoBig", true, 0xa1b23c4d, 1}),
                         [](const auto& variant) { return std::string(variant.param.name); });

TEST(Capture, LinkTypes) {
  const std::pair<std::uint32_t, wire::Link> cases[] = {
      {1, wire::Link::kEthernet},  {101, wire::Link::kRawIp},    {228, wire::Link::kRawIp},
      {229, wire::Link::kRawIp},   {113, wire::Link::kLinuxSll}, {276, wire::Link::kLinuxSll2},
      {0, wire::Link::kNull},      {108, wire::Link::kNull},     {105, wire::Link::kUnknown},
      {147, wire::Link::kUnknown}, {65000, wire::Link::kUnknown}};
  for (const auto& [linktype, link] : cases) {
    SCOPED_TRACE(linktype);
    const Capture classic = Read(FileBytes(false).Header(0xa1b2c3d4, linktype).Record(1, 0, kData, 5));
    ASSERT_EQ(classic.records.size(), 1u);
    EXPECT_EQ(classic.records[0].link, link);
    const Capture ng = Read(
        FileBytes(false).Section().Interface(static_cast<std::uint16_t>(linktype)).Enhanced(0, 1, kData, 5));
    ASSERT_EQ(ng.records.size(), 1u);
    EXPECT_EQ(ng.records[0].link, link);
  }
}

TEST(Capture, EmptyCapturesHaveNoRecords) {
  EXPECT_THAT(Read(FileBytes(false).Header(0xa1b2c3d4, 1)).records, IsEmpty());
  EXPECT_THAT(Read(FileBytes(true).Section()).records, IsEmpty());
  EXPECT_THAT(Read(FileBytes(false).Section().Interface(1)).records, IsEmpty());
}

TEST(Capture, CapturedIsNeverLongerThanTheWire) {
  const Capture classic = Read(FileBytes(false).Header(0xa1b2c3d4, 1).Record(1, 0, kData, 2));
  EXPECT_EQ(classic.records[0].wire_bytes, kData.size());
  const Capture ng = Read(FileBytes(false).Section().Interface(1).Enhanced(0, 1, kData, 2));
  EXPECT_EQ(ng.records[0].wire_bytes, kData.size());
}

// Whatever byte a file ends after: the complete records before it are there, and a note says so.
TEST(Capture, CutClassicFilesKeepWhatIsComplete) {
  FileBytes file(false);
  file.Header(0xa1b2c3d4, 1).Record(1, 0, kData, 5).Record(2, 0, kData, 5);
  constexpr std::size_t kHeader = 24, kRecord = 16 + 5;
  for (std::size_t size = kHeader; size <= file.bytes().size(); ++size) {
    SCOPED_TRACE(size);
    const Capture capture =
        ReadCapture("test", {file.bytes().begin(), file.bytes().begin() + static_cast<std::ptrdiff_t>(size)});
    EXPECT_EQ(capture.records.size(), (size - kHeader) / kRecord);
    EXPECT_EQ(capture.notes.size(), (size - kHeader) % kRecord == 0 ? 0u : 1u);
  }
}

TEST(Capture, CutPcapngFilesKeepWhatIsComplete) {
  FileBytes file(true);
  file.Section().Interface(1);
  const std::size_t header = file.bytes().size();
  file.Enhanced(0, 1, kData, 5).Enhanced(0, 2, kData, 5);
  const std::size_t block = (file.bytes().size() - header) / 2;
  for (std::size_t size = header; size <= file.bytes().size(); ++size) {
    SCOPED_TRACE(size);
    const Capture capture =
        ReadCapture("test", {file.bytes().begin(), file.bytes().begin() + static_cast<std::ptrdiff_t>(size)});
    EXPECT_EQ(capture.records.size(), (size - header) / block);
    EXPECT_EQ(capture.notes.size(), (size - header) % block == 0 ? 0u : 1u);
  }
}

TEST(Capture, RefusesWhatIsNoCapture) {
  EXPECT_EQ(RefusalOf(std::vector<std::uint8_t>{}), "test: not a pcap or pcapng capture (0 bytes)");
  EXPECT_EQ(RefusalOf(std::vector<std::uint8_t>{0x7f, 'E', 'L', 'F', 2}),
            "test: not a pcap or pcapng capture (magic 0x7f454c46)");
}

TEST(Capture, RefusesLengthsThatNoLinkHas) {
  EXPECT_THAT(RefusalOf(FileBytes(false).Header(0xa1b2c3d4, 1).U32(1).U32(0).U32(0x7fffffff).U32(60)),
              HasSubstr("record 1: invalid packet capture length 2147483647"));
  EXPECT_THAT(RefusalOf(FileBytes(false).Header(0xa1b2c3d4, 1).Record(1, 0, kData, 0xffffffff)),
              HasSubstr("wire length of record 1 is 4294967295 bytes, allowed: up to 16777216"));
  EXPECT_THAT(RefusalOf(FileBytes(false).Section().Interface(1).Enhanced(0, 1, kData, 0xffffffff)),
              HasSubstr("wire length is 4294967295, allowed: up to 16777216"));
}

TEST(Pcapng, SectionsOfEitherOrderInOneFile) {
  FileBytes little(false), big(true);
  little.Section().Interface(1).Enhanced(0, 7, kData, 60);
  big.Section().Interface(101).Enhanced(0, 8, kData, 61);
  FileBytes both(false);
  both.Raw(little.bytes()).Raw(big.bytes()).Raw(little.bytes());
  const Capture capture = Read(both);
  EXPECT_THAT(Times(capture), ElementsAre(7000, 8000, 7000));
  EXPECT_EQ(capture.records[1].link, wire::Link::kRawIp);
  EXPECT_EQ(capture.records[1].wire_bytes, 61u);
}

TEST(Pcapng, InterfacesOfSeveralLinkTypes) {
  const Capture capture = Read(FileBytes(false)
                                   .Section()
                                   .Interface(1)
                                   .Interface(113)
                                   .Enhanced(1, 1, kData, 5)
                                   .Interface(105)
                                   .Enhanced(2, 2, kData, 5)
                                   .Enhanced(0, 3, kData, 5));
  ASSERT_EQ(capture.records.size(), 3u);
  EXPECT_EQ(capture.records[0].link, wire::Link::kLinuxSll);
  EXPECT_EQ(capture.records[1].link, wire::Link::kUnknown);
  EXPECT_EQ(capture.records[2].link, wire::Link::kEthernet);
}

struct TimeCase {
  std::uint8_t resolution;
  std::uint64_t units;
  std::int64_t nanos;
};

TEST(Pcapng, TimeResolutions) {
  const TimeCase cases[] = {
      {0, 5, 5'000'000'000},                                // seconds
      {3, 1700000000123, 1'700'000'000'123'000'000},        // milliseconds
      {6, 1700000000123456, 1'700'000'000'123'456'000},     // microseconds
      {9, 1700000000123456789, 1'700'000'000'123'456'789},  // nanoseconds
      {12, 1'999, 1},                                       // picoseconds, cut
      {0x80 | 10, 1024 * 3 + 512, 3'500'000'000},           // 2^-10 s
      {0x80 | 32, (std::uint64_t{2} << 32) + (1U << 31), 2'500'000'000},
      {0x80 | 63, std::uint64_t{1} << 63, 1'000'000'000},
  };
  for (const TimeCase& test : cases) {
    SCOPED_TRACE(static_cast<int>(test.resolution));
    FileBytes option(false);
    option.U16(9).U16(1).Raw({test.resolution}).Pad().U16(0).U16(0);
    const Capture capture =
        Read(FileBytes(false).Section().Interface(1, 0, option.bytes()).Enhanced(0, test.units, kData, 5));
    EXPECT_THAT(Times(capture), ElementsAre(test.nanos));
  }
}

TEST(Pcapng, TimeOffsetsAndTimesOutOfRange) {
  FileBytes later(false), before(false);
  later.U16(14).U16(8).U64(100).U16(0).U16(0);
  before.U16(14).U16(8).U64(static_cast<std::uint64_t>(-100)).U16(0).U16(0);
  const Capture capture = Read(FileBytes(false)
                                   .Section()
                                   .Interface(1, 0, later.bytes())
                                   .Interface(1, 0, before.bytes())
                                   .Enhanced(0, 1, kData, 5)
                                   .Enhanced(1, 1, kData, 5)
                                   .Enhanced(0, UINT64_MAX, kData, 5));
  EXPECT_THAT(Times(capture), ElementsAre(100'000'001'000, 0, std::int64_t{1} << 62));
  EXPECT_THAT(capture.notes, ElementsAre(HasSubstr("2 times outside 1970..2116")));
}

TEST(Pcapng, SimpleAndOldPacketBlocks) {
  FileBytes simple(false), old(false);
  simple.U32(9).Raw({1, 2, 3});  // cut to the snap length of 3
  old.U16(0).U16(0).U32(0).U32(42).U32(5).U32(80).Raw(kData);
  const Capture capture = Read(FileBytes(false).Section().Interface(1, 3).Block(2, old).Block(3, simple));
  EXPECT_THAT(Times(capture), ElementsAre(42'000, 42'000));
  EXPECT_EQ(capture.records[0].wire_bytes, 80u);
  EXPECT_EQ(capture.records[1].wire_bytes, 9u);
  EXPECT_EQ(capture.records[1].captured.size, 3u);
  EXPECT_THAT(capture.notes, ElementsAre(HasSubstr("1 records carry no time")));
}

TEST(Pcapng, BlocksWithoutPacketsAreSkipped) {
  const FileBytes body = FileBytes(false).U32(1).U32(2).U32(3);
  FileBytes file(false);
  file.Section().Interface(1);
  for (const std::uint32_t type : {4U, 5U, 10U, 0x0badU, 0x40000badU, 0x12345678U}) file.Block(type, body);
  file.Enhanced(0, 1, kData, 5);
  EXPECT_EQ(Read(file).records.size(), 1u);
}

TEST(Pcapng, RefusesWhatContradictsItself) {
  const auto start = [] { return FileBytes(false).Section(); };
  EXPECT_THAT(RefusalOf(start().U32(6).U32(13).Raw(std::vector<std::uint8_t>(20))),
              HasSubstr("block at byte 28: its length is 13, allowed: multiples of 4"));
  EXPECT_THAT(RefusalOf(start().U32(6).U32(0xfffffff0).Raw(std::vector<std::uint8_t>(20))),
              HasSubstr("its length is 4294967280"));
  EXPECT_THAT(RefusalOf(start().U32(5).U32(16).U32(0).U32(20)), HasSubstr("its two length fields differ"));
  EXPECT_THAT(RefusalOf(start().Enhanced(0, 1, kData, 5)),
              HasSubstr("the packet names interface 0, declared are 0"));
  EXPECT_THAT(RefusalOf(start().Interface(1).Enhanced(1, 1, kData, 5)),
              HasSubstr("the packet names interface 1, declared are 1"));
  EXPECT_THAT(RefusalOf(start().Block(1, FileBytes(false).U32(1))),
              HasSubstr("interface block is too short"));
  EXPECT_THAT(RefusalOf(start().Interface(1).Block(6, FileBytes(false).U32(0))),
              HasSubstr("packet block is too short"));
  EXPECT_THAT(RefusalOf(start().Interface(1).Block(
                  6, FileBytes(false).U32(0).U32(0).U32(0).U32(100).U32(100).Raw(kData))),
              HasSubstr("captured length is 100, allowed"));
  EXPECT_THAT(RefusalOf(FileBytes(false).Block(0x0a0d0d0a, FileBytes(false).U32(0x11111111).U64(0).U32(0))),
              HasSubstr("byte-order magic"));
  EXPECT_THAT(RefusalOf(FileBytes(false).Block(
                  0x0a0d0d0a, FileBytes(false).U32(0x1a2b3c4d).U16(9).U16(0).U64(UINT64_MAX))),
              HasSubstr("format version 9"));
  FileBytes option(false);
  option.U16(9).U16(1).Raw({200 | 0x80}).Pad();
  EXPECT_THAT(RefusalOf(start().Interface(1, 0, option.bytes())), HasSubstr("time resolution 200"));
}

class LoadCaptureTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "foreflow-pcap-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Compressed(const std::vector<std::uint8_t>& bytes) const {
    std::string path = (folder_ / "a.gz").string();
    const gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    return path;
  }

  std::filesystem::path folder_;
};

TEST_F(LoadCaptureTest, CompressedFilesOfBothFormats) {
  const FileBytes classic = FileBytes(false).Header(0xa1b2c3d4, 1).Record(1, 0, kData, 5);
  EXPECT_EQ(LoadCapture(Compressed(classic.bytes())).records.size(), 1u);
  const FileBytes ng = FileBytes(false).Section().Interface(1).Enhanced(0, 1, kData, 5);
  EXPECT_EQ(LoadCapture(Compressed(ng.bytes())).records.size(), 1u);
}

TEST_F(LoadCaptureTest, ACompressedFileThatEndsTooEarly) {
  FileBytes file(false);
  file.Header(0xa1b2c3d4, 1);
  std::uint32_t noise = 1;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    noise = noise * 1664525 + 1013904223;  // so that it does not compress to nothing
    file.Record(i, noise >> 13, kData, noise >> 8);
  }
  const std::string path = Compressed(file.bytes());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const Capture capture = LoadCapture(path);
  EXPECT_GT(capture.records.size(), 1000u);
  EXPECT_LT(capture.records.size(), 5000u);
  ASSERT_FALSE(capture.notes.empty());
  EXPECT_THAT(capture.notes[0], HasSubstr("compressed file ends too early"));
}

TEST_F(LoadCaptureTest, RefusesFilesThatCannotBeRead) {
  EXPECT_THROW(LoadCapture((folder_ / "missing").string()), Refusal);
  EXPECT_THROW(LoadCapture(folder_.string()), Refusal);
  std::ofstream(folder_ / "empty").flush();
  EXPECT_THROW(LoadCapture((folder_ / "empty").string()), Refusal);
}

TEST(Capture, RecordsStayWhereTheyAreWhenItMoves) {
  Capture capture = Read(FileBytes(false).Header(0xa1b2c3d4, 1).Record(1, 0, kData, 5));
  const Capture moved = std::move(capture);
  EXPECT_EQ(std::vector<std::uint8_t>(moved.records[0].captured.begin(), moved.records[0].captured.end()),
            kData);
}

}  // namespace
}  // namespace foreflow::pcap
