// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/update_work.h"

#include "models/control/rule_codec.h"

namespace foreflow::control {
namespace {

constexpr std::uint64_t kHeaders = 4;
constexpr std::uint64_t kRecordWords = 100;
constexpr std::uint64_t kWordBytes = 8;
constexpr std::uint64_t kDigests = 2;

std::uint32_t Count(std::uint64_t count) { return static_cast<std::uint32_t>(count); }

}  // namespace

Work WorkOfRecords(std::uint64_t packets, std::uint64_t bytes) {
  Work work;
  work.Add(WorkItem::kHeader, Count(kHeaders * packets));
  work.Add(WorkItem::kMacWord, Count(kRecordWords * packets + (bytes + kWordBytes - 1) / kWordBytes));
  work.Add(WorkItem::kByteCopied, Count(bytes));
  return work;
}

Work WorkOfWishes(std::uint64_t changes) {
  constexpr std::uint64_t words = (kMostChangeBytes + kWordBytes - 1) / kWordBytes;
  Work work;
  work.Add(WorkItem::kMacWord, Count(kDigests * words * changes));
  work.Add(WorkItem::kByteCopied, Count(kMostChangeBytes * changes));
  work.Add(WorkItem::kCacheLine, Count(2 * changes));
  work.Add(WorkItem::kUpdate, Count(changes));
  return work;
}

Work WorkOfChanges(std::uint64_t changes) {
  Work work = WorkOfWishes(changes);
  work.Add(WorkItem::kHash, Count(changes));
  work.Add(WorkItem::kProbe, Count(changes));
  work.Add(WorkItem::kCacheLine, Count(2 * changes));
  work.Add(WorkItem::kInstall, Count(changes));
  return work;
}

}  // namespace foreflow::control
