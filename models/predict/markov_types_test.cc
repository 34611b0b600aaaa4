// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/markov_types.h"

#include <gtest/gtest.h>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

Context AnyContext(Rng& rng) {
  Context context;
  for (Symbol& symbol : context.symbol) symbol = static_cast<Symbol>(rng.Below(kSymbols));
  context.length = static_cast<std::uint8_t>(rng.Below(4));
  return context;
}

TEST(MarkovTypes, ForgetsAll) {
  Work work;
  for (std::size_t order = 0; order <= MarkovTypes::kMostOrder; ++order) {
    SCOPED_TRACE(order);
    Rng rng(order, "markov_types_test");
    MarkovTypes taught(order);
    const MarkovTypes fresh(order);
    std::size_t differ = 0;
    const auto compare = [&] {
      differ = 0;
      for (int i = 0; i < 2000; ++i) {
        const Context context = AnyContext(rng);
        MarkovTypes::Places places;
        differ += taught.Predict(context, places, work) != fresh.Predict(context, places, work);
      }
    };
    for (int i = 0; i < 5000; ++i) {
      const Context context = AnyContext(rng);
      taught.Learn(context, taught.PlacesOf(context), static_cast<PacketType>(rng.Below(kPacketTypes)), work);
    }
    compare();
    EXPECT_GT(differ, 1000u);
    Work forgetting;
    taught.Forget(forgetting);
    compare();
    EXPECT_EQ(differ, 0u);
    EXPECT_EQ(forgetting[WorkItem::kCacheLine], taught.bytes() / 64);
  }
}

TEST(MarkovTypes, PlacesAreThoseOfThePrediction) {
  Rng rng(3, "markov_types_test.places");
  Work work;
  MarkovTypes one(3), other(3);
  for (int i = 0; i < 5000; ++i) {
    Context context = AnyContext(rng);
    for (Symbol& symbol : context.symbol) symbol %= 8;
    const auto type = static_cast<PacketType>(rng.Below(kPacketTypes));
    MarkovTypes::Places places;
    MarkovTypes::Places unused;
    ASSERT_EQ(one.Predict(context, places, work), other.Predict(context, unused, work)) << i;
    one.Learn(context, places, type, work);
    other.Learn(context, other.PlacesOf(context), type, work);
  }
}

}  // namespace
}  // namespace foreflow::predict
