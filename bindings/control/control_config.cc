// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/control/control_config.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "bindings/config/strict_json.h"
#include "models/base/refusal.h"

namespace foreflow::control {
namespace {

constexpr std::size_t kKeyDigits = 64;
constexpr std::size_t kMostPeers = 4096;

std::string ReadText(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw Refusal(file + ": cannot be opened");
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

bool ParseHex(const std::string& text, std::array<std::uint8_t, 32>& bytes) {
  if (text.size() != kKeyDigits || text.find_first_not_of("0123456789abcdef") != std::string::npos)
    return false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(std::stoul(text.substr(2 * i, 2), nullptr, 16));
  }
  return true;
}

SocketAddress ReadAddress(const config::Value& value) {
  SocketAddress address;
  if (value.json().is_null()) return address;
  if (!ParseSocketAddress(value.Text(), address)) {
    value.Refuse("ADDRESS:PORT with an IPv4 address or an IPv6 address in brackets, or null");
  }
  return address;
}

crypto::ChannelPeer ReadPeer(const config::Value& value) {
  static const std::vector<std::string> kRights = {"rules", "keys", "profiles", "statistics"};
  static_assert(
      kMayChangeRules == 1 && kMayRotateKeys == 2 && kMaySendProfiles == 4 && kMayReadStatistics == 8,
      "in the order of their names");
  config::Object object(value);
  crypto::ChannelPeer peer;
  const config::Value key = object.Get("public_key");
  if (!ParseHex(key.Text(), peer.key))
    key.Refuse("64 lower-case hex digits, as ./foreflow control keygen prints");
  for (const config::Value& right : object.Get("may").Array(kRights.size())) {
    peer.rights |= 1u << right.Choice(kRights);
  }
  object.End();
  return peer;
}

}  // namespace

bool ParseSocketAddress(const std::string& text, SocketAddress& address) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || text.find('\0') != std::string::npos) return false;
  const std::string digits = text.substr(colon + 1);
  if (digits.empty() || digits.size() > 5 || digits.find_first_not_of("0123456789") != std::string::npos)
    return false;
  const unsigned long port = std::stoul(digits);
  if (port > 65'535) return false;
  std::string host = text.substr(0, colon);
  const bool is_v6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (is_v6) host = host.substr(1, host.size() - 2);
  // The system's functions put the port into network order.
  addrinfo hints{};
  hints.ai_family = is_v6 ? AF_INET6 : AF_INET;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), digits.c_str(), &hints, &found) != 0) return false;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.length = found->ai_addrlen;
  ::freeaddrinfo(found);
  return true;
}

crypto::SecretKey LoadSecretKey(const std::string& file) {
  struct stat about {};
  if (::stat(file.c_str(), &about) != 0) {
    throw Refusal(file + ": there is no such key file; ./foreflow control keygen makes one");
  }
  if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    throw Refusal(file + ": others than its owner may use this key file; run: chmod 600 " + file);
  }
  std::string text = ReadText(file);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  std::array<std::uint8_t, 32> bytes{};
  const bool is_key = ParseHex(text, bytes);
  std::fill(text.begin(), text.end(), '\0');
  if (!is_key)
    throw Refusal(file +
                  ": holds no key, allowed: 64 lower-case hex digits, as ./foreflow control keygen writes");
  return crypto::SecretKey(bytes);
}

ServerConfig ParseServerConfig(const std::string& where, const std::string& text) {
  const config::Json json = config::ParseJson(where, text);
  const config::Value value(json, where, "");
  config::Object root(value);
  ServerConfig server;
  config::Object listen(root.Get("listen"));
  const config::Value udp = listen.Get("udp");
  server.udp = ReadAddress(udp);
  server.tcp = ReadAddress(listen.Get("tcp"));
  listen.End();
  if (server.udp.length == 0 && server.tcp.length == 0) udp.Refuse("an address here or at listen.tcp");
  server.agent.most_rules = static_cast<std::uint32_t>(root.Get("most_rules").Unsigned(1, 1'000'000));
  const config::Value peers = root.Get("peers");
  for (const config::Value& peer : peers.Array(kMostPeers)) {
    server.peers.push_back(ReadPeer(peer));
    for (std::size_t i = 0; i + 1 < server.peers.size(); ++i) {
      if (server.peers[i].key == server.peers.back().key) peer.Refuse("a public key that is not there twice");
    }
  }
  if (server.peers.empty()) peers.Refuse("a list of one or more peers");
  server.agent.peers = server.peers.size();
  server.key_file = root.Get("key_file").Text();
  root.End();
  return server;
}

ServerConfig LoadServerConfig(const std::string& file) {
  ServerConfig server = ParseServerConfig(file, ReadText(file));
  server.key = LoadSecretKey(server.key_file);
  return server;
}

}  // namespace foreflow::control
