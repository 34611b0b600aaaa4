// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_TEST_PAIR_H_
#define FOREFLOW_MODELS_SHARD_TEST_PAIR_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "models/base/rng.h"
#include "models/shard/opener.h"
#include "models/shard/reassembler.h"
#include "models/shard/repair.h"
#include "models/shard/sharder.h"

namespace foreflow::shard {

using Raw = std::vector<std::uint8_t>;

inline BytesView View(const Raw& bytes) { return {bytes.data(), bytes.size()}; }

inline std::array<std::uint8_t, 32> TestKey(std::uint8_t which) {
  std::array<std::uint8_t, 32> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(which * 37 + i);
  return key;
}
constexpr crypto::AeadAlgorithm kTestCipher = crypto::AeadAlgorithm::kChaCha20Poly1305;

inline Raw RandomPacket(Rng& rng, std::size_t bytes) {
  Raw packet(bytes);
  for (std::uint8_t& byte : packet) byte = static_cast<std::uint8_t>(rng.Next32());
  return packet;
}

// The sending end: all fragments of a packet as datagrams.
class TestSender {
 public:
  explicit TestSender(std::uint32_t session, bool has_uuid = false) : sharder(session, has_uuid) {
    Install(0);
  }
  void Install(std::uint8_t epoch) { sharder.keys().Install(epoch, kTestCipher, TestKey(epoch).data()); }

  PacketCut Split(const Raw& packet, std::size_t most_bytes, Nanos now, std::vector<Raw>& out) {
    const PacketCut cut = sharder.Cut(packet.size(), most_bytes);
    for (std::size_t i = 0; i < cut.total; ++i) {
      Raw datagram(2048 + cut.unit());
      datagram.resize(sharder.Seal(cut, i, View(packet), now, {datagram.data(), datagram.size()}, work));
      out.push_back(std::move(datagram));
    }
    return cut;
  }
  std::optional<Raw> Again(const PacketCut& cut, std::size_t index, const Raw& packet, Nanos now) {
    Raw datagram(2048 + cut.unit());
    datagram.resize(
        sharder.SealAgain(cut, index, View(packet), now, {datagram.data(), datagram.size()}, work));
    return datagram.empty() ? std::nullopt : std::optional(std::move(datagram));
  }
  std::optional<Raw> Repair(const PacketCut& cut, const Raw& packet, Nanos now) {
    Raw datagram(2048 + cut.unit());
    datagram.resize(sharder.SealRepair(cut, View(packet), now, {datagram.data(), datagram.size()}, work));
    return datagram.empty() ? std::nullopt : std::optional(std::move(datagram));
  }

  Sharder sharder;
  Work work;
};

// The receiving end, which owns the fragments' bytes: each handle is given out once and comes back once.
class TestReceiver final : public FragmentSink {
 public:
  TestReceiver(const OpenerConfig& opening, const ReassemblerConfig& holding)
      : opener(opening), reassembler(holding) {}

  void Begin(std::uint32_t session, std::initializer_list<std::uint8_t> epochs = {0}) {
    opener.Begin(session);
    for (const std::uint8_t epoch : epochs) Install(session, epoch);
  }
  void Install(std::uint32_t session, std::uint8_t epoch) {
    opener.keys(session)->Install(epoch, kTestCipher, TestKey(epoch).data());
  }

  struct Result {
    OpenStatus status = OpenStatus::kMalformed;
    std::optional<FragmentFate> fate;
    std::optional<Raw> packet;  // made whole by this fragment
    wire::ShardMessage message;
  };
  Result Input(Raw datagram, Nanos now, std::uint8_t ecn = 0) {
    Result result;
    reassembler.Expire(now, *this, work);
    result.status = opener.Open({datagram.data(), datagram.size()}, now, result.message, work);
    ++opened[static_cast<std::size_t>(result.status)];
    const wire::ShardMessage& message = result.message;
    if (result.status != OpenStatus::kOpened) return result;
    if (message.header.type != wire::ShardType::kData && message.header.type != wire::ShardType::kRepair)
      return result;
    ArrivedFragment fragment;
    fragment.session = opener.IndexOf(message.header.session);
    fragment.base = message.base();
    fragment.header = message.fragment;
    fragment.is_repair = message.header.type == wire::ShardType::kRepair;
    fragment.epoch = message.header.epoch;
    fragment.ecn = ecn;
    fragment.handle = next_handle_++;
    bytes_[fragment.handle] = Raw(message.sealed.begin(), message.sealed.end());
    WholePacket whole;
    result.fate = reassembler.Input(fragment, now, whole, *this, work);
    if (*result.fate == FragmentFate::kDelivered) result.packet = Join(whole);
    const bool is_kept = *result.fate == FragmentFate::kHeld || *result.fate == FragmentFate::kDelivered ||
                         *result.fate == FragmentFate::kEcnMixed;
    if (!is_kept) bytes_.erase(fragment.handle);
    most_held = std::max(most_held, reassembler.held());
    return result;
  }
  void OnDropped(FragmentHandle fragment, FragmentFate) override {
    if (bytes_.erase(fragment) != 1) ++wrong_handles;
  }
  std::uint64_t Count(FragmentFate fate) const {
    return reassembler.counts()[static_cast<std::size_t>(fate)];
  }
  std::uint64_t Count(OpenStatus status) const { return opened[static_cast<std::size_t>(status)]; }
  // Handles that are out: as many as are held, and none came back twice.
  bool IsSound() const { return wrong_handles == 0 && bytes_.size() == reassembler.held(); }

  Opener opener;
  Reassembler reassembler;
  Work work;
  std::array<std::uint64_t, kOpenStatuses> opened{};
  std::size_t most_held = 0;
  std::size_t wrong_handles = 0;

 private:
  Raw Take(FragmentHandle handle) {
    const auto it = bytes_.find(handle);
    if (it == bytes_.end()) {
      ++wrong_handles;
      return {};
    }
    Raw bytes = std::move(it->second);
    bytes_.erase(it);
    return bytes;
  }
  Raw Join(const WholePacket& whole) {
    std::vector<Raw> parts(whole.total);
    for (std::size_t i = 0; i < whole.total; ++i)
      if (i != whole.missing) parts[i] = Take(whole.fragments[i]);
    if (whole.has_repair) {
      Raw sum = Take(whole.repair);
      if (whole.missing != WholePacket::kNone) {
        for (const Raw& part : parts) AddInto({sum.data(), sum.size()}, View(part));
        sum.resize(wire::FragmentBytes(whole.length, whole.total, whole.missing));
        parts[whole.missing] = std::move(sum);
      }
    }
    Raw packet;
    for (const Raw& part : parts) packet.insert(packet.end(), part.begin(), part.end());
    return packet;
  }

  std::map<FragmentHandle, Raw> bytes_;
  FragmentHandle next_handle_ = 1;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_TEST_PAIR_H_
