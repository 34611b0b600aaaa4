// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/port_flows.h"

#include <rte_log.h>

#include <array>

#include "bindings/dpdk/eal.h"

namespace foreflow::dpdk {
namespace {

constexpr std::uint32_t kLeastLevel = 1;  // that DPDK takes: nothing is as urgent

class QuietLog {
 public:
  QuietLog() : level_(rte_log_get_global_level()) { rte_log_set_global_level(kLeastLevel); }
  ~QuietLog() { rte_log_set_global_level(level_); }
  QuietLog(const QuietLog&) = delete;
  QuietLog& operator=(const QuietLog&) = delete;

 private:
  std::uint32_t level_;
};

using Items = std::array<rte_flow_item, FlowPattern::kMostHeaders + 1>;

// They point into the pattern.
Items ItemsOf(const FlowPattern& pattern) {
  Items items{};
  for (std::size_t i = 0; i < pattern.count; ++i) {
    const HeaderPattern& header = pattern.headers[i];
    items[i].type = header.type;
    items[i].spec = header.spec.data();
    items[i].last = header.is_range ? header.last.data() : nullptr;
    items[i].mask = header.mask.data();
  }
  items[pattern.count].type = RTE_FLOW_ITEM_TYPE_END;
  return items;
}

// IPv4 TCP from one address to one port, or to some ports.
FlowEntry Sample(FlowEntry::Fate fate, const PatternAbilities& abilities, rules::PortRange ports) {
  rules::Rule rule;
  rule.source.address = {192, 0, 2, 1};
  rule.source.length = 32;
  rule.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  rule.ip_protocol = 6;
  rule.destination_port = ports;
  FlowEntry entry;
  entry.fate = fate;
  std::vector<FlowPattern> patterns;
  Translate(rule, {wire::Layer3::kIpv4, 6, false}, abilities, patterns);
  entry.pattern = patterns.front();
  return entry;
}

}  // namespace

PortFlows::PortFlows(const Port& port) : port_(port) {
  for (std::uint16_t queue = 0; queue < port.setup().queues; ++queue) queues_.push_back(queue);
  rte_eth_dev_info info;
  if (port.setup().steers && rte_eth_dev_info_get(port.facts().device, &info) == 0) rss_ = AddressRss(info);
  const QuietLog quiet;
  abilities_ = AskAbilities();
}

PortFlows::~PortFlows() { Remove(); }

FlowAbilities PortFlows::AskAbilities() {
  constexpr rules::PortRange kAll;
  constexpr rules::PortRange kOne{443, 443};
  constexpr rules::PortRange kSome{400, 443};
  using Fate = FlowEntry::Fate;
  FlowAbilities can;
  const std::string drop = Ask(Sample(Fate::kDrop, {}, kAll), false, true);
  const std::string mark = Ask(Sample(Fate::kMark, {}, kAll), false, true);
  can.drops = drop.empty();
  can.marks = mark.empty();
  if (!can.drops && !can.marks) {
    can.answer = drop;
    return can;
  }
  const Fate fate = can.marks ? Fate::kMark : Fate::kDrop;
  can.counts = can.drops && Ask(Sample(Fate::kDrop, {}, kAll), true, true).empty();
  can.patterns.fragments = Ask(Sample(fate, {true, false}, kOne), false, true).empty();
  can.patterns.ranges = can.patterns.fragments && Ask(Sample(fate, {true, true}, kSome), false, true).empty();
  return can;
}

std::string PortFlows::Ask(const FlowEntry& entry, bool counts, bool only_ask) {
  const Items items = ItemsOf(entry.pattern);
  rte_flow_attr attributes{};
  attributes.ingress = 1;
  attributes.priority = entry.priority;

  rte_flow_action_mark mark{};
  mark.id = (first_mark_ + entry.decision) & (PortMarks::kMarks - 1);
  rte_flow_action_count count{};
  rte_flow_action_queue queue{};
  rte_flow_action_rss rss{};
  rss.types = rss_.rss_hf;
  rss.key_len = rss_.rss_key_len;
  rss.key = rss_.rss_key;
  rss.queue_num = static_cast<std::uint32_t>(queues_.size());
  rss.queue = queues_.data();
  std::array<rte_flow_action, 4> actions{};
  std::size_t next = 0;
  const auto add = [&](rte_flow_action_type type, const void* what) { actions[next++] = {type, what}; };
  if (counts) add(RTE_FLOW_ACTION_TYPE_COUNT, &count);
  if (entry.fate == FlowEntry::Fate::kMark) add(RTE_FLOW_ACTION_TYPE_MARK, &mark);
  if (entry.fate == FlowEntry::Fate::kDrop) {
    add(RTE_FLOW_ACTION_TYPE_DROP, nullptr);
  } else if (queues_.size() == 1) {
    add(RTE_FLOW_ACTION_TYPE_QUEUE, &queue);
  } else {
    add(RTE_FLOW_ACTION_TYPE_RSS, &rss);
  }
  add(RTE_FLOW_ACTION_TYPE_END, nullptr);

  const std::uint16_t device = port_.facts().device;
  rte_flow_error error{};
  const int result = rte_flow_validate(device, &attributes, items.data(), actions.data(), &error);
  if (result == 0 && only_ask) return {};
  if (result == 0) {
    rte_flow* const handle = rte_flow_create(device, &attributes, items.data(), actions.data(), &error);
    if (handle != nullptr) {
      flows_.push_back({handle, counts});
      return {};
    }
  }
  if (error.message != nullptr) return error.message;
  return ErrorOf(result);
}

void PortFlows::Install(const std::vector<rules::Rule>& rules, std::optional<std::uint16_t> vm, bool drops) {
  Remove();
  const QuietLog quiet;
  OffloadScope scope;
  scope.vm = vm;
  scope.abilities = abilities_.patterns;
  scope.marks = abilities_.marks;
  scope.drops = drops && abilities_.drops;
  scope.most_entries = kMostEntries;
  plan_ = Offload(rules, scope, [&](const FlowEntry& entry) {
    return Ask(entry, entry.fate == FlowEntry::Fate::kDrop && abilities_.counts, false);
  });
}

void PortFlows::Remove() {
  const QuietLog quiet;
  // The last first: at every moment what is left decides as all rules do.
  for (; !flows_.empty(); flows_.pop_back()) {
    dropped_before_ += CountOf(flows_.back());
    rte_flow_error error{};
    rte_flow_destroy(port_.facts().device, flows_.back().handle, &error);
  }
  first_mark_ = (first_mark_ + static_cast<std::uint32_t>(plan_.decisions.size())) & (PortMarks::kMarks - 1);
  plan_ = {};
}

std::optional<std::uint64_t> PortFlows::Dropped() const {
  if (!abilities_.counts) return std::nullopt;
  std::uint64_t dropped = dropped_before_;
  for (const Flow& flow : flows_) dropped += CountOf(flow);
  return dropped;
}

std::uint64_t PortFlows::CountOf(const Flow& flow) const {
  if (!flow.counts) return 0;
  rte_flow_query_count count{};
  const std::array<rte_flow_action, 2> actions{
      {{RTE_FLOW_ACTION_TYPE_COUNT, nullptr}, {RTE_FLOW_ACTION_TYPE_END, nullptr}}};
  rte_flow_error error{};
  const int result = rte_flow_query(port_.facts().device, flow.handle, actions.data(), &count, &error);
  return result == 0 && count.hits_set != 0 ? count.hits : 0;
}

}  // namespace foreflow::dpdk
