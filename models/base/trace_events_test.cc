// SPDX-License-Identifier: BSD-3-Clause
#include "models/base/trace_events.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "models/base/reason.h"
#include "models/base/rng.h"
#include "models/base/work.h"

namespace foreflow::trace {
namespace {

static_assert(std::is_trivially_copyable_v<FlowRow> && std::is_standard_layout_v<FlowRow>);

// Columns lie in order, do not overlap, are aligned, and the row is no larger than padding asks for.
TEST(TraceEvents, ColumnsTileTheRow) {
  std::set<std::string> tables;
  for (const Table* table : kTables) {
    SCOPED_TRACE(table->name);
    EXPECT_TRUE(tables.insert(table->name).second);
    std::size_t end = 0;
    std::size_t alignment = 1;
    for (const Column& column : *table) {
      SCOPED_TRACE(column.name);
      const std::size_t element = ElementBytes(column.type);
      ASSERT_GT(element, 0u);
      alignment = std::max(alignment, element);
      EXPECT_EQ(column.offset, (end + element - 1) / element * element);
      end = column.offset + element * column.count;
    }
    EXPECT_EQ(table->row_bytes, (end + alignment - 1) / alignment * alignment);
  }
  EXPECT_EQ(tables, (std::set<std::string>{"packets", "decisions", "predictions", "flows", "stations",
                                           "alerts", "messages", "work"}));
}

TEST(TraceEvents, ColumnDescribesItsMember) {
  DecisionRow row;
  row.tag_rule = 0xdeadbeef;
  for (const Column& column : kTable<DecisionRow>) {
    if (std::string(column.name) != "tag_rule") continue;
    std::uint32_t read = 0;
    ASSERT_EQ(ElementBytes(column.type) * column.count, sizeof(read));
    std::memcpy(&read, reinterpret_cast<const char*>(&row) + column.offset, sizeof(read));
    EXPECT_EQ(read, 0xdeadbeef);
    return;
  }
  FAIL() << "no column tag_rule";
}

std::vector<std::string> NamesOf(const Table& table, const std::string& name) {
  std::vector<std::string> names;
  for (const Column& column : table) {
    if (column.name != name || column.names == nullptr) continue;
    std::istringstream list(column.names);
    for (std::string item; std::getline(list, item, ',');) names.push_back(item);
  }
  return names;
}

TEST(TraceEvents, ReasonsAreSpelledAsInTheCores) {
  const std::vector<std::string> names = NamesOf(kTable<DecisionRow>, "reason");
  ASSERT_EQ(names.size(), kReasons);
  for (std::size_t i = 0; i < kReasons; ++i) EXPECT_EQ(names[i], Name(static_cast<Reason>(i)));
}

TEST(TraceEvents, WorkHasOneColumnForEachItem) {
  const Table& work = kTable<WorkRow>;
  const std::size_t first = work.column_count - kWorkItems;
  ASSERT_STREQ(work.columns[first - 1].name, "cycles");
  for (std::size_t i = 0; i < kWorkItems; ++i) {
    EXPECT_STREQ(work.columns[first + i].name, Name(static_cast<WorkItem>(i)));
    EXPECT_EQ(work.columns[first + i].type, ColumnType::kU64);
    EXPECT_EQ(work.columns[first + i].offset, work.columns[first].offset + 8 * i);
  }
}

TEST(TraceEvents, TheReadmesExample) {
  const std::uint64_t seed = 1;
  const std::uint32_t packets = 100;
  std::map<std::string, std::string> units;
  Rng rotation(seed, "rotation");  // stream 0 of that name
  const std::uint32_t offset = rotation.Below(packets);
  for (const trace::Column& column : trace::kTable<trace::PacketRow>) units[column.name] = column.unit;
  EXPECT_LT(offset, packets);
  EXPECT_EQ(units.at("arrival_ns"), "ns");
}

}  // namespace
}  // namespace foreflow::trace
