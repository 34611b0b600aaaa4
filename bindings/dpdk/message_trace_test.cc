// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/message_trace.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "bindings/dpdk/test_eal.h"
#include "bindings/dpdk/test_messages.h"
#include "models/base/refusal.h"

namespace foreflow::dpdk {
namespace {

trace::MessageRow RowOf(std::uint64_t number) {
  trace::MessageRow row;
  row.arrival_ns = static_cast<std::int64_t>(number) * 1000 + 7;
  row.number = number;
  row.session = static_cast<std::uint32_t>(number % 3);
  row.type = static_cast<std::uint8_t>(number % 4);
  return row;
}

TEST(MessageTrace, WritesWhatItsWorkerAddedInOrderAndCountsWhatFoundNoRoom) {
  TestEal();
  const std::string file = ::testing::TempDir() + "message_trace_test.h5";
  MessageTrace trace(file);
  constexpr std::uint64_t kTooMany = 5;
  for (std::uint64_t i = 0; i < MessageTrace::kPlaces + kTooMany; ++i) trace.Add(RowOf(i));
  EXPECT_EQ(trace.lost(), kTooMany);
  // Room again, and a worker that goes on while what waits is written.
  trace.Write();
  constexpr std::uint64_t kMore = 3000;
  std::thread worker([&] {
    for (std::uint64_t i = 0; i < kMore; ++i) trace.Add(RowOf(MessageTrace::kPlaces + i));
  });
  trace.Write();
  worker.join();
  trace.End();
  EXPECT_EQ(trace.lost(), kTooMany);

  const std::vector<trace::MessageRow> rows = MessagesOf(file);
  ASSERT_EQ(rows.size(), MessageTrace::kPlaces + kMore);
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const trace::MessageRow wanted = RowOf(i);
    ASSERT_EQ(rows[i].number, wanted.number);
    ASSERT_EQ(rows[i].arrival_ns, wanted.arrival_ns);
    ASSERT_EQ(rows[i].session, wanted.session);
    ASSERT_EQ(rows[i].type, wanted.type);
  }
  std::remove(file.c_str());
}

TEST(MessageTrace, AFileThatCannotBeIsRefused) {
  TestEal();
  EXPECT_THROW(MessageTrace("/nowhere/trace.h5"), Refusal);
}

}  // namespace
}  // namespace foreflow::dpdk
