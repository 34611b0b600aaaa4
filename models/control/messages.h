// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CONTROL_MESSAGES_H_
#define FOREFLOW_MODELS_CONTROL_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "models/base/bytes.h"
#include "models/wire/control.h"

namespace foreflow::control {

// Takes one message for the peer; its bytes are valid during the call.
using Send = std::function<void(BytesView message)>;

// What a message may be at most: what an Ethernet frame carries in a record of the secure channel, with some
// room for tunnels.
constexpr std::size_t kMostMessageBytes = 1200;

// Rows of one profile.
constexpr std::size_t kMostProfileRows =
    (kMostMessageBytes - wire::ControlHeader::kBytes - wire::ControlProfile::kBytes) /
    wire::ControlProfileRow::kBytes;

// The `count` rows that `tail` is made of; false where it is not.
template <typename Row>
bool ReadRows(BytesView tail, std::size_t count, std::vector<Row>& rows) {
  if (tail.size != count * Row::kBytes) return false;
  rows.resize(count);
  const std::uint8_t* at = tail.begin();
  for (Row& row : rows) {
    at = wire::Decode(at, tail.end(), row);
    if (at == nullptr) return false;
  }
  return true;
}

// Builds messages one after the other in the same memory.
class MessageBuilder {
 public:
  MessageBuilder() : bytes_(kMostMessageBytes) {}

  // Begin, Add as often as wanted, Finish.
  template <typename Body>
  MessageBuilder& Begin(wire::ControlType type, const Body& body) {
    type_ = type;
    size_ = wire::ControlHeader::kBytes;
    return Add(body);
  }
  // Left out where there is no room.
  template <typename Row>
  MessageBuilder& Add(const Row& row) {
    if (const std::uint8_t* end = wire::Encode(bytes_.data() + size_, bytes_.data() + bytes_.size(), row)) {
      size_ = static_cast<std::size_t>(end - bytes_.data());
    }
    return *this;
  }
  // As many bytes as there is room for.
  MessageBuilder& Add(BytesView tail) {
    for (const std::uint8_t byte : tail.First(Room())) bytes_[size_++] = byte;
    return *this;
  }
  // In bytes.
  std::size_t Room() const { return bytes_.size() - size_; }
  // Valid until the next Begin.
  BytesView Finish() {
    wire::ControlHeader header;
    header.type = type_;
    header.length = static_cast<std::uint16_t>(size_ - wire::ControlHeader::kBytes);
    wire::Encode(bytes_.data(), bytes_.data() + bytes_.size(), header);
    return {bytes_.data(), size_};
  }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t size_ = 0;
  wire::ControlType type_ = wire::ControlType::kHello;
};

// How a batch of bytes is cut: pieces of equal length, the last may be shorter.
constexpr std::uint32_t PieceBytes(std::uint32_t batch_bytes, std::uint32_t parts) {
  return parts == 0 ? 0 : static_cast<std::uint32_t>((std::uint64_t{batch_bytes} + parts - 1) / parts);
}

}  // namespace foreflow::control

#endif  // FOREFLOW_MODELS_CONTROL_MESSAGES_H_
