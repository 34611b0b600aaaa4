// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_PACKET_SOCKET_H_
#define FOREFLOW_BINDINGS_DPDK_PACKET_SOCKET_H_

#include <cstdint>
#include <vector>

namespace foreflow::dpdk {

// The packet sockets through which a driver of this process serves a network interface. The kernel counts the
// frames that found a socket's ring full, but net_af_packet does not ask it (packet(7), PACKET_STATISTICS).
class PacketSockets {
 public:
  static constexpr unsigned kNone = 0;

  // Those bound to the interface (its number in the kernel, or kNone) now; it need not have any. They stay
  // the driver's, which must keep them open for as long as Missed is called.
  explicit PacketSockets(unsigned interface);

  // Frames that found no room since the sockets were opened. Asking resets the kernel's own count: let nobody
  // else ask.
  std::uint64_t Missed();

 private:
  std::vector<int> sockets_;
  std::uint64_t missed_ = 0;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_PACKET_SOCKET_H_
