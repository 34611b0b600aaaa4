// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_HW_MODELS_COST_VISITS_H_
#define FOREFLOW_HW_MODELS_COST_VISITS_H_

#include "models/path/stages.h"
#include "models/path/verdict.h"

namespace foreflow::hw {

// Whether a packet is charged the base cost of a stage. Parsing always is; the slow path where the packet was
// punted; acting where it could be decided; every other stage where it left work.
bool IsVisited(path::Stage stage, const path::Verdict& verdict, const path::StageWork& work);

// On the host: everything before the device, and the slow path.
constexpr bool IsOnHost(path::Stage stage) {
  return stage <= path::Stage::kPreinstall || stage == path::Stage::kSlowPath;
}

}  // namespace foreflow::hw

#endif  // FOREFLOW_HW_MODELS_COST_VISITS_H_
