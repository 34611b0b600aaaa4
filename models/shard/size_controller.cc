// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/size_controller.h"

#include <algorithm>
#include <array>
#include <string>

#include "models/base/refusal.h"
#include "models/shard/sharder.h"
#include "models/shard/size_math.h"

namespace foreflow::shard {

const char* Name(SizeReason reason) {
  static constexpr std::array<const char*, kSizeReasons> kNames = {"whole",      "path_mtu",  "bit_errors",
                                                                   "pipelining", "multipath", "naive"};
  const auto index = static_cast<std::size_t>(reason);
  return index < kNames.size() ? kNames[index] : nullptr;
}

SizeController::SizeController(const SizeControllerConfig& config) : config_(config) {
  const auto check = [](const char* key, std::size_t value, std::size_t least, std::size_t most) {
    if (value < least || value > most)
      throw Refusal("size controller", key, std::to_string(value),
                    std::to_string(least) + " .. " + std::to_string(most));
  };
  check("least_bytes", config.least_bytes, 1, 65'535);
  check("overhead", config.overhead, 1, 65'535);
  check("most_fragments", config.most_fragments, 1, wire::kMostFragments);
  check("hops", config.hops, 1, 255);
  check("paths", config.paths, 1, wire::kMostFragments);
  if (!(config.gain >= 0 && config.gain <= 1))
    throw Refusal("size controller", "gain", std::to_string(config.gain), "0 .. 1");
  if (config.dwell < Nanos())
    throw Refusal("size controller", "dwell", std::to_string(config.dwell.count()) + " ns", "0 ns or more");
}

double SizeController::Offered(const SizeInputs& inputs, std::size_t fragments, double overhead) {
  const double packet = static_cast<double>(inputs.packet), count = static_cast<double>(fragments);
  const double wire = packet / count + overhead;
  // Held above nothing: what is sent until it arrives has to arrive at some time.
  const double alive =
      std::max((1 - inputs.loss.drop) * Exp(std::max(-inputs.loss.hazard * wire, -30.0)), 1e-9);
  return inputs.demand * count * wire / packet / alive;
}

bool SizeController::IsAllowed(const SizeInputs& inputs, std::size_t fragments, std::size_t fewest) const {
  const auto overhead = static_cast<double>(config_.overhead);
  return Offered(inputs, fragments, overhead) <=
         std::max(Offered(inputs, fewest, overhead), inputs.delivered);
}

// What a choice is made by, the less the better.
double SizeController::Cost(const SizeInputs& inputs, std::size_t fragments, SizeReason reason) const {
  const double packet = static_cast<double>(inputs.packet), count = static_cast<double>(fragments);
  const auto overhead = static_cast<double>(config_.overhead);
  switch (reason) {
    case SizeReason::kPipelining:
      return PipelineTime(packet, count, overhead, config_.hops);
    case SizeReason::kMultipath:
      return 1 / std::min(count, static_cast<double>(config_.paths));
    default:
      return Offered(inputs, fragments, overhead);
  }
}

SizeChoice SizeController::Wanted(const SizeInputs& inputs, std::size_t fewest, std::size_t most) const {
  SizeChoice best;
  best.fragments = fewest;
  best.reason = fewest > 1 ? SizeReason::kPathMtu : SizeReason::kWhole;
  if (config_.rule == SizeRule::kWhole) return best;
  if (config_.rule == SizeRule::kNaive) {
    if (inputs.severity < config_.naive_threshold) return best;
    const double share = inputs.severity / 65'535.0;
    const double text = static_cast<double>(std::min(inputs.packet, inputs.most_text)) * (1 - share);
    const std::size_t wanted =
        FragmentsFor(inputs.packet, std::max(static_cast<std::size_t>(text), std::size_t{1}));
    best.fragments = std::clamp(wanted, fewest, most);
    best.reason = SizeReason::kNaive;
    return best;
  }
  const double packet = static_cast<double>(inputs.packet);
  const auto overhead = static_cast<double>(config_.overhead);
  // The best whole number is one of the two around the best real one.
  const auto consider = [&](double real, SizeReason reason) {
    const auto low = static_cast<std::size_t>(std::min(real, 65'535.0));
    std::size_t found = 0;
    for (std::size_t fragments = low; fragments <= low + 1; ++fragments) {
      const std::size_t held = std::clamp(fragments, fewest, most);
      if (found == 0 || Cost(inputs, held, reason) < Cost(inputs, found, reason)) found = held;
    }
    // As many as the path bears.
    while (found > fewest && !IsAllowed(inputs, found, fewest)) --found;
    if (found > best.fragments) {
      best.fragments = found;
      best.reason = reason;
    }
  };
  if (inputs.loss.hazard > 0)
    consider(packet / BestTextBytes(overhead, inputs.loss.hazard), SizeReason::kBitErrors);
  if (config_.hops > 1)
    consider(packet / PipelineTextBytes(packet, overhead, config_.hops), SizeReason::kPipelining);
  if (config_.paths > 1) consider(static_cast<double>(config_.paths), SizeReason::kMultipath);
  return best;
}

const SizeChoice& SizeController::Choose(const SizeInputs& inputs, Nanos now) {
  const std::size_t fewest = FragmentsFor(inputs.packet, inputs.most_text);
  const std::size_t small = std::max<std::size_t>(inputs.packet / config_.least_bytes, 1);
  const std::size_t most = std::max(fewest, std::min(config_.most_fragments, small));
  const SizeChoice wanted = Wanted(inputs, fewest, most);
  // What is in use stays, unless it may not, or a change is due and worth it.
  const bool may_stay = has_changed_ && choice_.fragments >= fewest && choice_.fragments <= most &&
                        (config_.rule == SizeRule::kNaive || IsAllowed(inputs, choice_.fragments, fewest));
  if (may_stay) {
    const bool is_due = now - changed_ >= config_.dwell;
    const double saved =
        1 - Cost(inputs, wanted.fragments, wanted.reason) / Cost(inputs, choice_.fragments, wanted.reason);
    if (wanted.fragments == choice_.fragments || !is_due ||
        (config_.rule == SizeRule::kClosedForm && saved < config_.gain)) {
      choice_.text = wire::FragmentUnit(inputs.packet, choice_.fragments);
      return choice_;
    }
  }
  choice_ = wanted;
  choice_.text = wire::FragmentUnit(inputs.packet, choice_.fragments);
  changed_ = now;
  has_changed_ = true;
  return choice_;
}

}  // namespace foreflow::shard
