// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONTROL_CONTROL_SERVER_H_
#define FOREFLOW_BINDINGS_CONTROL_CONTROL_SERVER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bindings/config/strict_json.h"
#include "bindings/control/control_config.h"
#include "models/control/counter.h"
#include "models/control/secure_peers.h"
#include "models/crypto/stream_frames.h"

namespace foreflow::control {

// A device's agent at a UDP and a TCP port of this host. One thread calls it, which is never on the data
// path.
class ControlServer {
 public:
  // Listens. Throws Refusal where an address cannot be had.
  ControlServer(const ServerConfig& config, const std::vector<rules::Rule>& initial,
                ControlledDevice& device);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // Waits for at most so long, and serves what came.
  void Poll(int milliseconds);

  const SecureAgent& agent() const { return agent_; }
  // "udp 10.0.0.1:7700, tcp 10.0.0.1:7700", with the ports that were chosen where 0 was asked for.
  std::string listening() const { return listening_; }

 private:
  struct Connection {
    int socket = -1;
    std::uint16_t number = 0;
    crypto::ChannelAddress address;
    crypto::StreamFrames frames;
    std::vector<std::uint8_t> unsent;
    std::uint64_t last_heard = 0;  // in calls of Poll
  };

  int Listen(const SocketAddress& address, int kind, const char* name);
  void ReceiveDatagrams();
  void Accept();
  void Receive(Connection& connection);
  void Flush(Connection& connection);
  void Close(Connection& connection);
  void SendPacketTo(const crypto::ChannelAddress& to, BytesView packet);
  Nanos Now();

  SecureAgent agent_;
  SendPacket send_;
  std::string listening_;
  int udp_ = -1;
  int tcp_ = -1;
  std::vector<Connection> connections_;
  std::uint16_t last_number_ = 0;  // of the connection that came last
  std::uint64_t polls_ = 0;
  Nanos last_now_{0};
};

// 32 bytes from the system's source.
std::array<std::uint8_t, 32> RandomSeed();
// UTC in nanoseconds.
Nanos UtcNow();

// {generation, rules, listening, batches, ..., refused: {reason: count}, channel: {status: count}}.
config::Json ToJson(const ControlServer& server);

}  // namespace foreflow::control

#endif  // FOREFLOW_BINDINGS_CONTROL_CONTROL_SERVER_H_
