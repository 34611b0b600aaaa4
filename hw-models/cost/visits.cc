// SPDX-License-Identifier: BSD-3-Clause
#include "hw-models/cost/visits.h"

namespace foreflow::hw {

bool IsVisited(path::Stage stage, const path::Verdict& verdict, const path::StageWork& work) {
  switch (stage) {
    case path::Stage::kParse:
      return true;
    case path::Stage::kSlowPath:
      return verdict.punted;
    case path::Stage::kAct:
      return verdict.reason != Reason::kMalformed && verdict.reason != Reason::kTruncated &&
             verdict.reason != Reason::kUnknownLink;
    default:
      return !(work[stage] == Work{});
  }
}

}  // namespace foreflow::hw
