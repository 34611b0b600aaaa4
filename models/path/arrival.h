// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_ARRIVAL_H_
#define FOREFLOW_MODELS_PATH_ARRIVAL_H_

#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/base/reason.h"
#include "models/base/units.h"
#include "models/flow/flow_key.h"
#include "models/rules/rule.h"
#include "models/wire/dissect.h"

namespace foreflow::path {

// Packets that are decided together, at the most.
constexpr std::size_t kBurst = 32;

// One packet as a door hands it to the path.
struct Arrival {
  wire::Link link = wire::Link::kEthernet;
  BytesView captured;            // stays where it is until the packet is decided
  std::uint32_t wire_bytes = 0;  // of the whole packet, without preamble and frame check sequence
  flow::VmId vm = 0;             // the virtual port it came from
  // Arrival at the host's virtual port, on the device's clock; never runs backwards.
  Nanos time;
  // The same moment on the sender's clock, which behaviour (gaps, horizons, labels) is read from; never runs
  // backwards. Equal to `time`, except where a capture is replayed faster than it was recorded.
  Nanos sent;
  // What all standard rules in use decide of the packet, where hardware has looked them up: spares that work
  // and changes no verdict.
  const rules::Decision* decision = nullptr;
};

// A packet that was taken apart and found decidable, or why not.
struct Parsed {
  wire::Dissection packet;
  flow::FlowKey key;
  bool decidable = false;
  Reason reason = Reason::kMalformed;  // why it is dropped undecided
  Work work;                           // what taking it apart took
};
// Overwrites `parsed`. A packet whose capture ends behind its ports is decidable.
void Parse(const Arrival& arrival, Parsed& parsed);
inline Parsed Parse(const Arrival& arrival) {
  Parsed parsed;
  Parse(arrival, parsed);
  return parsed;
}

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_ARRIVAL_H_
