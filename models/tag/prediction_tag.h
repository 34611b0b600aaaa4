// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_PREDICTION_TAG_H_
#define FOREFLOW_MODELS_TAG_PREDICTION_TAG_H_

#include <array>
#include <cstdint>
#include <vector>

#include "models/base/work.h"
#include "models/crypto/keyed_hash.h"
#include "models/flow/flow_key.h"
#include "models/predict/packet_type.h"

namespace foreflow::tag {

// What the host says of a packet before the device sees it.
struct PredictionTag {
  static constexpr std::uint8_t kVersion = 1;

  std::uint8_t version = kVersion;
  predict::PacketType type = predict::PacketType::kControl;
  std::uint16_t confidence = 0;  // 65535 = 1
  flow::VmId vm = 0;
  std::uint8_t epoch = 0;        // of the VM's key
  std::uint32_t sequence = 0;    // strictly rising for each VM and epoch: the replay index
};

// 12 B of fields, 8 B of MAC over the fields and the packet's flow key and length, in network order: a tag fits
// the packet it was made for and no other.
constexpr std::size_t kTagBytes = 20;
using SealedTag = std::array<std::uint8_t, kTagBytes>;

enum class TagStatus : std::uint8_t {
  kAbsent,
  kValid,
  kForged,         // the MAC does not verify, or version or type is unknown
  kReplayed,       // sequence seen before, or older than the window
  kStale,          // an epoch that is neither the current nor the previous one
  kWrongVm,        // names another VM than the port the packet came from
  kCount,
};
const char* Name(TagStatus status);

// Encode and decode as a pair; decode checks lengths, version and type, not the MAC.
void Encode(const PredictionTag& tag, std::uint8_t* out12);
bool Decode(BytesView in, PredictionTag& tag);

// The host's half: holds the per-VM keys that no guest sees. Also numbers the tags.
class TagSealer {
 public:
  TagSealer(const crypto::Key128& master, std::size_t vms);
  SealedTag Seal(flow::VmId vm, predict::PacketType type, std::uint16_t confidence,
                 const flow::FlowKey& packet, std::uint32_t wire_bytes, Work& work);
  // Begins the next epoch for one VM: a new key, sequence from 1.
  void Rotate(flow::VmId vm);
};

// The device's half: the same keys, and a replay window of 64 for each VM and live epoch.
class TagChecker {
 public:
  TagChecker(const crypto::Key128& master, std::size_t vms);
  // `sealed` may be nullptr: no tag came. Writes `tag` only when the result is kValid.
  TagStatus Check(const SealedTag* sealed, const flow::FlowKey& packet, std::uint32_t wire_bytes,
                  PredictionTag& tag, Work& work);
  // Accepts the next epoch beside the current one.
  void Rotate(flow::VmId vm);
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_PREDICTION_TAG_H_
