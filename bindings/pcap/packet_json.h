// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_PACKET_JSON_H_
#define FOREFLOW_BINDINGS_PCAP_PACKET_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bindings/config/strict_json.h"
#include "bindings/pcap/capture.h"
#include "models/flow/flow_key.h"
#include "models/path/arrival.h"
#include "models/wire/dissect.h"

namespace foreflow::pcap {

// A packet in the words of documents that explain it.
config::Json ArrivalJson(const path::Arrival& arrival);
config::Json DissectionJson(const wire::Dissection& packet);
// Also of an entry key, whose ports are the lowest ones of their class.
config::Json FlowKeyJson(const flow::FlowKey& key);

// Which record of the capture the arrival is, from 1 as capture viewers count; 0: none.
std::uint64_t RecordOf(const Capture& capture, const path::Arrival& arrival);

// Throws Refusal where the packets do not rise, or are not of the `count` that `name` has.
void RefuseUnlessRising(const std::vector<std::uint64_t>& packets, std::size_t count,
                        const std::string& name);

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_PACKET_JSON_H_
