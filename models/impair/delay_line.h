// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_IMPAIR_DELAY_LINE_H_
#define FOREFLOW_MODELS_IMPAIR_DELAY_LINE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "models/base/units.h"

namespace foreflow::impair {

// What is on its way, by the caller's handles, in order of arrival; of equal times, in order of pushing. A
// binary heap: O(log n), 24 B each, taken at set-up.
class DelayLine {
 public:
  static constexpr Nanos kNever{std::numeric_limits<std::int64_t>::max()};

  // `capacity` things on their way at once.
  explicit DelayLine(std::size_t capacity) : capacity_(capacity) { heap_.reserve(capacity); }

  bool HasRoom() const { return heap_.size() < capacity_; }
  // There must be room.
  void Push(Nanos at, std::uint32_t handle) {
    heap_.push_back({at, next_++, handle});
    std::push_heap(heap_.begin(), heap_.end(), IsLater);
  }
  // The first that arrives by `now`; false where there is none.
  bool Pop(Nanos now, std::uint32_t& handle, Nanos& at) {
    if (heap_.empty() || next() > now) return false;
    std::pop_heap(heap_.begin(), heap_.end(), IsLater);
    handle = heap_.back().handle;
    at = heap_.back().at;
    heap_.pop_back();
    return true;
  }
  // When the first arrives; kNever where nothing is on its way.
  Nanos next() const { return heap_.empty() ? kNever : heap_.front().at; }
  std::size_t size() const { return heap_.size(); }

 private:
  struct Entry {
    Nanos at;
    std::uint64_t order = 0;
    std::uint32_t handle = 0;
  };
  static bool IsLater(const Entry& a, const Entry& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }

  std::size_t capacity_;
  std::vector<Entry> heap_;
  std::uint64_t next_ = 0;
};

}  // namespace foreflow::impair

#endif  // FOREFLOW_MODELS_IMPAIR_DELAY_LINE_H_
