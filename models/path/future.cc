// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/future.h"

#include <algorithm>
#include <cstring>

#include "models/predict/labeler.h"

namespace foreflow::path {

Future::Future(const std::vector<Arrival>& arrivals, Nanos label_horizon) {
  const std::size_t count = arrivals.size();
  type_.resize(count, predict::PacketType::kControl);
  key_.resize(count);
  vlan_.resize(count);
  decidable_.resize(count);
  time_.resize(count);
  constexpr std::uint32_t kPending = 1u << 20;
  predict::Labeler labeler(label_horizon,
                           static_cast<std::uint32_t>(std::min<std::size_t>(count + 1, kPending)));
  const auto collect = [&] {
    predict::Label label;
    while (labeler.Pop(label)) type_[label.packet] = label.type;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const Arrival& arrival = arrivals[i];
    const Parsed parsed = Parse(arrival);
    key_[i] = parsed.key;
    vlan_[i] = parsed.packet.outer_vlan;
    decidable_[i] = parsed.decidable ? 1 : 0;
    time_[i] = arrival.time;
    if (!parsed.decidable) continue;
    labeler.Push(i, predict::Summarise(parsed.packet, parsed.key, arrival.sent, arrival.wire_bytes));
    collect();
  }
  labeler.Flush();
  collect();
}

Future::Future(const Future& all, const std::function<bool(std::size_t packet)>& chosen) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!chosen(i)) continue;
    type_.push_back(all.type_[i]);
    key_.push_back(all.key_[i]);
    vlan_.push_back(all.vlan_[i]);
    decidable_.push_back(all.decidable_[i]);
    time_.push_back(all.time_[i]);
  }
}

EntryUses UsesOf(const Future& future, const rules::RuleTable& rules) {
  const std::size_t count = future.size();
  EntryUses uses;
  uses.entry.assign(count, EntryUses::kNone);
  uses.next_use.assign(count, EntryUses::kNever);

  std::vector<rules::EntryKey> key(count);
  std::vector<std::size_t> order;
  order.reserve(count);
  Work uncounted;
  for (std::size_t i = 0; i < count; ++i) {
    if (!future.decidable(i)) continue;
    key[i] = rules.EntryKeyOf(future.key(i), future.vlan(i), uncounted);
    order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::memcmp(&key[a], &key[b], sizeof(rules::EntryKey)) < 0;
  });
  for (std::size_t at = 0; at < order.size(); ++at) {
    const bool same = at > 0 && key[order[at]] == key[order[at - 1]];
    if (same) {
      uses.next_use[order[at - 1]] = order[at];
    } else {
      uses.first_use.push_back(order[at]);
    }
    uses.entry[order[at]] = static_cast<std::uint32_t>(uses.first_use.size() - 1);
  }
  return uses;
}

}  // namespace foreflow::path
