// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/prediction_tag.h"

#include <cstring>

#include "models/crypto/keyed_hash_lanes.h"
#include "models/rules/key_words.h"

namespace foreflow::tag {
namespace {

constexpr std::size_t kMessageBytes = kTagFieldBytes + sizeof(flow::FlowKey) + 4;
// SipHash works on 8 B words and adds one that holds the length.
constexpr std::uint32_t kMacWords = kMessageBytes / 8 + 1;
static_assert(kMessageBytes % 8 == 0 && kTagFieldBytes == 12 && rules::kKeyWords == 5, "see MessageOf");

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

using Message = std::array<std::uint64_t, kMessageBytes / 8>;

// A flow key's last word with its three 16-bit fields in network order.
std::uint64_t LastWordInNetworkOrder(std::uint64_t word) {
  constexpr std::uint64_t kLowBytes = 0x000000ff00ff00ff;
  constexpr std::uint64_t kRest = 0xffff000000000000;
  return (word & kLowBytes) << 8 | (word >> 8 & kLowBytes) | (word & kRest);
}

// What the MAC is over: fields, flow key and length in network order, as little-endian words.
Message MessageOf(const TagMac& mac) {
  std::uint64_t fields;
  std::uint32_t last_field;
  std::memcpy(&fields, mac.fields, sizeof(fields));
  std::memcpy(&last_field, mac.fields + sizeof(fields), sizeof(last_field));
  const rules::KeyWords key = rules::WordsOf(*mac.packet);
  const std::uint64_t last = LastWordInNetworkOrder(key[4]);
  return {fields,
          last_field | key[0] << 32,
          key[0] >> 32 | key[1] << 32,
          key[1] >> 32 | key[2] << 32,
          key[2] >> 32 | key[3] << 32,
          key[3] >> 32 | last << 32,
          last >> 32 | std::uint64_t{__builtin_bswap32(mac.wire_bytes)} << 32};
}

void ComputeOne(TagMac& mac) {
  const Message message = MessageOf(mac);
  mac.value =
      crypto::KeyedHash(*mac.key, {reinterpret_cast<const std::uint8_t*>(message.data()), kMessageBytes});
}

// Lanes without a MAC hash zeros.
void ComputeUpToLanes(TagMac* const* macs, std::size_t count) {
  std::array<crypto::LaneWords, 2> key;
  std::array<crypto::LaneWords, kMessageBytes / 8> words;
  for (std::size_t lane = 0; lane < count; ++lane) {
    const Message message = MessageOf(*macs[lane]);
    for (std::size_t word = 0; word < message.size(); ++word) words[word].lane[lane] = message[word];
    std::memcpy(&key[0].lane[lane], macs[lane]->key->data(), 8);
    std::memcpy(&key[1].lane[lane], macs[lane]->key->data() + 8, 8);
  }
  crypto::LaneWords value;
  crypto::KeyedHashLanes(key.data(), words.data(), words.size(), value);
  for (std::size_t lane = 0; lane < count; ++lane) macs[lane]->value = value.lane[lane];
}

std::uint64_t Get64(const std::uint8_t* in) { return std::uint64_t{Get32(in)} << 32 | Get32(in + 4); }

}  // namespace

void ComputeMacs(TagMac* const* macs, std::size_t count) {
  std::array<TagMac*, crypto::kHashLanes> wanted;
  std::size_t size = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (macs[i]->key == nullptr) continue;
    wanted[size++] = macs[i];
    if (size < wanted.size()) continue;
    ComputeUpToLanes(wanted.data(), size);
    size = 0;
  }
  if (size == 1) {
    ComputeOne(*wanted[0]);
  } else if (size > 1) {
    ComputeUpToLanes(wanted.data(), size);
  }
}

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
  out12[7] = tag.covers;
  Put32(out12 + 8, tag.sequence);
}

bool Decode(BytesView in, PredictionTag& tag) {
  if (in.size < kTagFieldBytes) return false;
  if (in.data[0] != PredictionTag::kVersion || in.data[1] >= predict::kPacketTypes) return false;
  tag.version = in.data[0];
  tag.type = static_cast<predict::PacketType>(in.data[1]);
  tag.confidence = Get16(in.data + 2);
  tag.vm = Get16(in.data + 4);
  tag.epoch = in.data[6];
  tag.covers = in.data[7];
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
  SealedTag sealed;
  TagMac mac;
  Begin(vm, type, confidence, packet, wire_bytes, sealed, mac, work);
  TagMac* const macs[] = {&mac};
  ComputeMacs(macs, 1);
  Finish(mac, sealed);
  return sealed;
}

void TagSealer::Begin(flow::VmId vm, predict::PacketType type, std::uint16_t confidence,
                      const flow::FlowKey& packet, std::uint32_t wire_bytes, SealedTag& sealed, TagMac& mac,
                      Work& work, std::uint8_t covers) {
  sealed = {};
  mac.key = nullptr;
  if (vm >= vms_.size() || vms_[vm].last_sequence == UINT32_MAX) return;
  Vm& state = vms_[vm];
  PredictionTag tag;
  tag.type = type;
  tag.confidence = confidence;
  tag.vm = vm;
  tag.epoch = static_cast<std::uint8_t>(state.epoch);
  tag.covers = covers;
  tag.sequence = ++state.last_sequence;
  Encode(tag, sealed.data());
  mac = {&state.key, sealed.data(), &packet, wire_bytes, 0};
  work.Add(WorkItem::kMacWord, kMacWords);
}

void TagSealer::Finish(const TagMac& mac, SealedTag& sealed) {
  if (mac.key == nullptr) return;
  Put32(sealed.data() + kTagFieldBytes, static_cast<std::uint32_t>(mac.value >> 32));
  Put32(sealed.data() + kTagFieldBytes + 4, static_cast<std::uint32_t>(mac.value));
}

void TagSealer::Rotate(flow::VmId vm) {
  if (vm >= vms_.size()) return;
  Vm& state = vms_[vm];
  ++state.epoch;
  state.key = TagKey(master_, vm, state.epoch);
  state.last_sequence = 0;
}

bool TagSealer::RotateKeys(std::uint64_t epoch, const crypto::Key128& master) {
  for (const Vm& vm : vms_) {
    if (epoch <= vm.epoch) return false;
  }
  master_ = master;
  for (std::size_t vm = 0; vm < vms_.size(); ++vm) {
    vms_[vm] = Vm{TagKey(master_, static_cast<flow::VmId>(vm), epoch), epoch, 0};
  }
  return true;
}

TagChecker::TagChecker(const crypto::Key128& master, std::size_t vms, Nanos replay_window)
    : master_(master), replay_window_(replay_window), vms_(vms + 1) {
  for (std::size_t vm = 0; vm <= vms; ++vm) {
    vms_[vm].current.key = TagKey(master_, static_cast<flow::VmId>(vm), 0);
  }
}

bool TagChecker::Window::Accept(std::uint32_t sequence, Nanos now, Nanos span) {
  if (now - marked >= span) {
    floor = next_floor;
    next_floor = highest;
    marked = now;
  }
  if (sequence <= floor) return false;
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
  Pending pending;
  Begin(sealed, packet, wire_bytes, pending, work);
  TagMac* const macs[] = {&pending.mac};
  ComputeMacs(macs, 1);
  return Finish(pending, sealed, tag, work);
}

TagChecker::Epoch* TagChecker::EpochOf(const PredictionTag& claimed) {
  Vm& state = vms_[claimed.vm];
  if (claimed.epoch == static_cast<std::uint8_t>(state.epoch)) return &state.current;
  const bool is_previous = claimed.epoch == static_cast<std::uint8_t>(state.previous_epoch);
  return is_previous && now_ < state.previous_until ? &state.previous : nullptr;
}

void TagChecker::Begin(const SealedTag* sealed, const flow::FlowKey& packet, std::uint32_t wire_bytes,
                       Pending& pending, Work& work) {
  pending.mac.key = nullptr;
  pending.status = TagStatus::kAbsent;
  if (sealed == nullptr) return;
  pending.status = TagStatus::kForged;
  pending.is_read = Decode({sealed->data(), kTagFieldBytes}, pending.claimed);
  if (!pending.is_read) return;
  pending.status = TagStatus::kWrongVm;
  if (pending.claimed.vm != packet.vm || pending.claimed.vm >= vms_.size()) return;
  pending.status = TagStatus::kStale;
  const Epoch* epoch = EpochOf(pending.claimed);
  if (epoch == nullptr) return;
  pending.status = TagStatus::kValid;
  pending.mac = {&epoch->key, sealed->data(), &packet, wire_bytes, 0};
  work.Add(WorkItem::kMacWord, kMacWords);
}

TagStatus TagChecker::Finish(const Pending& pending, const SealedTag* sealed, PredictionTag& tag,
                             Work& work) {
  if (pending.status != TagStatus::kValid) return pending.status;
  // One word: there is no first byte that differs to be timed.
  if (Get64(sealed->data() + kTagFieldBytes) != pending.mac.value) return TagStatus::kForged;
  work.Add(WorkItem::kUpdate);
  if (!EpochOf(pending.claimed)->window.Accept(pending.claimed.sequence, now_, replay_window_))
    return TagStatus::kReplayed;
  tag = pending.claimed;
  return TagStatus::kValid;
}

void TagChecker::Begin(Vm& vm, flow::VmId id, std::uint64_t epoch, Nanos until) {
  vm.previous = vm.current;
  vm.previous_epoch = vm.epoch;
  vm.previous_until = until;
  vm.epoch = epoch;
  vm.current = Epoch{TagKey(master_, id, epoch), Window{}};
}

void TagChecker::Rotate(flow::VmId vm) {
  if (vm < vms_.size()) Begin(vms_[vm], vm, vms_[vm].epoch + 1, Nanos(INT64_MAX));
}

bool TagChecker::RotateKeys(std::uint64_t epoch, const crypto::Key128& master, Nanos until) {
  for (const Vm& vm : vms_) {
    if (epoch <= vm.epoch) return false;
  }
  master_ = master;
  for (std::size_t vm = 0; vm < vms_.size(); ++vm) Begin(vms_[vm], static_cast<flow::VmId>(vm), epoch, until);
  return true;
}

}  // namespace foreflow::tag
