// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/feedback.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::shard {

FeedbackWriter::FeedbackWriter(const FeedbackConfig& config) : config_(config) {
  const auto check = [](const char* key, std::size_t value, std::size_t least, std::size_t most) {
    if (value < least || value > most)
      throw Refusal("feedback", key, std::to_string(value),
                    std::to_string(least) + " .. " + std::to_string(most));
  };
  if (config.every < Nanos())
    throw Refusal("feedback", "every", std::to_string(config.every.count()) + " ns", "0 ns or more");
  check("messages", config.messages, 1, 1u << 20);
  check("words", config.words, 1, 16);
  check("most_bytes", config.most_bytes,
        wire::ShardFeedback::kBytes + config.words * wire::ReceivedWord::kBytes + wire::FragmentGap::kBytes,
        9000);
}

void FeedbackWriter::OnMessage(std::uint64_t number, std::size_t bytes, std::uint32_t sent_us, bool is_marked,
                               bool is_feedback, Nanos now, const SentBy& by) {
  ++received_;
  received_bytes_ += bytes;
  if (is_marked) ++marked_;
  if (!is_feedback && untold_++ == 0) first_untold_ = now;
  if (!by.is_only) {
    Came& came = came_[by.path.path];
    ++came.received;
    came.received_bytes += static_cast<std::uint32_t>(bytes);
    if (is_marked) ++came.marked;
    if (came.received == 1 || number >= came.highest) {
      came.highest = number;
      came.highest_at = now;
    }
    came.is_untold = true;
  }
  if (has_any_ && number < highest_) return;
  has_any_ = true;
  highest_ = number;
  highest_sent_us_ = sent_us;
  highest_at_ = now;
}

bool FeedbackWriter::IsDue(Nanos now) const {
  return untold_ > 0 && (untold_ >= config_.messages || now - first_untold_ >= config_.every);
}

std::size_t FeedbackWriter::Write(GapDetector& gaps, Nanos now, MutableBytes out, Work& work) {
  std::uint64_t number = 0;
  bool has_ask = gaps.NextAsk(now, number, work);
  if (!has_ask && !IsDue(now)) return 0;
  wire::ShardFeedback feedback;
  feedback.highest = highest_;
  feedback.received = received_;
  feedback.received_bytes = received_bytes_;
  feedback.marked = marked_;
  feedback.spurious = static_cast<std::uint32_t>(gaps.counts().spurious);
  feedback.held_us =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>((now - highest_at_).count() / 1000, 0, 0xffffffff));
  feedback.sent_us = highest_sent_us_;
  feedback.words = static_cast<std::uint8_t>(config_.words);
  std::uint8_t* at = out.data + wire::ShardFeedback::kBytes;
  const std::uint8_t* end = out.data + std::min(out.size, config_.most_bytes);
  for (std::size_t i = 0; i < config_.words; ++i)
    at = wire::Encode(at, end, wire::ReceivedWord{gaps.ReceivedWord(i)});
  // Rows of paths come last. One gap at least has room.
  std::array<std::uint8_t, wire::kMostPaths> told{};
  for (std::size_t i = 0; i < came_.size(); ++i) {
    const std::size_t path = (next_path_ + i) % came_.size();
    const auto room = static_cast<std::size_t>(end - at);
    if (!came_[path].is_untold || room < wire::PathCounts::kBytes + wire::FragmentGap::kBytes) continue;
    end -= wire::PathCounts::kBytes;
    told[feedback.paths++] = static_cast<std::uint8_t>(path);
  }
  wire::FragmentGap run;
  const auto flush = [&] {
    if (run.count == 0) return;
    std::uint8_t* const next = wire::Encode(at, end, run);
    if (next == nullptr || feedback.gaps == 255) return;
    at = next;
    ++feedback.gaps;
  };
  for (; has_ask; has_ask = gaps.NextAsk(now, number, work)) {
    ++requests_;
    if (run.count > 0 && run.count < 0xffff && number == run.first + run.count) {
      ++run.count;
      continue;
    }
    flush();
    run.first = number;
    run.count = 1;
  }
  flush();
  for (std::size_t i = 0; i < feedback.paths; ++i) {
    Came& came = came_[told[i]];
    wire::PathCounts counts;
    counts.path = told[i];
    counts.held_us = static_cast<std::uint32_t>(
        std::min<std::int64_t>((now - came.highest_at).count() / 1000, wire::kMost24));
    counts.highest = came.highest;
    counts.received = came.received;
    counts.received_bytes = came.received_bytes;
    counts.marked = came.marked;
    at = wire::Encode(at, at + wire::PathCounts::kBytes, counts);
    came.is_untold = false;
    next_path_ = (told[i] + 1u) % came_.size();
  }
  wire::Encode(out.data, out.end(), feedback);
  untold_ = 0;
  work.Add(WorkItem::kHeader);
  return static_cast<std::size_t>(at - out.data);
}

// Paths that the sender has, and no more by each than it sent in all.
bool FeedbackReader::IsPossible(const wire::FeedbackRows& rows, std::size_t paths,
                                std::uint64_t next_number) {
  for (std::size_t i = 0; i < rows.feedback.paths; ++i)
    if (rows.Path(i).path >= paths) return false;
  return rows.feedback.highest < next_number && rows.feedback.received <= next_number;
}

// How long the greatest number of a path took, and what came by it.
void FeedbackReader::ReadPaths(const wire::FeedbackRows& rows, Nanos now, const RetransmissionBuffer& buffer,
                               std::vector<KnownPath>& paths) {
  for (std::size_t i = 0; i < rows.feedback.paths; ++i) {
    const wire::PathCounts counts = rows.Path(i);
    Told& told = paths_[counts.path];
    CongestionMonitor& monitor = paths[counts.path].monitor;
    const RetransmissionBuffer::Sent newest = buffer.Find(counts.highest);
    if (counts.highest >= told.next && newest.kind != SentKind::kNone && newest.path == counts.path) {
      monitor.OnRoundTrip(now - newest.at - Micros(counts.held_us), now);
      told.next = counts.highest + 1;
    }
    told.received += counts.received - told.last_received;
    told.received_bytes += counts.received_bytes - told.last_received_bytes;
    told.last_received = counts.received;
    told.last_received_bytes = counts.received_bytes;
    monitor.OnDelivered(told.received, told.received_bytes, counts.marked, now);
  }
}

// When the highest was sent is in its record or, where that is gone, in its stamp; how long it was held, they
// say. Of several paths each has such a highest.
void FeedbackReader::ReadNews(const wire::FeedbackRows& rows, Nanos now, const RetransmissionBuffer& buffer,
                              std::vector<KnownPath>& paths) {
  if (paths.size() > 1) {
    ReadPaths(rows, now, buffer, paths);
    return;
  }
  const wire::ShardFeedback& feedback = rows.feedback;
  CongestionMonitor& monitor = paths[0].monitor;
  if (feedback.highest >= told_) {
    const RetransmissionBuffer::Sent newest = buffer.Find(feedback.highest);
    if (newest.kind != SentKind::kNone) {
      monitor.OnRoundTrip(now - newest.at - Micros(feedback.held_us), now);
    } else if (feedback.sent_us != 0) {
      monitor.OnRoundTrip(SinceStamp(feedback.sent_us, now) - Micros(feedback.held_us), now);
    }
    told_ = feedback.highest + 1;
  }
  monitor.OnDelivered(feedback.received, feedback.received_bytes, feedback.marked, now);
}

bool FeedbackReader::Read(std::uint64_t number, BytesView text, std::uint64_t next_number, Nanos now,
                          RetransmissionBuffer& buffer, std::vector<KnownPath>& paths, PacketSink& packets,
                          ResendSink& resends, Work& work) {
  wire::FeedbackRows rows;
  if (!wire::ReadFeedback(text, rows)) return false;
  const wire::ShardFeedback& feedback = rows.feedback;
  if (!IsPossible(rows, paths.size(), next_number)) return false;
  work.Add(WorkItem::kHeader);
  if (!IsOld(number)) {
    has_any_ = true;
    last_ = number;
    ReadNews(rows, now, buffer, paths);
  }

  const auto tell = [&](const RetransmissionBuffer::Sent& sent, bool is_lost) {
    // Feedback is not acknowledged: that it came is known, that it was lost is not.
    if (sent.kind == SentKind::kFeedback) return;
    KnownPath& path = paths[sent.path];
    if (sent.kind == SentKind::kMtuProbe) {
      path.mtu.OnProbe(is_lost, now);
      return;
    }
    if (is_lost) ++path.lost;
    path.monitor.OnFate(sent.bytes, is_lost, now);
    path.mtu.OnFate(sent.bytes, is_lost);
  };
  const std::uint64_t reach = 64 * std::uint64_t{feedback.words};
  for (std::size_t word = 0; word < feedback.words; ++word) {
    for (std::uint64_t bits = rows.Word(word); bits != 0; bits &= bits - 1) {
      const std::uint64_t back = 64 * word + static_cast<unsigned>(__builtin_ctzll(bits));
      if (back > feedback.highest) break;
      const RetransmissionBuffer::Sent sent = buffer.Find(feedback.highest - back);
      if (buffer.OnReceived(feedback.highest - back, packets, work)) tell(sent, false);
    }
  }
  // What the bitmap has passed is lost, or so late that it is as good as lost.
  const std::uint64_t passed = feedback.highest + 1 > reach ? feedback.highest + 1 - reach : 0;
  for (settled_ = std::max(settled_, passed > 65'536 ? passed - 65'536 : 0); settled_ < passed; ++settled_) {
    const RetransmissionBuffer::Sent sent = buffer.Find(settled_);
    if (sent.kind == SentKind::kNone || sent.is_received) continue;
    if (sent.kind != SentKind::kFeedback) ++lost_;
    tell(sent, true);
  }

  Nanos round_trip;  // of the slowest path: what is asked for may have gone there
  for (const KnownPath& path : paths) round_trip = std::max(round_trip, path.monitor.smoothed());
  std::uint64_t looked = 0;
  for (std::size_t i = 0; i < feedback.gaps; ++i) {
    const wire::FragmentGap gap = rows.Gap(i);
    for (std::uint64_t k = 0; k < gap.count && looked < kMostAsks; ++k, ++looked) {
      RetransmissionBuffer::Resend resend;
      if (buffer.Ask(gap.first + k, round_trip, now, resend, work) == AskVerdict::kResend)
        resends.OnResend(resend);
    }
  }
  return true;
}

}  // namespace foreflow::shard
