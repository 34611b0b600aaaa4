// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_TEST_TRAFFIC_H_
#define FOREFLOW_MODELS_PATH_TEST_TRAFFIC_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "models/path/arrival.h"

namespace foreflow::path {

// Hand-laid UDP frames: the path's tests must not lean on the codecs that the path uses.
class Traffic {
 public:
  void Udp(flow::VmId vm, std::uint8_t to, std::uint16_t source_port, std::uint16_t destination_port,
           Nanos time, std::uint16_t payload = 20, std::uint8_t source_net = 0) {
    std::vector<std::uint8_t> frame(14u + 20u + 8u + payload, 0);
    const auto put16 = [&](std::size_t at, std::size_t value) {
      frame[at] = static_cast<std::uint8_t>(value >> 8);
      frame[at + 1] = static_cast<std::uint8_t>(value);
    };
    frame[5] = to;  // destination MAC 00:..:to
    frame[11] = static_cast<std::uint8_t>(vm);
    put16(12, 0x0800);
    frame[14] = 0x45;
    put16(16, 28u + payload);
    frame[22] = 64;
    frame[23] = 17;
    frame[26] = 10;
    frame[28] = source_net;
    frame[29] = static_cast<std::uint8_t>(vm);
    frame[30] = 10;
    frame[33] = to;
    put16(34, source_port);
    put16(36, destination_port);
    put16(38, 8u + payload);
    frames_.push_back(std::move(frame));
    Arrival arrival;
    arrival.vm = vm;
    arrival.time = time;
    arrival.sent = time;
    arrivals_.push_back(arrival);
  }
  const std::vector<Arrival>& arrivals() {
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      arrivals_[i].captured = {frames_[i].data(), frames_[i].size()};
      arrivals_[i].wire_bytes = static_cast<std::uint32_t>(frames_[i].size());
    }
    return arrivals_;
  }

 private:
  std::vector<std::vector<std::uint8_t>> frames_;
  std::vector<Arrival> arrivals_;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_TEST_TRAFFIC_H_
