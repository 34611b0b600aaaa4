// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_QUEUE_BY_HEADER_H_
#define FOREFLOW_MODELS_TAG_QUEUE_BY_HEADER_H_

#include <cstdint>

#include "models/flow/flow_key.h"

namespace foreflow::tag {

// The reactive classifier: the egress queue that DSCP (RFC 4594) and well-known ports (IANA) suggest. DSCP
// speaks first where a sender has set it (not 0; 0..63). The result is below rules::kQueues; 0 is served
// first.
std::uint8_t QueueByHeader(const flow::FlowKey& key, std::uint8_t dscp);

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_QUEUE_BY_HEADER_H_
