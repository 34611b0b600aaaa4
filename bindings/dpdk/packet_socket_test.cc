// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/packet_socket.h"

#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netdb.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "models/wire/be.h"
#include "models/wire/ethernet.h"

namespace foreflow::dpdk {
namespace {

constexpr int kDatagrams = 2000;

// Datagrams on the loopback of a network namespace of this thread's own, from a socket to itself: nobody else
// sends there, and nobody answers.
class Loopback {
 public:
  bool Open() {
    if (::unshare(CLONE_NEWNET) != 0) return false;
    socket_ = ::socket(AF_INET, SOCK_DGRAM, 0);
    ifreq up{};
    std::strcpy(up.ifr_name, "lo");
    up.ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK;
    if (::ioctl(socket_, SIOCSIFFLAGS, &up) != 0) return false;
    addrinfo hints{};
    hints.ai_family = AF_INET;
    hints.ai_flags = AI_NUMERICHOST;
    addrinfo* own = nullptr;
    if (::getaddrinfo("127.0.0.1", "5000", &hints, &own) != 0) return false;
    const bool done = ::bind(socket_, own->ai_addr, own->ai_addrlen) == 0 &&
                      ::connect(socket_, own->ai_addr, own->ai_addrlen) == 0;
    ::freeaddrinfo(own);
    return done;
  }
  ~Loopback() { ::close(socket_); }

  void Send(int datagrams) const {
    const std::array<char, 500> bytes{};
    for (int i = 0; i < datagrams; ++i) ASSERT_EQ(::send(socket_, bytes.data(), bytes.size(), 0), 500);
  }

 private:
  int socket_ = -1;
};

void CheckMissed(bool& able) {
  Loopback loopback;
  able = loopback.Open();
  if (!able) return;
  const unsigned interface = ::if_nametoindex("lo");
  const int sniffer = ::socket(AF_PACKET, SOCK_RAW, 0);
  int small = 1;
  ::setsockopt(sniffer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  wire::Store16(reinterpret_cast<std::uint8_t*>(&address.sll_protocol), wire::kEthertypeIpv4);
  address.sll_ifindex = static_cast<int>(interface);
  ASSERT_EQ(::bind(sniffer, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);

  PacketSockets sockets(interface);
  EXPECT_EQ(sockets.Missed(), 0U);
  std::uint64_t expected = 0;
  for (int round = 0; round < 2; ++round) {  // asking twice must not forget
    loopback.Send(kDatagrams);
    std::uint64_t kept = 0;
    char byte;
    while (::recv(sniffer, &byte, 1, MSG_DONTWAIT) > 0) ++kept;
    ASSERT_GT(kept, 0U);
    ASSERT_LT(kept, static_cast<std::uint64_t>(kDatagrams));
    expected += kDatagrams - kept;
    EXPECT_EQ(sockets.Missed(), expected);
  }
  EXPECT_EQ(sockets.Missed(), expected);
  EXPECT_EQ(PacketSockets(interface + 1).Missed(), 0U);
  ::close(sniffer);
}

TEST(PacketSockets, CountWhatTheKernelHadNoRoomFor) {
  bool able = false;
  std::thread([&] { CheckMissed(able); }).join();
  if (!able) GTEST_SKIP() << "needs root (CAP_SYS_ADMIN) for a network namespace of its own";
}

}  // namespace
}  // namespace foreflow::dpdk
