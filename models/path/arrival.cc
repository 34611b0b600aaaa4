// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/arrival.h"

namespace foreflow::path {

void Parse(const Arrival& arrival, Parsed& parsed) {
  parsed.work = Work{};
  wire::Dissect(arrival.link, arrival.captured, arrival.wire_bytes, parsed.packet, parsed.work);
  parsed.decidable = false;
  parsed.reason = Reason::kMalformed;
  const wire::Dissection& packet = parsed.packet;
  switch (packet.status) {
    case wire::DissectStatus::kOk:
      parsed.decidable = true;
      break;
    case wire::DissectStatus::kTruncated:
      // Ports are enough: a capture cut inside TCP options or the payload hides nothing from the rules.
      parsed.decidable = packet.l4 != wire::Layer4::kNone;
      parsed.reason = Reason::kTruncated;
      break;
    case wire::DissectStatus::kMalformed:
      parsed.reason = Reason::kMalformed;
      break;
    case wire::DissectStatus::kUnknownLink:
      parsed.reason = Reason::kUnknownLink;
      break;
  }
  parsed.key = parsed.decidable ? flow::KeyOf(packet, arrival.vm) : flow::FlowKey{};
}

}  // namespace foreflow::path
