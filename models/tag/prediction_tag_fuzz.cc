// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "models/tag/prediction_tag.h"

// Input: 20 B of a tag, 40 B of a flow key, 4 B of a length; shorter inputs end in zeros.
// Decode and encode invert each other; nobody without the key makes a valid tag; a genuine tag with any bits
// changed by the input is not valid either, and the genuine one still is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foreflow;
  using namespace foreflow::tag;
  static constexpr crypto::Key128 kMaster = {0xf0, 0x0f};
  constexpr std::size_t kInput = kTagBytes + sizeof(flow::FlowKey) + 4;
  std::uint8_t input[kInput] = {};
  if (size > 0) std::memcpy(input, data, std::min(size, kInput));

  PredictionTag tag;
  if (Decode({data, size}, tag)) {
    std::uint8_t again[kTagFieldBytes];
    Encode(tag, again);
    if (std::memcmp(again, data, kTagFieldBytes) != 0) std::abort();
  }

  SealedTag sealed;
  std::memcpy(sealed.data(), input, kTagBytes);
  flow::FlowKey packet;
  std::memcpy(&packet, input + kTagBytes, sizeof(packet));
  packet.vm = static_cast<flow::VmId>(packet.vm % 4);
  std::uint32_t bytes;
  std::memcpy(&bytes, input + kTagBytes + sizeof(packet), sizeof(bytes));

  Work work;
  TagSealer sealer(kMaster, 2);
  TagChecker checker(kMaster, 2);
  if (checker.Check(&sealed, packet, bytes, tag, work) == TagStatus::kValid) std::abort();

  const SealedTag genuine = sealer.Seal(packet.vm, predict::PacketType::kBulk, 1, packet, bytes, work);
  SealedTag changed = genuine;
  for (std::size_t i = 0; i < kTagBytes; ++i) changed[i] = static_cast<std::uint8_t>(changed[i] ^ input[i]);
  // Asked of the input: comparing the two tags would tell the fuzzer the genuine MAC.
  const bool is_changed = std::any_of(input, input + kTagBytes, [](std::uint8_t byte) { return byte != 0; });
  if (is_changed && checker.Check(&changed, packet, bytes, tag, work) == TagStatus::kValid) std::abort();
  const bool has_key = packet.vm <= 2;
  if ((checker.Check(&genuine, packet, bytes, tag, work) == TagStatus::kValid) != has_key) std::abort();
  return 0;
}
