// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/packet_json.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "models/base/refusal.h"

namespace foreflow::pcap {
namespace {

constexpr std::size_t kShownBytes = 128;

std::string HexOf(const std::uint8_t* bytes, std::size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::string MacOf(const std::uint8_t* bytes) {
  std::string text;
  for (std::size_t i = 0; i < 6; ++i) text += (i == 0 ? "" : ":") + HexOf(bytes + i, 1);
  return text;
}

// As a dissection has it; empty where the protocol has none.
std::string AddressOf(wire::Layer3 l3, const std::array<std::uint8_t, 16>& address) {
  if (l3 == wire::Layer3::kNone) return "";
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(l3 == wire::Layer3::kIpv6 ? AF_INET6 : AF_INET, address.data(), text, sizeof text);
  return text;
}

std::string NameOf(wire::Link link) {
  static constexpr const char* kNames[] = {"ethernet",   "raw_ip", "linux_sll",
                                           "linux_sll2", "null",   "unknown"};
  return kNames[static_cast<std::size_t>(link)];
}

std::string NameOf(wire::Layer3 l3) {
  static constexpr const char* kNames[] = {"none", "arp", "ipv4", "ipv6"};
  return kNames[static_cast<std::size_t>(l3)];
}

std::string NameOf(wire::Layer4 l4) {
  static constexpr const char* kNames[] = {"none", "tcp", "udp", "icmp", "icmpv6", "other"};
  return kNames[static_cast<std::size_t>(l4)];
}

std::string NameOf(wire::DissectStatus status) {
  static constexpr const char* kNames[] = {"ok", "truncated", "malformed", "unknown_link"};
  return kNames[static_cast<std::size_t>(status)];
}

// A flow key holds MACs where there is no IP.
std::string EndOf(wire::Layer3 l3, const std::array<std::uint8_t, 16>& address) {
  const bool is_ip = l3 == wire::Layer3::kIpv4 || l3 == wire::Layer3::kIpv6;
  return is_ip ? AddressOf(l3, address) : MacOf(address.data());
}

}  // namespace

config::Json ArrivalJson(const path::Arrival& arrival) {
  return {{"time_ns", arrival.time.count()},
          {"sent_ns", arrival.sent.count()},
          {"vm", arrival.vm},
          {"link", NameOf(arrival.link)},
          {"wire_bytes", arrival.wire_bytes},
          {"captured_bytes", arrival.captured.size},
          {"hex", HexOf(arrival.captured.data, std::min(arrival.captured.size, kShownBytes))}};
}

config::Json DissectionJson(const wire::Dissection& packet) {
  return {{"status", NameOf(packet.status)},
          {"source_mac", MacOf(packet.source_mac.data())},
          {"destination_mac", MacOf(packet.destination_mac.data())},
          {"ethertype", packet.ethertype},
          {"vlan", packet.vlan},
          {"outer_vlan", packet.outer_vlan & 0x0fffu},
          {"outer_vlan_priority", packet.outer_vlan >> 13},
          {"l3", NameOf(packet.l3)},
          {"source", AddressOf(packet.l3, packet.source_address)},
          {"destination", AddressOf(packet.l3, packet.destination_address)},
          {"ip_protocol", packet.ip_protocol},
          {"dscp", packet.dscp},
          {"ecn", packet.ecn},
          {"ttl", packet.ttl},
          {"is_fragment", packet.is_fragment},
          {"is_first_fragment", packet.is_first_fragment},
          {"is_group_addressed", packet.is_group_addressed},
          {"l4", NameOf(packet.l4)},
          {"source_port", packet.source_port},
          {"destination_port", packet.destination_port},
          {"tcp_flags", packet.tcp_flags},
          {"header_bytes", packet.header_bytes},
          {"payload_bytes", packet.payload_bytes}};
}

config::Json FlowKeyJson(const flow::FlowKey& key) {
  const auto l3 = static_cast<wire::Layer3>(key.l3);
  return {{"vm", key.vm},
          {"l3", NameOf(l3)},
          {"ip_protocol", key.ip_protocol},
          {"source", EndOf(l3, key.source_address)},
          {"source_port", key.source_port},
          {"destination", EndOf(l3, key.destination_address)},
          {"destination_port", key.destination_port}};
}

std::uint64_t RecordOf(const Capture& capture, const path::Arrival& arrival) {
  const auto found = std::find_if(capture.records.begin(), capture.records.end(), [&](const Record& record) {
    return record.captured.data == arrival.captured.data && record.captured.size == arrival.captured.size;
  });
  return found == capture.records.end() ? 0 : static_cast<std::uint64_t>(found - capture.records.begin()) + 1;
}

void RefuseUnlessRising(const std::vector<std::uint64_t>& packets, std::size_t count,
                        const std::string& name) {
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const char* const rising = "packets in rising order";
    if (packets[i] >= count) {
      throw Refusal(name, "packet", std::to_string(packets[i]),
                    count == 0 ? "none, it has no packets" : "0 .. " + std::to_string(count - 1));
    }
    if (i > 0 && packets[i] <= packets[i - 1])
      throw Refusal(name, "packet", std::to_string(packets[i]), rising);
  }
}

}  // namespace foreflow::pcap
