// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/fragment.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace foreflow::wire {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// What was decoded encodes to the very bytes.
template <typename Struct>
const std::uint8_t* Again(const std::uint8_t* at, const Struct& decoded) {
  std::uint8_t again[Struct::kBytes];
  Require(Encode(again, again + sizeof(again), decoded) == again + sizeof(again));
  Require(std::memcmp(again, at, sizeof(again)) == 0);
  return at + sizeof(again);
}

void ReadRows(BytesView text) {
  FeedbackRows rows;
  if (!ReadFeedback(text, rows)) return;
  const std::uint8_t* at = Again(text.begin(), rows.feedback);
  for (std::size_t i = 0; i < rows.feedback.words; ++i) at = Again(at, ReceivedWord{rows.Word(i)});
  for (std::size_t i = 0; i < rows.feedback.gaps; ++i) at = Again(at, rows.Gap(i));
  for (std::size_t i = 0; i < rows.feedback.paths; ++i) at = Again(at, rows.Path(i));
  Require(at == text.end());
}

}  // namespace
}  // namespace foreflow::wire

// One datagram, its text as if opened: what is read is written again as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foreflow::wire;
  ShardMessage message;
  if (ReadShardMessage({data, size}, message) != ShardFault::kNone) return 0;
  const std::uint8_t* at = Again(data, message.header);
  switch (message.header.type) {
    case ShardType::kData:
    case ShardType::kRepair:
      at = Again(at, message.fragment);
      if (message.header.has_uuid) at = Again(at, UuidOf(message.header.session, message.base()));
      Require(message.fragment.index < message.fragment.total);
      Require(message.base() <= message.header.number);
      break;
    case ShardType::kFeedback:
      ReadRows(message.sealed);
      break;
    case ShardType::kProbe:
      if (ShardProbe probe; Decode(message.sealed.begin(), message.sealed.end(), probe) != nullptr)
        Again(message.sealed.begin(), probe);
      break;
  }
  if (message.header.has_path) at = Again(at, message.path);
  Require(at == message.associated.end() && at == message.sealed.begin());
  Require(message.sealed.end() == message.tag && message.tag + kShardTagBytes == data + size);
  return 0;
}
