// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/burst_tags.h"

namespace foreflow::tag {

void BurstTags::Open(const flow::FlowKey& flow, const PredictionTag& tag, std::uint8_t queue, Nanos now,
                     Work& work) {
  if (!Knows(flow)) return;
  work.Add(WorkItem::kCacheLine);
  work.Add(WorkItem::kUpdate);
  Slot& slot = SlotOf(flow);
  slot.flow = flow;
  slot.until = now + time_;
  slot.burst = {tag.type, tag.confidence, queue};
  slot.left = tag.covers;
}

const BurstTags::Burst* BurstTags::Find(const flow::FlowKey& flow, Nanos now, Work& work) {
  if (!Knows(flow)) return nullptr;
  work.Add(WorkItem::kCacheLine);
  work.Add(WorkItem::kProbe);
  const Slot& slot = SlotOf(flow);
  return slot.left > 0 && now < slot.until && slot.flow == flow ? &slot.burst : nullptr;
}

}  // namespace foreflow::tag
