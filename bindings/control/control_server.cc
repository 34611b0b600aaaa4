// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/control/control_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bindings/control/connection_number.h"
#include "models/base/refusal.h"

namespace foreflow::control {
namespace {

constexpr std::size_t kMostConnections = 64;
constexpr std::size_t kMostUnsent = 1 << 20;  // a connection that does not read is closed
constexpr int kDatagramsAtOnce = 256;
constexpr std::uint8_t kStreamMark =
    0xff;  // first byte of the address of a connection: no datagram comes from there

std::string TextOf(const sockaddr_storage& storage, socklen_t length) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&storage), length, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "?";
  }
  return storage.ss_family == AF_INET6 ? "[" + std::string(host) + "]:" + port
                                       : std::string(host) + ":" + port;
}

// As an IPv6 address, IPv4 mapped. The port's two bytes are kept as the system has them.
crypto::ChannelAddress AddressOf(const sockaddr_storage& storage) {
  crypto::ChannelAddress address;
  if (storage.ss_family == AF_INET) {
    const auto& from = reinterpret_cast<const sockaddr_in&>(storage);
    address.host[10] = address.host[11] = 0xff;
    std::memcpy(&address.host[12], &from.sin_addr, 4);
    address.port = from.sin_port;
  } else {
    const auto& from = reinterpret_cast<const sockaddr_in6&>(storage);
    std::memcpy(address.host.data(), &from.sin6_addr, 16);
    address.port = from.sin6_port;
  }
  return address;
}

SocketAddress SocketAddressOf(const crypto::ChannelAddress& address, int family) {
  SocketAddress to;
  if (family == AF_INET) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(to.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = address.port;
    std::memcpy(&v4.sin_addr, &address.host[12], 4);
    to.length = sizeof(v4);
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(to.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = address.port;
    std::memcpy(&v6.sin6_addr, address.host.data(), 16);
    to.length = sizeof(v6);
  }
  return to;
}

bool IsMappedV4(const crypto::ChannelAddress& address) {
  static constexpr std::uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(address.host.data(), kPrefix, sizeof(kPrefix)) == 0;
}

}  // namespace

std::array<std::uint8_t, 32> RandomSeed() {
  std::array<std::uint8_t, 32> seed;
  if (::getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) {
    throw std::runtime_error("the system gives no random bytes");
  }
  return seed;
}

Nanos UtcNow() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return Nanos(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

ControlServer::ControlServer(const ServerConfig& config, const std::vector<rules::Rule>& initial,
                             ControlledDevice& device)
    : agent_(
          ControlChannel(config.key, config.peers), RandomSeed(),
          [&] {
            AgentConfig agent = config.agent;
            agent.instance = static_cast<std::uint64_t>(UtcNow().count());
            return agent;
          }(),
          initial, device),
      send_([this](const crypto::ChannelAddress& to, BytesView packet) { SendPacketTo(to, packet); }) {
  try {
    if (config.udp.length > 0) udp_ = Listen(config.udp, SOCK_DGRAM, "udp");
    if (config.tcp.length > 0) tcp_ = Listen(config.tcp, SOCK_STREAM, "tcp");
  } catch (...) {
    if (udp_ >= 0) ::close(udp_);
    throw;
  }
  connections_.reserve(kMostConnections);
}

ControlServer::~ControlServer() {
  for (Connection& connection : connections_) ::close(connection.socket);
  if (udp_ >= 0) ::close(udp_);
  if (tcp_ >= 0) ::close(tcp_);
}

int ControlServer::Listen(const SocketAddress& address, int kind, const char* name) {
  const auto* where = reinterpret_cast<const sockaddr*>(&address.storage);
  const int descriptor = ::socket(where->sa_family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (descriptor >= 0) ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (descriptor < 0 || ::bind(descriptor, where, address.length) != 0 ||
      (kind == SOCK_STREAM && ::listen(descriptor, 16) != 0)) {
    const std::string reason = std::strerror(errno);
    if (descriptor >= 0) ::close(descriptor);
    throw Refusal(std::string("control: listen.") + name + " = " + TextOf(address.storage, address.length) +
                  " cannot be had: " + reason);
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &length);
  listening_ += (listening_.empty() ? "" : ", ") + std::string(name) + " " + TextOf(bound, length);
  return descriptor;
}

Nanos ControlServer::Now() {
  last_now_ = std::max(last_now_, UtcNow());
  return last_now_;
}

void ControlServer::Poll(int milliseconds) {
  ++polls_;
  std::array<pollfd, kMostConnections + 2> waits{};
  std::size_t count = 0;
  for (const int socket : {udp_, tcp_}) {
    if (socket >= 0) waits[count++] = {socket, POLLIN, 0};
  }
  const std::size_t first = count;
  for (const Connection& connection : connections_) {
    const int events = POLLIN | (connection.unsent.empty() ? 0 : POLLOUT);
    waits[count++] = {connection.socket, static_cast<short>(events), 0};
  }
  ::poll(waits.data(), count, milliseconds);
  for (std::size_t i = first; i < count; ++i) {
    if ((waits[i].revents & POLLOUT) != 0) Flush(connections_[i - first]);
    if ((waits[i].revents & ~POLLOUT) != 0) Receive(connections_[i - first]);
  }
  connections_.erase(std::remove_if(connections_.begin(), connections_.end(),
                                    [](const Connection& connection) { return connection.socket < 0; }),
                     connections_.end());
  if (udp_ >= 0) ReceiveDatagrams();
  if (tcp_ >= 0) Accept();
  agent_.Tick(Now(), send_);
}

void ControlServer::ReceiveDatagrams() {
  std::array<std::uint8_t, 65'536> buffer;
  for (int i = 0; i < kDatagramsAtOnce; ++i) {
    sockaddr_storage from{};
    socklen_t length = sizeof(from);
    const ssize_t size =
        ::recvfrom(udp_, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0) return;
    agent_.Input({buffer.data(), static_cast<std::size_t>(size)}, AddressOf(from), Now(), send_);
  }
}

void ControlServer::Accept() {
  for (;;) {
    sockaddr_storage from{};
    socklen_t length = sizeof(from);
    const int socket =
        ::accept4(tcp_, reinterpret_cast<sockaddr*>(&from), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return;
    if (connections_.size() >= kMostConnections) {
      // The one that has been silent for longest makes room.
      const auto silent = std::min_element(
          connections_.begin(), connections_.end(),
          [](const Connection& a, const Connection& b) { return a.last_heard < b.last_heard; });
      ::close(silent->socket);
      connections_.erase(silent);
    }
    crypto::ChannelAddress address = AddressOf(from);
    address.host[0] = kStreamMark;
    // Sessions are known by it: not that of a connection that is there.
    last_number_ = NextConnectionNumber(last_number_, connections_.begin(), connections_.end());
    address.port = last_number_;
    connections_.push_back({socket,
                            address.port,
                            address,
                            crypto::StreamFrames(crypto::MaxPacketBytes(kMostMessageBytes)),
                            {},
                            polls_});
  }
}

void ControlServer::Receive(Connection& connection) {
  std::array<std::uint8_t, 16'384> buffer;
  const ssize_t size = ::recv(connection.socket, buffer.data(), buffer.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    Close(connection);
    return;
  }
  connection.last_heard = polls_;
  BytesView stream{buffer.data(), static_cast<std::size_t>(size)};
  MutableBytes packet;
  while (connection.socket >= 0 && connection.frames.Next(stream, packet)) {
    agent_.Input(packet, connection.address, Now(), send_);
  }
  if (connection.frames.IsBroken()) Close(connection);
}

void ControlServer::Flush(Connection& connection) {
  if (connection.socket < 0) return;
  const ssize_t sent = ::send(connection.socket, connection.unsent.data(), connection.unsent.size(),
                              MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) Close(connection);
    return;
  }
  connection.unsent.erase(connection.unsent.begin(), connection.unsent.begin() + sent);
}

void ControlServer::Close(Connection& connection) {
  if (connection.socket >= 0) ::close(connection.socket);
  connection.socket = -1;
}

void ControlServer::SendPacketTo(const crypto::ChannelAddress& to, BytesView packet) {
  if (to.host[0] == kStreamMark) {
    for (Connection& connection : connections_) {
      if (connection.socket < 0 || !(connection.address == to)) continue;
      if (connection.unsent.size() > kMostUnsent) {
        Close(connection);
        return;
      }
      const auto header = crypto::FrameHeader(packet.size);
      connection.unsent.insert(connection.unsent.end(), header.begin(), header.end());
      connection.unsent.insert(connection.unsent.end(), packet.begin(), packet.end());
      Flush(connection);
      return;
    }
    return;  // gone: its answers are lost, as a datagram's would be
  }
  if (udp_ < 0) return;
  const SocketAddress address = SocketAddressOf(to, IsMappedV4(to) ? AF_INET : AF_INET6);
  // What the kernel does not take is lost, and sent again by whoever misses it.
  [[maybe_unused]] const ssize_t sent =
      ::sendto(udp_, packet.data, packet.size, MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&address.storage), address.length);
}

config::Json ToJson(const ControlServer& server) {
  const DeviceAgent& agent = server.agent().agent();
  config::Json json = {
      {"listening", server.listening()}, {"generation", agent.generation()}, {"rules", agent.rules().size()}};
  std::vector<wire::ControlStatisticsRow> rows;
  server.agent().AppendCounters(rows);
  for (const auto& row : rows) json[CounterName(row.id)] = row.packets;
  return json;
}

}  // namespace foreflow::control
