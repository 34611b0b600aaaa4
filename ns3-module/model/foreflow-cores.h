// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_CORES_H
#define FOREFLOW_CORES_H

#include "hw-models/cost/cost_model.h"
#include "hw-models/cost/polling_station.h"
#include "hw-models/cost/station.h"
#include "hw-models/cost/visits.h"
#include "models/base/reason.h"
#include "models/base/refusal.h"
#include "models/base/units.h"
#include "models/path/lanes.h"
#include "models/tag/scheduler.h"

/**
 * @defgroup foreflow Predictive packet processing
 */

/**
 * @file
 * @ingroup foreflow
 * The cores live in ::foreflow, this module in ns3::foreflow, which hides them: hence the aliases.
 */

namespace ns3
{
namespace foreflow
{

namespace flow = ::foreflow::flow;
namespace hw = ::foreflow::hw;
namespace path = ::foreflow::path;
namespace rules = ::foreflow::rules;
namespace tag = ::foreflow::tag;
namespace wire = ::foreflow::wire;

using ::foreflow::BitsPerSecond;
using ::foreflow::BytesView;
using ::foreflow::Cycles;
using ::foreflow::kReasons;
using ::foreflow::Nanos;
using ::foreflow::Picos;
using ::foreflow::Reason;
using ::foreflow::Work;

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_CORES_H
