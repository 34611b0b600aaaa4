// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DATASET_PACKETS_H_
#define FOREFLOW_BINDINGS_DATASET_PACKETS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "bindings/pcap/time_map.h"
#include "models/predict/features.h"
#include "models/predict/packet_type.h"
#include "models/predict/type_predictor.h"

namespace foreflow::dataset {

// What the tasks need of a packet.
struct Packet {
  predict::PacketSummary summary;  // arrival: on the sender's clock, since the capture's first packet
  std::uint32_t conversation = 0;  // numbered in order of first appearance
  std::uint8_t direction = 0;      // Canonical's `swapped`
  predict::PacketType type = predict::PacketType::kControl;
  // Header fields.
  std::uint8_t ttl = 0;
  std::uint8_t traffic_class = 0;  // DSCP << 2 | ECN
  bool has_identification = false;
  std::uint16_t identification = 0;  // of IPv4
  std::uint16_t window = 0;          // the rest of TCP
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint32_t header_bytes = 0;
};

// The decidable packets of a capture in order of time, labelled by the rules of labeler.h.
std::vector<Packet> PacketsOf(const pcap::Traffic& traffic, Nanos horizon);

// The VMs' own symbols, as the baselines of predict::TypePredictor take them.
class VmContexts {
 public:
  // The packet's context, its own symbol first. Every packet is shown once, in order.
  std::array<std::uint8_t, 4> Next(const Packet& packet);

 private:
  struct Vm {
    predict::FeatureState features;
    predict::Context context;
  };
  std::vector<Vm> vms_;  // by VmId
};

}  // namespace foreflow::dataset

#endif  // FOREFLOW_BINDINGS_DATASET_PACKETS_H_
