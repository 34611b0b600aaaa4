// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_PORT_FLOWS_H_
#define FOREFLOW_BINDINGS_DPDK_PORT_FLOWS_H_

#include <rte_flow.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bindings/dpdk/flow_offload.h"
#include "bindings/dpdk/port.h"
#include "bindings/dpdk/port_marks.h"

namespace foreflow::dpdk {

// What a port's flow rules can do, found out by asking it to validate one of each sort.
struct FlowAbilities {
  PatternAbilities patterns;
  bool marks = false;
  bool drops = false;
  bool counts = false;
  std::string answer;  // to the simplest rule, where it is no
};

// The flow rules of a started port, which must outlive this. No two threads at once. DPDK's own complaints
// are kept quiet: they come as answers.
class PortFlows {
 public:
  static constexpr std::size_t kMostEntries = 1u << 16;

  explicit PortFlows(const Port& port);
  ~PortFlows();  // removes them
  PortFlows(const PortFlows&) = delete;
  PortFlows& operator=(const PortFlows&) = delete;

  const Port& port() const { return port_; }
  const FlowAbilities& abilities() const { return abilities_; }

  // Puts the rules into the port in place of those that are there; `vm` as of OffloadScope. Drops where
  // `drops`, else marks alone. Numbers of marks are not used again for a while, so that frames on their way
  // are not mistaken.
  void Install(const std::vector<rules::Rule>& rules, std::optional<std::uint16_t> vm, bool drops);
  void Remove();

  // What is there, and why the rest is not.
  const OffloadPlan& plan() const { return plan_; }
  PortMarks marks() const { return {first_mark_, plan_.decisions}; }
  // Frames that the port dropped by its rules, since this was made; nothing where it does not count them.
  std::optional<std::uint64_t> Dropped() const;

 private:
  struct Flow {
    rte_flow* handle = nullptr;
    bool counts = false;
  };
  // Asks for an entry, or, with `only_ask`, whether it could be had. Empty, or the answer.
  std::string Ask(const FlowEntry& entry, bool counts, bool only_ask);
  FlowAbilities AskAbilities();
  std::uint64_t CountOf(const Flow& flow) const;

  const Port& port_;
  rte_eth_rss_conf rss_{};  // of frames that go on to software
  std::vector<std::uint16_t> queues_;
  FlowAbilities abilities_;
  std::uint32_t first_mark_ = 1;
  OffloadPlan plan_;
  std::vector<Flow> flows_;
  std::uint64_t dropped_before_ = 0;  // by rules that were removed
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_PORT_FLOWS_H_
