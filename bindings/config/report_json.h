// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONFIG_REPORT_JSON_H_
#define FOREFLOW_BINDINGS_CONFIG_REPORT_JSON_H_

#include <string>

#include "bindings/config/packet_count.h"
#include "bindings/config/strict_json.h"
#include "models/path/counters.h"
#include "models/path/lanes.h"
#include "models/path/path_config.h"

namespace foreflow::config {

// The shapes that results share, whichever door wrote them.

// {in, out, held, dropped: {reason: count}}: reasons that occurred, in order of the enumeration.
Json ToJson(const PacketCount& packets);

// Every counter by its name; shares as numbers 0..1; a hit rate of nothing scored is null.
Json ToJson(const path::Counters& counters);

// How the trained models of each lane did over time: see predict::ScoreHistory; null where there are none.
// Mean losses in bits.
Json ToJson(const path::Lanes& lanes);

// {rules, tag_rules}: what each rule in use decided and for what packets each tag rule chose, as {id,
// packets, bytes, last_ns} by id; id null: packets that no rule matched.
Json StatisticsOf(const path::Lanes& lanes);

// The parts of RESOLVED.json that decide verdicts, spelled as there. The master key is left out.
Json ToJson(const path::PathConfig& config);

// One line of text for a file or standard output: invalid UTF-8 is replaced, not thrown at.
std::string ToText(const Json& json, int indent = -1);

}  // namespace foreflow::config

#endif  // FOREFLOW_BINDINGS_CONFIG_REPORT_JSON_H_
