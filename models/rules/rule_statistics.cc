// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_statistics.h"

#include <algorithm>

namespace foreflow::rules {

RuleStatistics::RuleStatistics(std::size_t rules) : room_(rules + 1) {
  unsigned bits = 1;
  while ((std::size_t{1} << bits) < 2 * room_) ++bits;
  rows_.resize(std::size_t{1} << bits);
  shift_ = 64 - bits;
}

// The rule's row or the free one that it would take.
RuleStatistics::Row* RuleStatistics::Find(std::uint32_t rule, std::uint32_t& probes) {
  for (std::size_t slot = SlotOf(rule);; slot = (slot + 1) & (rows_.size() - 1)) {
    ++probes;
    Row& row = rows_[slot];
    if (row.packets == 0 || row.rule == rule) return &row;
  }
}

void RuleStatistics::Count(std::uint32_t rule, std::uint32_t wire_bytes, Nanos now, Work& work) {
  std::uint32_t probes = 0;
  Row* row = Find(rule, probes);
  if (row->packets == 0) {
    if (room_ == 0) {
      row = &others_;
    } else {
      --room_;
      row->rule = rule;
    }
  }
  ++row->packets;
  row->bytes += wire_bytes;
  row->last_use = now;
  work.Add(WorkItem::kProbe, probes);
  work.Add(WorkItem::kCacheLine);
  work.Add(WorkItem::kUpdate);
}

RuleStatistics::Row RuleStatistics::Of(std::uint32_t rule) const {
  std::uint32_t probes = 0;
  Row row = *const_cast<RuleStatistics*>(this)->Find(rule, probes);
  row.rule = rule;
  return row;
}

std::vector<RuleStatistics::Row> RuleStatistics::Rows(std::uint32_t first, std::size_t most) const {
  std::vector<Row> found;
  std::copy_if(rows_.begin(), rows_.end(), std::back_inserter(found),
               [&](const Row& row) { return row.packets > 0 && row.rule >= first; });
  std::sort(found.begin(), found.end(), [](const Row& a, const Row& b) { return a.rule < b.rule; });
  if (found.size() > most) found.resize(most);
  return found;
}

void RuleStatistics::Add(const RuleStatistics& other) {
  const auto add = [](Row& to, const Row& from) {
    to.packets += from.packets;
    to.bytes += from.bytes;
    to.last_use = std::max(to.last_use, from.last_use);
  };
  for (const Row& row : other.rows_) {
    if (row.packets == 0) continue;
    std::uint32_t probes = 0;
    Row* mine = Find(row.rule, probes);
    if (mine->packets == 0 && room_ == 0) {
      mine = &others_;
    } else if (mine->packets == 0) {
      --room_;
      mine->rule = row.rule;
    }
    add(*mine, row);
  }
  add(others_, other.others_);
}

}  // namespace foreflow::rules
