// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/packet_socket.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>

namespace foreflow::dpdk {
namespace {

bool IsPacketSocketOf(int descriptor, unsigned interface) {
  int domain = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_PACKET)
    return false;
  sockaddr_ll address{};
  size = sizeof address;
  return ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
         static_cast<unsigned>(address.sll_ifindex) == interface;
}

}  // namespace

PacketSockets::PacketSockets(unsigned interface) {
  if (interface == kNone) return;
  std::error_code error;  // without /proc nothing is found
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const std::string name = entry.path().filename().string();
    int descriptor = -1;
    std::from_chars(name.data(), name.data() + name.size(), descriptor);
    if (IsPacketSocketOf(descriptor, interface)) sockets_.push_back(descriptor);
  }
}

std::uint64_t PacketSockets::Missed() {
  for (const int descriptor : sockets_) {
    tpacket_stats stats{};
    socklen_t size = sizeof stats;
    if (::getsockopt(descriptor, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
      missed_ += stats.tp_drops;
  }
  return missed_;
}

}  // namespace foreflow::dpdk
