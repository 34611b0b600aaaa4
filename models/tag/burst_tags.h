// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_BURST_TAGS_H_
#define FOREFLOW_MODELS_TAG_BURST_TAGS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/base/work.h"
#include "models/tag/prediction_tag.h"

namespace foreflow::tag {

// The bursts that tags speak for: a tag that covers n packets stands for n further packets of its flow, until
// `time` has gone by. What its MAC is over, the flow key and n among it, is all that it speaks for: those
// packets carry no MAC of their own, only the word that they belong to the burst. Host and device keep one
// such table each and change it alike, packet by packet.
//
// A few flows a VM, chosen by their ports and addresses: a new burst takes the place of an old one. All
// memory is taken at construction: 256 B a VM.
class BurstTags {
 public:
  // For VMs 0..vms.
  BurstTags(std::size_t vms, Nanos time) : time_(time), slots_((vms + 1) * kFlows) {}

  // What the tag said.
  struct Burst {
    predict::PacketType type = predict::PacketType::kControl;
    std::uint16_t confidence = 0;  // 65535 = 1
    std::uint8_t queue = 0;        // that the tag chose, for the host
  };

  // `tag`, which is of this flow and verified (or is being sealed), begins a burst at `now`, in place of the
  // flow's burst before. Does nothing for VMs it does not know.
  void Open(const flow::FlowKey& flow, const PredictionTag& tag, std::uint8_t queue, Nanos now, Work& work);
  // The flow's burst, valid until the next Open; nullptr where it has none, or all that it covers is used up,
  // or too old.
  const Burst* Find(const flow::FlowKey& flow, Nanos now, Work& work);
  // One packet more is spoken for. Only after Find found it.
  void Take(const flow::FlowKey& flow) { --SlotOf(flow).left; }

 private:
  static constexpr std::size_t kFlows = 4;

  struct alignas(64) Slot {
    flow::FlowKey flow;
    Nanos until;
    Burst burst;
    std::uint8_t left = 0;
  };
  static_assert(sizeof(Slot) == 64, "one cache line");

  Slot& SlotOf(const flow::FlowKey& flow) {
    const unsigned mixed = flow.source_port ^ flow.destination_port ^ (flow.destination_port >> 8) ^
                           flow.destination_address[3] ^ flow.destination_address[15];
    return slots_[flow.vm * kFlows + (mixed ^ mixed >> 2 ^ mixed >> 4) % kFlows];
  }
  bool Knows(const flow::FlowKey& flow) const { return flow.vm < slots_.size() / kFlows; }

  Nanos time_;
  std::vector<Slot> slots_;
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_BURST_TAGS_H_
