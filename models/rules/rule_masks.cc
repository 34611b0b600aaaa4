// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_masks.h"

#include <algorithm>

namespace foreflow::rules {
namespace {

void SetPrefixMask(std::array<std::uint8_t, 16>& mask, unsigned length) {
  for (unsigned i = 0; i < 16 && i * 8 < length; ++i) {
    const unsigned bits = std::min(8u, length - i * 8);
    mask[i] = static_cast<std::uint8_t>(0xff00u >> bits);
  }
}

}  // namespace

KeyWords RuleMaskOf(const Rule& rule) {
  flow::FlowKey mask;
  SetPrefixMask(mask.source_address, rule.source.length);
  SetPrefixMask(mask.destination_address, rule.destination.length);
  if (rule.vm != kAnyVm) mask.vm = 0xffff;
  if (rule.ip_protocol != kAnyProtocol) mask.ip_protocol = 0xff;
  if (rule.l3 != 0) mask.l3 = 0xff;
  return WordsOf(mask);
}

KeyWords RuleValueOf(const Rule& rule, const KeyWords& mask) {
  flow::FlowKey key;
  key.source_address = rule.source.address;
  key.destination_address = rule.destination.address;
  key.vm = rule.vm;
  key.ip_protocol = static_cast<std::uint8_t>(rule.ip_protocol);
  key.l3 = rule.l3;
  KeyWords words = WordsOf(key);
  for (std::size_t i = 0; i < kKeyWords; ++i) words[i] &= mask[i];
  return words;
}

}  // namespace foreflow::rules
