// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <cstddef>
#include <sstream>
#include <string>
#include <vector>

#include "models/base/trace_events.h"
#include "models/path/verdict.h"

namespace foreflow::path {
namespace {

std::vector<std::string> NamesOf(const trace::Table& table, const std::string& name) {
  std::vector<std::string> names;
  for (const trace::Column& column : table) {
    if (column.name != name || column.names == nullptr) continue;
    std::istringstream list(column.names);
    for (std::string item; std::getline(list, item, ',');) names.push_back(item);
  }
  return names;
}

template <typename Enum>
void ExpectNamed(const std::vector<std::string>& names) {
  ASSERT_EQ(names.size(), static_cast<std::size_t>(Enum::kCount));
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(names[i], Name(static_cast<Enum>(i)));
}

template <typename Enum>
void ExpectAt(const std::vector<std::string>& names, Enum value, const char* name) {
  ASSERT_LT(static_cast<std::size_t>(value), names.size());
  EXPECT_EQ(names[static_cast<std::size_t>(value)], name);
}

// A trace spells enumerated values as the cores count them.
TEST(TraceNames, AreThoseOfTheCores) {
  ExpectNamed<tag::TagStatus>(NamesOf(trace::kTable<trace::DecisionRow>, "tag_status"));
  ExpectNamed<tag::TagStatus>(NamesOf(trace::kTable<trace::AlertRow>, "kind"));
  ExpectNamed<predict::PacketType>(NamesOf(trace::kTable<trace::PacketRow>, "truth"));
  ExpectNamed<predict::PacketType>(NamesOf(trace::kTable<trace::PredictionRow>, "predicted"));
  ExpectNamed<predict::PacketType>(NamesOf(trace::kTable<trace::PredictionRow>, "truth"));

  const std::vector<std::string> verbs = NamesOf(trace::kTable<trace::DecisionRow>, "verb");
  ExpectAt(verbs, rules::Verb::kForward, "forward");
  ExpectAt(verbs, rules::Verb::kDrop, "drop");
  ExpectAt(verbs, rules::Verb::kTrap, "trap");
  const std::vector<std::string> colours = NamesOf(trace::kTable<trace::DecisionRow>, "colour");
  ExpectAt(colours, tag::Colour::kGreen, "green");
  ExpectAt(colours, tag::Colour::kYellow, "yellow");
  ExpectAt(colours, tag::Colour::kRed, "red");
  const std::vector<std::string> l3 = NamesOf(trace::kTable<trace::FlowRow>, "l3");
  ExpectAt(l3, wire::Layer3::kNone, "none");
  ExpectAt(l3, wire::Layer3::kArp, "arp");
  ExpectAt(l3, wire::Layer3::kIpv4, "ipv4");
  ExpectAt(l3, wire::Layer3::kIpv6, "ipv6");
}

}  // namespace
}  // namespace foreflow::path
