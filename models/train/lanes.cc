// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/lanes.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "models/base/rng.h"

namespace foreflow::train {

Lanes::Lanes(const Dataset& dataset, std::uint8_t split, std::uint32_t lanes, std::uint32_t most_rows)
    : dataset_(dataset), split_(split), rows_(dataset.rows()), lane_(lanes), known_(dataset.targets.size()) {
  std::iota(rows_.begin(), rows_.end(), 0u);
  std::stable_sort(rows_.begin(), rows_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return dataset.sequence[a] < dataset.sequence[b];
  });
  const auto count = static_cast<std::uint32_t>(rows_.size());
  for (std::uint32_t begin = 0, end = 0; begin < count; begin = end) {
    std::uint32_t last = begin;  // after the last row of the split
    for (end = begin; end < count && dataset.sequence[rows_[end]] == dataset.sequence[rows_[begin]]; ++end) {
      if (dataset.split[rows_[end]] == split) last = end + 1;
    }
    const std::uint32_t part = most_rows == 0 ? count : most_rows;
    for (std::uint32_t at = begin; at < last; at += std::min(part, last - at)) {
      const std::uint32_t warm = std::min(kWarmRows, at - begin);
      parts_.push_back({at - warm, warm, std::min(part, last - at) + warm});
    }
  }
  for (std::size_t target = 0; target < known_.size(); ++target) {
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      if (dataset.split[row] == split && dataset.targets[target].is_known(row)) ++known_[target];
    }
  }
  // Long ones first: the lanes end at nearly the same step.
  std::stable_sort(parts_.begin(), parts_.end(),
                   [](const Part& a, const Part& b) { return a.length > b.length; });
  Lay();
}

void Lanes::Shuffle(std::uint64_t seed, std::uint32_t epoch) {
  // From one order, whatever was before: an epoch that is resumed is the same epoch.
  std::sort(parts_.begin(), parts_.end(), [](const Part& a, const Part& b) { return a.first < b.first; });
  Rng rng(seed, "train.order", epoch);
  for (std::size_t left = parts_.size(); left > 1; --left) {
    std::swap(parts_[left - 1], parts_[rng.Below(static_cast<std::uint32_t>(left))]);
  }
  Lay();
}

void Lanes::Lay() {
  std::vector<std::pair<std::size_t, std::size_t>> shortest;  // (length, lane), a heap
  for (std::size_t lane = 0; lane < lane_.size(); ++lane) {
    lane_[lane].clear();
    shortest.emplace_back(0, lane);
  }
  steps_ = 0;
  for (std::uint32_t part = 0; part < parts_.size(); ++part) {
    std::pop_heap(shortest.begin(), shortest.end(), std::greater<>());
    auto& [length, lane] = shortest.back();
    lane_[lane].push_back({part, length});
    length += parts_[part].length;
    steps_ = std::max(steps_, length);
    std::push_heap(shortest.begin(), shortest.end(), std::greater<>());
  }
}

Chunk Lanes::At(std::size_t first, std::uint32_t steps) const {
  const std::size_t inputs = dataset_.input_names.size();
  Chunk chunk;
  chunk.steps = steps;
  chunk.lanes = static_cast<std::uint32_t>(lane_.size());
  const std::size_t size = chunk.size();
  chunk.symbol.assign(size, 0);
  chunk.inputs.assign(size * inputs, 0);
  chunk.keep.assign(size, 0);
  chunk.row.assign(size, std::numeric_limits<std::uint32_t>::max());
  for (const Target& target : dataset_.targets) {
    chunk.labels.emplace_back(target.is_class() ? size : 0, Chunk::kNoLabel);
    chunk.values.emplace_back(target.is_class() ? 0 : size, std::numeric_limits<float>::quiet_NaN());
  }
  for (std::size_t lane = 0; lane < lane_.size(); ++lane) {
    const std::vector<Placed>& placed = lane_[lane];
    auto next = std::upper_bound(placed.begin(), placed.end(), first,
                                 [](std::size_t step, const Placed& other) { return step < other.begin; });
    if (next != placed.begin()) --next;
    for (; next != placed.end() && next->begin < first + steps; ++next) {
      const Part& part = parts_[next->part];
      const std::size_t begin = next->begin;
      const std::size_t end = begin + part.length;
      for (std::size_t at = std::max(begin, first); at < std::min(end, first + steps); ++at) {
        const std::size_t to = (at - first) * chunk.lanes + lane;
        const std::uint32_t row = rows_[part.first + (at - begin)];
        chunk.row[to] = row;
        chunk.symbol[to] = dataset_.symbol[row];
        chunk.keep[to] = at == begin ? 0.0f : 1.0f;
        for (std::size_t i = 0; i < inputs; ++i) {
          chunk.inputs[to * inputs + i] = dataset_.inputs[row * inputs + i];
        }
        if (at - begin < part.warm || dataset_.split[row] != split_) continue;
        for (std::size_t target = 0; target < dataset_.targets.size(); ++target) {
          const Target& from = dataset_.targets[target];
          if (from.is_class()) {
            chunk.labels[target][to] = from.label[row];
          } else {
            chunk.values[target][to] = from.value[row];
          }
        }
      }
    }
  }
  return chunk;
}

}  // namespace foreflow::train
