// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_STAGES_H_
#define FOREFLOW_MODELS_PATH_STAGES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/work.h"

namespace foreflow::path {

// The order of the stages, stated here and nowhere else.
enum class Stage : std::uint8_t {
  // On the host, before the packet reaches the device.
  kProfile,     // dissect, update the VM's profile, learn from resolved labels
  kPredict,     // next type, next destinations
  kTagSeal,     // write the prediction tag
  kPreinstall,  // classify predicted destinations and ask for their entries
  // On the device.
  kParse,
  kTagCheck,
  kFlowCache,  // look up the flow entry
  // On the host again, for packets that the device could not decide.
  kSlowPath,  // full rule table; asks for the entry
  // On the device.
  kAct,  // tag rules, meter, mirror, queue choice
  kCount,
};

constexpr std::size_t kStages = static_cast<std::size_t>(Stage::kCount);

// The snake_case name; nullptr out of range.
const char* Name(Stage stage);

// The work of one packet (or of many), stage by stage.
struct StageWork {
  std::array<Work, kStages> stage{};
  Work& operator[](Stage s) { return stage[static_cast<std::size_t>(s)]; }
  const Work& operator[](Stage s) const { return stage[static_cast<std::size_t>(s)]; }
  StageWork& operator+=(const StageWork& other) {
    for (std::size_t i = 0; i < kStages; ++i) stage[i] += other.stage[i];
    return *this;
  }
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_STAGES_H_
