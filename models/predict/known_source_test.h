// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_KNOWN_SOURCE_TEST_H_
#define FOREFLOW_MODELS_PREDICT_KNOWN_SOURCE_TEST_H_

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/rng.h"
#include "models/predict/packet_type.h"

namespace foreflow::predict {

// A Markov source of types with a known law, for tests: a random transition matrix of the given order (0:
// independent draws), hence best possible accuracies and an entropy rate in closed form.
class KnownSource {
 public:
  KnownSource(std::size_t order, std::uint64_t seed) : rng_(seed, "known_source"), contexts_(1) {
    for (std::size_t k = 0; k < order; ++k) contexts_ *= kPacketTypes;
    for (std::size_t i = 0; i < contexts_; ++i) {
      Row row;
      double sum = 0;
      for (double& each : row) sum += each = std::pow(rng_.Exponential(1), 3);
      for (double& each : row) each /= sum;
      transition_.push_back(row);
    }
    stationary_.assign(contexts_, 1.0 / static_cast<double>(contexts_));
    for (int i = 0; i < 2000; ++i) stationary_ = Step(stationary_);
  }

  PacketType Next() {
    const Row& row = transition_[state_];
    double left = rng_.Real();
    std::size_t type = 0;
    while (type + 1 < kPacketTypes && left >= row[type]) left -= row[type++];
    state_ = (state_ * kPacketTypes + type) % contexts_;
    return static_cast<PacketType>(type);
  }

  // What the best predictor that knows the law and the last `known` types attains; `known` <= order.
  double Ceiling(std::size_t known) const {
    std::size_t groups = 1;
    for (std::size_t k = 0; k < known; ++k) groups *= kPacketTypes;
    // The newest types are the lower digits of a context.
    std::vector<Row> joint(groups, Row{});
    for (std::size_t i = 0; i < contexts_; ++i) {
      for (std::size_t k = 0; k < kPacketTypes; ++k)
        joint[i % groups][k] += stationary_[i] * transition_[i][k];
    }
    double sum = 0;
    for (const Row& row : joint) {
      double best = 0;
      for (const double each : row) best = each > best ? each : best;
      sum += best;
    }
    return sum;
  }

  // Bits a type.
  double EntropyRate() const {
    double sum = 0;
    for (std::size_t i = 0; i < contexts_; ++i) {
      for (const double p : transition_[i]) sum -= p > 0 ? stationary_[i] * p * std::log2(p) : 0;
    }
    return sum;
  }

 private:
  using Row = std::array<double, kPacketTypes>;

  std::vector<double> Step(const std::vector<double>& from) const {
    std::vector<double> to(contexts_, 0.0);
    for (std::size_t i = 0; i < contexts_; ++i) {
      for (std::size_t k = 0; k < kPacketTypes; ++k) {
        to[(i * kPacketTypes + k) % contexts_] += from[i] * transition_[i][k];
      }
    }
    return to;
  }

  Rng rng_;
  std::size_t contexts_;
  std::size_t state_ = 0;
  std::vector<Row> transition_;
  std::vector<double> stationary_;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_KNOWN_SOURCE_TEST_H_
