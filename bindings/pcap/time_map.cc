// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/time_map.h"

#include <algorithm>
#include <cmath>

#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/path/vm_map.h"

namespace foreflow::pcap {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr std::uint64_t kPartsPerMillion = 1'000'000;

// a * b / c without overflow in between; c > 0.
std::int64_t Scale(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return static_cast<std::int64_t>(static_cast<Wide>(a) * b / c);
}

std::string Times(std::uint64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// Sorted by time and given VMs; `time` and `sent` are recorded times since the first.
Traffic Sorted(const Capture& capture, std::uint16_t vms, std::uint64_t max_packets) {
  Traffic traffic;
  const std::vector<Record>& records = capture.records;
  std::vector<std::size_t> order(records.size());
  std::uint64_t backwards = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
    if (i > 0 && records[i].time < records[i - 1].time) ++backwards;
  }
  if (backwards > 0) {
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return records[a].time < records[b].time; });
    traffic.notes.push_back("the clock runs backwards at " + Times(backwards, "record") +
                            "; the records were sorted by time");
  }
  if (max_packets != 0 && max_packets < order.size()) {
    traffic.notes.push_back("the first " + std::to_string(max_packets) + " of " +
                            std::to_string(order.size()) + " packets were taken (traffic.max_packets)");
    order.resize(max_packets);
  }
  path::VmMap map(vms);
  std::uint64_t from_uplink = 0, unknown_link = 0;
  traffic.arrivals.reserve(order.size());
  for (const std::size_t index : order) {
    const Record& record = records[index];
    Work uncounted;
    path::Arrival arrival;
    arrival.link = record.link;
    arrival.captured = record.captured;
    arrival.wire_bytes = record.wire_bytes;
    arrival.vm = map.VmOf(wire::Dissect(record.link, record.captured, record.wire_bytes, uncounted));
    arrival.time = record.time - records[order.front()].time;
    arrival.sent = arrival.time;
    if (arrival.vm == 0) ++from_uplink;
    if (record.link == wire::Link::kUnknown) ++unknown_link;
    traffic.arrivals.push_back(arrival);
  }
  traffic.vms = map.size();
  if (from_uplink > 0) {
    traffic.notes.push_back(Times(from_uplink, "packet") + " of senders beyond the " + std::to_string(vms) +
                            " profiled VMs come from the uplink");
  }
  if (unknown_link > 0) {
    traffic.notes.push_back(Times(unknown_link, "packet") +
                            " of a link type without a dissector are dropped");
  }
  return traffic;
}

// Silences longer than max_gap become max_gap long, on the sent clock.
void CutGaps(Traffic& traffic, Nanos max_gap) {
  std::uint64_t cut = 0;
  Nanos removed;
  Nanos previous;
  for (path::Arrival& arrival : traffic.arrivals) {
    const Nanos gap = arrival.time - previous;
    previous = arrival.time;
    if (gap > max_gap) {
      removed += gap - max_gap;
      ++cut;
    }
    arrival.sent = arrival.time - removed;
  }
  if (cut > 0) {
    traffic.notes.push_back(Times(cut, "silence") + " longer than " +
                            std::to_string(max_gap.count() / 1'000'000) + " ms " +
                            (cut == 1 ? "was" : "were") + " cut to it");
  }
}

// Begins at a packet that the seed chooses; the part before it follows after one mean gap.
void Rotate(Traffic& traffic, std::uint64_t seed) {
  const std::size_t count = traffic.arrivals.size();
  if (seed <= 1 || count < 2) return;
  Rng rng(seed, "pcap.rotation");
  const auto bound = static_cast<std::uint32_t>(std::min<std::size_t>(count, UINT32_MAX));
  const std::size_t start = rng.Below(bound);
  const Nanos span = traffic.arrivals.back().sent;
  const Nanos seam = span / static_cast<std::int64_t>(count - 1);
  const Nanos origin = traffic.arrivals[start].sent;
  const Nanos wrapped = span - origin + seam;
  for (std::size_t i = 0; i < count; ++i) {
    Nanos& sent = traffic.arrivals[i].sent;
    sent = i < start ? sent + wrapped : sent - origin;
  }
  const auto middle = traffic.arrivals.begin() + static_cast<std::ptrdiff_t>(start);
  std::rotate(traffic.arrivals.begin(), middle, traffic.arrivals.end());
}

void SpreadToLoad(Traffic& traffic, double load, BitsPerSecond rate) {
  const std::size_t count = traffic.arrivals.size();
  if (count == 0) return;
  std::uint64_t bits = 0;
  for (const path::Arrival& arrival : traffic.arrivals) bits += std::uint64_t{arrival.wire_bytes} * 8;
  const auto load_ppm =
      static_cast<std::uint64_t>(std::llround(load * static_cast<double>(kPartsPerMillion)));
  const Wide bits_a_second = static_cast<Wide>(load_ppm) * rate.count();  // in millionths
  // The time in which the link at this load carries all packets but one: as many gaps.
  const Wide total = static_cast<Wide>(bits) * 1'000'000'000 * kPartsPerMillion / bits_a_second;
  const auto wanted = static_cast<std::uint64_t>(total * (count - 1) / count);
  const auto span = static_cast<std::uint64_t>(traffic.arrivals.back().sent.count());
  if (span == 0 && count > 1) {
    traffic.notes.push_back("the clock stands still; the packets were spread evenly at the wanted load");
    for (std::size_t i = 0; i < count; ++i) {
      traffic.arrivals[i].time = traffic.arrivals[i].sent = Nanos(Scale(wanted, i, count - 1));
    }
    return;
  }
  for (path::Arrival& arrival : traffic.arrivals) {
    const auto sent = static_cast<std::uint64_t>(arrival.sent.count());
    arrival.time = span == 0 ? Nanos() : Nanos(Scale(sent, wanted, span));
  }
  if (span > 0) {
    char text[96];
    std::snprintf(text, sizeof text, "%.6g", static_cast<double>(wanted) / static_cast<double>(span));
    traffic.notes.push_back(std::string("times were multiplied by ") + text + " to offer the wanted load");
  }
}

}  // namespace

Traffic MapRecorded(const Capture& capture, std::uint16_t vms) { return Sorted(capture, vms, 0); }

Traffic MapToLoad(const Capture& capture, std::uint16_t vms, const TimeMap& map) {
  if (!(map.load * static_cast<double>(kPartsPerMillion) >= 1) || map.load > 1000) {
    throw Refusal(capture.name, "traffic.load", std::to_string(map.load), "1e-6 .. 1000");
  }
  if (map.link_rate.count() == 0) throw Refusal(capture.name, "link rate", "0", "above 0");
  Traffic traffic = Sorted(capture, vms, map.max_packets);
  CutGaps(traffic, map.max_gap);
  Rotate(traffic, map.seed);
  SpreadToLoad(traffic, map.load, map.link_rate);
  return traffic;
}

}  // namespace foreflow::pcap
