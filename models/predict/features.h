// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_FEATURES_H_
#define FOREFLOW_MODELS_PREDICT_FEATURES_H_

#include <array>
#include <cstdint>

#include "models/predict/packet_type.h"
#include "models/predict/type_predictor.h"

namespace foreflow::predict {

// What SymbolOf remembers of one VM between packets. Plain data, zero at the start, one object a VM, 528 B.
struct FeatureState {
  static constexpr std::size_t kFlows = 64;

  // The VM's last packet in one flow; direct-mapped by the flow key's hash, the newcomer wins.
  struct Flow {
    std::uint16_t tag = 0;    // hash bits that are not in the index
    std::uint8_t flags = 0;   // see features.cc
    std::uint8_t volume = 0;  // data of the run, in 256 B, saturated
    std::uint32_t time = 0;   // of the last data, in 2^20 ns, modulo 2^32
  };

  Nanos last_arrival;
  bool has_arrival = false;
  std::array<Flow, kFlows> flow{};
};

// The causal symbol of one packet that a VM sends, from the packet's headers and what the VM sent before:
// bits 5..4 the VM's gap class, bits 3..0 the packet's kind.
//
//   gap class | since the VM's previous packet     kind  | packet
//   0         | < 1 ms                             0     | group-addressed
//   1         | < 50 ms                            1     | no data, not TCP (ICMP, ARP, other)
//   2         | < 200 ms                           2     | TCP without data: SYN, FIN or RST
//   3         | longer, or none before             3     | TCP without data: other (pure ACK)
//                                                  4..15 | data: 4 + 6 * answerer + 3 * size + run
//
// size: 0 below 512 B of payload, 1 from there (a bulk transfer's mean). run: how much data the VM has sent
// in this flow without a pause of 200 ms: 0 none, 1 below 16 KiB (where a transfer begins to count as bulk),
// 2 more. answerer: the VM sent the flow's SYN+ACK; where the handshake was not seen, its port is the lower
// one.
//
// Updates `state`. Every packet of a VM is shown once, in order of arrival:
//
//   FeatureState state;   // one a VM
//   Context context;      // one a VM
//   const Symbol symbol = SymbolOf(summary, state);
//   context.Push(symbol);
//   const Prediction prediction = predictor.Predict(context, work);
Symbol SymbolOf(const PacketSummary& packet, FeatureState& state);

// The type that packets of this kind most often have, for predicting before anything was learnt: group,
// control, request of who asks, response of who answers.
PacketType UsualType(Symbol symbol);

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_FEATURES_H_
