// SPDX-License-Identifier: BSD-3-Clause
#include "docs/examples/predictor/last_of_symbol.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "models/base/rng.h"

namespace foreflow::examples {
namespace {

using predict::Context;
using predict::kPacketTypes;
using predict::kSymbols;
using predict::PacketType;

Context After(std::uint64_t symbol) {
  Context context;
  context.Push(static_cast<predict::Symbol>(symbol));
  return context;
}

TEST(LastOfSymbol, AgreesWithAMap) {
  const std::uint64_t seed = 5;
  SCOPED_TRACE(seed);
  Rng rng(seed, "last_of_symbol_test");
  LastOfSymbol predictor;
  std::map<std::uint64_t, PacketType> last;
  Work work;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t symbol = rng.Below(kSymbols);
    const auto truth = static_cast<PacketType>(rng.Below(kPacketTypes));
    const predict::Prediction prediction = predictor.Predict(After(symbol), work);
    EXPECT_EQ(prediction.type, last.count(symbol) != 0 ? last[symbol] : PacketType::kControl);
    EXPECT_EQ(std::accumulate(prediction.probability.begin(), prediction.probability.end(), 0u), 65535u);
    predictor.Learn(After(symbol), truth, work);
    last[symbol] = truth;
  }
  EXPECT_EQ(work[WorkItem::kTableStep], 20'000u);
}

// Nothing follows from a symbol: the hits are those of chance, and the confidence says so.
TEST(LastOfSymbol, ClaimsNothingOnMemorylessTraffic) {
  const std::uint64_t seed = 6;
  SCOPED_TRACE(seed);
  Rng rng(seed, "last_of_symbol_test");
  LastOfSymbol predictor;
  Work work;
  const int count = 50'000;
  double hits = 0, claimed = 0;
  for (int i = 0; i < count; ++i) {
    const Context context = After(rng.Below(kSymbols));
    const auto truth = static_cast<PacketType>(rng.Below(kPacketTypes));
    const predict::Prediction prediction = predictor.Predict(context, work);
    hits += prediction.type == truth;
    claimed += prediction.confidence / 65535.0;
    predictor.Learn(context, truth, work);
  }
  const double chance = 1.0 / kPacketTypes, deviation = std::sqrt(chance * (1 - chance) / count);
  EXPECT_NEAR(hits / count, chance, 5 * deviation);
  EXPECT_NEAR(claimed / count, chance, 0.02);
}

}  // namespace
}  // namespace foreflow::examples
