// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/config/classbench.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "models/base/refusal.h"
#include "models/wire/address_text.h"
#include "models/wire/dissect.h"

namespace foreflow::config {
namespace {

constexpr std::size_t kMostFilters = 1'000'000;
constexpr std::string_view kBlanks = " \t\r";

// The words of one line, each refused by its place.
class Line {
 public:
  Line(const std::string& where, std::size_t number, std::string_view text)
      : where_(where + ":" + std::to_string(number)), rest_(text) {}

  bool IsEmpty() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlanks), rest_.size()));
    return rest_.empty();
  }
  std::string_view Word(const char* field, const char* allowed) {
    if (IsEmpty()) throw Refusal(where_, field, "not there", allowed);
    const std::string_view word = rest_.substr(0, rest_.find_first_of(kBlanks));
    rest_.remove_prefix(word.size());
    return word;
  }
  [[noreturn]] void Refuse(const char* field, std::string_view value, const char* allowed) const {
    throw Refusal(where_, field, std::string(value.substr(0, 80)), allowed);
  }

  rules::Prefix TakePrefix(const char* field, std::string_view word) {
    constexpr const char* kAllowed = "an IPv4 prefix, as 10.0.0.0/8 with a length of 0..32";
    const std::size_t slash = word.find('/');
    if (slash == word.npos) Refuse(field, word, kAllowed);
    const auto address = wire::ParseIpv4(word.substr(0, slash));
    const auto length = Number(word.substr(slash + 1), 10, 32);
    if (!address || !length) Refuse(field, word, kAllowed);
    rules::Prefix prefix;
    std::copy(address->begin(), address->end(), prefix.address.begin());
    prefix.length = static_cast<std::uint8_t>(*length);
    return prefix;
  }
  rules::PortRange TakePorts(const char* field) {
    constexpr const char* kAllowed = "low : high with low <= high, both 0..65535";
    const std::string_view low_word = Word(field, kAllowed);
    const auto low = Number(low_word, 10, 65535);
    if (!low) Refuse(field, low_word, kAllowed);
    const std::string_view colon = Word(field, kAllowed);
    if (colon != ":") Refuse(field, colon, kAllowed);
    const std::string_view high_word = Word(field, kAllowed);
    const auto high = Number(high_word, 10, 65535);
    if (!high || *high < *low) Refuse(field, high_word, kAllowed);
    return {static_cast<std::uint16_t>(*low), static_cast<std::uint16_t>(*high)};
  }
  std::uint16_t TakeProtocol() {
    constexpr const char* kAllowed = "protocol/mask in hex, as 0x06/0xFF, with a mask of 0x00 or 0xFF";
    const std::string_view word = Word("protocol", kAllowed);
    const auto [value, mask] = HexPair(word, 0xff);
    if (!value || !mask || (*mask != 0 && *mask != 0xff)) Refuse("protocol", word, kAllowed);
    return *mask == 0 ? rules::kAnyProtocol : static_cast<std::uint16_t>(*value);
  }
  void TakeFlags() {
    constexpr const char* kAllowed = "flags/mask in hex, as 0x0000/0x0000, with a mask of 0x0000";
    if (IsEmpty()) return;
    const std::string_view word = Word("flags", kAllowed);
    const auto [value, mask] = HexPair(word, 0xffff);
    if (!value || !mask || *mask != 0) Refuse("flags", word, kAllowed);
  }

 private:
  static std::optional<std::uint32_t> Number(std::string_view word, int base, std::uint32_t most) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number, base);
    if (error != std::errc() || end != word.data() + word.size() || number > most) return std::nullopt;
    return number;
  }
  static std::optional<std::uint32_t> Hex(std::string_view word, std::uint32_t most) {
    if (word.substr(0, 2) != "0x") return std::nullopt;
    return Number(word.substr(2), 16, most);
  }
  static std::pair<std::optional<std::uint32_t>, std::optional<std::uint32_t>> HexPair(std::string_view word,
                                                                                       std::uint32_t most) {
    const std::size_t slash = word.find('/');
    if (slash == word.npos) return {};
    return {Hex(word.substr(0, slash), most), Hex(word.substr(slash + 1), most)};
  }

  std::string where_;
  std::string_view rest_;
};

}  // namespace

bool IsClassBench(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != text.npos && text[first] == '@';
}

std::vector<rules::Rule> ParseClassBench(const std::string& where, const std::string& text) {
  std::vector<rules::Rule> filters;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    Line line(where, ++number, std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    if (line.IsEmpty()) continue;
    if (filters.size() == kMostFilters) {
      throw Refusal(where, "number of filters", "more than " + std::to_string(kMostFilters), "1..1000000");
    }
    rules::Rule rule;
    rule.id = static_cast<std::uint32_t>(filters.size());
    rule.priority = -static_cast<std::int32_t>(rule.id);
    rule.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
    rule.action.verb = rules::Verb::kForward;
    const std::string_view source = line.Word("source", "@ and an IPv4 prefix");
    if (source.front() != '@') line.Refuse("source", source, "@ and an IPv4 prefix");
    rule.source = line.TakePrefix("source", source.substr(1));
    rule.destination = line.TakePrefix("destination", line.Word("destination", "an IPv4 prefix"));
    rule.source_port = line.TakePorts("source port");
    rule.destination_port = line.TakePorts("destination port");
    rule.ip_protocol = line.TakeProtocol();
    line.TakeFlags();
    if (!line.IsEmpty()) line.Refuse("end", line.Word("end", ""), "nothing behind the flags");
    filters.push_back(rule);
  }
  if (filters.empty()) throw Refusal(where, "number of filters", "0", "1..1000000");
  return filters;
}

}  // namespace foreflow::config
