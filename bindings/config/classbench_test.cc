// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/config/classbench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/base/refusal.h"

namespace foreflow::config {
namespace {

using ::testing::HasSubstr;

TEST(ClassBench, ReadsFiltersInOrder) {
  const auto rules =
      ParseClassBench("f",
                      "@10.1.0.0/16\t192.168.1.7/32\t0 : 65535\t80 : 88\t0x06/0xFF\t0x0000/0x0000\n\n"
                      "  @0.0.0.0/0 1.2.3.4/31 5 : 5 0 : 65535 0x11/0x00\r\n");
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].id, 0u);
  EXPECT_EQ(rules[0].l3, 2);
  EXPECT_EQ(rules[0].ip_protocol, 6);
  EXPECT_EQ(rules[0].source.length, 16);
  EXPECT_EQ(rules[0].source.address[1], 1);
  EXPECT_EQ(rules[0].destination.address[3], 7);
  EXPECT_EQ(rules[0].destination_port.low, 80);
  EXPECT_EQ(rules[0].destination_port.high, 88);
  EXPECT_EQ(rules[0].action.verb, rules::Verb::kForward);
  EXPECT_EQ(rules[1].ip_protocol, rules::kAnyProtocol);
  EXPECT_EQ(rules[1].source.length, 0);
  EXPECT_EQ(rules[1].source_port.high, 5);
  EXPECT_GT(rules[0].priority, rules[1].priority);
}

struct Bad {
  const char* line;
  const char* field;
};

TEST(ClassBench, RefusesWithFileLineAndField) {
  const std::string good = "@10.1.0.0/16 192.168.1.7/32 0 : 65535 80 : 88 0x06/0xFF\n";
  for (const Bad& bad : {
           Bad{"10.0.0.0/8 1.2.3.4/32 0 : 1 0 : 1 0x06/0xFF", "source is 10.0.0.0/8"},
           Bad{"@10.0.0/8 1.2.3.4/32 0 : 1 0 : 1 0x06/0xFF", "source is 10.0.0/8"},
           Bad{"@10.0.0.0/33 1.2.3.4/32 0 : 1 0 : 1 0x06/0xFF", "source is 10.0.0.0/33"},
           Bad{"@10.0.0.0/8 1.2.3.4 0 : 1 0 : 1 0x06/0xFF", "destination is 1.2.3.4"},
           Bad{"@10.0.0.0/8 1.2.3.4/32 1 : 0 0 : 1 0x06/0xFF", "source port is 0"},
           Bad{"@10.0.0.0/8 1.2.3.4/32 0 : 1 0 - 1 0x06/0xFF", "destination port is -"},
           Bad{"@10.0.0.0/8 1.2.3.4/32 0 : 1 0 : 65536 0x06/0xFF", "destination port is 65536"},
           Bad{"@10.0.0.0/8 1.2.3.4/32 0 : 1 0 : 1", "protocol is not there"},
           Bad{"@10.0.0.0/8 1.2.3.4/32 0 : 1 0 : 1 0x06/0xF0", "protocol is 0x06/0xF0"},
           Bad{"@10.0.0.0/8 1.2.3.4/32 0 : 1 0 : 1 0x06/0xFF 0x1/0x1", "flags is 0x1/0x1"},
           Bad{"@10.0.0.0/8 1.2.3.4/32 0 : 1 0 : 1 0x06/0xFF 0x0/0x0 7", "end is 7"},
       }) {
    SCOPED_TRACE(bad.line);
    try {
      ParseClassBench("sets/fw.rules", good + bad.line);
      FAIL() << "not refused";
    } catch (const Refusal& refusal) {
      EXPECT_THAT(refusal.what(), HasSubstr(std::string("sets/fw.rules:2: ") + bad.field));
    }
  }
  EXPECT_THROW(ParseClassBench("f", "\n"), Refusal);
}

}  // namespace
}  // namespace foreflow::config
