// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_SHARD_EXPLAIN_H_
#define FOREFLOW_BINDINGS_PCAP_SHARD_EXPLAIN_H_

#include <cstdint>
#include <vector>

#include "bindings/config/run_config.h"
#include "bindings/config/strict_json.h"
#include "bindings/pcap/capture.h"

namespace foreflow::pcap {

// Carries the capture's frames through two packet dynamics units (config.shard) again, and tells what
// happened to `packets` (rising) on the way, and of `all` packets what it came to:
//   {fingerprint: of the replay,
//    told: [{packet, capture, record, arrival, dissected, flow_key, early: why it did not come to a unit,
//            frame: {verdict, fate, bytes, base, total, took_ns}, datagrams: [..], requests: [..]}],
//    packets: [{packet, flow_key, early, verdict, fate, took_ns, total, lost, changed, late, requests,
//               causes: of what was sent: {..}, used: those of what the packet was made from,
//               life: a digest of all that happened}] or null}
// Times are since the frame came to the first unit; null: never. Throws Refusal where there is no such
// packet, and where packets do not rise.
config::Json ExplainShard(const Capture& capture, const config::RunConfig& config,
                          const std::vector<std::uint64_t>& packets, bool all);

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_SHARD_EXPLAIN_H_
