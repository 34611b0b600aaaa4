// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/hdf5/trace_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "models/base/reason.h"
#include "models/base/refusal.h"
#include "models/tag/prediction_tag.h"

namespace foreflow::hdf5 {
namespace {

class TraceFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "foreflow-trace-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return (folder_ / "trace.h5").string(); }
  // Reads the trace with h5py, pandas and h5dump; the values are known to check_trace.py independently.
  int Check(const std::string& extent, std::uint64_t rows) const {
    const std::string command = "/usr/bin/python3 " FOREFLOW_SOURCE_DIR "/bindings/hdf5/check_trace.py " +
                                path() + " " + extent + " " + std::to_string(rows) + " " FOREFLOW_SOURCE_DIR;
    return std::system(command.c_str());
  }

  std::filesystem::path folder_;
};

// A row that check_trace.py can work out from its number.
trace::PacketRow PacketOf(std::uint64_t i) {
  trace::PacketRow row;
  row.packet = i;
  row.vm = static_cast<std::uint16_t>(i % 65);
  row.arrival_ns = static_cast<std::int64_t>(i) * 1000 + 7;
  row.departure_ns = i % 10 == 0 ? -1 : static_cast<std::int64_t>(i) * 1000 + 500;
  row.wire_bytes = static_cast<std::uint32_t>(60 + i % 1400);
  row.host_cycles = static_cast<std::uint32_t>(i % 9001);
  row.device_cycles = static_cast<std::uint32_t>(i % 77);
  row.prediction_cycles = static_cast<std::uint32_t>(i % 31);
  return row;
}

TEST_F(TraceFileTest, IsReadByTheToolsOfItsUsers) {
  // Neither a whole number of chunks nor less than one.
  const std::uint64_t rows = 3 * TraceFile::kChunkRows + 17;
  TraceFile file(path());
  for (std::uint64_t i = 0; i < rows; ++i) file.Append(PacketOf(i));
  trace::DecisionRow decision;
  decision.reason = static_cast<std::uint8_t>(Reason::kMeterRed);
  decision.colour = 1;
  decision.tag_status = static_cast<std::uint8_t>(tag::TagStatus::kReplayed);
  file.Append(decision);
  trace::FlowRow flow;
  flow.source_address = {10, 0, 0, 1};
  file.Append(flow);
  trace::StationRow station;
  station.name = {'p', 'a', 'r', 's', 'e', 'r'};
  file.Append(station);
  trace::WorkRow work;
  work.install = std::uint64_t{1} << 40;
  file.Append(work);
  trace::AlertRow alert;
  alert.time_ns = -5;
  file.Append(alert);
  EXPECT_EQ(file.rows<trace::PacketRow>(), rows);
  EXPECT_EQ(file.rows<trace::PredictionRow>(), 0u);
  file.Close();
  EXPECT_GT(file.write_seconds(), 0.0);
  EXPECT_EQ(Check("all", rows), 0);
}

TEST_F(TraceFileTest, FlushingInBetweenChangesNoRow) {
  const std::uint64_t rows = 2 * TraceFile::kChunkRows + 5;
  TraceFile file(path());
  for (std::uint64_t i = 0; i < rows; ++i) {
    file.Append(PacketOf(i));
    if (i % 1000 == 3) file.Flush();
  }
  // What a crash would leave now. (The file itself is locked against readers while it is open here.)
  const std::filesystem::path open = folder_ / "open.h5";
  std::filesystem::copy_file(path(), open);
  file.Close();
  std::filesystem::rename(path(), folder_ / "closed.h5");
  std::filesystem::rename(open, path());
  EXPECT_EQ(Check("partial", TraceFile::kChunkRows), 0);
  std::filesystem::rename(folder_ / "closed.h5", path());
  EXPECT_EQ(file.rows<trace::PacketRow>(), rows);
  EXPECT_EQ(Check("partial", rows), 0);
}

TEST_F(TraceFileTest, OpensAfterItsWriterWasKilled) {
  const std::uint64_t chunks = 2 * TraceFile::kChunkRows;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    TraceFile file(path());
    std::uint64_t i = 0;
    for (; i < chunks + 100; ++i) file.Append(PacketOf(i));
    file.Flush();
    char byte = 1;
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    while (true) file.Append(PacketOf(i++));
  }
  close(ready[1]);
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  usleep(20'000);  // into the middle of further appends; their number does not matter
  ASSERT_EQ(kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(Check("partial", chunks), 0);
}

TEST_F(TraceFileTest, RefusesAPathThatCannotBeCreated) {
  EXPECT_THROW(TraceFile((folder_ / "missing" / "trace.h5").string()), Refusal);
}

// A limit on the size of files stands for the full disk.
TEST_F(TraceFileTest, SaysSoWhenTheDiskIsFull) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto ignored = signal(SIGXFSZ, SIG_IGN);
  TraceFile file(path());
  rlimit small = before;
  small.rlim_cur = 20'000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  try {
    for (std::uint64_t i = 0; i < 40 * TraceFile::kChunkRows; ++i) file.Append(PacketOf(i));
    file.Close();
    ADD_FAILURE() << "the rows cannot have been written";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr(path()));
    EXPECT_THAT(error.what(), testing::HasSubstr("cannot be written: File too large"));
  }
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, ignored);
}

TEST_F(TraceFileTest, TheReadmesExample) {
  const std::string name = path();
  hdf5::TraceFile file(name);
  trace::PacketRow row;
  row.packet = 0;
  row.wire_bytes = 64;
  file.Append(row);
  file.Close();  // throws where the disk is full
  EXPECT_GT(std::filesystem::file_size(name), 0u);
}

}  // namespace
}  // namespace foreflow::hdf5
