// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_PORT_CLASSES_H_
#define FOREFLOW_MODELS_RULES_PORT_CLASSES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace foreflow::rules {

// Ports cut into intervals: the class of a port is the lowest port of its interval. A bit a port tells where
// intervals begin, so that all of it is 16 KiB, of which a look-up touches one line.
class PortClasses {
 public:
  // One interval.
  PortClasses() : groups_(kPorts / kGroup) { Begin(0); }

  // An interval begins at `port`; at 65536 there is nothing to begin.
  void Begin(std::uint32_t port) {
    if (port >= kPorts) return;
    groups_[port / kGroup].begins |= std::uint64_t{1} << (port % kGroup);
  }
  // After the last Begin, before the first Of.
  void Finish() {
    std::uint32_t latest = 0;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      groups_[i].latest_before = static_cast<std::uint16_t>(latest);
      if (groups_[i].begins != 0)
        latest = static_cast<std::uint32_t>(i * kGroup) + HighestBit(groups_[i].begins);
    }
  }

  // An interval begins at `port` from now on: what was one class up to here is two, and the lower keeps its
  // name.
  void Split(std::uint32_t port) {
    if (port >= kPorts) return;
    Begin(port);
    const std::size_t own = port / kGroup;
    const std::uint32_t latest = static_cast<std::uint32_t>(own * kGroup) + HighestBit(groups_[own].begins);
    for (std::size_t i = own + 1; i < groups_.size(); ++i) {
      groups_[i].latest_before = static_cast<std::uint16_t>(latest);
      if (groups_[i].begins != 0) break;
    }
  }

  std::size_t bytes() const { return groups_.capacity() * sizeof(Group); }

  // The class of a port.
  std::uint16_t Of(std::uint16_t port) const {
    const Group& group = groups_[port / kGroup];
    const std::uint64_t begun = group.begins & (~std::uint64_t{0} >> (kGroup - 1 - port % kGroup));
    const std::uint32_t own = (port & ~(kGroup - 1)) + HighestBit(begun | 1);
    return begun != 0 ? static_cast<std::uint16_t>(own) : group.latest_before;
  }

 private:
  static constexpr std::uint32_t kPorts = 65536;
  static constexpr std::uint32_t kGroup = 64;

  struct Group {
    std::uint64_t begins = 0;         // bit i: an interval begins at the group's port i
    std::uint16_t latest_before = 0;  // where the interval began that reaches into the group
  };

  static std::uint32_t HighestBit(std::uint64_t bits) {
    return 63u - static_cast<std::uint32_t>(__builtin_clzll(bits));
  }

  std::vector<Group> groups_;
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_PORT_CLASSES_H_
