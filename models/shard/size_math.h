// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_SIZE_MATH_H_
#define FOREFLOW_MODELS_SHARD_SIZE_MATH_H_

#include <cmath>

namespace foreflow::shard {

// What a fragment's size costs and gains, in closed form. `hazard` is the rate of bit errors a byte,
// -8 ln(1 - bit error rate); `overhead` the bytes on the wire that each fragment adds to its text. Logarithm
// and exponential are sums of products: the same bits everywhere, which the mathematical library does not
// promise; errors below 1e-14.

// x > 0.
inline double Ln(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // exact
  if (mantissa < 0.70710678118654752) {
    mantissa *= 2;
    --exponent;
  }
  const double z = (mantissa - 1) / (mantissa + 1), square = z * z;
  double sum = 0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return 2 * z * sum + exponent * 0.69314718055994531;
}

// |x| < 700.
inline double Exp(double x) {
  const double whole = std::floor(x * 1.4426950408889634 + 0.5);
  const double rest = x - whole * 0.69314718055994531;
  double sum = 1;
  for (int k = 15; k >= 1; --k) sum = 1 + sum * rest / k;
  return std::ldexp(sum, static_cast<int>(whole));
}

// Share of the wire's bytes that arrive as text where a damaged fragment is sent again (Modiano 1999).
inline double WireEfficiency(double text, double overhead, double hazard) {
  return text / (text + overhead) * Exp(-hazard * (text + overhead));
}

// The text size at which WireEfficiency is greatest. hazard > 0.
inline double BestTextBytes(double overhead, double hazard) {
  return (std::sqrt(overhead * overhead + 4 * overhead / hazard) - overhead) / 2;
}

// The text size at which a packet passes `hops` links one after the other soonest, each of which forwards
// whole fragments: (packet / text + hops - 1) (text + overhead) is least. hops > 1.
inline double PipelineTextBytes(double packet, double overhead, double hops) {
  return std::sqrt(packet * overhead / (hops - 1));
}

// Fragments of equal size, in times that one byte takes on a link.
inline double PipelineTime(double packet, double fragments, double overhead, double hops) {
  return (fragments + hops - 1) * (packet / fragments + overhead);
}

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_SIZE_MATH_H_
