// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONFIG_PACKET_DYNAMICS_H_
#define FOREFLOW_BINDINGS_CONFIG_PACKET_DYNAMICS_H_

#include <cstdint>

#include "bindings/config/strict_json.h"
#include "models/shard/unit.h"
#include "models/shard/unit_pair.h"

namespace foreflow::config {

// One packet dynamics unit, of which every key may be left out and then has the default of the struct that it
// belongs to:
//
// {"most_packet_bytes", "has_uuid", "held_packets", "has_tail_probe", "repair", "repair_after_us",
//  "robust_fragments", "preference", "path_weights": [..], "path_rule", "most_key_mb", "tick_us",
//  "replay": {"records", "time_ms"},
//  "reassembly": {"slots", "most_fragments", "least_fragment_bytes", "held", "shortest_ms", "longest_ms"},
//  "resending": {"numbers", "packets", "resends", "share", "burst_kb", "keep_ms"},
//  "gaps": {"rule", "numbers", "gaps", "wait_us", "asks", "certainty", "spurious_share", "spurious_burst",
//           "table": path of a trained table, which is read},
//  "feedback": {"every_us", "messages", "words"},
//  "monitor": {"is_probing", "probe_every_ms", "small_probe", "loss_reference", "mark_reference",
//              "delay_reference_ms"},
//  "mtu": {"base", "most", "grain", "tries", "black_hole", "timeout_ms", "raise_s"},
//  "size": {"rule", "least_bytes", "most_fragments", "hops", "paths", "gain", "dwell_ms", "naive_threshold"}}
//
// Units by the names, shares 0 .. 1. Throws Refusal on what is unknown, of another type or out of range, also
// where keys do not go together.
shard::UnitConfig ReadUnit(const Value& value);

// Two units as a capture is replayed through them:
//
// {"unit": as above,
//  "network": as ReadImpairment has it, from the first unit to the second,
//  "back": the same of the way back, or left out: as `network`,
//  "cipher", "key": 64 hex digits, "warm_up_ms"}
//
// Again, all of it may be left out. The network's seed is the run's.
shard::UnitPairConfig ReadUnitPair(const Value& value, std::uint64_t seed);

}  // namespace foreflow::config

#endif  // FOREFLOW_BINDINGS_CONFIG_PACKET_DYNAMICS_H_
