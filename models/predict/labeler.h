// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_LABELER_H_
#define FOREFLOW_MODELS_PREDICT_LABELER_H_

#include <cstdint>
#include <vector>

#include "models/predict/packet_type.h"

namespace foreflow::predict {

// A packet's true type, known once the packets that follow have been seen.
struct Label {
  std::uint64_t packet = 0;  // the index given to Push
  PacketType type = PacketType::kControl;
};

// Labels packets as a stream: the same object labels a whole capture (Push all, then Flush) and teaches the
// online predictor (Push as packets arrive, Pop what has been resolved). Bounded memory: a label is resolved
// at the latest `horizon` after its packet, or when `max_pending` packets wait.
class Labeler {
 public:
  Labeler(Nanos horizon, std::uint32_t max_pending);

  // Packets come in order of arrival. No allocation.
  void Push(std::uint64_t packet, const PacketSummary& summary);
  // The next resolved label, in packet order; false when the next one is still open.
  bool Pop(Label& label);
  // Resolves all that is pending: nothing follows.
  void Flush();
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_LABELER_H_
