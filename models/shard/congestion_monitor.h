// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_CONGESTION_MONITOR_H_
#define FOREFLOW_MODELS_SHARD_CONGESTION_MONITOR_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/units.h"
#include "models/shard/loss_parts.h"

namespace foreflow::shard {

// What is known of a path.
struct CongestionReport {
  Nanos time;
  Nanos latency;               // smoothed round trip
  Nanos least_latency;         // of the last rate_memory or two
  double loss = 0;             // share of messages, of late
  double marks = 0;            // share that came with the mark congestion experienced, of late
  BitsPerSecond bandwidth;     // on the wire, as delivered: the most of the last rate_memory or two
  std::uint16_t severity = 0;  // 65535 = 1: the worst of loss, marks and queueing delay against their
                               // references
};

// How a path is learnt.
struct CongestionMonitorConfig {
  std::size_t below_bytes = 66;        // on the wire around a datagram's payload: UDP 8, IPv4 20, Ethernet 38
  Nanos rate_interval = Millis(10);    // over which a rate is taken: 1 us ..
  Nanos rate_memory = Seconds(5);      // 1 us ..
  double loss_reference = 0.05;        // severity 1: so much of all messages lost, (0, 1]
  double mark_reference = 0.5;         // so many marked, (0, 1]
  Nanos delay_reference = Millis(20);  // so long a queue: 1 ns ..
  bool is_probing = true;              // sends probes of either size where the traffic has too few
  Nanos probe_every = Millis(100);     // one message at most: 1 us ..
  std::size_t small_probe = 200;       // bytes of payload of a small probe, 20 ..
};

// Learns of one direction of a path at its sending end. Passively, from what feedback says of the messages
// that were sent: round trips, losses by size, marks, rates; actively, where the traffic does not tell:
// probes when it is idle, and of the size that it lacks, without which losses cannot be taken apart.
//
// Sums of products: the same bits everywhere. No allocation, one thread.
class CongestionMonitor {
 public:
  // Throws Refusal on values outside the ranges above.
  explicit CongestionMonitor(const CongestionMonitorConfig& config);

  // The peer counts from 0 again. What is known of the path stays.
  void Restart();

  // From the sending of a message to the feedback on it, without what the receiver held that back.
  void OnRoundTrip(Nanos round_trip, Nanos now);
  // A message with `bytes` of payload was received, or not. Probes of the path's MTU are not to be told: that
  // they are lost says nothing of congestion (RFC 8899, section 3).
  void OnFate(std::size_t bytes, bool is_lost, Nanos now);
  // The receiver's counts, since the session began.
  void OnDelivered(std::uint64_t messages, std::uint64_t bytes, std::uint32_t marked, Nanos now);

  // As of what was learnt so far; CongestionReport::time is `now`.
  CongestionReport Report(Nanos now) const;
  LossParts loss_parts() const { return parts_.Estimate(); }
  Nanos smoothed() const { return smoothed_; }  // round trip; 0: none yet
  Nanos least() const;                          // round trip of the last rate_memory or two; 0: none yet
  // RFC 6298 without its floor: smoothed + 4 variances.
  Nanos probe_timeout() const { return smoothed_ + variance_ * 4; }

  // The payload of the next probe to be sent; 0: none is due. `large` is the greatest payload in use.
  std::size_t NextProbe(std::size_t large, Nanos now);

 private:
  // The greatest of what came within a time, or twice that.
  struct Recent {
    double now = 0, before = 0;
    Nanos since;
    void Take(double value, Nanos at, Nanos memory);
  };

  CongestionMonitorConfig config_;
  LossPartsEstimator parts_;
  Nanos smoothed_, variance_;
  Recent nearness_;  // -round trip
  Recent rate_;      // bytes a second
  double loss_ = 0, marks_ = 0;
  std::uint64_t messages_ = 0, bytes_ = 0;
  std::uint32_t marked_ = 0;
  std::uint64_t interval_messages_ = 0, interval_bytes_ = 0;
  Nanos interval_at_;
  bool has_interval_ = false;
  Nanos last_fate_;
  Nanos last_probe_;
  bool has_probed_ = false;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_CONGESTION_MONITOR_H_
