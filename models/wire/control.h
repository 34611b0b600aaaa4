// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_CONTROL_H_
#define FOREFLOW_MODELS_WIRE_CONTROL_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/wire/be.h"

namespace foreflow::wire {

// The messages between a controller and the device it programs. Each is a ControlHeader, the body of its type
// and, where the body says so, a tail of bytes or rows. All numbers are in network byte order. A message is
// read only after the channel that carries it has authenticated it; what it says is checked all the same.
//
// Decode returns the byte after what it read, or nullptr where bytes are missing, a value is outside its
// enumeration or a reserved byte is set: what it decoded is then of no use. All other values, such as counts
// of rows and parts, are the reader's to check. Encode returns nullptr where there is no room, and has then
// written nothing. Each struct takes its kBytes.

enum class ControlType : std::uint8_t {
  kHello = 1,          // both ways: ControlHello
  kRulePart,           // to the device: ControlRulePart, then a part of the batch
  kKeyRotation,        // to the device: ControlKeyRotation
  kProfile,            // both ways: ControlProfile, then its rows
  kStatisticsRequest,  // to the device: ControlStatisticsRequest
  kStatisticsReport,   // from the device: ControlStatisticsReport, then its rows
  kAcknowledgement,    // from the device: ControlAcknowledgement
  kRefusal,            // from the device: ControlRefusal, then a sentence in UTF-8
  kProfileRequest,     // to the device: ControlProfileRequest; it answers with a profile
};
constexpr std::uint8_t kLastControlType = static_cast<std::uint8_t>(ControlType::kProfileRequest);

// Of a set of rules: equal where the sets are, see control::RuleSetState.
using SetDigest = std::array<std::uint8_t, 16>;

// What begins every message. Decode takes every version, ReadControlHeader only this one.
struct ControlHeader {
  static constexpr std::size_t kBytes = 4;
  static constexpr std::uint8_t kVersion = 1;
  std::uint8_t version = kVersion;
  ControlType type = ControlType::kHello;
  std::uint16_t length = 0;  // of what follows
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlHeader& header);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlHeader& header);

// Who is there, and what rules the sender holds. The device answers one with one.
struct ControlHello {
  static constexpr std::size_t kBytes = 40;
  std::uint64_t instance = 0;          // a sender that restarted has another
  std::uint64_t generation = 0;        // of its rule set
  SetDigest digest{};                  // of its rule set
  std::uint32_t most_rules = 0;        // the device's bounds; 0 from a controller
  std::uint32_t most_batch_bytes = 0;  // of one batch of rule changes, likewise
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlHello& hello);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlHello& hello);

// One part of a batch of rule changes. The batch is a string of bytes; a part is a piece of it, all pieces
// but the last equally long. Every part carries the whole description, so that parts may come in any order.
struct ControlRulePart {
  static constexpr std::size_t kBytes = 64;
  std::uint64_t generation = 0;  // of the set that results
  std::uint64_t base = 0;        // generation of the set that the changes are for
  SetDigest base_digest{};
  SetDigest digest{};      // of the set that results
  std::uint32_t part = 0;  // 0 .. parts - 1
  std::uint32_t parts = 0;
  std::uint32_t batch_bytes = 0;
  bool is_whole = false;  // the batch is a whole rule set: what was there before does not matter
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlRulePart& part);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlRulePart& part);

// From now on tags are sealed with `key`; the key before is still good for `overlap_us`.
struct ControlKeyRotation {
  static constexpr std::size_t kBytes = 36;
  std::uint64_t number = 0;  // of the request
  std::uint64_t epoch = 0;   // later than every epoch before
  std::array<std::uint8_t, 16> key{};
  std::uint32_t overlap_us = 0;
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlKeyRotation& rotation);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlKeyRotation& rotation);

// What is expected of one VM, one row a destination: as somebody tells a device, or as a device's host has
// it.
struct ControlProfile {
  static constexpr std::size_t kBytes = 12;
  std::uint64_t number = 0;  // of the request, or of the one that this answers
  std::uint16_t vm = 0;
  std::uint16_t rows = 0;
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlProfile& profile);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlProfile& profile);

// A flow as its VM sends it, how likely it comes next and by when, and what its packets are likely to be.
struct ControlProfileRow {
  static constexpr std::size_t kBytes = 52;
  std::array<std::uint8_t, 16> source_address{};
  std::array<std::uint8_t, 16> destination_address{};
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t ip_protocol = 0;
  std::uint8_t l3 = 0;                // Layer3
  std::uint16_t vlan = 0;             // VlanKey
  std::uint16_t confidence = 0;       // in the destination, 65535 = 1
  std::uint16_t type_confidence = 0;  // in the type; 0: nothing is said of it
  std::uint8_t packet_type = 0;       // predict::PacketType
  std::uint32_t horizon_us = 0;       // expected within; 0: not known
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlProfileRow& row);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlProfileRow& row);

// Asks what the device's host expects of a VM: the answer is a ControlProfile of the same number.
struct ControlProfileRequest {
  static constexpr std::size_t kBytes = 12;
  std::uint64_t number = 0;
  std::uint16_t vm = 0;
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlProfileRequest& request);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlProfileRequest& request);

// Which counts are asked for, and what a row of them means.
enum class StatisticsKind : std::uint8_t {
  kCounters,    // row id: control::Counter; `packets` its value
  kRules,       // row id: the rule's
  kTagRules,    // row id: the tag rule's; packets for which it chose
  kTagClasses,  // row id: control::TagClassOf; bytes are not counted
};
constexpr std::uint8_t kLastStatisticsKind = static_cast<std::uint8_t>(StatisticsKind::kTagClasses);

// Asks for counts: the answer is a ControlStatisticsReport of the same number.
struct ControlStatisticsRequest {
  static constexpr std::size_t kBytes = 16;
  std::uint64_t number = 0;
  StatisticsKind kind = StatisticsKind::kCounters;
  std::uint32_t first = 0;  // rows from this id on
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end,
                           ControlStatisticsRequest& request);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlStatisticsRequest& request);

// `rows` ControlStatisticsRow follow, in rising order of ids.
struct ControlStatisticsReport {
  static constexpr std::size_t kBytes = 24;
  static constexpr std::uint32_t kNoMore = 0xffffffff;  // of `next`: this was all
  std::uint64_t number = 0;                             // of the request
  std::uint64_t generation = 0;                         // of the rules in use
  StatisticsKind kind = StatisticsKind::kCounters;
  std::uint16_t rows = 0;
  std::uint32_t next = kNoMore;  // the id to ask for next
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlStatisticsReport& report);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlStatisticsReport& report);

struct ControlStatisticsRow {
  static constexpr std::size_t kBytes = 20;
  std::uint32_t id = 0;  // by StatisticsKind
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlStatisticsRow& row);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlStatisticsRow& row);

// The rule set in use, what is there of the next one, and the last request done.
struct ControlAcknowledgement {
  static constexpr std::size_t kBytes = 60;
  std::uint64_t instance = 0;
  std::uint64_t generation = 0;
  SetDigest digest{};
  std::uint64_t number = 0;      // requests up to this one are done
  std::uint64_t assembling = 0;  // generation of the batch that has parts missing; 0: none
  std::uint32_t missing = 0;     // its first missing part
  std::uint64_t received = 0;    // bit i: part missing + 1 + i is there
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlAcknowledgement& ack);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlAcknowledgement& ack);

// Why a device does not do what a message says.
enum class RefusalReason : std::uint8_t {
  kMalformed = 1,  // not a message, or it contradicts itself
  kVersion,        // of another version
  kForbidden,      // this peer may not
  kStale,          // a generation or epoch that is not later than the one in use
  kBase,           // changes for another rule set than the one in use
  kTooLarge,       // more rules or bytes than the device takes
  kDigest,         // the changes do not make the set that they should
  kRule,           // the device cannot have this rule
  kUnsupported,    // the device has no such function
};
constexpr std::uint8_t kLastRefusalReason = static_cast<std::uint8_t>(RefusalReason::kUnsupported);
// The snake_case name; nullptr out of range.
const char* Name(RefusalReason reason);

// `text_bytes` of UTF-8 follow: one sentence for people.
struct ControlRefusal {
  static constexpr std::size_t kBytes = 24;
  static constexpr std::uint32_t kNoRule = 0xffffffff;
  static constexpr std::size_t kMostText = 255;
  RefusalReason reason = RefusalReason::kMalformed;
  std::uint8_t text_bytes = 0;
  std::uint64_t generation = 0;  // of the batch that is refused, or 0
  std::uint64_t number = 0;      // of the request that is refused, or 0
  std::uint32_t rule = kNoRule;  // the id it is about
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ControlRefusal& refusal);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ControlRefusal& refusal);

// A message as its header delimits it; `body` is a view into it. False where `message` is not exactly one of
// this version: `wrong_version` then tells whether it says another.
bool ReadControlHeader(BytesView message, ControlHeader& header, BytesView& body, bool& wrong_version);

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_CONTROL_H_
