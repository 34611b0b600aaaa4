// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_FUTURE_H_
#define FOREFLOW_MODELS_PATH_FUTURE_H_

#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/flow/flow_key.h"
#include "models/predict/packet_type.h"
#include "models/wire/dissect.h"

namespace foreflow::path {

// One packet as a door hands it to the path.
struct Arrival {
  wire::Link link = wire::Link::kEthernet;
  BytesView captured;
  std::uint32_t wire_bytes = 0;
  flow::VmId vm = 0;
  Nanos time;  // arrival at the host's virtual port; never runs backwards
};

// What is going to arrive, for the arms that know it and for scoring every arm: true types and, for each
// packet, the index of the next packet with the same entry key. Built in one pass over all arrivals.
class Future {
 public:
  static constexpr std::uint64_t kNever = UINT64_MAX;

  Future(const std::vector<Arrival>& arrivals, Nanos label_horizon);

  std::uint64_t size() const { return type_.size(); }
  predict::PacketType type(std::uint64_t packet) const { return type_[packet]; }
  const flow::FlowKey& key(std::uint64_t packet) const { return key_[packet]; }

 private:
  std::vector<predict::PacketType> type_;
  std::vector<flow::FlowKey> key_;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_FUTURE_H_
