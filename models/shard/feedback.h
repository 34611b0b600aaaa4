// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_FEEDBACK_H_
#define FOREFLOW_MODELS_SHARD_FEEDBACK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/base/work.h"
#include "models/shard/congestion_monitor.h"
#include "models/shard/gap_detector.h"
#include "models/shard/path_mtu.h"
#include "models/shard/retransmission_buffer.h"
#include "models/wire/fragment.h"

namespace foreflow::shard {

struct FeedbackConfig {
  Nanos every = Micros(500);      // after the first message that has not been told of: 0 ..
  std::uint32_t messages = 64;    // or so many, whichever is first: 1 ..
  std::size_t words = 4;          // of the bitmap, 64 numbers each: 1 .. 16
  std::size_t most_bytes = 1000;  // of the text: 128 ..
};

// The receiving end's half: says when there is something to tell, and writes it: what came, and what is asked
// for. One session. No allocation.
class FeedbackWriter {
 public:
  // Throws Refusal on values outside the ranges above.
  explicit FeedbackWriter(const FeedbackConfig& config);

  // A verified message came, `sent_us` its stamp: every one that GapDetector::OnNumber is told of, after
  // that. Feedback, which has no stamp (0), is no reason to answer, so that two ends do not go on for ever.
  void OnMessage(std::uint64_t number, std::size_t bytes, std::uint32_t sent_us, bool is_marked,
                 bool is_feedback, Nanos now, const SentBy& by = {});
  // The text, in `out` of most_bytes at least; 0: there is nothing to tell yet. To be called whenever time
  // has passed: it asks for what `gaps` says is due at `now`. What finds no room waits for its next turn
  // there; so do counts of paths.
  std::size_t Write(GapDetector& gaps, Nanos now, MutableBytes out, Work& work);

  std::uint64_t requests() const { return requests_; }  // numbers asked for

 private:
  // Of one of several paths.
  struct Came {
    std::uint32_t received = 0, received_bytes = 0, marked = 0;
    std::uint64_t highest = 0;
    Nanos highest_at;
    bool is_untold = false;
  };
  bool IsDue(Nanos now) const;

  FeedbackConfig config_;
  std::uint64_t received_ = 0, received_bytes_ = 0, requests_ = 0;
  std::uint32_t marked_ = 0;
  std::uint32_t untold_ = 0;
  Nanos first_untold_;
  std::uint64_t highest_ = 0;
  std::uint32_t highest_sent_us_ = 0;
  Nanos highest_at_;
  bool has_any_ = false;
  std::array<Came, wire::kMostPaths> came_{};
  std::size_t next_path_ = 0;  // whose turn it is to be told of
};

class ResendSink {
 public:
  // A fragment to be sent again, and OnSent told.
  virtual void OnResend(const RetransmissionBuffer::Resend& resend) = 0;

 protected:
  ~ResendSink() = default;
};

// What a sender knows of one path to a peer.
struct KnownPath {
  KnownPath(const CongestionMonitorConfig& monitoring, const PathMtuConfig& searching)
      : monitor(monitoring), mtu(searching) {}

  CongestionMonitor monitor;
  PathMtu mtu;
  std::uint64_t lost = 0;  // messages that feedback has passed, probes of the MTU not counted
};

// The sending end's half: what a verified feedback says goes to the buffer and to the path that each message
// went by, and what it asks for comes back as resends. A message is taken for lost where a feedback's bitmap
// has passed it. A feedback that a newer one has overtaken, as happens where paths take unequal times, has
// nothing to say of counts and round trips, but what it asks for nobody else does. What a feedback claims and
// cannot know is not believed: numbers that were never sent. One session. No allocation.
class FeedbackReader {
 public:
  // Numbers looked at for one feedback at most, however many it asks for.
  static constexpr std::uint64_t kMostAsks = 1024;

  // `number`: of the feedback's message, each of which comes once. False where the text is no feedback:
  // nothing is done. `paths`: all that the sender has, as it numbers them.
  bool Read(std::uint64_t number, BytesView text, std::uint64_t next_number, Nanos now,
            RetransmissionBuffer& buffer, std::vector<KnownPath>& paths, PacketSink& packets,
            ResendSink& resends, Work& work);

  // Whether a newer feedback than this message has been read.
  bool IsOld(std::uint64_t number) const { return has_any_ && number <= last_; }
  std::uint64_t lost() const { return lost_; }  // messages that feedback has passed

 private:
  // What was told of one of several paths.
  struct Told {
    std::uint64_t next = 0;  // one more than the highest number that was told of
    std::uint64_t received = 0, received_bytes = 0;
    std::uint32_t last_received = 0, last_received_bytes = 0;
  };
  void ReadNews(const wire::FeedbackRows& rows, Nanos now, const RetransmissionBuffer& buffer,
                std::vector<KnownPath>& paths);
  static bool IsPossible(const wire::FeedbackRows& rows, std::size_t paths, std::uint64_t next_number);
  void ReadPaths(const wire::FeedbackRows& rows, Nanos now, const RetransmissionBuffer& buffer,
                 std::vector<KnownPath>& paths);

  std::uint64_t last_ = 0;  // feedback's number
  bool has_any_ = false;
  std::uint64_t settled_ = 0;  // the fate of numbers below is told
  std::uint64_t told_ = 0;     // one more than the highest that was told of
  std::uint64_t lost_ = 0;
  std::array<Told, wire::kMostPaths> paths_{};
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_FEEDBACK_H_
