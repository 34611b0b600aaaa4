// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DATASET_TASKS_H_
#define FOREFLOW_BINDINGS_DATASET_TASKS_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "bindings/dataset/dataset_file.h"
#include "bindings/dataset/packets.h"
#include "models/predict/sequence_features.h"

namespace foreflow::dataset {

// Rows of one source, and when each target of each row is settled (see SplitByTime).
struct Made {
  Rows rows;
  std::vector<std::vector<std::int64_t>> known_ns;
};

// One kind of prediction. README.md holds the one table of what is predicted and how its truth is computed.
class Task {
 public:
  virtual ~Task() = default;
  // Sources are given one after another; what is numbered (destinations) is numbered over all of them.
  virtual Made RowsOf(const std::vector<Packet>& packets, Nanos horizon) = 0;
  // After the last source.
  virtual Description Describe() const = 0;
};

// next-type: a sequence is a conversation, a row each of its packets.
//
//   target         | of            | truth
//   type           | this packet   | labeler.h
//   next_type      | the VM's next | labeler.h
//   next_direction | the VM's next | asks or answers, by the symbol of sequence_features.h; neither: group,
//                  |               | ICMP, ARP and such
//   next_size      | the VM's next | payload: none, below 64, 512, 1200 B, or more
//   next_gap       | the VM's next | time until it: below 0.1, 1, 10, 50, 200 ms, or more
class NextType : public Task {
 public:
  Made RowsOf(const std::vector<Packet>& packets, Nanos horizon) override;
  Description Describe() const override;
};

// next-destination: a sequence is a VM, a row each of its turns: a packet that does not go where its last one
// went. Where: destination address, protocol and the lower port (TCP, UDP). Symbols are the destinations in
// order of first appearance over all sources, from kNamed on all the same one; models are bound to the
// numbering of their data, next_rank is not.
//
//   target           | truth, of the VM's next turn
//   next_destination | the destination's symbol
//   next_rank        | how many other destinations the VM has turned to since it was last there, the present
//                    | one left out; the last class: kRanks - 1 and more, or never
class NextDestination : public Task {
 public:
  static constexpr std::size_t kNamed = 126;
  static constexpr std::size_t kRanks = 16;

  Made RowsOf(const std::vector<Packet>& packets, Nanos horizon) override;
  Description Describe() const override;

 private:
  struct KeyHash {
    std::size_t operator()(const flow::FlowKey& key) const;
  };
  std::uint32_t NumberOf(const Packet& packet);

  std::unordered_map<flow::FlowKey, std::uint32_t, KeyHash> numbers_;  // looked up only
};

// flow-size: a sequence is a flow; a row its birth and each of its first kSteps packets. A flow is a
// conversation until kSilence without a packet, or until a SYN after its end (tcp_state.h). Targets are known
// in the rows at birth and after 1, 5 and 20 packets, when the flow's end has been seen: by its state, or by
// kSilence.
//
//   target      | truth, of the whole flow, both directions
//   size        | log2 of the bytes on the wire
//   duration    | log2(1 + microseconds from the first packet to the last)
//   rate        | log2 of bits a second, over 1 ms at least
//   complexity  | templates that rewriting it takes: how many (direction, header length, TCP flags less PSH,
//               | TTL, traffic class) there are among its packets
//   criticality | share of its packets that somebody waits for: requests and responses (labeler.h)
class FlowSize : public Task {
 public:
  static constexpr std::uint32_t kSteps = 20;
  static constexpr std::uint32_t kBirthSymbol = predict::kSequenceSymbols;  // + 1 for a service below 1024
  static constexpr Nanos kSilence = Seconds(5);

  Made RowsOf(const std::vector<Packet>& packets, Nanos horizon) override;
  Description Describe() const override;
};

// next-packet: a sequence is a conversation, a row each of its packets; the truth is that of the
// conversation's next packet. Fields are typed as in ROHC (RFC 5795), against the packet before in the same
// direction; unknown for the first one of a direction, and for what the packet does not have.
//
//   target                | static      | inferred            | delta                     | random
//   field_flags           | the same    |                     |                           | else
//   field_ttl             | the same    |                     |                           | else
//   field_window          | the same    |                     | by at most 1/8 of the old | else
//   field_identification  | the same    | + 1                 | + 2 .. + 255              | else
//   field_sequence        |             | goes on where the   | within 2^16 of that       | else
//                         |             | last one ended      |                           |
//   field_acknowledgement | the same    | all that was seen   | within 2^16 of the old    | else
//                         |             | of the other side   |                           |
//
// and next_direction (same as this packet's, or other), next_size and next_gap with the classes of next-type.
class NextPacket : public Task {
 public:
  Made RowsOf(const std::vector<Packet>& packets, Nanos horizon) override;
  Description Describe() const override;
};

// The classes that tasks share.
std::vector<std::string> SizeClasses();
std::int8_t SizeClassOf(const Packet& packet);
std::vector<std::string> GapClasses();
std::int8_t GapClassOf(Nanos gap);
// The names of predict::kSequenceInputNames.
std::vector<std::string> SequenceInputNames();

// One row without targets, and its inputs.
void AddRow(const Packet& packet, std::uint32_t sequence, const predict::SequenceInputs& inputs,
            const std::array<std::uint8_t, 4>& context, Rows& rows);

}  // namespace foreflow::dataset

#endif  // FOREFLOW_BINDINGS_DATASET_TASKS_H_
