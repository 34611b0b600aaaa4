// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RULE_H_
#define FOREFLOW_MODELS_RULES_RULE_H_

#include <array>
#include <cstdint>

#include "models/flow/flow_key.h"

namespace foreflow::rules {

enum class Verb : std::uint8_t { kForward, kDrop, kTrap };  // trap: the host's table decides, and forwards

constexpr std::uint8_t kQueues = 4;      // 0 is served first
constexpr std::uint8_t kNoQueue = 0xff;  // the rule leaves the queue to the classifier
constexpr std::uint16_t kNoMeter = 0xffff;
constexpr std::uint16_t kNoChange = 0xffff;

// What is done to packets that a rule decides.
struct Action {
  Verb verb = Verb::kDrop;
  bool mirror = false;               // also hand a copy to the mirror port
  std::uint8_t queue = kNoQueue;     // below kQueues, or kNoQueue
  bool shard = false;                // mark the packet for the sharding unit
  std::uint16_t meter = kNoMeter;    // index of a two-rate three-colour meter
  std::uint16_t change = kNoChange;  // index of a PacketChange: what leaves has other headers

  bool operator==(const Action& o) const {
    return verb == o.verb && mirror == o.mirror && queue == o.queue && shard == o.shard && meter == o.meter &&
           change == o.change;
  }
};

// The first `length` bits of an address.
struct Prefix {
  std::array<std::uint8_t, 16> address{};  // as in wire::Dissection
  std::uint8_t length = 0;  // 0..32 for IPv4, 0..128 for IPv6; 0 matches all, also packets without IP
};

// Ports low..high, both among them; host order.
struct PortRange {
  std::uint16_t low = 0;
  std::uint16_t high = 0xffff;
};

constexpr std::uint16_t kAnyVm = 0xffff;
constexpr std::uint16_t kAnyProtocol = 0xffff;
constexpr std::uint16_t kAnyVlan = 0xffff;
constexpr std::uint16_t kUntagged = 0xfffe;
constexpr std::uint8_t kAnyVlanPriority = 0xff;

// A standard rule: header fields only. Higher priority wins; among equals the lower id.
struct Rule {
  std::uint32_t id = 0;  // below kNoRule, in a set each once
  std::int32_t priority = 0;
  std::uint8_t l3 = 0;  // wire::Layer3, kNone (0) matches every family
  flow::VmId vm = kAnyVm;
  std::uint16_t ip_protocol = kAnyProtocol;
  Prefix source;
  Prefix destination;
  PortRange source_port;
  PortRange destination_port;
  std::uint16_t vlan = kAnyVlan;  // VID 0..4095 of the outermost tag; kUntagged: there is none
  std::uint8_t vlan_priority = kAnyVlanPriority;  // 0..7 of that tag: there must be one
  Action action;
};

constexpr std::uint32_t kNoRule = 0xffffffff;

// The standard table's verdict for a key.
struct Decision {
  std::uint32_t rule = kNoRule;  // kNoRule: default drop
  Action action;

  bool operator==(const Decision& o) const { return rule == o.rule && action == o.action; }
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RULE_H_
