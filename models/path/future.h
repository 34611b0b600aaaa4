// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_FUTURE_H_
#define FOREFLOW_MODELS_PATH_FUTURE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "models/base/units.h"
#include "models/flow/flow_key.h"
#include "models/path/arrival.h"
#include "models/predict/packet_type.h"
#include "models/rules/rule_table.h"

namespace foreflow::path {

// What is going to arrive: true types (for the arms that know them, and for scoring every arm), keys and
// times. Built in one pass over all arrivals.
class Future {
 public:
  // `arrivals` in order of time, read here only. Labels as PathConfig::label_horizon.
  Future(const std::vector<Arrival>& arrivals, Nanos label_horizon);

  // The packets that `chosen` says, in the same order.
  Future(const Future& all, const std::function<bool(std::size_t packet)>& chosen);

  // By number of the packet, below size(). Where it is not decidable its key is empty, and its type control;
  // times are Arrival::time.
  std::size_t size() const { return type_.size(); }
  predict::PacketType type(std::size_t packet) const { return type_[packet]; }
  const flow::FlowKey& key(std::size_t packet) const { return key_[packet]; }
  wire::VlanKey vlan(std::size_t packet) const { return vlan_[packet]; }
  bool decidable(std::size_t packet) const { return decidable_[packet] != 0; }
  Nanos time(std::size_t packet) const { return time_[packet]; }

 private:
  std::vector<predict::PacketType> type_;
  std::vector<flow::FlowKey> key_;
  std::vector<wire::VlanKey> vlan_;
  std::vector<std::uint8_t> decidable_;
  std::vector<Nanos> time_;
};

// For each packet, which distinct flow entry it needs, and when that entry is needed next.
struct EntryUses {
  static constexpr std::uint32_t kNone = 0xffffffff;  // an undecidable packet
  static constexpr std::uint64_t kNever = UINT64_MAX;

  std::vector<std::uint32_t> entry;      // by packet: dense number of its entry key
  std::vector<std::uint64_t> next_use;   // by packet: the next packet with the same entry, or kNever
  std::vector<std::uint64_t> first_use;  // by entry: a packet that has it
};
// Under these rules; O(packets * log packets).
EntryUses UsesOf(const Future& future, const rules::RuleTable& rules);

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_FUTURE_H_
