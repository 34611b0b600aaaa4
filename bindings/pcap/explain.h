// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_EXPLAIN_H_
#define FOREFLOW_BINDINGS_PCAP_EXPLAIN_H_

#include <cstdint>
#include <vector>

#include "bindings/config/run_config.h"
#include "bindings/config/strict_json.h"
#include "bindings/pcap/run_traffic.h"

namespace foreflow::pcap {

// Decides on the run's traffic again, and tells everything that went into the decisions of `packets` (rising)
// and what they cost by the run's own profiles, one after the other:
//
//   {packet, capture, record, lane, number_on_lane, arrival, dissected, flow_key, entry_key, rules,
//    tag_rules, cache, prediction, verdict, stages, cycles}
//
// `capture` is the file that the packet is from, and `record` counts its records from 1, as capture viewers
// do. Prices are null in the parts that no stage of the packet visited. Throws Refusal where there is no such
// packet, and where packets do not rise.
config::Json Explain(const RunTraffic& run, config::RunConfig config,
                     const std::vector<std::uint64_t>& packets);

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_EXPLAIN_H_
