// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/unit_link.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "bindings/config/packet_dynamics.h"
#include "bindings/config/strict_json.h"
#include "bindings/control/control_config.h"
#include "models/base/refusal.h"
#include "models/wire/address_text.h"

namespace foreflow::dpdk {
namespace {

wire::DatagramEnd ReadEnd(config::Object& object) {
  wire::DatagramEnd end;
  const config::Value mac = object.Get("mac");
  const std::optional<wire::Mac> parsed = wire::ParseMac(mac.Text());
  if (!parsed || wire::IsGroup(*parsed)) mac.Refuse("the MAC address of one interface");
  end.mac = *parsed;
  const config::Value address = object.Get("address");
  const std::optional<wire::Ipv4Address> ipv4 = wire::ParseIpv4(address.Text());
  if (!ipv4 || wire::IsGroup(*ipv4)) address.Refuse("the IPv4 address of one host");
  end.address = *ipv4;
  end.port = static_cast<std::uint16_t>(object.Get("port").Unsigned(1, 65'535));
  return end;
}

crypto::PublicKey ReadPublicKey(const config::Value& value) {
  const std::string& text = value.Text();
  crypto::PublicKey key{};
  if (text.size() != 2 * key.size() || text.find_first_not_of("0123456789abcdef") != std::string::npos) {
    value.Refuse("64 lower-case hex digits, as ./foreflow control keygen prints");
  }
  for (std::size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<std::uint8_t>(std::stoul(text.substr(2 * i, 2), nullptr, 16));
  }
  return key;
}

}  // namespace

UnitLink ParseUnitLink(const std::string& where, const std::string& text) {
  const config::Json json = config::ParseJson(where, text);
  const config::Value value(json, where, "");
  config::Object root(value);
  UnitLink link;
  config::Object own(root.Get("own"));
  link.own = ReadEnd(own);
  own.End();
  const config::Value peer_value = root.Get("peer");
  config::Object peer(peer_value);
  link.peer = ReadEnd(peer);
  link.keys.peers.push_back(ReadPublicKey(peer.Get("public_key")));
  peer.End();
  if (link.peer.address == link.own.address) peer.Get("address").Refuse("another one than own.address");
  if (link.peer.mac == link.own.mac) peer.Get("mac").Refuse("another one than own.mac");
  link.key_file = root.Get("key_file").Text();
  using crypto::AeadAlgorithm;
  if (!crypto::Runs(AeadAlgorithm::kAes256Gcm)) link.keys.cipher = AeadAlgorithm::kChaCha20Poly1305;
  if (root.Has("cipher")) {
    const config::Value cipher = root.Get("cipher");
    link.keys.cipher =
        static_cast<AeadAlgorithm>(cipher.Choice({"aes_128_gcm", "aes_256_gcm", "chacha20_poly1305"}));
    if (!crypto::Runs(link.keys.cipher)) cipher.Refuse("one that this machine runs, e.g. chacha20_poly1305");
  }
  if (root.Has("rekey_s")) {
    link.keys.rekey_after = Nanos(std::llround(root.Get("rekey_s").Number(0.01, 86'400) * 1e9));
  }
  if (root.Has("rekey_mb")) {
    // At half of what a key seals at the most, so that no key is spent before the next is agreed on.
    link.keys.rekey_after_bytes =
        static_cast<std::uint64_t>(std::llround(root.Get("rekey_mb").Number(0.001, 131'072) * 1e6));
  }
  if (link.keys.overlap > link.keys.rekey_after) link.keys.overlap = link.keys.rekey_after;
  if (root.Has("overlap_ms")) {
    const config::Value overlap = root.Get("overlap_ms");
    link.keys.overlap = Nanos(std::llround(overlap.Number(1, 3'600'000) * 1e6));
    if (link.keys.overlap > link.keys.rekey_after) overlap.Refuse("at most rekey_s");
  }
  if (root.Has("unit")) link.unit = config::ReadUnit(root.Get("unit"));
  root.End();
  return link;
}

UnitLink LoadUnitLink(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw Refusal(file + ": cannot be opened");
  UnitLink link =
      ParseUnitLink(file, {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()});
  link.keys.own = control::LoadSecretKey(link.key_file);
  return link;
}

}  // namespace foreflow::dpdk
