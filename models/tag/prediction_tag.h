// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_PREDICTION_TAG_H_
#define FOREFLOW_MODELS_TAG_PREDICTION_TAG_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
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
  std::uint8_t epoch = 0;      // of the VM's key
  std::uint8_t covers = 0;     // further packets of the same flow that it speaks for (burst_tags.h)
  std::uint32_t sequence = 0;  // strictly rising for each VM and epoch: the replay index
};

// 12 B of fields, 8 B of MAC over the fields and the packet's flow key and length, in network order: a tag
// fits the packet it was made for and no other.
constexpr std::size_t kTagBytes = 20;
using SealedTag = std::array<std::uint8_t, kTagBytes>;

// What a check made of a tag.
enum class TagStatus : std::uint8_t {
  kAbsent,  // no tag came
  kValid,
  kForged,    // the MAC does not verify, or version or type is unknown
  kReplayed,  // sequence seen before, or older than the window
  kStale,     // an epoch that is neither the current nor the previous one
  kWrongVm,   // names another VM than the port the packet came from
  kCount,
};
// The snake_case name; nullptr out of range.
const char* Name(TagStatus status);

constexpr std::size_t kTagFieldBytes = 12;

// Encode and decode as a pair; decode checks length, version and type, not the MAC. Layout, in network order,
// of so many bytes: version 1, type 1, confidence 2, vm 2, epoch 1, covers 1, sequence 4.
void Encode(const PredictionTag& tag, std::uint8_t* out12);
// False when `in` is shorter than kTagFieldBytes or says what no sealer says; `tag` is then as it was.
bool Decode(BytesView in, PredictionTag& tag);

// The key of one VM and epoch, by DeriveKey. Epochs are counted without wrapping, 48 bits of them go into the
// key; a tag carries the low 8 bits.
crypto::Key128 TagKey(const crypto::Key128& master, flow::VmId vm, std::uint64_t epoch);

// One tag's MAC, to be computed: what it is over and by which key. Computing several at once costs little
// more than one.
struct TagMac {
  const crypto::Key128* key = nullptr;   // nullptr: none is wanted
  const std::uint8_t* fields = nullptr;  // kTagFieldBytes, as Encode writes them
  const flow::FlowKey* packet = nullptr;
  std::uint32_t wire_bytes = 0;
  std::uint64_t value = 0;  // the result: SipHash-2-4
};
// Fills in each `value`. What the entries point to is read in the call only.
void ComputeMacs(TagMac* const* macs, std::size_t count);

// The host's half: holds the per-VM keys that no guest sees. Also numbers the tags.
class TagSealer {
 public:
  // Keys for VMs 0..vms, of epoch 0. vms <= 65535.
  TagSealer(const crypto::Key128& master, std::size_t vms);
  // For a VM without a key, and once an epoch's 2^32 - 1 sequence numbers are used up, the tag is all zeros,
  // which no checker accepts: rotate before. Counts kMacWord.
  SealedTag Seal(flow::VmId vm, predict::PacketType type, std::uint16_t confidence,
                 const flow::FlowKey& packet, std::uint32_t wire_bytes, Work& work);
  // Seal in two halves, with ComputeMacs between them. Until then `sealed` and `packet` stay where they are,
  // and no key rotates.
  void Begin(flow::VmId vm, predict::PacketType type, std::uint16_t confidence, const flow::FlowKey& packet,
             std::uint32_t wire_bytes, SealedTag& sealed, TagMac& mac, Work& work, std::uint8_t covers = 0);
  static void Finish(const TagMac& mac, SealedTag& sealed);
  // Begins the next epoch for one VM: a new key, sequence from 1. The checker must have rotated before.
  // Nothing for a VM without a key.
  void Rotate(flow::VmId vm);
  // Begins `epoch` for all VMs, with keys from `master`. False, and nothing done, unless it is later than
  // every VM's. The checker must have rotated before. Derives a key a VM.
  bool RotateKeys(std::uint64_t epoch, const crypto::Key128& master);

 private:
  struct Vm {
    crypto::Key128 key{};
    std::uint64_t epoch = 0;
    std::uint32_t last_sequence = 0;
  };
  crypto::Key128 master_;
  std::vector<Vm> vms_;
};

// The device's half: the same keys, and for each VM and live epoch a replay window of 64 sequence numbers and
// of a time: a tag that is late by less than `replay_window` is never refused for that, one that is late by
// more than twice that and the gaps between its VM's tags always is. Where a VM sends no later tag, one that
// was held back is as good as its epoch.
class TagChecker {
 public:
  // Keys for VMs 0..vms, of epoch 0. vms <= 65535.
  TagChecker(const crypto::Key128& master, std::size_t vms, Nanos replay_window = Millis(100));
  // What time it is, for windows and overlaps; never runs backwards. 0 until told.
  void See(Nanos now) { now_ = now; }
  // `sealed` may be nullptr: no tag came. Writes `tag` only when the result is kValid. Looks, in this order,
  // at the format (kForged), the VM against packet.vm (kWrongVm), the epoch (kStale), the MAC (kForged), the
  // replay window (kReplayed); only a tag whose MAC verifies changes any state. Counts kMacWord.
  TagStatus Check(const SealedTag* sealed, const flow::FlowKey& packet, std::uint32_t wire_bytes,
                  PredictionTag& tag, Work& work);
  // Check in two halves, with ComputeMacs between them; tags in the same order in both, and no key rotates.
  struct Pending {
    TagStatus status = TagStatus::kAbsent;  // kValid: if the MAC verifies
    bool is_read = false;                   // `claimed` is what the tag says, genuine or not
    PredictionTag claimed;
    TagMac mac;
  };
  void Begin(const SealedTag* sealed, const flow::FlowKey& packet, std::uint32_t wire_bytes, Pending& pending,
             Work& work);
  TagStatus Finish(const Pending& pending, const SealedTag* sealed, PredictionTag& tag, Work& work);
  // Accepts the next epoch beside the current one, and forgets the one before that.
  void Rotate(flow::VmId vm);
  // Accepts `epoch` of all VMs, with keys from `master`; of the epochs before, the last one too until
  // `until`. False, and nothing done, unless it is later than every VM's. Derives a key a VM.
  bool RotateKeys(std::uint64_t epoch, const crypto::Key128& master, Nanos until);

 private:
  // Sequence numbers seen (as in RFC 4303, section 3.4.3): bit i of `seen` is highest - i.
  struct Window {
    std::uint32_t highest = 0;
    std::uint64_t seen = 1;  // 0 is never sent
    // In time: nothing up to `floor` comes in any more. `next_floor` was the highest at `marked`.
    std::uint32_t floor = 0;
    std::uint32_t next_floor = 0;
    Nanos marked;
    bool Accept(std::uint32_t sequence, Nanos now, Nanos span);
  };
  struct Epoch {
    crypto::Key128 key{};
    Window window;
  };
  struct Vm {
    std::uint64_t epoch = 0;
    std::uint64_t previous_epoch = 0;
    Nanos previous_until;  // the previous one is good before
    Epoch current;
    Epoch previous;
  };
  // The epoch that a tag claims, of a VM that is known; nullptr: neither the current nor the previous one, or
  // the overlap is over.
  Epoch* EpochOf(const PredictionTag& claimed);
  void Begin(Vm& vm, flow::VmId id, std::uint64_t epoch, Nanos until);

  crypto::Key128 master_;
  Nanos replay_window_;
  Nanos now_;
  std::vector<Vm> vms_;
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_PREDICTION_TAG_H_
