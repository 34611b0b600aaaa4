// SPDX-License-Identifier: BSD-3-Clause
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "bindings/pcap/capture.h"
#include "bindings/pcap/time_map.h"
#include "models/base/refusal.h"

// Bytes as a capture: refused, or records that lie inside the file and times that can be mapped.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using foreflow::Nanos;
  namespace pcap = foreflow::pcap;
  pcap::Capture capture;
  try {
    capture = pcap::ReadCapture("fuzz", std::vector<std::uint8_t>(data, data + size));
  } catch (const foreflow::Refusal&) {
    return 0;
  }
  std::size_t captured = 0;
  unsigned touched = 0;
  for (const pcap::Record& record : capture.records) {
    captured += record.captured.size;
    for (const std::uint8_t byte : record.captured) touched += byte;  // the sanitizer watches every byte
    if (record.wire_bytes < record.captured.size) std::abort();
  }
  if (captured > size || touched > 255U * captured) std::abort();
  pcap::TimeMap map;
  map.seed = size;
  const pcap::Traffic traffic = pcap::MapToLoad(capture, 4, map);
  if (traffic.arrivals.size() != capture.records.size()) std::abort();
  for (std::size_t i = 1; i < traffic.arrivals.size(); ++i) {
    if (traffic.arrivals[i].time < traffic.arrivals[i - 1].time) std::abort();
    if (traffic.arrivals[i].sent < traffic.arrivals[i - 1].sent) std::abort();
  }
  return 0;
}
