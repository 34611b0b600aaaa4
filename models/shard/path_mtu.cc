// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/path_mtu.h"

#include <string>

#include "models/base/refusal.h"

namespace foreflow::shard {

PathMtu::PathMtu(const PathMtuConfig& config)
    : config_(config), current_(config.base), above_(config.most + 1) {
  const auto refuse = [](const char* key, std::size_t value, const char* allowed) {
    throw Refusal("path MTU", key, std::to_string(value), allowed);
  };
  if (config.most > 65'507) refuse("most", config.most, "base .. 65507");
  if (config.base < 128 || config.base > config.most) refuse("base", config.base, "128 .. most");
  if (config.grain < 1) refuse("grain", config.grain, "1 or more");
  if (config.tries < 1) refuse("tries", config.tries, "1 or more");
  if (config.black_hole < 1) refuse("black_hole", config.black_hole, "1 or more");
  if (config.timeout.count() <= 0 || config.raise.count() <= 0)
    throw Refusal(
        "path MTU", "timeout, raise",
        std::to_string(config.timeout.count()) + ", " + std::to_string(config.raise.count()) + " ns",
        "1 ns or more");
}

std::size_t PathMtu::NextProbe(Nanos now) {
  if (under_way_ != 0) {
    if (now - sent_ < config_.timeout) return 0;
    OnProbe(true, now);
  }
  if (phase_ == Phase::kDone) {
    if (now < raise_at_) return 0;
    above_ = config_.most + 1;
    phase_ = Phase::kSearching;
  }
  if (phase_ == Phase::kAsking) {
    under_way_ = config_.base;
  } else if (current_ == config_.most || above_ - current_ <= config_.grain) {
    phase_ = Phase::kDone;
    raise_at_ = now + config_.raise;
    return 0;
  } else {
    // The greatest first: most often it passes.
    under_way_ = above_ > config_.most ? config_.most : current_ + (above_ - current_) / 2;
  }
  sent_ = now;
  return under_way_;
}

void PathMtu::OnProbe(bool is_lost, Nanos now) {
  if (under_way_ == 0) return;
  const std::size_t size = under_way_;
  under_way_ = 0;
  if (phase_ == Phase::kAsking) {
    // What passes at the base size and not above is a narrower path. All is tried anew: if it was a bad time
    // after all, the first probe says so.
    if (is_lost) {
      if (++tried_ >= config_.tries) {
        phase_ = Phase::kDone;
        raise_at_ = now + config_.raise;
        tried_ = lost_in_row_ = 0;
      }
      return;
    }
    ++black_holes_;
    above_ = config_.most + 1;
    current_ = config_.base;
    phase_ = Phase::kSearching;
    tried_ = lost_in_row_ = 0;
    return;
  }
  if (!is_lost) {
    current_ = size;
    tried_ = 0;
  } else if (++tried_ >= config_.tries) {
    above_ = size;
    tried_ = 0;
  }
}

void PathMtu::OnFate(std::size_t bytes, bool is_lost) {
  if (bytes <= config_.base || bytes > current_) return;
  if (!is_lost) {
    lost_in_row_ = 0;
    if (phase_ != Phase::kAsking) return;
    // A large one passed: it was a bad time.
    phase_ = Phase::kSearching;
    under_way_ = 0;
    tried_ = 0;
    return;
  }
  if (++lost_in_row_ < config_.black_hole || phase_ == Phase::kAsking) return;
  phase_ = Phase::kAsking;
  under_way_ = 0;
  tried_ = 0;
}

}  // namespace foreflow::shard
