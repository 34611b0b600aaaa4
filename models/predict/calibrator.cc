// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/calibrator.h"

#include <algorithm>

#include "models/predict/fixed_log.h"

namespace foreflow::predict {
namespace {

// How many times less likely than the likeliest type each is, as a logarithm in 2^-12 bits.
Distribution DeficitOf(const Distribution& raw) {
  Distribution deficit;
  std::uint32_t greatest = 0;
  for (std::size_t i = 0; i < kPacketTypes; ++i) {
    deficit[i] = Log2(std::max(raw[i], 1u));
    greatest = std::max(greatest, deficit[i]);
  }
  for (std::uint32_t& value : deficit) value = greatest - value;
  return deficit;
}

std::uint32_t Scaled(std::uint32_t deficit, std::uint32_t sharpness) { return (deficit * sharpness) >> 8; }

// In 2^-12 bits, above the 16 bits that every term carries.
std::int64_t LogLoss(const Distribution& deficit, std::uint32_t sharpness, PacketType truth) {
  std::uint32_t sum = 0;
  for (const std::uint32_t value : deficit) sum += Exp2Minus(Scaled(value, sharpness));
  return std::int64_t{Scaled(deficit[static_cast<std::size_t>(truth)], sharpness)} + Log2(sum);
}

}  // namespace

void Calibrator::Apply(const Distribution& raw, PacketType best,
                       std::array<std::uint16_t, kPacketTypes>& probability) const {
  Distribution weight = raw;
  if (sharpness() != 256) {
    weight = DeficitOf(raw);
    for (std::uint32_t& value : weight) value = Exp2Minus(Scaled(value, sharpness()));
  }
  std::uint64_t sum = 0;
  for (const std::uint32_t value : weight) sum += value;
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
  const Distribution deficit = DeficitOf(raw);
  const std::int64_t loss = LogLoss(deficit, kSharpness[step_], truth);
  if (step_ + 1u < kSharpness.size()) gain_sharper_ += loss - LogLoss(deficit, kSharpness[step_ + 1u], truth);
  if (step_ > 0) gain_softer_ += loss - LogLoss(deficit, kSharpness[step_ - 1u], truth);
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
