// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_REWRITE_H_
#define FOREFLOW_MODELS_WIRE_REWRITE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "models/base/bytes.h"
#include "models/base/work.h"
#include "models/wire/dissect.h"
#include "models/wire/ethernet.h"

namespace foreflow::wire {

// Which header fields of a packet become what. Fields that the packet has not (an IPv6 address in an IPv4
// packet, the port of a later fragment) stay as they are.
struct HeaderRewrite {
  std::optional<Mac> source_mac;
  std::optional<Mac> destination_mac;
  Layer3 l3 = Layer3::kNone;  // of the addresses below, which lie as in Dissection
  std::optional<std::array<std::uint8_t, 16>> source_address;
  std::optional<std::array<std::uint8_t, 16>> destination_address;
  std::optional<std::uint16_t> source_port;  // of TCP and UDP
  std::optional<std::uint16_t> destination_port;
  std::optional<std::uint8_t> dscp;  // 0..63
  bool decrement_ttl = false;        // IPv6's hop limit likewise
};

// Throws Refusal: addresses without an IP family, dscp above 63. `where` names the rule.
void CheckRewrite(const HeaderRewrite& rewrite, const std::string& where);

enum class RewriteStatus : std::uint8_t {
  kOk,
  kExpired,  // the TTL would reach 0: nothing was changed
};

// Changes `frame` where it lies and `packet`, its dissection, alike. Checksums are updated by what changed
// (RFC 1624), so one that was wrong, or not finished yet, stays so; UDP's 0 stays 0. Bytes that were not
// captured are not touched. Counts kHeader for each header that changes.
RewriteStatus Rewrite(const HeaderRewrite& rewrite, Link link, MutableBytes frame, Dissection& packet,
                      Work& work);

// How many headers Rewrite writes at the most.
std::uint32_t HeadersOf(const HeaderRewrite& rewrite);

// Sets the ECN field (0..3) of an IP packet, IPv4's checksum with it; other packets stay as they are.
void SetEcn(std::uint8_t ecn, MutableBytes frame, Dissection& packet);

// Writes an 802.1Q tag of `vid` (0..4095) and `priority` (0..7) behind the MACs of `frame`, whose first byte
// moves VlanTag::kBytes to the front: that many bytes before it must be the caller's. Ethernet only, of a
// whole header.
void PushVlan(std::uint16_t vid, std::uint8_t priority, std::uint8_t* frame);
// Takes the outermost VLAN tag out: the frame then begins VlanTag::kBytes later. False, and nothing done,
// where there is none.
bool PopVlan(MutableBytes frame);

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_REWRITE_H_
