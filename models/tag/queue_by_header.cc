// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/queue_by_header.h"

#include <algorithm>
#include <array>

#include "models/rules/rule.h"
#include "models/wire/ipv4.h"

namespace foreflow::tag {
namespace {

constexpr std::uint8_t kUrgent = 0;
constexpr std::uint8_t kInteractive = 1;
constexpr std::uint8_t kOrdinary = 2;
constexpr std::uint8_t kBackground = 3;

struct Service {
  std::uint16_t port;
  std::uint8_t queue;
};
constexpr Service kServices[] = {
    {53, kUrgent},          // DNS
    {67, kUrgent},          // DHCP
    {68, kUrgent},          //
    {123, kUrgent},         // NTP
    {179, kUrgent},         // BGP
    {547, kUrgent},         // DHCPv6
    {22, kInteractive},     // SSH: interactive by its reputation; sftp hides behind it
    {389, kInteractive},    // LDAP
    {1433, kInteractive},   // SQL Server
    {3306, kInteractive},   // MySQL
    {3389, kInteractive},   // RDP
    {5060, kInteractive},   // SIP
    {5432, kInteractive},   // PostgreSQL
    {6379, kInteractive},   // Redis
    {11211, kInteractive},  // memcached
    {20, kBackground},      // FTP data
    {873, kBackground},     // rsync
    {5001, kBackground},    // iperf
    {5201, kBackground},    // iperf3
    {6881, kBackground},    // BitTorrent
};

// Two bits a port: no branches, which nobody could foresee. The last place stands for all ports from there
// on.
constexpr std::size_t kPlaces = 11213;
constexpr auto kQueueOfPort = [] {
  std::array<std::uint8_t, kPlaces / 4 + 1> table{};
  for (std::uint8_t& four : table) four = kOrdinary * 0x55;
  for (const Service& service : kServices) {
    const unsigned shift = service.port % 4u * 2;
    std::uint8_t& four = table[service.port / 4u];
    four = static_cast<std::uint8_t>((four & ~(3u << shift)) | (unsigned{service.queue} << shift));
  }
  return table;
}();
static_assert(rules::kQueues == 4, "two bits");

std::uint8_t QueueByService(std::uint16_t port) {
  const std::size_t place = std::min<std::size_t>(port, kPlaces - 1);
  return kQueueOfPort[place / 4] >> (place % 4 * 2) & 3;
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
