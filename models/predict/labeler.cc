// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/labeler.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"
#include "models/predict/ip_numbers.h"

namespace foreflow::predict {
namespace {

constexpr std::uint64_t kFetchAhead =
    8;  // pending packets whose conversations are on their way into the cache
constexpr std::uint64_t kHashSeed = 0x6c6162656c657231;

std::uint64_t PowerOfTwoAbove(std::uint64_t value) {
  std::uint64_t power = 1;
  while (power <= value) power *= 2;
  return power;
}

// later - earlier without overflow; `later` >= `earlier`.
std::uint64_t Elapsed(Nanos earlier, Nanos later) {
  return static_cast<std::uint64_t>(later.count()) - static_cast<std::uint64_t>(earlier.count());
}

bool IsTcpSyn(const PacketSummary& packet) {
  return packet.key.ip_protocol == kProtocolTcp && (packet.tcp_flags & kTcpSyn) != 0;
}

}  // namespace

Labeler::Labeler(Nanos horizon, std::uint32_t max_pending)
    : horizon_(horizon), max_pending_(max_pending), hash_(kHashSeed), now_(Nanos(INT64_MIN)) {
  if (horizon.count() <= 0) {
    throw Refusal("labeler", "horizon in ns", std::to_string(horizon.count()), "1 and more");
  }
  if (max_pending == 0 || max_pending > kMaxPending) {
    throw Refusal("labeler", "max_pending", std::to_string(max_pending), "1.." + std::to_string(kMaxPending));
  }
  ring_.resize(PowerOfTwoAbove(max_pending));
  mask_ = ring_.size() - 1;
  conversations_.resize(std::size_t{max_pending} + kRemembered);
  bucket_.assign(PowerOfTwoAbove(conversations_.size()), kNone);
  ports_.resize(std::size_t{UINT16_MAX} + 1);
}

Labeler::ConversationKey Labeler::KeyOf(const flow::FlowKey& key) const {
  ConversationKey conversation;
  bool swapped = false;
  conversation.canonical = flow::Canonical(key, swapped);
  conversation.hash = hash_(&conversation.canonical);
  conversation.direction = swapped ? 1 : 0;
  return conversation;
}

void Labeler::Push(std::uint64_t packet, const PacketSummary& summary, const ConversationKey& key) {
  now_ = std::max(now_, summary.arrival, [](Nanos a, Nanos b) { return a < b; });
  const auto horizon = static_cast<std::uint64_t>(horizon_.count());
  while (resolved_ < pushed_ && Elapsed(At(resolved_).time, now_) > horizon) Resolve();
  if (pushed_ - resolved_ == max_pending_) Resolve();
  if (pushed_ - popped_ == ring_.size()) {
    ++popped_;
    ++lost_;
  }

  Pending& pending = At(pushed_);
  pending = Pending{};
  pending.packet = packet;
  pending.time = now_;
  pending.payload_bytes = summary.payload_bytes;
  pending.is_group_addressed = summary.is_group_addressed;
  pending.carries_data = CarriesData(summary);
  NotePort(pending, summary.key.vm);
  if (!summary.is_group_addressed && (pending.carries_data || IsTcpSyn(summary))) {
    NoteConversation(pending, summary, key);
  }
  ++pushed_;
}

bool Labeler::Pop(Label& label) {
  if (popped_ == resolved_) return false;
  const Pending& pending = At(popped_);
  label.packet = pending.packet;
  label.type = pending.type;
  ++popped_;
  return true;
}

void Labeler::Flush() {
  while (resolved_ < pushed_) Resolve();
}

std::size_t Labeler::bytes() const {
  return sizeof(*this) + ring_.size() * sizeof(Pending) + conversations_.size() * sizeof(Conversation) +
         bucket_.size() * sizeof(bucket_[0]) + ports_.size() * sizeof(Port);
}

// Labels the oldest pending packet: every packet seen since lies within its window.
void Labeler::Resolve() {
  const std::uint64_t soon = resolved_ + kFetchAhead;
  __builtin_prefetch(&At(soon + kFetchAhead), 1);
  if (soon < pushed_ && At(soon).conversation != kNone) PrefetchConversation(At(soon).conversation);
  Pending& pending = At(resolved_);
  pending.type = TypeOf(pending);
  ++resolved_;
  if (pending.conversation == kNone) return;

  Conversation& conversation = conversations_[pending.conversation];
  if (pending.carries_data) {
    Direction& direction = conversation.direction[pending.direction];
    direction.resolved_bytes += pending.payload_bytes;
    ++direction.resolved_packets;
  }
  if (--conversation.pending > 0) return;
  conversation.newer = kNone;
  conversation.older = newest_;
  if (newest_ != kNone) conversations_[newest_].newer = pending.conversation;
  newest_ = pending.conversation;
  if (oldest_ == kNone) oldest_ = pending.conversation;
}

PacketType Labeler::TypeOf(const Pending& pending) const {
  if (pending.is_group_addressed) return PacketType::kGroup;
  if (pending.follows_idle && pending.burst >= TypeRules::kBurstPackets) return PacketType::kIdleBurst;
  if (!pending.carries_data) return PacketType::kControl;

  const Conversation& conversation = conversations_[pending.conversation];
  const Direction& own = conversation.direction[pending.direction];
  const Direction& other = conversation.direction[1 - pending.direction];
  const std::uint64_t bytes = own.bytes - pending.bytes_before;
  const std::uint32_t packets = own.packets - pending.packets_before;
  if (bytes >= TypeRules::kBulkBytes && bytes >= TypeRules::kBulkMeanBytes * packets)
    return PacketType::kBulk;
  if (packets >= TypeRules::kStreamPackets && other.packets == pending.reverse_before) {
    return PacketType::kStream;
  }
  return pending.is_from_opener ? PacketType::kRequest : PacketType::kResponse;
}

void Labeler::NotePort(Pending& pending, flow::VmId vm) {
  Port& port = ports_[vm];
  const bool was_seen = port.burst_begin != UINT64_MAX;
  pending.follows_idle = !was_seen || Elapsed(port.last, now_) > static_cast<std::uint64_t>(horizon_.count());
  port.last = now_;
  if (pending.follows_idle) {
    port.burst_begin = pushed_;
  } else if (port.burst_begin >= resolved_) {
    Pending& begin = At(port.burst_begin);
    const auto window = static_cast<std::uint64_t>(horizon_.count() / TypeRules::kBurstPart);
    if (Elapsed(begin.time, now_) <= window) ++begin.burst;
  }
}

void Labeler::NoteConversation(Pending& pending, const PacketSummary& summary, const ConversationKey& key) {
  pending.direction = key.direction;
  pending.conversation = FindOrAdd(key);
  Conversation& conversation = conversations_[pending.conversation];
  ++conversation.pending;
  Direction& own = conversation.direction[pending.direction];
  const Direction& other = conversation.direction[1 - pending.direction];

  if (IsTcpSyn(summary)) {
    const bool answers = (summary.tcp_flags & kTcpAck) != 0;
    conversation.opener = answers ? static_cast<std::uint8_t>(1 - pending.direction) : pending.direction;
    conversation.opener_is_known = true;
  } else if (!conversation.opener_is_known && own.packets == own.resolved_packets &&
             other.packets == other.resolved_packets) {
    conversation.opener = pending.direction;
  }
  pending.is_from_opener = pending.direction == conversation.opener;

  if (!pending.carries_data) return;
  pending.bytes_before = own.resolved_bytes;
  pending.packets_before = own.resolved_packets;
  pending.reverse_before = other.resolved_packets;
  own.bytes += summary.payload_bytes;
  ++own.packets;
}

std::uint32_t Labeler::FindOrAdd(const ConversationKey& key) {
  std::uint32_t& bucket = bucket_[BucketOf(key.hash)];
  for (std::uint32_t index = bucket; index != kNone; index = conversations_[index].chain) {
    if (conversations_[index].key != key.canonical) continue;
    if (conversations_[index].pending == 0) Unlink(index);
    return index;
  }
  const std::uint32_t index = TakeConversation();
  Conversation& conversation = conversations_[index];
  conversation = Conversation{};
  conversation.key = key.canonical;
  // `bucket` is read only now: forgetting another conversation may have changed it.
  conversation.chain = bucket;
  bucket = index;
  return index;
}

// A free conversation, or the one without pending packets that was last seen longest ago. There is always
// one: at most max_pending - 1 have pending packets here.
std::uint32_t Labeler::TakeConversation() {
  if (used_ < conversations_.size()) return used_++;
  const std::uint32_t index = oldest_;
  Unlink(index);
  std::uint32_t* link = &bucket_[BucketOf(hash_(&conversations_[index].key))];
  while (*link != index) link = &conversations_[*link].chain;
  *link = conversations_[index].chain;
  return index;
}

void Labeler::Unlink(std::uint32_t index) {
  const Conversation& conversation = conversations_[index];
  (conversation.newer == kNone ? newest_ : conversations_[conversation.newer].older) = conversation.older;
  (conversation.older == kNone ? oldest_ : conversations_[conversation.older].newer) = conversation.newer;
}

}  // namespace foreflow::predict
