// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_IP_NUMBERS_H_
#define FOREFLOW_MODELS_PREDICT_IP_NUMBERS_H_

#include <cstdint>

namespace foreflow::predict {

// IANA protocol numbers and TCP flags (RFC 9293) that the rules of this room name.
constexpr std::uint8_t kProtocolIcmp = 1;
constexpr std::uint8_t kProtocolIgmp = 2;
constexpr std::uint8_t kProtocolTcp = 6;
constexpr std::uint8_t kProtocolUdp = 17;
constexpr std::uint8_t kProtocolIcmpv6 = 58;

constexpr std::uint8_t kTcpFin = 0x01;
constexpr std::uint8_t kTcpSyn = 0x02;
constexpr std::uint8_t kTcpRst = 0x04;
constexpr std::uint8_t kTcpAck = 0x10;

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_IP_NUMBERS_H_
