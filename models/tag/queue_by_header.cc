// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/queue_by_header.h"

#include "models/wire/ipv4.h"

namespace foreflow::tag {
namespace {

constexpr std::uint8_t kUrgent = 0;
constexpr std::uint8_t kInteractive = 1;
constexpr std::uint8_t kOrdinary = 2;
constexpr std::uint8_t kBackground = 3;

std::uint8_t QueueByService(std::uint16_t port) {
  switch (port) {
    case 53:  // DNS
    case 67:  // DHCP
    case 68:
    case 123:  // NTP
    case 179:  // BGP
    case 547:  // DHCPv6
      return kUrgent;
    case 22:     // SSH: interactive by its reputation; sftp hides behind it
    case 389:    // LDAP
    case 1433:   // SQL Server
    case 3306:   // MySQL
    case 3389:   // RDP
    case 5060:   // SIP
    case 5432:   // PostgreSQL
    case 6379:   // Redis
    case 11211:  // memcached
      return kInteractive;
    case 20:    // FTP data
    case 873:   // rsync
    case 5001:  // iperf
    case 5201:  // iperf3
    case 6881:  // BitTorrent
      return kBackground;
    default:
      return kOrdinary;
  }
}

}  // namespace

std::uint8_t QueueByHeader(const flow::FlowKey& key, std::uint8_t dscp) {
  if (dscp >= 40) return kUrgent;                  // CS5 and above, EF
  if (dscp >= 24) return kInteractive;             // CS3, AF3x, CS4, AF4x
  if (dscp == 8 || dscp == 1) return kBackground;  // CS1, LE (RFC 8622)
  if (dscp != 0) return kOrdinary;
  switch (key.ip_protocol) {
    case 0:  // ARP and other traffic without IP keeps networks alive
    case wire::kProtocolIcmp:
    case wire::kProtocolIcmpv6:
      return kUrgent;
    case wire::kProtocolTcp:
    case wire::kProtocolUdp:
      break;
    default:
      return kOrdinary;
  }
  const std::uint8_t to = QueueByService(key.destination_port);
  return to != kOrdinary ? to : QueueByService(key.source_port);
}

}  // namespace foreflow::tag
