// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_EXPLAIN_H_
#define FOREFLOW_BINDINGS_PCAP_EXPLAIN_H_

#include <cstdint>

#include "bindings/config/run_config.h"
#include "bindings/config/strict_json.h"
#include "bindings/pcap/run_traffic.h"

namespace foreflow::pcap {

// Decides on the run's traffic up to `packet` again, and tells everything that went into that packet's
// decision and what it cost by the run's own profiles:
//   {packet, capture, record, lane, number_on_lane, arrival, dissected, flow_key, entry_key, rules,
//   tag_rules, cache,
//    prediction, verdict, stages, cycles}
// `capture` is the file that the packet is from, and `record` counts its records from 1, as capture viewers
// do. Prices are null in the parts that no stage of the packet visited. Throws Refusal where there is no such
// packet.
config::Json Explain(const RunTraffic& run, config::RunConfig config, std::uint64_t packet);

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_EXPLAIN_H_
