// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/calibrator.h"

#include <algorithm>

#include "models/predict/fixed_log.h"

namespace foreflow::predict {
namespace {

// In 2^-12 bits.
struct Logarithms {
  Distribution of;
  std::uint32_t greatest = 0;
  // How many times less likely than the likeliest type this one is.
  std::uint32_t Deficit(std::size_t type) const { return greatest - of[type]; }
};

Logarithms LogarithmsOf(const Distribution& raw) {
  Logarithms logarithms;
  for (std::size_t i = 0; i < kPacketTypes; ++i) {
    logarithms.of[i] = Log2(std::max(raw[i], 1u));
    logarithms.greatest = std::max(logarithms.greatest, logarithms.of[i]);
  }
  return logarithms;
}

std::uint32_t Scaled(std::uint32_t deficit, std::uint32_t sharpness) { return (deficit * sharpness) >> 8; }

// The log loss at each of three sharpnesses, in 2^-12 bits, above the 16 bits that every term carries. All
// three in one go: each is a chain of look-ups that wait for each other.
std::array<std::int64_t, 3> LogLosses(const Logarithms& logarithms,
                                      const std::array<std::uint32_t, 3>& sharpness, PacketType truth) {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  std::uint32_t third = 0;
  for (std::size_t i = 0; i < kPacketTypes; ++i) {
    const std::uint32_t deficit = logarithms.Deficit(i);
    first += Exp2Minus(Scaled(deficit, sharpness[0]));
    second += Exp2Minus(Scaled(deficit, sharpness[1]));
    third += Exp2Minus(Scaled(deficit, sharpness[2]));
  }
  const std::uint32_t own = logarithms.Deficit(static_cast<std::size_t>(truth));
  return {std::int64_t{Scaled(own, sharpness[0])} + Log2(first),
          std::int64_t{Scaled(own, sharpness[1])} + Log2(second),
          std::int64_t{Scaled(own, sharpness[2])} + Log2(third)};
}

}  // namespace

void Calibrator::Apply(const Distribution& raw, PacketType best,
                       std::array<std::uint16_t, kPacketTypes>& probability) const {
  Distribution weight;
  std::uint64_t sum = 0;
  if (sharpness() == 256) {
    for (std::size_t i = 0; i < kPacketTypes; ++i) sum += weight[i] = raw[i];
  } else {
    const Logarithms logarithms = LogarithmsOf(raw);
    for (std::size_t i = 0; i < kPacketTypes; ++i) {
      sum += weight[i] = Exp2Minus(Scaled(logarithms.Deficit(i), sharpness()));
    }
  }
  // A distribution of zeros says nothing: all goes to `best`.
  const std::uint64_t factor = sum == 0 ? 0 : (std::uint64_t{65535} << 32) / sum;
  std::uint32_t left = 65535;
  for (std::size_t i = 0; i < kPacketTypes; ++i) {
    probability[i] = static_cast<std::uint16_t>((weight[i] * factor) >> 32);
    left -= probability[i];
  }
  auto& taker = probability[static_cast<std::size_t>(best)];
  taker = static_cast<std::uint16_t>(taker + left);
}

void Calibrator::Learn(const Distribution& raw, PacketType truth) {
  // At an end of the grid there is no neighbour on one side, and nothing to be gained from it.
  const std::size_t sharper = std::min<std::size_t>(step_ + 1u, kSharpness.size() - 1);
  const std::size_t softer = step_ > 0 ? step_ - 1u : 0;
  const auto [loss, loss_sharper, loss_softer] =
      LogLosses(LogarithmsOf(raw), {kSharpness[step_], kSharpness[sharper], kSharpness[softer]}, truth);
  gain_sharper_ += loss - loss_sharper;
  gain_softer_ += loss - loss_softer;
  if (++seen_ < kRound) return;
  if (gain_sharper_ > std::max(gain_softer_, kMinimumGain)) {
    ++step_;
  } else if (gain_softer_ > kMinimumGain) {
    --step_;
  }
  seen_ = 0;
  gain_sharper_ = 0;
  gain_softer_ = 0;
}

}  // namespace foreflow::predict
