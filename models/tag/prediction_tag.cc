// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/prediction_tag.h"

#include <algorithm>

namespace foreflow::tag {
namespace {

constexpr std::size_t kMacBytes = kTagBytes - kTagFieldBytes;
constexpr std::size_t kMessageBytes = kTagFieldBytes + sizeof(flow::FlowKey) + 4;
// SipHash works on 8 B words and adds one that holds the length.
constexpr std::uint32_t kMacWords = kMessageBytes / 8 + 1;
static_assert(kMessageBytes % 8 == 0, "kMacWords counts whole words");

void Put16(std::uint8_t* out, std::uint16_t value) {
  out[0] = static_cast<std::uint8_t>(value >> 8);
  out[1] = static_cast<std::uint8_t>(value);
}

void Put32(std::uint8_t* out, std::uint32_t value) {
  Put16(out, static_cast<std::uint16_t>(value >> 16));
  Put16(out + 2, static_cast<std::uint16_t>(value));
}

std::uint16_t Get16(const std::uint8_t* in) { return static_cast<std::uint16_t>(in[0] << 8 | in[1]); }

std::uint32_t Get32(const std::uint8_t* in) {
  return static_cast<std::uint32_t>(Get16(in)) << 16 | Get16(in + 2);
}

std::array<std::uint8_t, kMacBytes> MacOf(const crypto::Key128& key, const std::uint8_t* fields,
                                          const flow::FlowKey& packet, std::uint32_t wire_bytes, Work& work) {
  std::array<std::uint8_t, kMessageBytes> message;
  std::uint8_t* out = std::copy_n(fields, kTagFieldBytes, message.begin());
  out = std::copy(packet.source_address.begin(), packet.source_address.end(), out);
  out = std::copy(packet.destination_address.begin(), packet.destination_address.end(), out);
  Put16(out, packet.source_port);
  Put16(out + 2, packet.destination_port);
  Put16(out + 4, packet.vm);
  out[6] = packet.ip_protocol;
  out[7] = packet.l3;
  Put32(out + 8, wire_bytes);
  work.Add(WorkItem::kMacWord, kMacWords);
  const std::uint64_t hash = crypto::KeyedHash(key, {message.data(), message.size()});
  std::array<std::uint8_t, kMacBytes> mac;
  Put32(mac.data(), static_cast<std::uint32_t>(hash >> 32));
  Put32(mac.data() + 4, static_cast<std::uint32_t>(hash));
  return mac;
}

}  // namespace

const char* Name(TagStatus status) {
  static constexpr std::array<const char*, static_cast<std::size_t>(TagStatus::kCount)> kNames = {
      "absent", "valid", "forged", "replayed", "stale", "wrong_vm"};
  const auto index = static_cast<std::size_t>(status);
  return index < kNames.size() ? kNames[index] : nullptr;
}

void Encode(const PredictionTag& tag, std::uint8_t* out12) {
  out12[0] = tag.version;
  out12[1] = static_cast<std::uint8_t>(tag.type);
  Put16(out12 + 2, tag.confidence);
  Put16(out12 + 4, tag.vm);
  out12[6] = tag.epoch;
  out12[7] = 0;
  Put32(out12 + 8, tag.sequence);
}

bool Decode(BytesView in, PredictionTag& tag) {
  if (in.size < kTagFieldBytes) return false;
  if (in.data[0] != PredictionTag::kVersion || in.data[1] >= predict::kPacketTypes || in.data[7] != 0)
    return false;
  tag.version = in.data[0];
  tag.type = static_cast<predict::PacketType>(in.data[1]);
  tag.confidence = Get16(in.data + 2);
  tag.vm = Get16(in.data + 4);
  tag.epoch = in.data[6];
  tag.sequence = Get32(in.data + 8);
  return true;
}

crypto::Key128 TagKey(const crypto::Key128& master, flow::VmId vm, std::uint64_t epoch) {
  return crypto::DeriveKey(master, "tag-mac1", std::uint64_t{vm} << 48 | (epoch & 0xffffffffffffu));
}

TagSealer::TagSealer(const crypto::Key128& master, std::size_t vms) : master_(master), vms_(vms + 1) {
  for (std::size_t vm = 0; vm <= vms; ++vm) vms_[vm].key = TagKey(master_, static_cast<flow::VmId>(vm), 0);
}

SealedTag TagSealer::Seal(flow::VmId vm, predict::PacketType type, std::uint16_t confidence,
                          const flow::FlowKey& packet, std::uint32_t wire_bytes, Work& work) {
  SealedTag sealed{};
  if (vm >= vms_.size() || vms_[vm].last_sequence == UINT32_MAX) return sealed;
  Vm& state = vms_[vm];
  PredictionTag tag;
  tag.type = type;
  tag.confidence = confidence;
  tag.vm = vm;
  tag.epoch = static_cast<std::uint8_t>(state.epoch);
  tag.sequence = ++state.last_sequence;
  Encode(tag, sealed.data());
  const auto mac = MacOf(state.key, sealed.data(), packet, wire_bytes, work);
  std::copy(mac.begin(), mac.end(), sealed.begin() + kTagFieldBytes);
  return sealed;
}

void TagSealer::Rotate(flow::VmId vm) {
  if (vm >= vms_.size()) return;
  Vm& state = vms_[vm];
  ++state.epoch;
  state.key = TagKey(master_, vm, state.epoch);
  state.last_sequence = 0;
}

TagChecker::TagChecker(const crypto::Key128& master, std::size_t vms) : master_(master), vms_(vms + 1) {
  for (std::size_t vm = 0; vm <= vms; ++vm) {
    vms_[vm].current.key = TagKey(master_, static_cast<flow::VmId>(vm), 0);
  }
}

bool TagChecker::Window::Accept(std::uint32_t sequence) {
  if (sequence > highest) {
    const std::uint32_t ahead = sequence - highest;
    seen = ahead < 64 ? seen << ahead | 1 : 1;
    highest = sequence;
    return true;
  }
  const std::uint32_t behind = highest - sequence;
  if (behind >= 64 || ((seen >> behind) & 1) != 0) return false;
  seen |= std::uint64_t{1} << behind;
  return true;
}

TagStatus TagChecker::Check(const SealedTag* sealed, const flow::FlowKey& packet, std::uint32_t wire_bytes,
                            PredictionTag& tag, Work& work) {
  if (sealed == nullptr) return TagStatus::kAbsent;
  PredictionTag claimed;
  if (!Decode({sealed->data(), kTagFieldBytes}, claimed)) return TagStatus::kForged;
  if (claimed.vm != packet.vm || claimed.vm >= vms_.size()) return TagStatus::kWrongVm;
  Vm& state = vms_[claimed.vm];
  Epoch* epoch = nullptr;
  if (claimed.epoch == static_cast<std::uint8_t>(state.epoch)) {
    epoch = &state.current;
  } else if (state.epoch > 0 && claimed.epoch == static_cast<std::uint8_t>(state.epoch - 1)) {
    epoch = &state.previous;
  } else {
    return TagStatus::kStale;
  }
  const auto mac = MacOf(epoch->key, sealed->data(), packet, wire_bytes, work);
  if (!crypto::EqualConstantTime({sealed->data() + kTagFieldBytes, kMacBytes}, {mac.data(), mac.size()})) {
    return TagStatus::kForged;
  }
  work.Add(WorkItem::kUpdate);
  if (!epoch->window.Accept(claimed.sequence)) return TagStatus::kReplayed;
  tag = claimed;
  return TagStatus::kValid;
}

void TagChecker::Rotate(flow::VmId vm) {
  if (vm >= vms_.size()) return;
  Vm& state = vms_[vm];
  state.previous = state.current;
  ++state.epoch;
  state.current = Epoch{TagKey(master_, vm, state.epoch), Window{}};
}

}  // namespace foreflow::tag
