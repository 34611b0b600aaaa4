// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONTROL_CONTROL_CONFIG_H_
#define FOREFLOW_BINDINGS_CONTROL_CONTROL_CONFIG_H_

#include <sys/socket.h>

#include <string>
#include <vector>

#include "models/control/device_agent.h"
#include "models/crypto/secure_channel.h"

namespace foreflow::control {

// An IP address and port to listen at.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;  // 0: none
};

// Who may control a device, and where it listens.
struct ServerConfig {
  SocketAddress udp;
  SocketAddress tcp;
  std::string key_file;
  crypto::SecretKey key;  // what the file holds; LoadServerConfig reads it
  std::vector<crypto::ChannelPeer> peers;
  AgentConfig agent;
};

// {"listen": {"udp": "10.0.0.1:7700" or null, "tcp": likewise}, "key_file": path, "most_rules": count,
//  "peers": [{"public_key": 64 hex digits, "may": ["rules", "keys", "profiles", "statistics"]}]}
// Throws Refusal where something is missing, unknown, repeated or out of range. `where` is for messages.
ServerConfig ParseServerConfig(const std::string& where, const std::string& text);
ServerConfig LoadServerConfig(const std::string& file);

// "10.0.0.1:7700" or "[fd00::1]:7700".
bool ParseSocketAddress(const std::string& text, SocketAddress& address);

// A file that holds 64 hex digits and belongs to its owner alone.
crypto::SecretKey LoadSecretKey(const std::string& file);

}  // namespace foreflow::control

#endif  // FOREFLOW_BINDINGS_CONTROL_CONTROL_CONFIG_H_
