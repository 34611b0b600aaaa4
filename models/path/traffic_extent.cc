// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/traffic_extent.h"

#include <algorithm>

namespace foreflow::path {
namespace {

constexpr std::uint32_t kFirstUse = UINT32_MAX;

constexpr std::uint64_t kClassLineBytes = 2 * 64;  // port classes
constexpr std::uint64_t kCacheEntryBytes = 128;    // entry, state and two buckets of a flow cache
constexpr std::uint64_t kPeerBytes = 48;           // a destination, its bucket, its successors
constexpr std::uint64_t kConversationBytes = 160;  // a conversation whose packets wait for labels

// Counts of marked positions: a binary indexed tree (Fenwick 1994).
class Marks {
 public:
  explicit Marks(std::size_t size) : sum_(size + 1, 0) {}
  void Add(std::size_t position, std::int32_t amount) {
    for (std::size_t i = position + 1; i < sum_.size(); i += i & (~i + 1)) sum_[i] += amount;
  }
  // Marks at positions below `end`.
  std::int32_t Before(std::size_t end) const {
    std::int32_t sum = 0;
    for (std::size_t i = end; i > 0; i &= i - 1) sum += sum_[i];
    return sum;
  }

 private:
  std::vector<std::int32_t> sum_;
};

}  // namespace

TrafficExtent::TrafficExtent(const std::vector<std::uint32_t>& entry, std::size_t settle) {
  std::uint32_t entries = 0;
  for (const std::uint32_t each : entry) {
    if (each != EntryUses::kNone) entries = std::max(entries, each + 1);
  }
  constexpr std::size_t kNever = SIZE_MAX;
  std::vector<std::size_t> last(entries, kNever);
  Marks latest(entry.size());  // positions at which an entry was last needed
  distance_.reserve(entry.size());
  for (std::size_t i = 0; i < entry.size(); ++i) {
    if (entry[i] == EntryUses::kNone) continue;
    std::size_t& before = last[entry[i]];
    std::uint32_t distance = kFirstUse;
    if (before != kNever) {
      distance = static_cast<std::uint32_t>(latest.Before(i) - latest.Before(before + 1));
      latest.Add(before, -1);
    }
    latest.Add(i, 1);
    before = i;
    if (i >= settle) distance_.push_back(distance);
  }
  std::sort(distance_.begin(), distance_.end());
}

std::uint64_t TrafficExtent::Beyond(std::uint64_t entries) const {
  const auto least = static_cast<std::uint32_t>(std::min<std::uint64_t>(entries, kFirstUse));
  return static_cast<std::uint64_t>(distance_.end() -
                                    std::lower_bound(distance_.begin(), distance_.end(), least));
}

Bytes TableBytesAnEntry(const PathConfig& config) {
  std::uint64_t bytes = kClassLineBytes;
  if (config.arm != Arm::kOff) bytes += kCacheEntryBytes;
  // Two caches are rehearsed beside the device's.
  if (config.arm >= Arm::kPredictive) bytes += 2 * kCacheEntryBytes + kPeerBytes + kConversationBytes;
  return Bytes(bytes);
}

}  // namespace foreflow::path
