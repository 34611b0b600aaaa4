// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_LABELER_H_
#define FOREFLOW_MODELS_PREDICT_LABELER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/hash.h"
#include "models/predict/packet_type.h"

namespace foreflow::predict {

// The one table that defines the packet types. The first rule that holds labels packet p, which arrived at t
// from virtual port v. H is the horizon. The window of p is [t - H, t + H]; "data" is CarriesData; a
// conversation is flow::Canonical, and its data counts by direction.
//
//   | # | type       | rule                                                                              |
//   |---|------------|-----------------------------------------------------------------------------------|
//   | 1 | group      | addressed to a group (multicast or broadcast)                                     |
//   | 2 | idle_burst | v sent nothing in [t - H, t) (nor at t before p), and sends >= kBurstPackets more |
//   |   |            | within (t, t + H / kBurstPart] (those at t after p count)                         |
//   | 3 | control    | carries no data                                                                   |
//   | 4 | bulk       | p's direction carries >= kBulkBytes of data in the window, and a mean of          |
//   |   |            | >= kBulkMeanBytes a data packet                                                   |
//   | 5 | stream     | p's direction carries >= kStreamPackets data packets in the window and the other  |
//   |   |            | direction none                                                                    |
//   | 6 | request    | p comes from the opener of the conversation                                       |
//   | 7 | response   | everything else                                                                   |
//
// The opener is who sent the last SYN so far, or got the last SYN+ACK; where neither was seen, who sent the
// first data after the conversation had been without data for H. A request without an answer stays a request.
struct TypeRules {
  static constexpr std::uint32_t kBurstPackets = 8;
  static constexpr std::int64_t kBurstPart = 4;
  static constexpr std::uint64_t kBulkBytes = 16 * 1024;
  static constexpr std::uint64_t kBulkMeanBytes = 512;
  static constexpr std::uint32_t kStreamPackets = 4;
};

// A packet's true type, known once the packets that follow have been seen.
struct Label {
  std::uint64_t packet = 0;  // the index given to Push
  PacketType type = PacketType::kControl;
};

// Labels packets as a stream: the same object labels a whole capture and teaches the online predictor. In
// both cases: Push a packet, Pop until false; after the last packet Flush, Pop until false. Memory is bounded
// and taken at construction, 190 to 260 B for each of `max_pending` packets and 1.5 MiB beside; a packet
// costs O(1), amortised, unless somebody makes up keys whose table hashes collide (the hash is no secret).
//
// A label is resolved when a packet arrives later than `horizon` after it. When `max_pending` packets wait
// already, the oldest is resolved at once: then all windows end where the pending packets end, and a capture
// whose clock stands still is labelled in windows of `max_pending` packets.
//
// Of conversations without pending packets, the kRemembered latest keep their opener. Times that run
// backwards count as the latest time seen.
class Labeler {
 public:
  static constexpr std::uint32_t kRemembered = 4096;
  static constexpr std::uint32_t kMaxPending = 1u << 24;

  // Throws Refusal unless horizon > 0 and 1 <= max_pending <= kMaxPending.
  Labeler(Nanos horizon, std::uint32_t max_pending);

  // What a packet's conversation is found by.
  struct ConversationKey {
    flow::FlowKey canonical;
    std::uint64_t hash = 0;
    std::uint8_t direction = 0;
  };
  ConversationKey KeyOf(const flow::FlowKey& key) const;
  // Brings nearer what Push will touch, in two steps some time apart.
  void PrefetchBucket(const ConversationKey& key) const { __builtin_prefetch(&bucket_[BucketOf(key.hash)]); }
  void PrefetchConversation(const ConversationKey& key) const {
    const std::uint32_t index = bucket_[BucketOf(key.hash)];
    if (index != kNone) PrefetchConversation(index);
  }

  // Packets come in order of arrival. No allocation.
  void Push(std::uint64_t packet, const PacketSummary& summary) { Push(packet, summary, KeyOf(summary.key)); }
  // The same for a caller that holds KeyOf(summary.key) already.
  void Push(std::uint64_t packet, const PacketSummary& summary, const ConversationKey& key);
  // The next resolved label, in the order of Push; false when the next one is still open. Labels that have
  // not been popped by the next Push may be lost and are counted in lost().
  bool Pop(Label& label);
  // Resolves all that is pending: nothing follows.
  void Flush();

  std::uint64_t lost() const { return lost_; }
  // Memory in all, which does not grow.
  std::size_t bytes() const;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // One direction of a conversation. Sums since the conversation was first seen; the `resolved` part lies
  // before every window that is still open.
  struct Direction {
    std::uint64_t bytes = 0;
    std::uint64_t resolved_bytes = 0;
    std::uint32_t packets = 0;
    std::uint32_t resolved_packets = 0;
  };
  struct alignas(64) Conversation {
    flow::FlowKey key;  // canonical
    Direction direction[2];
    std::uint32_t pending = 0;  // unresolved packets that refer to it
    std::uint32_t chain = kNone;
    std::uint32_t newer = kNone;  // among those without pending packets
    std::uint32_t older = kNone;
    std::uint8_t opener = 0;
    bool opener_is_known = false;
  };
  struct Pending {
    std::uint64_t packet = 0;
    Nanos time;
    std::uint64_t bytes_before = 0;  // of its direction, before its window
    std::uint32_t packets_before = 0;
    std::uint32_t reverse_before = 0;
    std::uint32_t payload_bytes = 0;
    std::uint32_t conversation = kNone;
    std::uint32_t burst = 0;  // packets of a burst seen so far
    std::uint8_t direction = 0;
    bool is_from_opener = false;
    bool carries_data = false;
    bool is_group_addressed = false;
    bool follows_idle = false;
    PacketType type = PacketType::kControl;
  };
  struct Port {
    Nanos last;
    std::uint64_t burst_begin = UINT64_MAX;  // position of the last packet after idleness
  };

  Pending& At(std::uint64_t position) { return ring_[position & mask_]; }
  void Resolve();
  PacketType TypeOf(const Pending& pending) const;
  void NotePort(Pending& pending, flow::VmId vm);
  void NoteConversation(Pending& pending, const PacketSummary& summary, const ConversationKey& key);
  std::size_t BucketOf(std::uint64_t hash) const { return hash & (bucket_.size() - 1); }
  void PrefetchConversation(std::uint32_t index) const {
    const auto* line = reinterpret_cast<const std::uint8_t*>(&conversations_[index]);
    __builtin_prefetch(line, 1);
    __builtin_prefetch(line + 64, 1);
  }
  std::uint32_t FindOrAdd(const ConversationKey& key);
  std::uint32_t TakeConversation();
  void Unlink(std::uint32_t index);

  Nanos horizon_;
  std::uint32_t max_pending_;
  KeyHasher hash_;
  Nanos now_;
  // Positions count pushed packets: popped <= resolved <= pushed.
  std::uint64_t popped_ = 0;
  std::uint64_t resolved_ = 0;
  std::uint64_t pushed_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t mask_;
  std::vector<Pending> ring_;
  std::vector<Conversation> conversations_;
  std::vector<std::uint32_t> bucket_;
  std::uint32_t used_ = 0;
  std::uint32_t newest_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::vector<Port> ports_;  // by VmId
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_LABELER_H_
