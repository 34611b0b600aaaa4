// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/retransmission_buffer.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::shard {
namespace {

const RetransmissionConfig& Checked(const RetransmissionConfig& config) {
  const auto refuse = [](const char* key, std::uint64_t value, const char* allowed) {
    throw Refusal("retransmission buffer", key, std::to_string(value), allowed);
  };
  const auto is_power = [](std::size_t value) { return value != 0 && (value & (value - 1)) == 0; };
  if (!is_power(config.numbers) || config.numbers < 64 || config.numbers > (1u << 20))
    refuse("numbers", config.numbers, "a power of two, 64 .. 1048576");
  if (!is_power(config.packets) || config.packets > config.numbers)
    refuse("packets", config.packets, "a power of two, 1 .. numbers");
  if (config.resends > 15) refuse("resends", config.resends, "0 .. 15");
  if (config.resend_share > 65'536) refuse("resend_share", config.resend_share, "0 .. 65536");
  if (config.resend_burst > std::uint64_t{1} << 40) refuse("resend_burst", config.resend_burst, "0 .. 2^40");
  if (config.keep.count() <= 0)
    throw Refusal("retransmission buffer", "keep", std::to_string(config.keep.count()) + " ns",
                  "1 ns or more");
  return config;
}

}  // namespace

const char* Name(AskVerdict verdict) {
  static constexpr std::array<const char*, kAskVerdicts> kNames = {
      "resend", "unknown", "received", "released", "repeated", "too_often", "over_budget"};
  const auto index = static_cast<std::size_t>(verdict);
  return index < kNames.size() ? kNames[index] : nullptr;
}

RetransmissionBuffer::RetransmissionBuffer(const RetransmissionConfig& config)
    : config_(Checked(config)),
      records_(config.numbers),
      packets_(config.packets),
      budget_(config.resend_burst << 16) {}

RetransmissionBuffer::Packet RetransmissionBuffer::Hold(const PacketCut& cut, FragmentHandle handle,
                                                        Nanos now, PacketSink& sink, Work& work) {
  work.Add(WorkItem::kUpdate);
  const Packet packet = next_++;
  Held& held = packets_[packet & (packets_.size() - 1)];
  if (held.is_held) Release(held, sink);
  held = {};
  held.cut = cut;
  held.handle = handle;
  held.since = now;
  held.is_held = true;
  ++held_;
  return packet;
}

void RetransmissionBuffer::OnSent(std::uint64_t number, SentKind kind, Packet packet, std::size_t index,
                                  std::size_t bytes, Nanos now, Work& work, unsigned path) {
  work.Add(WorkItem::kUpdate);
  Record& record = RecordOf(number);
  record.number = number;
  record.packet = packet;
  record.at = now;
  record.bytes = static_cast<std::uint16_t>(std::min<std::size_t>(bytes, 65'535));
  record.index = static_cast<std::uint8_t>(index);
  record.path = static_cast<std::uint8_t>(path);
  record.kind = kind;
  record.is_received = record.was_sent_again = false;
  next_number_ = number + 1;
  const Held* const held = kind == SentKind::kFragment ? HeldOf(packet) : nullptr;
  if (held != nullptr && number != held->cut.base + index) {
    resent_bytes_ += bytes;
    return;
  }
  sent_bytes_ += bytes;
  const std::uint64_t most = config_.resend_burst << 16;
  budget_ = std::min(most, budget_ + bytes * config_.resend_share);
}

const RetransmissionBuffer::Held* RetransmissionBuffer::HeldOf(Packet packet) const {
  const Held& held = packets_[packet & (packets_.size() - 1)];
  return packet < next_ && next_ - packet <= packets_.size() && held.is_held ? &held : nullptr;
}

RetransmissionBuffer::Sent RetransmissionBuffer::Find(std::uint64_t number) const {
  const Record& record = RecordOf(number);
  if (record.number != number) return {};
  return {record.kind, record.path, record.bytes, record.at, record.is_received};
}

bool RetransmissionBuffer::OnReceived(std::uint64_t number, PacketSink& sink, Work& work) {
  work.Add(WorkItem::kProbe);
  Record& record = RecordOf(number);
  if (record.number != number || record.is_received) return false;
  record.is_received = true;
  if (record.kind != SentKind::kFragment) return true;
  Held* const held = HeldOf(record.packet);
  if (held == nullptr) return true;
  held->received |= std::uint64_t{1} << record.index;
  if (held->received == ~std::uint64_t{0} >> (64 - held->cut.total)) Release(*held, sink);
  return true;
}

AskVerdict RetransmissionBuffer::Judge(Record& record, std::uint64_t number, Nanos round_trip, Nanos now,
                                       Resend& resend) {
  if (record.number != number || record.kind != SentKind::kFragment) return AskVerdict::kUnknown;
  if (record.is_received) return AskVerdict::kReceived;
  Held* const held = HeldOf(record.packet);
  if (held == nullptr) return AskVerdict::kReleased;
  if ((held->received >> record.index & 1) != 0) return AskVerdict::kReceived;
  if (record.was_sent_again && now - record.at < round_trip) return AskVerdict::kRepeated;
  if (held->resends >= config_.resends * held->cut.total) return AskVerdict::kTooOften;
  const std::uint64_t cost = std::uint64_t{record.bytes} << 16;
  if (budget_ < cost) return AskVerdict::kOverBudget;
  budget_ -= cost;
  ++held->resends;
  record.was_sent_again = true;
  record.at = now;
  resend.packet = record.packet;
  resend.cut = held->cut;
  resend.index = record.index;
  resend.handle = held->handle;
  return AskVerdict::kResend;
}

AskVerdict RetransmissionBuffer::Ask(std::uint64_t number, Nanos round_trip, Nanos now, Resend& resend,
                                     Work& work) {
  work.Add(WorkItem::kProbe);
  const AskVerdict verdict = Judge(RecordOf(number), number, round_trip, now, resend);
  ++asked_[static_cast<std::size_t>(verdict)];
  return verdict;
}

bool RetransmissionBuffer::TailProbe(Nanos patience, Nanos now, Resend& resend, Work& work) {
  if (next_number_ == 0 || held_ == 0) return false;
  const std::uint64_t last = next_number_ - 1;
  if (RecordOf(last).number != last || now - RecordOf(last).at < patience) return false;
  // No further back than a packet's fragments: what is before leaves a gap, and is asked for.
  for (std::size_t back = 0; back < wire::kMostFragments && last >= probed_ + back; ++back) {
    work.Add(WorkItem::kProbe);
    Record& record = RecordOf(last - back);
    if (record.kind != SentKind::kFragment || record.is_received) continue;
    probed_ = last + 1;
    return Judge(record, last - back, Nanos(), now, resend) == AskVerdict::kResend;
  }
  return false;
}

bool RetransmissionBuffer::FindHeld(Packet packet, Resend& found) const {
  const Held* const held = HeldOf(packet);
  if (held == nullptr) return false;
  found.packet = packet;
  found.cut = held->cut;
  found.handle = held->handle;
  return true;
}

bool RetransmissionBuffer::ReleaseOldest(PacketSink& sink) {
  if (next_ > packets_.size()) oldest_ = std::max(oldest_, next_ - packets_.size());
  for (; oldest_ != next_; ++oldest_) {
    Held& held = packets_[oldest_ & (packets_.size() - 1)];
    if (!held.is_held) continue;
    Release(held, sink);
    return true;
  }
  return false;
}

void RetransmissionBuffer::Expire(Nanos now, PacketSink& sink) {
  if (next_ > packets_.size()) oldest_ = std::max(oldest_, next_ - packets_.size());
  for (; oldest_ != next_; ++oldest_) {
    Held& held = packets_[oldest_ & (packets_.size() - 1)];
    if (!held.is_held) continue;
    if (now - held.since < config_.keep) return;
    Release(held, sink);
  }
}

void RetransmissionBuffer::Clear(PacketSink& sink) {
  for (Held& held : packets_)
    if (held.is_held) Release(held, sink);
  std::fill(records_.begin(), records_.end(), Record());
  next_number_ = probed_ = 0;
}

void RetransmissionBuffer::Release(Held& held, PacketSink& sink) {
  held.is_held = false;
  --held_;
  sink.OnReleased(held.handle);
}

}  // namespace foreflow::shard
