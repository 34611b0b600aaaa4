// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/pcapng_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "bindings/pcap/capture.h"
#include "models/base/refusal.h"
#include "models/wire/packet_builder.h"

namespace foreflow::pcap {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class PcapngWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "foreflow-pcapng-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return (folder_ / "out.pcapng").string(); }

  // The lines that a program prints.
  static std::vector<std::string> Output(const std::string& command) {
    struct Close {
      void operator()(std::FILE* pipe) const { pclose(pipe); }
    };
    const std::unique_ptr<std::FILE, Close> pipe(popen((command + " 2>/dev/null").c_str(), "r"));
    std::string text;
    char part[4096];
    while (std::fgets(part, sizeof part, pipe.get()) != nullptr) text += part;
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }

  std::filesystem::path folder_;
};

// tshark is the judge: times to the nanosecond, lengths, comments and link types are what was written.
TEST_F(PcapngWriterTest, IsReadByTshark) {
  const auto ethernet = wire::PacketBuilder().Ethernet().Ipv4("10.0.0.1", "10.0.0.2").Udp(1111, 53).Build();
  const auto raw = wire::PacketBuilder().Ipv6("fd00::1", "fd00::2").Tcp(2222, 80).Build();
  const std::vector<std::uint8_t> unknown = {1, 2, 3};
  const Nanos start(1'700'000'000'123'456'789);
  {
    PcapngWriter writer(path());
    writer.Write(wire::Link::kEthernet, {ethernet.data(), ethernet.size()}, 1500, start,
                 "first, in UTF-8: é");
    writer.Write(wire::Link::kRawIp, {raw.data(), raw.size()}, static_cast<std::uint32_t>(raw.size()),
                 start + Nanos(1));
    writer.Write(wire::Link::kUnknown, {unknown.data(), unknown.size()}, 3, start + Seconds(1), "odd");
    writer.Write(wire::Link::kEthernet, {ethernet.data(), ethernet.size()}, 0, Nanos(0));
    writer.Close();
  }
  const std::string fields = "tshark -n -r " + path() +
                             " -T fields -E separator=/s -E quote=d -e frame.time_epoch -e "
                             "frame.interface_id -e frame.len -e frame.cap_len"
                             " -e udp.dstport -e tcp.dstport -e frame.comment";
  const std::string captured = std::to_string(ethernet.size());
  const std::string ip = std::to_string(raw.size());
  EXPECT_THAT(Output(fields),
              ElementsAre("\"1700000000.123456789\" \"0\" \"1500\" \"" + captured +
                              "\" \"53\"  \"first, in UTF-8: é\"",
                          "\"1700000000.123456790\" \"1\" \"" + ip + "\" \"" + ip + "\"  \"80\" ",
                          "\"1700000001.123456789\" \"2\" \"3\" \"3\"   \"odd\"",
                          "\"0.000000000\" \"0\" \"" + captured + "\" \"" + captured + "\" \"53\"  "));
  EXPECT_THAT(Output("capinfos -Mc " + path()), Contains(HasSubstr("Number of packets:   4")));
}

TEST_F(PcapngWriterTest, EveryLengthIsReadBackByOurReader) {
  std::vector<std::uint8_t> data;
  const wire::Link links[] = {wire::Link::kEthernet, wire::Link::kRawIp, wire::Link::kLinuxSll,
                              wire::Link::kLinuxSll2, wire::Link::kNull};
  {
    PcapngWriter writer(path());
    for (std::uint32_t size = 0; size < 40; ++size) {
      writer.Write(links[size % 5], {data.data(), data.size()}, size + 7, Nanos(size),
                   std::string(size % 6, 'c'));
      data.push_back(static_cast<std::uint8_t>(size));
    }
  }
  const Capture capture = LoadCapture(path());
  ASSERT_EQ(capture.records.size(), 40u);
  for (std::uint32_t size = 0; size < 40; ++size) {
    const Record& record = capture.records[size];
    EXPECT_EQ(record.link, links[size % 5]);
    EXPECT_EQ(record.wire_bytes, size + 7);
    EXPECT_EQ(record.time, Nanos(size));
    EXPECT_TRUE(std::equal(record.captured.begin(), record.captured.end(), data.begin()));
    EXPECT_EQ(record.captured.size, size);
  }
}

TEST_F(PcapngWriterTest, AFileWithoutPacketsIsACapture) {
  PcapngWriter(path()).Close();
  EXPECT_TRUE(LoadCapture(path()).records.empty());
  EXPECT_THAT(Output("capinfos -Mc " + path()), Contains(HasSubstr("Number of packets:   0")));
}

TEST_F(PcapngWriterTest, SaysSoWhenItCannotWrite) {
  EXPECT_THROW(PcapngWriter((folder_ / "missing" / "out").string()), Refusal);
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP();
  PcapngWriter writer("/dev/full");
  EXPECT_THROW(
      {
        const std::vector<std::uint8_t> data(10'000);
        writer.Write(wire::Link::kEthernet, {data.data(), data.size()}, 10'000, Nanos(1));
        writer.Close();
      },
      std::runtime_error);
}

}  // namespace
}  // namespace foreflow::pcap
