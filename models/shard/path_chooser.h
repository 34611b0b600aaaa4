// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_PATH_CHOOSER_H_
#define FOREFLOW_MODELS_SHARD_PATH_CHOOSER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace foreflow::shard {

// What goes by which path, where there are several: each rule in the proportion of their weights.
enum class PathRule : std::uint8_t {
  kFlow,      // a flow by one path: keeps its packets in order
  kPacket,    // a packet by one path, and what of it is sent later by the path in turn
  kFragment,  // each fragment by the path in turn
};

// Deals out paths by weight: in turn, as evenly as can be (smooth weighted round robin), or by a flow's hash.
class PathChooser {
 public:
  static constexpr std::size_t kMost = 16;

  // 1 .. kMost weights, each 1 .. 65535.
  explicit PathChooser(const std::vector<std::uint32_t>& weights) : count_(weights.size()) {
    for (std::size_t i = 0; i < count_; ++i) {
      weights_[i] = weights[i];
      sum_ += weights[i];
    }
  }

  // A packet begins.
  void Packet(PathRule rule) {
    if (rule == PathRule::kPacket) turn_ = Next();
  }
  // The path of a fragment of the packet that began last.
  unsigned Fragment(PathRule rule, std::uint16_t flow) {
    switch (rule) {
      case PathRule::kFlow:
        return OfFlow(flow);
      case PathRule::kPacket:
        return turn_;
      case PathRule::kFragment:
        break;
    }
    return Next();
  }
  // Of what is sent later: again, or as a repair. In turn, but for paths that do not carry it where another
  // does: `carries` says whether a path, given as a number, does.
  template <typename Carries>
  unsigned Later(PathRule rule, std::uint16_t flow, const Carries& carries) {
    if (rule == PathRule::kFlow) return OfFlow(flow);
    unsigned path = Next();
    for (std::size_t i = 1; i < count_ && !carries(path); ++i) path = Next();
    return path;
  }
  // Of feedback and probes.
  unsigned Message() { return Next(); }

 private:
  unsigned OfFlow(std::uint16_t flow) const {
    std::uint64_t at = std::uint64_t{flow} * sum_ >> 16;
    unsigned path = 0;
    for (; at >= weights_[path]; ++path) at -= weights_[path];
    return path;
  }
  unsigned Next() {
    std::size_t best = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      credits_[i] += weights_[i];
      if (credits_[i] > credits_[best]) best = i;
    }
    credits_[best] -= static_cast<std::int64_t>(sum_);
    return static_cast<unsigned>(best);
  }

  std::array<std::uint32_t, kMost> weights_{};
  std::array<std::int64_t, kMost> credits_{};
  std::uint64_t sum_ = 0;
  std::size_t count_;
  unsigned turn_ = 0;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_PATH_CHOOSER_H_
