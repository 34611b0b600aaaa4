// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/address_text.h"

#include <charconv>
#include <vector>

namespace foreflow::wire {
namespace {

// A number of 1 to `max_digits` digits that fills `text`.
template <typename Number>
bool ParseNumber(std::string_view text, int base, std::size_t max_digits, Number& number) {
  if (text.empty() || text.size() > max_digits) return false;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

void AppendHex(std::string& text, unsigned value, int min_digits) {
  char digits[8];
  const auto result = std::to_chars(digits, digits + sizeof(digits), value, 16);
  const auto count = static_cast<int>(result.ptr - digits);
  for (int i = count; i < min_digits; ++i) text += '0';
  text.append(digits, result.ptr);
}

// Groups of IPv6, the last one perhaps a dotted IPv4 address, appended to `groups`.
bool ParseGroups(std::string_view text, std::vector<std::uint16_t>& groups) {
  if (text.empty()) return true;
  const auto parts = Split(text, ':');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::uint16_t group = 0;
    if (ParseNumber(parts[i], 16, 4, group)) {
      groups.push_back(group);
      continue;
    }
    const auto dotted = ParseIpv4(parts[i]);
    if (!dotted || i + 1 != parts.size()) return false;
    groups.push_back(Load16(dotted->data()));
    groups.push_back(Load16(dotted->data() + 2));
  }
  return true;
}

}  // namespace

std::optional<Mac> ParseMac(std::string_view text) {
  const auto parts = Split(text, ':');
  Mac mac{};
  if (parts.size() != mac.size()) return std::nullopt;
  for (std::size_t i = 0; i < mac.size(); ++i) {
    if (parts[i].size() != 2 || !ParseNumber(parts[i], 16, 2, mac[i])) return std::nullopt;
  }
  return mac;
}

std::optional<Ipv4Address> ParseIpv4(std::string_view text) {
  const auto parts = Split(text, '.');
  Ipv4Address address{};
  if (parts.size() != address.size()) return std::nullopt;
  for (std::size_t i = 0; i < address.size(); ++i) {
    if (!ParseNumber(parts[i], 10, 3, address[i])) return std::nullopt;
    if (parts[i].size() > 1 && parts[i][0] == '0') return std::nullopt;
  }
  return address;
}

std::optional<Ipv6Address> ParseIpv6(std::string_view text) {
  constexpr std::size_t kGroups = 8;
  std::vector<std::uint16_t> head;
  std::vector<std::uint16_t> tail;
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (text.empty() || !ParseGroups(text, head) || head.size() != kGroups) return std::nullopt;
  } else {
    const std::string_view before = text.substr(0, gap);
    if (before.find('.') != std::string_view::npos) return std::nullopt;
    if (!ParseGroups(before, head) || !ParseGroups(text.substr(gap + 2), tail)) return std::nullopt;
    if (head.size() + tail.size() >= kGroups) return std::nullopt;
  }
  Ipv6Address address{};
  for (std::size_t i = 0; i < head.size(); ++i) Store16(address.data() + 2 * i, head[i]);
  for (std::size_t i = 0; i < tail.size(); ++i) {
    Store16(address.data() + 2 * (kGroups - tail.size() + i), tail[i]);
  }
  return address;
}

std::string Text(const Mac& mac) {
  std::string text;
  for (std::size_t i = 0; i < mac.size(); ++i) {
    if (i > 0) text += ':';
    AppendHex(text, mac[i], 2);
  }
  return text;
}

std::string Text(const Ipv4Address& address) {
  std::string text;
  for (std::size_t i = 0; i < address.size(); ++i) {
    if (i > 0) text += '.';
    text += std::to_string(address[i]);
  }
  return text;
}

std::string Text(const Ipv6Address& address) {
  constexpr int kGroups = 8;
  const auto group = [&](int i) { return Load16(address.data() + std::ptrdiff_t{2} * i); };
  // The longest run of zero groups, the first of equals, is written "::"; a single one is not.
  int gap = -1;
  int gap_groups = 1;
  for (int i = 0; i < kGroups; ++i) {
    int zeros = 0;
    while (i + zeros < kGroups && group(i + zeros) == 0) ++zeros;
    if (zeros > gap_groups) {
      gap = i;
      gap_groups = zeros;
    }
    i += zeros;
  }
  std::string text;
  for (int i = 0; i < kGroups; ++i) {
    if (i == gap) {
      text += "::";
      i += gap_groups - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    AppendHex(text, group(i), 1);
  }
  return text;
}

}  // namespace foreflow::wire
