// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_IP_NUMBERS_H_
#define FOREFLOW_MODELS_PREDICT_IP_NUMBERS_H_

#include "models/wire/ipv4.h"
#include "models/wire/tcp.h"

namespace foreflow::predict {

// The protocol numbers and TCP flags that the rules of this room name.
using wire::kProtocolIcmp;
using wire::kProtocolIcmpv6;
using wire::kProtocolIgmp;
using wire::kProtocolTcp;
using wire::kProtocolUdp;

using wire::kTcpAck;
using wire::kTcpFin;
using wire::kTcpPsh;
using wire::kTcpRst;
using wire::kTcpSyn;

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_IP_NUMBERS_H_
