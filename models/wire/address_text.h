// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_ADDRESS_TEXT_H_
#define FOREFLOW_MODELS_WIRE_ADDRESS_TEXT_H_

#include <optional>
#include <string>
#include <string_view>

#include "models/wire/ethernet.h"
#include "models/wire/ipv4.h"
#include "models/wire/ipv6.h"

namespace foreflow::wire {

// Addresses as people write them; nothing where the text is not exactly one.
std::optional<Mac> ParseMac(std::string_view text);           // six pairs of hex digits, colons between
std::optional<Ipv4Address> ParseIpv4(std::string_view text);  // four decimals without leading zeros
std::optional<Ipv6Address> ParseIpv6(std::string_view text);  // RFC 4291, section 2.2, without zones

std::string Text(const Mac& mac);              // lower case, colons between
std::string Text(const Ipv4Address& address);  // dotted decimal
std::string Text(const Ipv6Address& address);  // RFC 5952, but never with a dotted IPv4 part

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_ADDRESS_TEXT_H_
