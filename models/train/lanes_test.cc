// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/lanes.h"

#include <gtest/gtest.h>

#include <map>

#include "models/train/test_datasets.h"

namespace foreflow::train {
namespace {

constexpr std::uint32_t kPadding = std::numeric_limits<std::uint32_t>::max();

struct Seen {
  std::map<std::uint32_t, int> labelled;  // row -> how often it is learnt from
  std::vector<std::vector<std::uint32_t>> parts;
};

// Reads all lanes in chunks of `steps` and checks what holds of every step.
Seen ReadAll(const Lanes& lanes, const Dataset& dataset, std::uint32_t count, std::uint32_t steps) {
  Seen seen;
  std::vector<std::vector<std::uint32_t>> running(count);
  for (std::size_t first = 0; first < lanes.steps(); first += steps) {
    const Chunk chunk = lanes.At(first, steps);
    for (std::uint32_t step = 0; step < steps; ++step) {
      for (std::uint32_t lane = 0; lane < count; ++lane) {
        const std::size_t at = step * count + lane;
        const std::uint32_t row = chunk.row[at];
        if (row == kPadding) {
          EXPECT_EQ(chunk.labels[0][at], Chunk::kNoLabel);
          EXPECT_TRUE(std::isnan(chunk.values[1][at]));
          continue;
        }
        EXPECT_EQ(chunk.symbol[at], dataset.symbol[row]);
        EXPECT_EQ(chunk.inputs[at], dataset.inputs[row]);
        if (chunk.keep[at] == 0) {
          if (!running[lane].empty()) seen.parts.push_back(running[lane]);
          running[lane].clear();
        }
        running[lane].push_back(row);
        if (chunk.labels[0][at] != Chunk::kNoLabel) {
          EXPECT_EQ(chunk.labels[0][at], dataset.targets[0].label[row]);
          EXPECT_EQ(chunk.values[1][at], dataset.targets[1].value[row]);
          ++seen.labelled[row];
        }
      }
    }
  }
  for (const auto& part : running) {
    if (!part.empty()) seen.parts.push_back(part);
  }
  return seen;
}

TEST(Lanes, LearnFromEveryKnownRowOfTheSplitOnceWithItsHistoryBefore) {
  const Dataset dataset = DatasetOfKnownLaw(11, 5000, 7, true);
  constexpr std::uint32_t kMostRows = 60;
  for (const std::uint8_t split : {kTrainSplit, kValidationSplit}) {
    Lanes lanes(dataset, split, 5, kMostRows);
    for (const std::uint32_t epoch : {0u, 1u}) {
      lanes.Shuffle(3, epoch);
      const Seen seen = ReadAll(lanes, dataset, 5, 16);
      for (std::uint32_t row = 0; row < dataset.rows(); ++row) {
        const bool wanted = dataset.split[row] == split && dataset.targets[0].is_known(row);
        const auto found = seen.labelled.find(row);
        EXPECT_EQ(found == seen.labelled.end() ? 0 : found->second, wanted ? 1 : 0) << "row " << row;
      }
      for (const auto& part : seen.parts) {
        ASSERT_LE(part.size(), kMostRows + Lanes::kWarmRows);
        // A part is a run of its sequence without a gap: its neighbours are neighbours there.
        std::vector<std::uint32_t> own;
        for (std::uint32_t row = 0; row < dataset.rows(); ++row) {
          if (dataset.sequence[row] == dataset.sequence[part[0]]) own.push_back(row);
        }
        const auto begin = std::find(own.begin(), own.end(), part[0]);
        ASSERT_TRUE(std::equal(part.begin(), part.end(), begin));
        // Where it is not the sequence's beginning, the rows that only warm the state come first.
        if (begin == own.begin()) continue;
        const auto warm =
            std::min<std::size_t>(Lanes::kWarmRows, static_cast<std::size_t>(begin - own.begin()));
        for (std::size_t i = 0; i < warm && i < part.size(); ++i) {
          EXPECT_LE(seen.labelled.count(part[i]), 1u);
        }
      }
    }
  }
}

TEST(Lanes, SequencesStayWholeWithoutALimit) {
  const Dataset dataset = DatasetOfKnownLaw(12, 2000, 9, true);
  const Lanes lanes(dataset, kValidationSplit, 4, 0);
  const Seen seen = ReadAll(lanes, dataset, 4, 32);
  EXPECT_EQ(seen.parts.size(), 9u);
  for (const auto& part : seen.parts) {
    EXPECT_EQ(part.front(),
              static_cast<std::uint32_t>(
                  std::find(dataset.sequence.begin(), dataset.sequence.end(), dataset.sequence[part[0]]) -
                  dataset.sequence.begin()));
    EXPECT_EQ(dataset.split[part.back()], kValidationSplit);
  }
}

TEST(Lanes, AnEpochHasOneOrder) {
  const Dataset dataset = DatasetOfKnownLaw(13, 3000, 50, true);
  Lanes once(dataset, kTrainSplit, 6, 40), again(dataset, kTrainSplit, 6, 40);
  once.Shuffle(1, 0);
  once.Shuffle(1, 5);
  again.Shuffle(1, 5);
  EXPECT_EQ(once.At(0, 64).row, again.At(0, 64).row);
  again.Shuffle(1, 6);
  EXPECT_NE(once.At(0, 64).row, again.At(0, 64).row);
  again.Shuffle(2, 5);
  EXPECT_NE(once.At(0, 64).row, again.At(0, 64).row);
}

}  // namespace
}  // namespace foreflow::train
