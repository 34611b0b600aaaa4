// SPDX-License-Identifier: BSD-3-Clause
#include "models/base/work.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "models/base/reason.h"

namespace foreflow {
namespace {

template <typename Enum>
void ExpectDistinctNames(std::size_t count) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.insert(Name(static_cast<Enum>(i)));
  EXPECT_EQ(names.size(), count);
  EXPECT_EQ(Name(static_cast<Enum>(count)), nullptr);
}

TEST(Work, ItemsHaveDistinctNames) { ExpectDistinctNames<WorkItem>(kWorkItems); }
TEST(Reason, ReasonsHaveDistinctNames) { ExpectDistinctNames<Reason>(kReasons); }

TEST(Work, AddsItemByItem) {
  Work a;
  a.Add(WorkItem::kHash, 2);
  Work b;
  b.Add(WorkItem::kHash);
  b.Add(WorkItem::kProbe, 3);
  a += b;
  EXPECT_EQ(a[WorkItem::kHash], 3u);
  EXPECT_EQ(a[WorkItem::kProbe], 3u);
}

}  // namespace
}  // namespace foreflow
